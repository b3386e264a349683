use super::*;

#[test]
fn a_source_is_pinned_by_a_strong_etag_or_by_its_age() {
    let modified = DateTime::from_secs(1_767_225_600);
    let since = Some(Pin::UnmodifiedSince(modified));
    for (etag, last_modified, expected) in [
        (
            Some("\"e\""),
            Some(&modified),
            Some(Pin::ETag("\"e\"".to_owned())),
        ),
        (Some("e-2"), None, Some(Pin::ETag("\"e-2\"".to_owned()))),
        (Some("W/\"e\""), Some(&modified), since.clone()),
        (Some("\"\""), Some(&modified), since.clone()),
        (None, Some(&modified), since),
        (Some("W/\"e\""), None, None),
        (None, None, None),
    ] {
        assert_eq!(Pin::of(etag, last_modified), expected, "{etag:?}");
    }
}

#[test]
fn an_answer_is_of_the_pinned_object_by_its_etag_or_by_its_age() {
    let (read, later) = (
        DateTime::from_secs(1_767_225_600),
        DateTime::from_secs(1_767_225_601),
    );
    let (strong, weak) = (Pin::ETag("\"e\"".to_owned()), Pin::UnmodifiedSince(read));
    for (pin, etag, last_modified, expected) in [
        (&strong, Some("\"e\""), Some(&later), Some(true)),
        (&strong, Some("W/\"e\""), None, Some(true)),
        (&strong, Some("\"f\""), Some(&read), Some(false)),
        (&strong, None, Some(&read), Some(true)),
        (&strong, None, Some(&later), Some(false)),
        (&strong, None, None, None),
        (&weak, Some("\"e\""), Some(&read), Some(true)),
        (&weak, None, Some(&read), Some(true)),
        (&weak, None, Some(&later), Some(false)),
        (&weak, Some("\"e\""), None, None),
    ] {
        assert_eq!(
            pin.is_of(Some(&read), etag, last_modified),
            expected,
            "{pin:?} {etag:?} {last_modified:?}"
        );
    }
    assert_eq!(strong.is_of(None, None, Some(&read)), None);
}

#[test]
fn an_object_without_a_strong_etag_has_to_settle() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_hours(490_896);
    for (age, settles) in [
        (0, false),
        (59, false),
        (60, true),
        (-1, false),
        (-900, false),
        (-901, true),
    ] {
        let pin = Pin::UnmodifiedSince(DateTime::from_secs(1_767_225_600 - age));
        assert_eq!(pin.settles_in(now).is_none(), settles, "{age}");
    }
    assert_eq!(Pin::ETag("\"e\"".to_owned()).settles_in(now), None);
}
