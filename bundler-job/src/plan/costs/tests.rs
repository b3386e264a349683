#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use std::sync::Arc;

use s3bundler_contract::RowRef;

use super::{Stored, Target, Written, break_even, days, now, targets};
use crate::group::Observer as _;
use crate::inventory::InventoryRow;
use crate::plan::money::{Price, Usd};
use crate::plan::prices::PriceList;
use crate::plan::profile::{Profile, Rules};
use crate::plan::requests::{Basis, Class, Line, Operation, Place, Tariff};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn prices() -> PriceList {
    PriceList::built_in().unwrap()
}

/// So many dollars, to the last of nine decimal places.
fn usd(text: &str) -> Usd {
    text.parse::<Price>().unwrap().of(1, 1)
}

/// Objects of these sizes and classes, of 2020, on 2026-01-31.
fn profile(objects: &[(u64, &str)]) -> Profile {
    let mut profile = Profile::new(Arc::new(Rules::new(&prices(), 20_484, 0)));
    for (size, class) in objects {
        see(&mut profile, *size, class, "2020-01-01T00:00:00Z");
    }
    profile
}

fn see(profile: &mut Profile, size: u64, class: &str, modified: &str) {
    profile.see(&InventoryRow {
        row: RowRef {
            bucket: "b",
            key: "k",
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
    });
}

fn target<'a>(targets: &'a [Target], class: &str) -> &'a Target {
    targets.iter().find(|it| it.class == class).unwrap()
}

#[test]
fn a_month_of_a_gib_in_each_class() {
    for (class, expected) in [
        ("STANDARD", "0.023"),
        ("STANDARD_IA", "0.0125"),
        ("GLACIER_IR", "0.004"),
        // 32 KiB more here and 8 KiB in STANDARD: 0.0036 / 2^15 + 0.023 / 2^17.
        ("GLACIER", "0.003600285"),
        // One object is watched.
        ("INTELLIGENT_TIERING", "0.0230025"),
    ] {
        let found = now(&profile(&[(GIB, class)]), &prices());
        assert_eq!(found.monthly, usd(expected), "{class}");
    }
}

#[test]
fn small_objects_are_billed_as_128_kib_or_with_their_overhead() {
    // 8,192 objects of 1 KiB: 8 MiB, or 1 GiB.
    let objects = |class| vec![(1_024, class); 8_192];
    let found = now(&profile(&objects("STANDARD_IA")), &prices());
    assert_eq!(found.monthly, usd("0.0125"));
    assert_eq!(found.classes[0].billed_bytes, u128::from(GIB));
    let found = now(&profile(&objects("GLACIER")), &prices());
    // 33 KiB each here, 8 KiB each in STANDARD.
    assert_eq!(found.classes[0].billed_bytes, 8_192 * 41 * 1_024);
    assert_eq!(found.monthly, usd("0.000928125") + usd("0.0014375"));
    // Too small to be watched.
    let found = now(&profile(&objects("INTELLIGENT_TIERING")), &prices());
    assert_eq!(found.monthly, usd("0.000179688"));
}

#[test]
fn classes_without_prices_are_counted_and_cost_nothing() {
    let found = now(
        &profile(&[(5, "COLD"), (GIB, ""), (GIB, "STANDARD")]),
        &prices(),
    );
    assert_eq!(
        found.unpriced,
        Stored {
            objects: 1,
            bytes: 5
        }
    );
    assert_eq!(found.monthly, usd("0.046"));
    assert_eq!(
        found
            .classes
            .iter()
            .filter(|it| it.monthly.is_none())
            .count(),
        1
    );
}

#[test]
fn early_deletion_costs_the_days_that_are_left() {
    let mut objects = profile(&[]);
    // 60 of 90 days are left.
    see(&mut objects, GIB, "GLACIER_IR", "2026-01-01T00:00:00Z");
    see(&mut objects, GIB, "STANDARD", "2026-01-30T00:00:00Z");
    let found = now(&objects, &prices());
    assert_eq!(found.early_deletion, usd("0.008"));
    let early: Vec<_> = found.classes.iter().map(|it| it.early_objects).collect();
    assert_eq!(early, [1, 0]);
}

fn line(operation: Operation, tariff: Tariff, count: u64) -> Line {
    Line {
        place: Place::Destination,
        operation,
        tariff,
        count,
        basis: Basis::Inventory,
        purpose: "",
    }
}

#[test]
fn a_run_costs_its_requests_in_the_classes_of_both_sides() {
    let objects = profile(&[(GIB, "STANDARD_IA"), (GIB, "STANDARD")]);
    let lines = [
        line(Operation::GetObject, Tariff::Get(Class::Sources), 2_000),
        line(Operation::PutObject, Tariff::Put(Class::Archives), 1_000),
        line(Operation::UploadPart, Tariff::Part(Class::Archives), 1_000),
        line(Operation::PutObject, Tariff::Put(Class::Standard), 1_000),
        line(Operation::DeleteObject, Tariff::Free, 1_000),
        line(Operation::SendMessageBatch, Tariff::Queue, 1_000_000),
    ];
    let archives = Stored {
        objects: 1,
        bytes: u128::from(2 * GIB),
    };
    let written = Written {
        archives,
        ..Written::default()
    };
    let found = targets(&lines, &objects, &written, "STANDARD", &prices());
    // Reading a GiB of STANDARD_IA is the only retrieval; half of the GETs go to it.
    let others = usd("0.001") + usd("0.0004") + usd("0.005") + usd("0.40");
    for (class, requests, monthly) in [
        ("STANDARD", others + usd("0.010"), usd("0.046")),
        ("GLACIER", others + usd("0.035"), usd("0.007200285")),
        ("GLACIER_IR", others + usd("0.040"), usd("0.008")),
    ] {
        let target = target(&found, class);
        assert_eq!(target.requests, requests, "{class}");
        assert_eq!(target.retrieval, usd("0.01"));
        assert_eq!(target.once, requests + usd("0.01"));
        assert_eq!(target.monthly, monthly, "{class}");
    }
    let never = target(&found, "STANDARD");
    assert_eq!(never.break_even_months, None);
    let saved = usd("0.0355") - usd("0.008");
    let months = target(&found, "GLACIER_IR").break_even_months.unwrap();
    assert!((months - (others + usd("0.05")).dollars() / saved.dollars()).abs() < 1e-9);
}

#[test]
fn a_lifecycle_rule_moves_each_object_and_by_default_no_small_one() {
    // 8,192 objects of 1 KiB, one of 1 GiB.
    let mut objects = vec![(1_024, "STANDARD"); 8_192];
    objects.push((GIB, "STANDARD"));
    let found = targets(
        &[],
        &profile(&objects),
        &Written::default(),
        "STANDARD",
        &prices(),
    );
    let deep = target(&found, "DEEP_ARCHIVE").lifecycle;
    assert_eq!(deep.once, usd("0.40965"));
    assert_eq!(deep.default_once, usd("0.00005"));
    // 33 KiB each and 1 GiB with 32 KiB; 8 KiB each in STANDARD.
    assert_eq!(deep.monthly, usd("0.001245265") + usd("0.001437675"));
    let of_large = usd("0.00099003") + usd("0.000000175");
    assert_eq!(deep.default_monthly, of_large + usd("0.000179688"));
    let standard = target(&found, "STANDARD").lifecycle;
    assert_eq!(
        (standard.once, standard.monthly),
        (Usd::ZERO, usd("0.023179688"))
    );
    // Objects that are there already stay.
    let found = targets(
        &[],
        &profile(&[(GIB, "STANDARD_IA")]),
        &Written::default(),
        "STANDARD",
        &prices(),
    );
    let same = target(&found, "STANDARD_IA").lifecycle;
    assert_eq!((same.once, same.monthly), (Usd::ZERO, usd("0.0125")));
}

#[test]
fn reading_archives_back_needs_a_restore_in_two_classes() {
    let archives = Stored {
        objects: 1_000,
        bytes: u128::from(1_000 * GIB),
    };
    let written = Written {
        archives,
        ..Written::default()
    };
    let objects = profile(&vec![(MIB, "STANDARD"); 2_000]);
    let found = targets(&[], &objects, &written, "STANDARD", &prices());
    let of = |class: &str| target(&found, class).read_back;
    let ir = of("GLACIER_IR");
    assert_eq!((ir.read, ir.thaw, ir.bulk_thaw), (usd("30.01"), None, None));
    let deep = of("DEEP_ARCHIVE");
    assert_eq!(deep.read, usd("0.0004"));
    assert_eq!(
        (deep.thaw, deep.bulk_thaw),
        (Some(usd("20.10")), Some(usd("2.525")))
    );
    assert_eq!(deep.put, usd("0.01"));
    let glacier = of("GLACIER");
    assert_eq!(
        (glacier.thaw, glacier.bulk_thaw),
        (Some(usd("10.05")), Some(Usd::ZERO))
    );
}

#[test]
fn a_run_pays_for_itself_when_something_is_saved() {
    assert_eq!(break_even(usd("10"), usd("3"), usd("1")), Some(5.0));
    assert_eq!(break_even(usd("10"), usd("1"), usd("1")), None);
    assert_eq!(break_even(usd("10"), usd("1"), usd("3")), None);
    assert_eq!(days(usd("3"), 180), usd("18"));
}
