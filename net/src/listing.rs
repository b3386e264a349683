//! Whether a page of a listing is one that can be counted on. A store that knows another version of the request than the
//! one that was sent may ignore the prefix, or say that there is more and not how to go on: what such a listing lacks or
//! adds would go unnoticed.

/// What is wrong with a page of `ListObjectsV2`; `None` if nothing is. Pure.
///
/// `keys` are its keys and common prefixes, `truncated` and `token` the parts of the answer that say whether another page
/// follows ("ListObjectsV2", S3 API reference).
pub fn problem_of_page<'a>(
    prefix: &str,
    keys: impl IntoIterator<Item = &'a str>,
    truncated: Option<bool>,
    token: Option<&str>,
) -> Option<&'static str> {
    if truncated == Some(true) && token.unwrap_or_default().is_empty() {
        return Some("the listing is truncated, and there is no NextContinuationToken to go on with");
    }
    let mut keys = keys.into_iter();
    keys.any(|key| !key.starts_with(prefix)).then_some("the listing has keys that do not begin with the prefix")
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
            assert_eq!(problem.is_none(), is_good, "{keys:?} {truncated:?} {token:?}");
        }
    }
}
