use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::ErrorMetadata;

use super::*;

#[test]
fn control_characters_of_keys_and_answers_are_escaped() {
    let address = S3Address::new("b", "ä\u{1b}[31m\n");
    let error = S3Error::local("GetObject", address, ErrorKind::Rejected, "no\u{9b}2J");
    assert_eq!(
        error.to_string(),
        "GetObject of s3://b/ä\\u{1b}[31m\\n failed: no\\u{9b}2J"
    );
}

#[test]
fn a_wrong_region_is_reported_with_the_option_to_set() {
    let regions = |signed_for: Option<&str>, bucket: Option<&str>| Regions {
        signed_for: signed_for.map(str::to_owned),
        bucket: bucket.map(str::to_owned),
    };
    for (regions, expected) in [
        (
            regions(Some("us-east-1"), Some("eu-west-1")),
            "HTTP 301; the request was signed for us-east-1, and the bucket is in eu-west-1: set \
             --region eu-west-1",
        ),
        (
            regions(None, None),
            "HTTP 301: set --region to the region of the bucket",
        ),
    ] {
        assert_eq!(in_region("HTTP 301", &regions), expected);
    }
}

#[test]
fn an_answer_that_is_not_s3s_is_told_as_one() {
    let of = |status: u16, body: &'static str| {
        let response = HttpResponse::new(status.try_into().expect("a status"), SdkBody::from(body));
        let code = if body.contains("NoSuchKey") {
            "NoSuchKey"
        } else {
            ""
        };
        let error = GetObjectError::generic(ErrorMetadata::builder().code(code).build());
        let error = SdkError::service_error(error, response);
        S3Error::new("GetObject", S3Address::new("b", "k"), &error)
    };
    let page = of(404, "<html>no</html>");
    assert_eq!(
        (page.kind, page.code.as_str()),
        (ErrorKind::Foreign, "HTTP 404")
    );
    assert_eq!(
        page.to_string(),
        "GetObject of s3://b/k failed: HTTP 404: an answer that is not S3's"
    );
    let cut = of(404, "<Error><Code>NoSuchKey</Code><Me");
    assert_eq!(
        (cut.kind, cut.code.as_str()),
        (ErrorKind::Foreign, "HTTP 404")
    );
    let own = of(404, "<Error><Code>NoSuchKey</Code></Error>");
    assert_eq!(
        (own.kind, own.code.as_str()),
        (ErrorKind::NotFound, "NoSuchKey")
    );
}

#[test]
fn crc64nvme_is_mentioned_only_if_the_answer_points_to_the_checksum() {
    let told = |kind, carried, detail: &str| {
        let error = S3Error::local("PutObject", S3Address::new("b", "k"), kind, detail)
            .with_crc64nvme(carried);
        error.detail.contains("--no-crc64nvme")
    };
    for (kind, carried, detail, expected) in [
        (
            ErrorKind::Unsupported,
            true,
            "NotImplemented: Header 'x-amz-checksum-crc64nvme' not implemented",
            true,
        ),
        (
            ErrorKind::Rejected,
            true,
            "InvalidRequest: Value for x-amz-checksum header is invalid",
            true,
        ),
        (
            ErrorKind::Rejected,
            true,
            "BadDigest: The digest you specified did not match",
            true,
        ),
        (
            ErrorKind::Rejected,
            false,
            "BadDigest: The digest you specified did not match",
            false,
        ),
        (
            ErrorKind::Rejected,
            true,
            "InvalidStorageClass: The storage class is not valid",
            false,
        ),
        (
            ErrorKind::Unsupported,
            true,
            "NotImplemented: A header implies functionality that is not there",
            false,
        ),
        (ErrorKind::Throttled, true, "SlowDown: checksum", false),
    ] {
        assert_eq!(told(kind, carried, detail), expected, "{detail}");
    }
}
