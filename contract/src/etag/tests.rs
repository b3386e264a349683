use super::*;

#[test]
fn weak_etags_are_compared_without_what_makes_them_weak() {
    for (etag, weak, expected) in [
        ("\"a\"", false, "a"),
        ("a", false, "a"),
        ("W/\"a\"", true, "a"),
        ("\"W/a\"", true, "a"),
        ("\"\"", false, ""),
        ("", false, ""),
        ("W/\"\"", true, ""),
    ] {
        assert_eq!(
            (is_weak(etag), opaque(Some(etag))),
            (weak, expected),
            "{etag}"
        );
    }
    assert_eq!(
        (unquoted(None), opaque(None), unquoted(Some("\"a\""))),
        ("", "", "a")
    );
}

#[test]
fn an_md5_has_32_hexadecimal_digits() {
    let digits = "D41D8CD98F00B204E9800998ECF8427E";
    assert_eq!(
        md5(&format!("\"{digits}\"")).as_deref(),
        Some("d41d8cd98f00b204e9800998ecf8427e")
    );
    for other in [
        "",
        "\"d41d8cd98f00b204e9800998ecf8427e-2\"",
        "g41d8cd98f00b204e9800998ecf8427e",
    ] {
        assert_eq!(md5(other), None, "{other}");
    }
}
