#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use super::{BUILT_IN, PriceList, PricesError};
use crate::plan::money::Price;

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

fn parse(text: &str) -> Result<PriceList, PricesError> {
    PriceList::parse("test.csv", text.as_bytes())
}

/// The built-in list after an edit that does something.
#[track_caller]
fn edited(from: &str, to: &str) -> String {
    let text = BUILT_IN.replacen(from, to, 1);
    assert_ne!(text, BUILT_IN, "{from}");
    parse(&text).unwrap_err().to_string()
}

#[test]
fn the_built_in_list_is_whole() {
    let list = PriceList::built_in().unwrap();
    assert_eq!((&*list.region, &*list.date), ("us-east-1", "2026-08-01"));
    let targets: Vec<_> = list.targets().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        targets,
        [
            "STANDARD",
            "INTELLIGENT_TIERING",
            "STANDARD_IA",
            "ONEZONE_IA",
            "GLACIER_IR",
            "GLACIER",
            "DEEP_ARCHIVE"
        ]
    );
    let deep = list.class("DEEP_ARCHIVE").unwrap();
    assert_eq!(deep.storage, price("0.00099"));
    assert_eq!(
        (deep.overhead, deep.overhead_standard, deep.min_days),
        (32_768, 8_192, 180)
    );
    let bulk = deep.bulk_thaw.unwrap();
    assert_eq!((bulk.data, bulk.request), (price("0.0025"), price("0.025")));
    let archive_instant = list.class("INTELLIGENT_TIERING/ARCHIVE_INSTANT").unwrap();
    assert_eq!(archive_instant.storage, price("0.004"));
    assert_eq!(list.services.cloudtrail, price("0.10"));
}

#[test]
fn every_price_has_a_source_that_is_described() {
    let list = PriceList::built_in().unwrap();
    assert!(list.sources.values().all(|what| !what.is_empty()));
    let disputed: Vec<_> = list
        .disputed
        .iter()
        .map(|it| (&*it.class, &*it.figure))
        .collect();
    assert!(
        disputed.contains(&("GLACIER", "thaw-request")),
        "{disputed:?}"
    );
    assert!(list.is_disputed("GLACIER") && !list.is_disputed("STANDARD"));
}

#[test]
fn what_is_wrong_with_a_row_is_an_error_with_its_line() {
    for (from, to, expected) in [
        (
            "STANDARD,storage",
            "STANDARD,storge",
            "line 14: \"storge\" is not a figure of STANDARD",
        ),
        (
            "0.023,USD/GB-month",
            "0.023,USD/TB-month",
            "the unit of storage is USD/GB-month",
        ),
        (
            "0.023,USD/GB-month",
            "cheap,USD/GB-month",
            "\"cheap\" is not a price",
        ),
        ("131072,bytes", "1.5,bytes", "\"1.5\" is not a whole number"),
        (
            "USD/GB-month,A B C,",
            "USD/GB-month,,",
            "storage of STANDARD has no source",
        ),
        (
            "USD/GB-month,A B C,",
            "USD/GB-month,A Z,",
            "lacks the row of the source \"Z\"",
        ),
        (",currency,USD", ",currency,EUR", "only USD is known"),
        (",region,us-east-1,,,\n", "", "lacks the row of its region"),
        (",kms,0.03,USD/10000,A,\n", "", "lacks kms"),
        (
            "GLACIER,thaw,0.01,USD/GB,A E,\n",
            "",
            "one of thaw and thaw-request of GLACIER",
        ),
        (
            "STANDARD,put",
            "STAND\u{1b}ARD,put",
            "is not a storage class",
        ),
        ("class,figure", "class,number", "the columns are not"),
        (
            ",sqs,0.40,USD/1000000,A,",
            ",sqs,0.40,USD/1000000",
            "line 76",
        ),
    ] {
        let error = edited(from, to);
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("test.csv"), "{error}");
    }
    let twice = format!("{BUILT_IN}STANDARD,get,0.1,USD/1000,A,\n");
    let error = parse(&twice).unwrap_err().to_string();
    assert!(error.contains("get is there twice"), "{error}");
    for text in ["", "class", "a,b\nc,d\n", "\u{0}"] {
        assert!(parse(text).is_err(), "{text:?}");
    }
    let not_utf8 = PriceList::parse(
        "x",
        b"class,figure,value,unit,sources,disputed\n\xff,,,,,\n",
    );
    assert!(not_utf8.is_err());
}

#[test]
fn a_class_of_archives_has_to_have_prices() {
    let list = PriceList::built_in().unwrap();
    assert!(list.check_target("GLACIER_IR").is_ok());
    for class in ["COLD", "", "INTELLIGENT_TIERING/INFREQUENT", "standard"] {
        let error = list.check_target(class).unwrap_err().to_string();
        assert!(
            error.contains("it has STANDARD, INTELLIGENT_TIERING"),
            "{error}"
        );
    }
}
