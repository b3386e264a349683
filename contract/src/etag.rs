//! ETags of objects (RFC 9110, section 8.8.3), which come in quotes and are compared and stored
//! without.

/// An ETag without quotes; empty if there is none.
pub fn unquoted(etag: Option<&str>) -> &str {
    etag.unwrap_or_default().trim_matches('"')
}

/// Whether an ETag is weak. S3 has none: gateways make them of strong ones when they change bytes.
pub fn is_weak(etag: &str) -> bool {
    unquoted(Some(etag)).starts_with("W/")
}

/// An ETag for a weak comparison (RFC 9110, section 8.8.3.2): without quotes, and without what
/// makes it weak.
pub fn opaque(etag: Option<&str>) -> &str {
    let bare = unquoted(etag);
    bare.strip_prefix("W/").unwrap_or(bare).trim_matches('"')
}

/// The MD5 that an ETag is if the object was uploaded at once and is not encrypted with a key of
/// its own, in lower case.
pub fn md5(etag: &str) -> Option<String> {
    let etag = unquoted(Some(etag));
    let is_hex = etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| etag.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
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
}
