use s3bundler_contract::S3Address;

use super::*;

fn map(name: &str) -> Map {
    [(name.to_owned(), "1".to_owned())].into()
}

fn copied() -> Copied {
    Copied {
        key: "objects/k~1".to_owned(),
        source: S3Address::new("src", "k"),
        version_id: None,
        size: 5,
        etag: "e".to_owned(),
        keyed: false,
        last_modified: Some("2026-11-22T01:00:00.000Z".to_owned()),
        checksums: Map::new(),
        headers: map("content-type")
            .into_iter()
            .chain(map(MISSING_TAGS))
            .collect(),
        metadata: map("m"),
        tags: map("t"),
    }
}

#[test]
fn what_depends_on_the_write_is_compared_if_it_is_the_same_write() {
    let same = Description {
        format: 1,
        bucket: "src".to_owned(),
        key: "k".to_owned(),
        version_id: None,
        size: 5,
        etag: "e".to_owned(),
        last_modified: Some("2026-11-22T01:00:00Z".to_owned()),
        storage_class: None,
        headers: map("content-type"),
        metadata: map("m"),
        tags: map("t"),
    };
    assert_eq!(copied().compare(&same), Verdict::Same);
    for wrong in [
        Description {
            headers: Map::new(),
            ..same.clone()
        },
        Description {
            metadata: map("n"),
            ..same.clone()
        },
    ] {
        assert!(
            matches!(copied().compare(&wrong), Verdict::Wrong(_)),
            "{wrong:?}"
        );
    }
    let earlier = Some("2026-11-21T01:00:00Z".to_owned());
    for other in [
        Description {
            last_modified: earlier.clone(),
            ..same.clone()
        },
        Description {
            last_modified: None,
            ..same.clone()
        },
        Description {
            tags: Map::new(),
            ..same.clone()
        },
        Description {
            last_modified: earlier,
            headers: Map::new(),
            ..same
        },
    ] {
        assert_eq!(copied().compare(&other), Verdict::Unproven, "{other:?}");
    }
}
