use super::*;

#[test]
fn proxies_are_told_from_what_is_none() {
    for (value, is_one) in [
        ("http://proxy.example:3128", true),
        ("http://user:secret@proxy.example:3128/", true),
        ("https://[fd00::1]:3128", true),
        ("proxy.example:3128", true),
        ("socks5://proxy.example:1080", false),
        ("/etc/proxy", false),
        ("http://", false),
        ("a proxy", false),
    ] {
        assert_eq!(is_proxy(value), is_one, "{value}");
    }
}
