use super::*;

#[test]
fn keys_are_decoded() {
    for (encoded, key) in [
        ("a/b", "a/b"),
        ("a%20b%2B", "a b+"),
        ("%C3%A4", "ä"),
        ("100%", "100%"),
        ("a//b", "a//b"),
    ] {
        assert_eq!(decode(encoded), key);
    }
}
