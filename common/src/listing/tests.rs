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
fn a_page_that_goes_on_after_a_key_is_in_order_and_comes_further() {
    for (after, keys, truncated, is_good) in [
        (None, &["p/a", "p/b"][..], Some(true), true),
        (Some("p/a"), &["p/b"], Some(true), true),
        (Some("p/a"), &[], Some(false), true),
        (None, &["p/b", "p/a"], Some(false), false),
        (None, &["p/a", "p/a"], Some(false), false),
        (Some("p/a"), &["p/a", "p/b"], Some(false), false),
        (Some("p/a"), &[], Some(true), false),
    ] {
        let problem = problem_of_order(after, keys.iter().copied(), truncated);
        assert_eq!(
            problem.is_none(),
            is_good,
            "{after:?} {keys:?} {truncated:?}"
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
