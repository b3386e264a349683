use super::*;

#[test]
fn numbers_and_percentages_are_limits_and_all_else_is_refused() {
    for (text, failed, all, exceeded) in [
        ("0", 0, 10, false),
        ("0", 1, 10, true),
        ("3", 3, 3, false),
        ("3", 4, 1000, true),
        ("0%", 0, 0, false),
        ("0%", 1, 1000, true),
        ("10%", 1, 10, false),
        ("10%", 2, 10, true),
        ("0.5%", 5, 1000, false),
        ("0.5%", 6, 1000, true),
        ("33.333333%", 1, 3, true),
        ("33.333334%", 1, 3, false),
        ("100%", u64::MAX, u64::MAX, false),
        ("100.000000%", 7, 7, false),
    ] {
        let limit: MaxFailed = text.parse().expect(text);
        assert_eq!(
            limit.is_exceeded(failed, all),
            exceeded,
            "{text}: {failed} of {all}"
        );
        assert_eq!(limit.to_string().parse(), Ok(limit));
    }
    for bad in [
        "",
        "-1",
        "+1",
        "1.5",
        "x",
        "%",
        "101%",
        "100.1%",
        "-1%",
        "1%%",
        "1.0000001%",
        ".5%",
        "1.%2",
        "1e3",
    ] {
        assert!(bad.parse::<MaxFailed>().is_err(), "{bad}");
    }
}
