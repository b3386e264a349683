use super::*;

const MD5: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

fn copied(etag: &str, checksums: &[(&str, &str)]) -> Copied {
    let checksums = checksums
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Copied {
        key: "objects/k~1".to_owned(),
        source: S3Address::new("src", "k"),
        version_id: None,
        size: 5,
        etag: etag.to_owned(),
        keyed: false,
        last_modified: None,
        checksums: full_object(checksums),
        headers: Map::new(),
        metadata: Map::new(),
        tags: Map::new(),
    }
}

fn found(size: Option<u64>, etag: &str, checksums: &[(&str, &str)]) -> Found {
    let Copied { checksums, .. } = copied("", checksums);
    Found {
        size,
        etag: format!("\"{etag}\""),
        keyed: false,
        checksums,
    }
}

#[test]
fn a_copy_is_proved_by_what_both_sides_have() {
    let bytes = |verdict: &Verdict| matches!(verdict, Verdict::Bytes(_));
    let of = |copied: &Copied, found: &Found| copied.judge(found);
    assert_eq!(
        of(&copied(MD5, &[]), &found(Some(5), MD5, &[])),
        Verdict::Proved
    );
    assert_eq!(
        of(&copied(MD5, &[]), &found(Some(4), MD5, &[])),
        Verdict::Size(4)
    );
    assert_eq!(
        of(&copied(MD5, &[]), &found(None, MD5, &[])),
        Verdict::Unproven,
        "no length is no proof"
    );
    assert!(bytes(&of(&copied(MD5, &[]), &found(Some(5), OTHER, &[]))));
    for (source, copy) in [
        ("x-2", MD5),
        (MD5, "x-2"),
        ("x-2", "x-2"),
        ("", MD5),
        (MD5, ""),
    ] {
        assert_eq!(
            of(&copied(source, &[]), &found(Some(5), copy, &[])),
            Verdict::Unproven,
            "{source} {copy}"
        );
    }
    let keyed = Found {
        keyed: true,
        ..found(Some(5), OTHER, &[])
    };
    assert_eq!(
        of(&copied(MD5, &[]), &keyed),
        Verdict::Unproven,
        "the ETag of an encrypted copy is opaque"
    );
    let source = Copied {
        keyed: true,
        ..copied(MD5, &[])
    };
    assert_eq!(
        of(&source, &found(Some(5), OTHER, &[])),
        Verdict::Unproven,
        "that of an encrypted source, too"
    );
    let sums = [("crc32", "AAAAAA==")];
    assert_eq!(
        of(&copied("x-2", &sums), &found(Some(5), "y-3", &sums)),
        Verdict::Proved
    );
    assert!(bytes(&of(
        &copied("x-2", &sums),
        &found(Some(5), "y-3", &[("crc32", "BBBBBB==")])
    )));
    assert_eq!(
        of(
            &copied("x-2", &sums),
            &found(Some(5), "y-3", &[("sha1", "BBBBBB==")])
        ),
        Verdict::Unproven
    );
    let parts = [("crc32", "BBBBBB==-2"), ("type", "COMPOSITE")];
    assert_eq!(
        of(&copied("x-2", &sums), &found(Some(5), "y-3", &parts)),
        Verdict::Unproven
    );
}
