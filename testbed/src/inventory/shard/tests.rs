use super::*;

#[test]
fn keys_are_form_url_encoded_but_for_the_slash() {
    for (key, encoded) in [
        ("logs/2024/a.txt", "logs/2024/a.txt"),
        ("a b", "a+b"),
        ("a+b", "a%2Bb"),
        ("ä/\"\n", "%C3%A4/%22%0A"),
        ("a//b", "a//b"),
        ("100%", "100%25"),
        ("~=&", "%7E%3D%26"),
    ] {
        assert_eq!(encode_key(key), encoded);
    }
}
