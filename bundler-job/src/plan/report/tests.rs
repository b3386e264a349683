#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use std::time::Duration;

use super::{joined, months, span};
use crate::plan::money::Price;
use crate::plan::requests::{Basis, Class, Line, Operation, Place, Tariff};

#[test]
fn a_time_has_two_units() {
    for (seconds, text) in [
        (0, "0 s"),
        (59, "59 s"),
        (61, "1 min 1 s"),
        (3_600, "1 h 0 min"),
        (90_000, "1 d 1 h"),
        (500_000, "5 d 18 h"),
    ] {
        assert_eq!(span(Duration::from_secs(seconds)), text);
    }
}

#[test]
fn break_even_is_in_days_months_or_years() {
    for (number, text) in [
        (None, "never"),
        (Some(0.0), "in a day"),
        (Some(0.5), "in 15 days"),
        (Some(2.0), "in 2.0 months"),
        (Some(23.94), "in 23.9 months"),
        (Some(36.0), "in 3.0 years"),
    ] {
        assert_eq!(months(number), text);
    }
}

#[test]
fn lines_of_one_request_are_one_with_all_purposes() {
    let line = |count, basis, purpose| Line {
        place: Place::Destination,
        operation: Operation::PutObject,
        tariff: Tariff::Put(Class::Standard),
        count,
        basis,
        purpose,
    };
    let lines = [
        line(2, Basis::Inventory, "a"),
        line(3, Basis::Inventory, "b"),
        line(4, Basis::Assumed, "c"),
        line(5, Basis::Inventory, "a"),
    ];
    let dollar = "1".parse::<Price>().unwrap().of(1, 1);
    let joined = joined(&lines, &[dollar; 4]);
    let found: Vec<_> = joined
        .iter()
        .map(|it| (it.count, it.basis, it.purposes.as_slice(), it.usd.dollars()))
        .collect();
    assert_eq!(
        found,
        [
            (10, Basis::Inventory, &["a", "b"][..], 3.0),
            (4, Basis::Assumed, &["c"][..], 1.0),
        ]
    );
}
