use super::*;

#[test]
fn a_length_that_is_absent_or_negative_is_unknown() {
    for (value, length) in [
        (Some(7), Length::Known(7)),
        (Some(0), Length::Known(0)),
        (Some(-1), Length::Unknown),
        (None, Length::Unknown),
    ] {
        assert_eq!(content_length(value), length, "{value:?}");
    }
}

#[test]
fn only_the_bytes_that_were_asked_for_of_the_same_object_are_the_rest() {
    let other = |rest: &Rest| matches!(rest, Rest::Other(_));
    for (etag, range) in [
        (Some("\"a\""), Some("bytes 3-8/10")),
        (Some("\"a\""), Some("bytes 0-9/10")),
        (Some("\"a\""), Some("bytes 3-9/11")),
        (Some("\"a\""), Some("bytes 3-9/*")),
        (Some("\"a\""), None),
    ] {
        let rest = judge_rest("\"a\"", 3, 10, etag, range);
        assert!(other(&rest), "{etag:?} {range:?}: {rest:?}");
    }
    for etag in [Some("\"b\""), Some("W/\"a\""), None] {
        assert_eq!(
            judge_rest("\"a\"", 3, 10, etag, Some("bytes 3-9/10")),
            Rest::Changed,
            "{etag:?}"
        );
    }
    assert_eq!(
        judge_rest("\"a\"", 3, 10, Some("a"), Some("bytes 3-9/10")),
        Rest::Same
    );
}

#[test]
fn a_range_tells_the_size_of_its_object() {
    for (range, total) in [
        ("bytes 0-0/7", Some(7)),
        ("bytes 0-0/*", None),
        ("0-0/7", None),
        ("bytes 0-0", None),
        ("bytes */0", Some(0)),
    ] {
        assert_eq!(total_of_range(range), total, "{range}");
    }
}

#[test]
fn what_changes_bytes_is_an_encoding() {
    for (encoding, encoded) in [
        ("gzip", true),
        ("br", true),
        ("aws-chunked,gzip", true),
        ("identity", false),
        ("aws-chunked", false),
        ("", false),
    ] {
        assert_eq!(is_encoded(encoding), encoded, "{encoding}");
    }
}
