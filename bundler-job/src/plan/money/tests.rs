#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use super::{Price, Usd};

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

#[test]
fn prices_are_exact_decimals() {
    for (text, nanos) in [
        ("0", 0),
        ("0.00099", 990_000),
        ("0.023", 23_000_000),
        ("10.00", 10_000_000_000),
        ("0.000000001", 1),
    ] {
        assert_eq!(price(text), Price(nanos), "{text}");
    }
    for text in [
        "",
        ".",
        "1.",
        ".5",
        "-1",
        "1e3",
        "0.0000000001",
        "1,5",
        "99999999999999999999",
    ] {
        assert!(text.parse::<Price>().is_err(), "{text}");
    }
}

#[test]
fn a_million_puts_of_five_thousandths_a_thousand_are_five_dollars() {
    assert_eq!(price("0.005").of(1_000_000, 1_000), Usd(5_000_000_000));
    assert_eq!(price("0.0004").of(1, 1_000), Usd(400));
    assert_eq!(
        price("0.40").of(u64::MAX, 1),
        Usd(i128::from(u64::MAX) * 400_000_000)
    );
}

#[test]
fn a_gb_is_a_binary_one() {
    assert_eq!(price("0.023").of_bytes(1 << 30), Usd(23_000_000));
    assert_eq!(price("0.023").of_bytes(0), Usd::ZERO);
    assert_eq!(price("0.00099").of_bytes(1 << 50), Usd(990_000 << 20));
}

#[test]
fn money_is_shown_in_cents() {
    for (nanos, text) in [
        (0, "$0.00"),
        (4_999_999, "<$0.01"),
        (5_000_000, "$0.01"),
        (1_234_567_890_000_000, "$1,234,567.89"),
        (-20_000_000, "-$0.02"),
    ] {
        assert_eq!(Usd(nanos).to_string(), text);
    }
    assert_eq!(
        serde_json::to_string(&Usd(1_234_567_890)).unwrap(),
        "1.234568"
    );
}
