use s3bundler_contract::{ArchiveOptions, GroupOptions, SelectOptions};

use super::*;

#[test]
fn a_claim_is_resumed_by_its_own_resource_with_the_inventory_that_was_the_newest_then() {
    let inventory = |day: &str| InventoryRef {
        manifest: S3Address::new("inv", format!("src/daily/{day}T01-00Z/manifest.json")),
        etag: day.to_owned(),
        creation_timestamp: None,
    };
    let claim = |day: &str, owner: &str| {
        RunClaim::new(
            "logs".parse().expect("a name"),
            inventory(day),
            SelectOptions::default(),
            GroupOptions::default(),
            ArchiveOptions::default(),
            owner.to_owned(),
        )
    };
    let own = "ArchiveRun team-a/logs in cluster test";
    let today = claim("2026-11-23", own);
    let (daily, other) = (
        S3Address::new("inv", "src/daily/"),
        S3Address::new("inv", "src/dai"),
    );
    for (found, latest, difference) in [
        (claim("2026-11-23", own), None, None),
        (claim("2026-11-22", own), Some(&daily), None),
        (
            claim("2026-11-22", own),
            Some(&other),
            Some("another inventory"),
        ),
        (claim("2026-11-22", own), None, Some("another inventory")),
        (
            claim("2026-11-23", "ArchiveRun team-b/logs in cluster test"),
            None,
            Some("another resource"),
        ),
        (
            claim("2026-11-23", "ArchiveRun team-a/logs in cluster two"),
            None,
            Some("another resource"),
        ),
        (claim("2026-11-23", "s3bundler group"), None, None),
    ] {
        let claimed = found.inventory.clone();
        match (compare(&today, found.clone(), latest), difference) {
            (ClaimState::Ours(inventory), None) => assert_eq!(inventory, claimed),
            (ClaimState::Taken { difference, .. }, Some(expected)) => {
                assert_eq!(difference, expected);
            }
            other => panic!("{found:?}: {other:?}"),
        }
    }
}

#[test]
fn deliveries_are_told_from_other_folders() {
    for (folder, dated) in [
        ("p/src/daily/2026-11-22T01-00Z/", true),
        ("p/src/daily/data/", false),
        ("p/src/daily/hive/", false),
        ("2026-11-22T01:00Z/", false),
    ] {
        assert_eq!(is_dated(folder), dated, "{folder}");
    }
}
