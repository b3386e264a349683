use super::*;

#[test]
fn checksums_decide_before_etags_and_only_those_of_both_sides() {
    let identity = |md5: Option<&str>, checksums: &[(&'static str, &str)]| Identity {
        md5: md5.map(str::to_owned),
        checksums: checksums
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
    };
    for (source, copy, expected) in [
        (
            identity(Some("a"), &[]),
            identity(Some("a"), &[]),
            Some(true),
        ),
        (
            identity(Some("a"), &[]),
            identity(Some("b"), &[]),
            Some(false),
        ),
        (identity(Some("a"), &[]), identity(None, &[]), None),
        (
            identity(None, &[("CRC32", "x")]),
            identity(Some("b"), &[("CRC32", "x")]),
            Some(true),
        ),
        (
            identity(Some("a"), &[("CRC32", "x")]),
            identity(Some("b"), &[("CRC32", "x")]),
            Some(true),
        ),
        (
            identity(Some("a"), &[("CRC32", "x")]),
            identity(Some("a"), &[("CRC32", "y")]),
            Some(false),
        ),
        (
            identity(Some("a"), &[("CRC32", "x")]),
            identity(Some("a"), &[("SHA1", "y")]),
            Some(true),
        ),
        (
            identity(None, &[("CRC32", "x"), ("SHA1", "z")]),
            identity(None, &[("SHA1", "y")]),
            Some(false),
        ),
        (identity(None, &[]), identity(None, &[]), None),
    ] {
        assert_eq!(source.agrees(&copy), expected, "{source:?} {copy:?}");
    }
}

#[test]
fn a_checksum_counts_if_it_is_one_of_the_whole_object() {
    let head = HeadObjectOutput::builder()
        .checksum_crc64_nvme("AAAAAA==")
        .checksum_sha1("AAAA-2")
        .build();
    assert_eq!(Identity::of(&head, true).checksums, []);
    let head = HeadObjectOutput::builder().checksum_crc64_nvme("rosUhgp5mIg=");
    assert_eq!(Identity::of(&head.clone().build(), true).checksums.len(), 1);
    assert_eq!(Identity::of(&head.clone().build(), false).checksums, []);
    assert_eq!(
        Identity::of(&head.checksum_type(ChecksumType::Composite).build(), true).checksums,
        []
    );
}
