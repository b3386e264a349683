use super::*;

#[test]
fn deliveries_are_told_from_other_folders() {
    for (folder, dated) in [
        ("p/src/daily/2026-11-22T01-00Z/", true),
        ("2026-11-22T01-00Z/", true),
        ("p/src/daily/data/", false),
        ("p/src/daily/hive/", false),
        ("2026-11-22T01:00Z/", false),
    ] {
        assert_eq!(is_dated(folder), dated, "{folder}");
    }
}

#[test]
fn an_inventory_belongs_to_the_prefix_that_is_above_it() {
    let inventory = |key: &str| InventoryRef {
        manifest: S3Address::new("inv", key),
        etag: "e".to_owned(),
        creation_timestamp: None,
    };
    let has = |prefix: &str, key: &str| {
        let prefix = prefix.parse().expect("an address");
        let deliveries = Deliveries {
            prefix,
            max_age: None,
        };
        deliveries.have(&inventory(key))
    };
    let key = "src/daily/2026-11-22T01-00Z/manifest.json";
    for (prefix, expected) in [
        ("s3://inv/src/daily/", true),
        ("s3://inv/src/daily", true),
        ("s3://inv", true),
        ("s3://inv/src/dai", false),
        ("s3://other/src/daily/", false),
    ] {
        assert_eq!(has(prefix, key), expected, "{prefix}");
    }
}
