#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use s3bundler_contract::ByteSize;
use serde_json::{Value, json};

use super::*;

fn source(value: Value) -> Source {
    serde_json::from_value(value).unwrap()
}

#[test]
fn rows_come_from_exactly_one_place() {
    let origin = |value| source(value).origin();
    assert_eq!(
        origin(json!({"inventory": {"manifest": "s3://inv/a/manifest.json"}})),
        Ok(Origin::Inventory(S3Address::new("inv", "a/manifest.json")))
    );
    assert_eq!(
        origin(json!({"inventory": {"latest": {"prefix": "s3://inv/a/", "maxAgeHours": 48}}})),
        Ok(Origin::Latest {
            prefix: S3Address::new("inv", "a/"),
            max_age: Some(Duration::from_hours(48))
        })
    );
    assert_eq!(
        origin(json!({"manifests": {"prefix": "s3://dst/groups"}})),
        Ok(Origin::Manifests(S3Address::new("dst", "groups")))
    );
    for neither in [
        json!({}),
        json!({"inventory": {}}),
        json!({"inventory": {"manifest": "s3://b/k"}, "manifests": {"prefix": "s3://b/k"}}),
    ] {
        assert!(
            matches!(origin(neither.clone()), Err(SpecError::NotOne { .. })),
            "{neither}"
        );
    }
    let bad = origin(json!({"inventory": {"manifest": "inv/a"}})).unwrap_err();
    assert!(
        bad.to_string()
            .starts_with("spec.source.inventory.manifest: \"inv/a\" is not an S3 address"),
        "{bad}"
    );
    assert!(matches!(
        origin(json!({"inventory": {"manifest": "s3://inv/a/"}})),
        Err(SpecError::NoObject { .. })
    ));
}

#[test]
fn a_selection_is_read_in_the_words_of_the_contract() {
    let select = source(json!({
        "includePrefixes": ["2024/"], "excludePrefixes": ["tmp/"], "storageClasses": ["STANDARD"],
        "modifiedBefore": "2026-01-01T01:00:00+01:00", "minSize": 1, "maxSize": "1.5Gi",
        "versions": "All", "glacierObjects": "OnlyRestored",
    }))
    .select()
    .unwrap();
    assert_eq!(
        select,
        SelectOptions {
            include: vec!["2024/".to_owned()],
            exclude: vec!["tmp/".to_owned()],
            storage_classes: vec!["STANDARD".to_owned()],
            modified_before: Some("2026-01-01T00:00:00Z".to_owned()),
            min_size: Some(ByteSize(1)),
            max_size: Some(ByteSize::mib(1536)),
            all_versions: true,
            only_restored: true,
        }
    );
    assert_eq!(
        source(json!({})).select().unwrap(),
        SelectOptions::default()
    );
    let bad = source(json!({"minSize": "many"})).select().unwrap_err();
    assert!(
        bad.to_string().starts_with("spec.source.minSize: "),
        "{bad}"
    );
}
