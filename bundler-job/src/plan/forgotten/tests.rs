#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use std::sync::Arc;
use std::time::Duration;

use s3bundler_contract::RowRef;

use super::{Facts, Forgotten, forgotten};
use crate::group::Observer as _;
use crate::inventory::InventoryRow;
use crate::plan::costs::{Stored, Written, now, targets};
use crate::plan::money::{Price, Usd};
use crate::plan::prices::PriceList;
use crate::plan::profile::{Profile, Rules};
use crate::plan::requests::{Basis, Class, Line, Operation, Place, Tariff};

fn usd(text: &str) -> Usd {
    text.parse::<Price>().unwrap().of(1, 1)
}

/// A thousand objects of 1 KiB under a key of KMS, a quarter of them with a bucket key, and two GETs
/// for each.
fn list(class: &str, knows_encryption: bool, writes_with_kms: bool) -> Vec<Forgotten> {
    let prices = PriceList::built_in().unwrap();
    let mut profile = Profile::new(Arc::new(Rules::new(&prices, 20_484, 0)));
    for n in 0..1_000 {
        profile.see(&InventoryRow {
            row: RowRef {
                bucket: "b",
                key: "k",
                size: Some(1_024),
                storage_class: Some("STANDARD_IA"),
                last_modified: Some("2026-01-16T00:00:00Z"),
                ..RowRef::default()
            },
            is_latest: true,
            is_delete_marker: false,
            access_tier: None,
            encryption: Some("SSE-KMS"),
            bucket_key: (n % 4 == 0).then_some("ENABLED"),
        });
    }
    let line = |place, operation, tariff, count| Line {
        place,
        operation,
        tariff,
        count,
        basis: Basis::Inventory,
        purpose: "",
    };
    let lines = [
        line(
            Place::Source,
            Operation::GetObject,
            Tariff::Get(Class::Sources),
            2_000,
        ),
        line(
            Place::Destination,
            Operation::PutObject,
            Tariff::Put(Class::Archives),
            200,
        ),
        line(
            Place::Destination,
            Operation::ListObjectsV2,
            Tariff::Put(Class::Standard),
            300,
        ),
        line(Place::Queue, Operation::DeleteMessage, Tariff::Queue, 500),
    ];
    let archives = Stored {
        objects: 1_000,
        bytes: 1 << 40,
    };
    let written = Written {
        archives,
        ..Written::default()
    };
    let now = now(&profile, &prices);
    let targets = targets(&lines, &profile, &written, "STANDARD", &prices);
    let target = targets.iter().find(|it| it.class == class).unwrap();
    forgotten(&Facts {
        lines: &lines,
        profile: &profile,
        written: &written,
        now: &now,
        target,
        prices: &prices,
        knows_encryption,
        writes_with_kms,
        transferred: 1 << 31,
        duration: Duration::from_secs(3_601),
        objects: 1_000,
    })
}

#[track_caller]
fn of(list: &[Forgotten], what: &str) -> (Option<Usd>, String) {
    let found = list.iter().find(|it| it.what == what).unwrap();
    (found.usd, found.text.clone())
}

#[test]
fn each_is_named_with_its_price() {
    let list = list("DEEP_ARCHIVE", true, false);
    for (what, expected, words) in [
        // 2,500 events: no request to the queue.
        ("CloudTrail data events", "0.0025", "2,500 events"),
        ("KMS without bucket keys", "0.00225", "750 of 1,000 sources"),
        // 2 GiB and two hours.
        ("NAT gateway", "0.18", "2.00 GiB in both directions for 2 h"),
        ("tags", "0.001", "a second request"),
        // 127 KiB each.
        ("minimum sizes and overhead", "0.001513958", "STANDARD_IA"),
        // 15 days of 125 MiB.
        (
            "early deletion of originals",
            "0.000762939",
            "1,000 are younger",
        ),
        ("verify --full", "20.5804", "a restore of every archive"),
        ("a whole restore", "20.5854", "a PUT for each object"),
    ] {
        let (found, text) = of(&list, what);
        assert_eq!(found, Some(usd(expected)), "{what}: {text}");
        assert!(text.contains(words), "{what}: {text}");
    }
    let (_, text) = of(&list, "lifecycle rules instead");
    assert!(text.contains("1,000 objects, 1000.00 KiB"), "{text}");
    let (usd, text) = of(&list, "minimum duration of archives");
    assert!(text.contains("billed for 180 days"), "{text}");
    assert!(usd > Some(Usd::ZERO));
}

#[test]
fn keys_of_kms_are_assumed_if_the_rows_do_not_say() {
    let (usd_unknown, text) = of(&list("STANDARD", false, false), "KMS without bucket keys");
    assert_eq!(usd_unknown, Some(usd("0.003")), "{text}");
    assert!(text.contains("no EncryptionStatus"), "{text}");
    let (usd_written, text) = of(&list("STANDARD", true, true), "KMS without bucket keys");
    assert_eq!(usd_written, Some(usd("0.00285")), "{text}");
    assert!(text.contains("up to 200 more"), "{text}");
}

#[test]
fn nothing_is_restored_from_a_class_that_is_read_at_once() {
    let list = list("GLACIER_IR", true, false);
    let (found, text) = of(&list, "verify --full");
    assert_eq!(found, Some(usd("30.73")), "{text}");
    assert!(text.contains("no restore is needed"), "{text}");
}
