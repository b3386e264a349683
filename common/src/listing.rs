//! Whether a page of a listing is one that can be counted on. A store that knows another version of
//! the request than the one that was sent may ignore the prefix, or say that there is more and not
//! how to go on: what such a listing lacks or adds would go unnoticed.

/// What is wrong with a page of `ListObjectsV2`; `None` if nothing is. Pure.
///
/// `keys` are its keys and common prefixes, `truncated` and `token` the parts of the answer that
/// say whether another page follows ("ListObjectsV2", S3 API reference).
pub fn problem_of_page<'a>(
    prefix: &str,
    keys: impl IntoIterator<Item = &'a str>,
    truncated: Option<bool>,
    token: Option<&str>,
) -> Option<&'static str> {
    if truncated == Some(true) && token.unwrap_or_default().is_empty() {
        return Some(
            "the listing is truncated, and there is no NextContinuationToken to go on with",
        );
    }
    problem_of_keys(prefix, keys)
}

/// What is wrong with the order of a page of `ListObjectsV2` that goes on after a key by
/// `StartAfter`; `None` if nothing is. Pure.
pub fn problem_of_order<'a>(
    after: Option<&str>,
    keys: impl IntoIterator<Item = &'a str>,
    truncated: Option<bool>,
) -> Option<&'static str> {
    let mut last = after;
    for key in keys {
        if last >= Some(key) {
            return Some("the keys of the listing do not follow StartAfter in order");
        }
        last = Some(key);
    }
    (truncated == Some(true) && last == after)
        .then_some("the listing is truncated, and there is no key to go on with")
}

/// Where a listing of uploads goes on: after this key, and after this id of an upload to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadMarkers {
    /// `key-marker`, `NextKeyMarker`.
    pub key: Option<String>,
    /// `upload-id-marker`, `NextUploadIdMarker`.
    pub upload_id: Option<String>,
}

/// What is wrong with a page of `ListMultipartUploads`; `None` if nothing is. Pure.
///
/// `sent` are the markers of the request, `next` those of the answer ("ListMultipartUploads", S3
/// API reference).
pub fn problem_of_uploads<'a>(
    prefix: &str,
    keys: impl IntoIterator<Item = &'a str>,
    truncated: Option<bool>,
    sent: &UploadMarkers,
    next: &UploadMarkers,
) -> Option<&'static str> {
    if truncated == Some(true) {
        if next.key.as_deref().unwrap_or_default().is_empty() {
            return Some("the listing is truncated, and there is no NextKeyMarker to go on with");
        }
        if next == sent {
            return Some("the listing is truncated, and its next markers are those of the request");
        }
    }
    problem_of_keys(prefix, keys)
}

fn problem_of_keys<'a>(
    prefix: &str,
    keys: impl IntoIterator<Item = &'a str>,
) -> Option<&'static str> {
    let mut keys = keys.into_iter();
    keys.any(|key| !key.starts_with(prefix))
        .then_some("the listing has keys that do not begin with the prefix")
}

#[cfg(test)]
mod tests;
