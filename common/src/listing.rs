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
mod tests {
    use super::*;

    #[test]
    fn a_page_is_of_the_prefix_and_says_how_to_go_on() {
        for (keys, truncated, token, is_good) in [
            (&["p/a", "p/b/"][..], Some(false), None, true),
            (&[], None, None, true),
            (&["p/a"], Some(true), Some("t"), true),
            (&["p/a"], Some(true), None, false),
            (&["p/a"], Some(true), Some(""), false),
            (&["p/a", "q/a"], Some(false), None, false),
            (&["p"], Some(false), None, false),
        ] {
            let problem = problem_of_page("p/", keys.iter().copied(), truncated, token);
            assert_eq!(
                problem.is_none(),
                is_good,
                "{keys:?} {truncated:?} {token:?}"
            );
        }
    }
    #[test]
    fn a_page_of_uploads_goes_on_somewhere_else() {
        let markers = |key: Option<&str>, upload_id: Option<&str>| UploadMarkers {
            key: key.map(str::to_owned),
            upload_id: upload_id.map(str::to_owned),
        };
        let (none, a1, a2, a) = (
            markers(None, None),
            markers(Some("p/a"), Some("1")),
            markers(Some("p/a"), Some("2")),
            markers(Some("p/a"), None),
        );
        for (keys, truncated, sent, next, is_good) in [
            (&["p/a"][..], Some(false), &none, &none, true),
            (&["p/a"], None, &none, &none, true),
            (&["p/a"], Some(true), &none, &a1, true),
            (&["p/a"], Some(true), &a1, &a2, true),
            (&["p/a"], Some(true), &none, &a, true),
            (&["p/a"], Some(true), &none, &none, false),
            (
                &["p/a"],
                Some(true),
                &none,
                &markers(Some(""), Some("1")),
                false,
            ),
            (&["p/a"], Some(true), &a1, &a1, false),
            (&["q/a"], Some(false), &none, &none, false),
        ] {
            let problem = problem_of_uploads("p/", keys.iter().copied(), truncated, sent, next);
            assert_eq!(
                problem.is_none(),
                is_good,
                "{keys:?} {truncated:?} {sent:?} {next:?}"
            );
        }
    }
}
