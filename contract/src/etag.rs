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
mod tests;
