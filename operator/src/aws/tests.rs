use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::ErrorMetadata;

use super::*;

#[test]
fn a_redirect_is_to_another_region_if_it_names_one() {
    let kind = |region: Option<&'static str>| {
        let mut response = HttpResponse::new(301.try_into().expect("a status"), SdkBody::empty());
        if let Some(region) = region {
            response.headers_mut().insert("x-amz-bucket-region", region);
        }
        let error = GetObjectError::generic(ErrorMetadata::builder().build());
        let error = AwsError::s3(
            "GetObject",
            "s3://b/k",
            &SdkError::service_error(error, response),
        );
        (error.kind, error.detail)
    };
    let detail = "HTTP 301; the bucket is in eu-west-1".to_owned();
    assert_eq!(kind(Some("eu-west-1")), (AwsErrorKind::OtherRegion, detail));
    assert_eq!(kind(None).0, AwsErrorKind::Transient);
}

#[test]
fn errors_are_sorted_by_what_the_operator_can_do() {
    let region = "the region 'us-east-1' is wrong; expecting 'eu-west-1'";
    for (code, message, status, kind) in [
        ("AccessDenied", "", 403, AwsErrorKind::Denied),
        ("InvalidToken", "", 400, AwsErrorKind::Denied),
        ("ExpiredTokenException", "", 400, AwsErrorKind::Denied),
        ("UnrecognizedClientException", "", 400, AwsErrorKind::Denied),
        ("OptInRequired", "", 403, AwsErrorKind::Denied),
        ("RequestTimeTooSkewed", "", 403, AwsErrorKind::Denied),
        ("InvalidAccessKeyId", "", 403, AwsErrorKind::Denied),
        ("SignatureDoesNotMatch", "", 403, AwsErrorKind::Denied),
        ("TokenRefreshRequired", "", 400, AwsErrorKind::Denied),
        ("KMS.DisabledException", "", 400, AwsErrorKind::Denied),
        (
            "KMS.KMSInvalidStateException",
            "",
            400,
            AwsErrorKind::Denied,
        ),
        ("KMS.NotFoundException", "", 400, AwsErrorKind::Denied),
        ("KMS.ThrottlingException", "", 400, AwsErrorKind::Transient),
        (
            "KMS.KeyUnavailableException",
            "",
            400,
            AwsErrorKind::Transient,
        ),
        (
            "AWS.SimpleQueueService.NonExistentQueue",
            "",
            400,
            AwsErrorKind::NotFound,
        ),
        ("QueueDoesNotExist", "", 400, AwsErrorKind::NotFound),
        (
            "AWS.SimpleQueueService.QueueDeletedRecently",
            "",
            400,
            AwsErrorKind::NameInUse,
        ),
        ("NoSuchKey", "", 404, AwsErrorKind::NotFound),
        ("NoSuchBucket", "", 404, AwsErrorKind::NotFound),
        ("PreconditionFailed", "", 412, AwsErrorKind::Precondition),
        ("SlowDown", "", 503, AwsErrorKind::Transient),
        ("RequestLimitExceeded", "", 400, AwsErrorKind::Transient),
        ("TooManyRequestsException", "", 400, AwsErrorKind::Transient),
        ("RequestThrottled", "", 400, AwsErrorKind::Transient),
        ("NotImplemented", "", 501, AwsErrorKind::Rejected),
        ("InvalidArgument", "", 400, AwsErrorKind::Rejected),
        ("MethodNotAllowed", "", 405, AwsErrorKind::Rejected),
        ("SomethingNew", "", 400, AwsErrorKind::Rejected),
        ("OperationAborted", "", 409, AwsErrorKind::Transient),
        ("InternalError", "", 500, AwsErrorKind::Transient),
        ("PermanentRedirect", "", 301, AwsErrorKind::OtherRegion),
        ("TemporaryRedirect", "", 307, AwsErrorKind::OtherRegion),
        (
            "AuthorizationHeaderMalformed",
            region,
            400,
            AwsErrorKind::OtherRegion,
        ),
        (
            "AuthorizationHeaderMalformed",
            "",
            400,
            AwsErrorKind::Denied,
        ),
    ] {
        let body = SdkBody::from("<Error><Code>A</Code></Error>");
        let response = HttpResponse::new(status.try_into().expect("a status"), body);
        let error =
            GetObjectError::generic(ErrorMetadata::builder().code(code).message(message).build());
        let error = AwsError::s3(
            "GetObject",
            "s3://b/k",
            &SdkError::service_error(error, response),
        );
        assert_eq!(error.kind, kind, "{code} {status:?}");
    }
}

#[test]
fn an_answer_that_is_not_that_of_aws_may_pass() {
    for (status, body) in [
        (404, "<html>no</html>"),
        (403, "<html>no</html>"),
        (405, ""),
        (404, ""),
        (403, "Forbidden"),
    ] {
        let response = HttpResponse::new(status.try_into().expect("a status"), SdkBody::from(body));
        let error = SdkError::service_error(
            GetObjectError::generic(ErrorMetadata::builder().build()),
            response,
        );
        for error in [
            AwsError::s3("GetObject", "s3://b/k", &error),
            AwsError::sqs("ReceiveMessage", "q", &error),
        ] {
            assert_eq!(error.kind, AwsErrorKind::Transient, "{status} {body}");
            assert!(
                error.detail.ends_with("an answer that is not that of AWS"),
                "{error}"
            );
        }
    }
}

#[test]
fn clients_of_as_many_regions_are_kept_as_were_asked_for_last() {
    let config = SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::latest());
    let aws = Aws::new(config.build());
    for number in 0..REGIONS {
        aws.clients(&format!("r{number}"));
    }
    aws.clients("r0");
    aws.clients("another");
    let recent = aws.clients.lock().unwrap_or_else(PoisonError::into_inner);
    let has = |name: &str| recent.iter().any(|(region, _)| region.as_ref() == name);
    assert_eq!(recent.len(), REGIONS);
    assert!(has("r0") && has("another") && !has("r1"));
}
