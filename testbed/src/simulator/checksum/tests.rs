use super::*;

#[test]
fn checksums_are_those_of_check_tables() {
    // The check values of the CRC catalogue, and what other programs print for SHA.
    for (algorithm, wanted) in [
        (Algorithm::Crc32, "y/Q5Jg=="),
        (Algorithm::Crc32c, "4waSgw=="),
        (Algorithm::Crc64Nvme, "rosUhgp5mIg="),
        (Algorithm::Sha1, "98O8HYCOBHMq32eZZczDTKeuNEE="),
        (
            Algorithm::Sha256,
            "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
        ),
    ] {
        let sum = algorithm.of(b"123456789");
        assert_eq!(sum.text(), wanted, "{algorithm:?}");
    }
}

#[test]
fn a_composite_checksum_names_the_number_of_parts_and_may_be_claimed_without() {
    let parts = [b"a", b"b"].map(|bytes| Algorithm::Crc32.of(bytes));
    let sum = Algorithm::Crc32.composite(&parts);
    let (value, count) = sum.text().split_once('-').expect("a count");
    assert_eq!(count, "2");
    assert!(sum.is_claimed(sum.text()) && sum.is_claimed(value));
    assert!(!sum.is_claimed(&format!("{value}-3")));
}

#[test]
fn names_are_found_in_any_case() {
    for algorithm in Algorithm::ALL {
        let lower = algorithm.name().to_lowercase();
        assert_eq!(Algorithm::of_name(&lower), Ok(algorithm));
        assert!(algorithm.header().ends_with(&lower));
        assert!(algorithm.allows(algorithm.default_kind()));
    }
    assert!(Algorithm::of_name("SHA512").is_err());
    assert!(Kind::of_name("composite").is_err());
}
