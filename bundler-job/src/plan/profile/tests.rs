#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use std::sync::Arc;

use s3bundler_contract::RowRef;

use super::{ClassFigures, Kms, MOST_CLASSES, OTHER_CLASSES, Profile, Rules, SMALL, days};
use crate::group::Observer as _;
use crate::inventory::InventoryRow;
use crate::plan::prices::PriceList;

/// 2026-01-31.
const TODAY: i64 = 20_484;
const KIB: u64 = 1 << 10;

fn profile(sample: usize) -> Profile {
    let prices = PriceList::built_in().unwrap();
    Profile::new(Arc::new(Rules::new(&prices, TODAY, sample)))
}

fn row<'a>(key: &'a str, size: u64, class: &'a str, modified: &'a str) -> InventoryRow<'a> {
    InventoryRow {
        row: RowRef {
            bucket: "b",
            key,
            size: Some(size),
            version_id: None,
            last_modified: Some(modified),
            etag: None,
            storage_class: Some(class),
        },
        is_latest: true,
        is_delete_marker: false,
        access_tier: None,
        encryption: None,
        bucket_key: None,
    }
}

fn class<'a>(profile: &'a Profile, name: &str) -> &'a ClassFigures {
    let mut classes = profile.classes().into_iter();
    classes.find(|(it, _)| *it == name).unwrap().1
}

#[test]
fn days_are_those_of_the_date() {
    for (text, day) in [
        ("1970-01-01T00:00:00.000Z", Some(0)),
        ("1969-12-31T23:59:59Z", Some(-1)),
        ("2024-02-29T12:00:00.000Z", Some(19_782)),
        ("2026-01-31T00:00:00Z", Some(TODAY)),
        ("2023-02-29T00:00:00Z", None),
        ("2026-01-31", None),
        ("2026-01-3", None),
        ("äääää-01-31T", None),
        ("", None),
    ] {
        assert_eq!(days(text), day, "{text}");
    }
}

#[test]
fn a_class_has_its_objects_and_what_is_billed_of_them() {
    let mut profile = profile(0);
    for size in [0, 100 * KIB, SMALL, 1 << 20] {
        profile.see(&row("k", size, "STANDARD_IA", "2020-01-01T00:00:00Z"));
    }
    let found = class(&profile, "STANDARD_IA");
    let bytes = u128::from(100 * KIB + SMALL + (1 << 20));
    assert_eq!((found.objects, found.bytes), (4, bytes));
    assert_eq!((found.small, found.small_bytes), (2, u128::from(100 * KIB)));
    assert_eq!(
        found.at_least(profile.rules(), SMALL),
        u128::from(3 * SMALL + (1 << 20))
    );
    assert_eq!(found.at_least(profile.rules(), 0), bytes);
    assert_eq!(
        found.large_at_least(profile.rules(), SMALL),
        u128::from(SMALL + (1 << 20))
    );
    assert_eq!(found.early_byte_days, 0);
}

#[test]
fn what_has_to_stay_is_counted_by_the_day() {
    let mut profile = profile(0);
    // 30 days for STANDARD_IA: 10 are over. Small objects are billed as 128 KiB.
    profile.see(&row("k", KIB, "STANDARD_IA", "2026-01-21T10:00:00Z"));
    profile.see(&row("k", 1 << 20, "STANDARD_IA", "2026-01-01T00:00:00Z"));
    profile.see(&row("k", 1 << 20, "STANDARD", "2026-01-31T00:00:00Z"));
    // A date in the future is of today.
    profile.see(&row("k", 2 * SMALL, "STANDARD_IA", "2027-01-01T00:00:00Z"));
    let found = class(&profile, "STANDARD_IA");
    assert_eq!(
        found.early_byte_days,
        u128::from(SMALL * 20 + 2 * SMALL * 30)
    );
    assert_eq!(found.early, 2);
    assert_eq!(class(&profile, "STANDARD").early, 0);
}

#[test]
fn tiers_are_told_apart_where_objects_are_large_enough_to_have_one() {
    let mut profile = profile(0);
    for (size, tier) in [
        (SMALL, Some("INFREQUENT")),
        (SMALL, Some("infrequent_access")),
        (SMALL - 1, Some("INFREQUENT")),
        (SMALL, Some("FREQUENT")),
        (SMALL, None),
        (SMALL, Some("ARCHIVE_INSTANT_ACCESS")),
    ] {
        let row = row("k", size, "INTELLIGENT_TIERING", "2020-01-01T00:00:00Z");
        profile.see(&InventoryRow {
            access_tier: tier,
            ..row
        });
    }
    let objects = profile.classes().into_iter();
    let objects: Vec<_> = objects.map(|(name, it)| (name, it.objects)).collect();
    assert_eq!(
        objects,
        [
            ("INTELLIGENT_TIERING", 3),
            ("INTELLIGENT_TIERING/ARCHIVE_INSTANT", 1),
            ("INTELLIGENT_TIERING/INFREQUENT", 2),
        ]
    );
}

#[test]
fn what_is_missing_is_counted() {
    let mut profile = profile(0);
    let mut nothing = row("k", 0, "", "");
    nothing.row.size = None;
    nothing.row.last_modified = None;
    nothing.row.storage_class = None;
    profile.see(&nothing);
    profile.see(&row("k", 5, "STANDARD", "yesterday"));
    assert_eq!((profile.undated, profile.unsized_objects), (2, 1));
    assert_eq!(class(&profile, "").objects, 1);
}

#[test]
fn keys_of_kms_without_a_bucket_key_are_counted() {
    let mut profile = profile(0);
    for (encryption, bucket_key) in [
        ("SSE-KMS", Some("DISABLED")),
        ("SSE-KMS", Some("ENABLED")),
        ("DSSE-KMS", None),
        ("SSE-S3", Some("DISABLED")),
    ] {
        let row = row("k", 1, "STANDARD", "2020-01-01T00:00:00Z");
        let (encryption, row) = (Some(encryption), row);
        profile.see(&InventoryRow {
            encryption,
            bucket_key,
            ..row
        });
    }
    let expected = Kms {
        objects: 3,
        without_bucket_key: 2,
    };
    assert_eq!(profile.kms, expected);
}

#[test]
fn blocks_add_up_in_any_order_and_so_do_their_samples() {
    let keys: Vec<_> = (0..300).map(|n| format!("k{n}")).collect();
    let seen = |keys: &[String]| {
        let mut profile = profile(10);
        for (n, key) in (0..).zip(keys) {
            let class = ["STANDARD", "GLACIER_IR"][usize::from(n % 2 == 0)];
            profile.see(&row(key, n, class, "2026-01-21T00:00:00Z"));
        }
        profile
    };
    let whole = seen(&keys);
    let mut parts = seen(&keys[200..]);
    parts.merge(seen(&keys[..200]));
    assert_eq!(parts.total().objects, whole.total().objects);
    let (parts, whole) = (parts.into_sample(), whole.into_sample());
    assert_eq!(whole.len(), 10);
    let keys = |rows: Vec<s3bundler_contract::Row>| rows.into_iter().map(|row| row.key);
    assert!(keys(parts).eq(keys(whole)));
}

#[test]
fn made_up_classes_do_not_fill_the_memory() {
    let mut profile = profile(0);
    for n in 0..10_000 {
        profile.see(&row("k", 1, &format!("CLASS_{n}"), "2020-01-01T00:00:00Z"));
    }
    assert!(profile.classes().len() <= MOST_CLASSES + 1);
    assert_eq!(
        class(&profile, OTHER_CLASSES).objects,
        10_000 - MOST_CLASSES as u64
    );
    assert_eq!(profile.total().objects, 10_000);
}
