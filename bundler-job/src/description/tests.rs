use serde_json::{Value, json};

use super::*;

fn source() -> S3Address {
    S3Address::new("src", "k")
}

fn identity(source: &S3Address) -> Identity<'_> {
    Identity {
        source,
        version_id: Some("v"),
        size: 5,
        etag: "e",
    }
}

fn description() -> Description {
    let map = |name: &str| Map::from([(name.to_owned(), "1".to_owned())]);
    Description {
        format: 1,
        bucket: "src".to_owned(),
        key: "k".to_owned(),
        version_id: Some("v".to_owned()),
        size: 5,
        etag: "e".to_owned(),
        last_modified: Some("2026-11-22T01:00:00Z".to_owned()),
        storage_class: None,
        headers: map("content-type"),
        metadata: map("m"),
        tags: map("t"),
    }
}

fn parse(json: &[u8]) -> Result<Description, Problem> {
    Description::parse(json, identity(&source()))
}

#[test]
fn a_description_reads_back_as_it_was_written() {
    let json = description().to_json();
    assert_eq!(parse(&json), Ok(description()));
    assert_eq!(
        String::from_utf8(json).expect("UTF-8"),
        "{\n  \"format\": 1,\n  \"bucket\": \"src\",\n  \"key\": \"k\",\n  \"versionId\": \
         \"v\",\n  \"size\": 5,\n  \"etag\": \"e\",\n  \"lastModified\": \
         \"2026-11-22T01:00:00Z\",\n  \"storageClass\": null,\n  \"headers\": \
         {\n    \"content-type\": \"1\"\n  },\n  \"metadata\": {\n    \"m\": \
         \"1\"\n  },\n  \"tags\": {\n    \"t\": \"1\"\n  }\n}\n"
    );
}

#[test]
fn every_field_of_the_identity_and_every_type_is_compared() {
    let with = |field: &str, value: Value| {
        let mut changed = serde_json::to_value(description()).expect("fields");
        changed[field] = value;
        parse(changed.to_string().as_bytes())
    };
    for (field, value) in [
        ("format", json!(0)),
        ("format", json!("1")),
        ("bucket", json!("other")),
        ("key", json!("l")),
        ("versionId", json!("w")),
        ("versionId", json!(null)),
        ("size", json!(6)),
        ("size", json!("5")),
        ("etag", json!("x")),
        ("lastModified", json!("yesterday")),
        ("headers", json!(null)),
        ("metadata", json!([])),
        ("tags", json!("t")),
    ] {
        let parsed = with(field, value.clone());
        assert!(
            matches!(parsed, Err(Problem::Wrong(_))),
            "{field} {value}: {parsed:?}"
        );
    }
    assert_eq!(with("format", json!(2)), Err(Problem::Later(2)));
    assert_eq!(parse(br#"{"format":2,"other":[]}"#), Err(Problem::Later(2)));
    for (field, value) in [
        ("lastModified", json!(null)),
        ("tags", json!({})),
        ("later", json!(1)),
    ] {
        assert!(with(field, value.clone()).is_ok(), "{field} {value}");
    }
    let whole = description().to_json();
    for broken in [&b""[..], b"{}", b"[]", b"1", &whole[..whole.len() / 2]] {
        assert!(
            matches!(parse(broken), Err(Problem::Wrong(_))),
            "{broken:?}"
        );
    }
}

#[test]
fn the_null_version_is_no_version() {
    for (expected, found) in [(None, Some("null")), (Some("null"), None), (None, None)] {
        let description = Description {
            version_id: found.map(str::to_owned),
            ..description()
        };
        let source = source();
        let identity = Identity {
            version_id: expected,
            ..identity(&source)
        };
        assert!(
            Description::parse(&description.to_json(), identity).is_ok(),
            "{expected:?} {found:?}"
        );
    }
}

#[test]
fn a_description_in_an_archive_tier_has_a_plausible_size() {
    let source = source();
    for (size, plausible) in [
        (0, false),
        (4, false),
        (5, true),
        (400, true),
        (1 << 20, true),
        (1 << 21, false),
    ] {
        assert_eq!(
            identity(&source).judge(size) == Found::Archived,
            plausible,
            "{size}"
        );
    }
}
