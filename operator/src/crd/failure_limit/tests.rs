#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use serde_json::json;

use super::*;

#[test]
fn a_limit_is_a_number_or_a_share() {
    for (value, all, most) in [
        (json!(0), 1000, 0),
        (json!(17), 10, 17),
        (json!("0%"), 1000, 0),
        (json!("1%"), 1000, 10),
        (json!("12.5%"), 999, 124),
        (json!("0.0001%"), 1_000_000_000, 1000),
        (json!("100%"), u64::MAX, u64::MAX),
        (json!("99.9999%"), 3, 2),
    ] {
        let read: CountOrPercent = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(read.limit().unwrap().of(all), most, "{value}");
        assert_eq!(serde_json::to_value(read).unwrap(), value);
    }
}

#[test]
fn what_is_no_percentage_is_refused_by_name() {
    for text in [
        "", "%", "5", "-1%", "101%", "100.1%", "1.%", ".5%", "1.00001%", "1 %", "1e1%", "٣%",
    ] {
        let error = CountOrPercent::Percent(text.to_owned())
            .limit()
            .unwrap_err();
        assert!(
            error.to_string().contains("failurePolicy.maxFailedObjects"),
            "{text}: {error}"
        );
    }
}
