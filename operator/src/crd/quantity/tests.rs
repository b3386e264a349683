use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<u64, QuantityError> {
    bytes(&Quantity(text.to_owned())).map(ByteSize::bytes)
}

#[test]
fn sizes_are_read_as_kubernetes_reads_them() {
    for (text, bytes) in [
        ("0", 0),
        ("1048576", 1 << 20),
        ("+1", 1),
        ("-0", 0),
        ("4Gi", 4 << 30),
        ("2G", 2_000_000_000),
        ("1.5Gi", 1536 << 20),
        (".5Ki", 512),
        ("5.Ki", 5120),
        ("1e3", 1000),
        ("1E3", 1000),
        ("12E-1", 2),
        ("1E", 1_000_000_000_000_000_000),
        ("7Ei", 7 << 60),
        ("1500m", 2),
        ("1n", 1),
        ("0.1", 1),
        ("1e-900", 1),
        ("0e900", 0),
        ("9223372036854775807", i64::MAX.unsigned_abs()),
    ] {
        assert_eq!(read(text), Ok(bytes), "{text}");
    }
}

#[test]
fn what_is_not_a_size_is_told_why() {
    for text in [
        "", ".", "-", "Gi", "1.2.3", "1KB", "1ki", " 1", "1 Gi", "1e", "1e99999", "0x1", "ä", "１",
    ] {
        assert!(
            matches!(read(text), Err(QuantityError::Malformed(_))),
            "{text}"
        );
    }
    assert!(matches!(read("-1Gi"), Err(QuantityError::Negative(_))));
    for text in [
        "8Ei",
        "9223372036854775808",
        "1e30",
        "1e900",
        "99999999999999999999999999999999",
    ] {
        assert!(
            matches!(read(text), Err(QuantityError::TooLarge(_))),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn whatever_the_text_there_is_an_answer(text in "\\PC{0,40}") {
        let _ = read(&text);
    }

    #[test]
    fn a_fraction_is_rounded_up_to_a_byte(thousandths in 0_u64..1 << 50) {
        prop_assert_eq!(read(&format!("{thousandths}m")), Ok(thousandths.div_ceil(1000)));
        prop_assert_eq!(read(&format!("{}.{:03}", thousandths / 1000, thousandths % 1000)), Ok(thousandths.div_ceil(1000)));
    }
}
