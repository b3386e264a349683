use aws_sdk_s3::primitives::SdkBody;

use super::*;

#[test]
fn every_answer_is_waited_for_as_long_as_its_operation_may_take() {
    let mut request = HttpRequest::new(SdkBody::empty());
    request
        .headers_mut()
        .insert("content-length", (16 << 20).to_string());
    for (operation, first_byte, seconds) in [
        ("GetObject", 10, 10),
        ("HeadObject", 3, 3),
        ("GetObjectTagging", 10, 10),
        ("ListObjectsV2", 10, 30),
        ("ListObjectsV2", 60, 60),
        ("DeleteObject", 10, 30),
        ("CreateMultipartUpload", 10, 30),
        ("AbortMultipartUpload", 10, 30),
        ("UploadPart", 10, 30 + 16 + 1),
        ("PutObject", 60, 60 + 16 + 1),
        ("CopyObject", 10, 300),
        ("UploadPartCopy", 10, 300),
        ("CompleteMultipartUpload", 400, 400),
    ] {
        let limit =
            Task::of(operation, &request).limit(Duration::ZERO, Duration::from_secs(first_byte));
        assert_eq!(limit.as_secs(), seconds, "{operation} {first_byte}");
    }
    for (bytes, sent_in, seconds) in [
        (0, 0, 30),
        (100 << 10, 0, 31),
        (16 << 20, 1_600, 30 + 200 + 1),
        (512 << 20, 60, 30 + 16 + 32),
    ] {
        let limit = Task::Store(bytes).limit(Duration::from_secs(sent_in), Duration::from_secs(10));
        assert_eq!(limit.as_secs(), seconds, "{bytes} {sent_in}");
    }
}

#[test]
fn the_time_of_the_next_request_is_a_number_of_seconds_or_a_date_and_a_minute_at_most() {
    let after = |value: &str| {
        let mut response = HttpResponse::new(503.try_into().expect("a status"), SdkBody::empty());
        response
            .headers_mut()
            .insert("retry-after", value.to_owned());
        retry_after(&response).map(|time| time.as_secs())
    };
    let (past, future) = (
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Sun, 21 Oct 2125 07:28:00 GMT",
    );
    for (value, seconds) in [
        ("0", Some(0)),
        (" 7 ", Some(7)),
        ("86400", Some(60)),
        ("99999999999999999999999", Some(60)),
        (past, Some(0)),
        (future, Some(60)),
        ("-1", None),
        ("soon", None),
        ("", None),
    ] {
        assert_eq!(after(value), seconds, "{value}");
    }
}

#[test]
fn refused_requests_are_sent_again_for_seconds_and_for_fewer_before_any_bucket_has_answered() {
    for (refusals, longest) in [(1, 50), (2, 100), (4, 400), (100, 400)] {
        let pause = pause(refusals, Duration::ZERO, true)
            .expect("sent again")
            .as_millis();
        assert!(
            (longest / 2..=longest).contains(&pause),
            "{refusals}: {pause} ms"
        );
    }
    for (seconds, contact, again) in [
        (4, true, true),
        (5, true, false),
        (1, false, true),
        (2, false, false),
    ] {
        assert_eq!(
            pause(9, Duration::from_secs(seconds), contact).is_some(),
            again,
            "{seconds} {contact}"
        );
    }
}
