use std::io;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;

use super::{Answer, ErrorKind, Origin, classify, is_refusal, of_connection};

fn of(operation: &str, status: u16, code: &str, message: &str, origin: Origin) -> ErrorKind {
    classify(&Answer {
        operation,
        status,
        code,
        message,
        origin,
    })
}

#[test]
fn every_code_has_a_kind() {
    for (status, code, kind) in [
        (404, "NoSuchKey", ErrorKind::NotFound),
        (404, "NoSuchVersion", ErrorKind::NotFound),
        (404, "NoSuchUpload", ErrorKind::NotFound),
        (404, "NotFound", ErrorKind::NotFound),
        (404, "NoSuchBucket", ErrorKind::NoBucket),
        (
            400,
            "AWS.SimpleQueueService.NonExistentQueue",
            ErrorKind::NoQueue,
        ),
        (
            400,
            "com.amazonaws.sqs#QueueDoesNotExist",
            ErrorKind::NoQueue,
        ),
        (400, "QueueDoesNotExist", ErrorKind::NoQueue),
        (404, "InvalidAddress", ErrorKind::NoQueue),
        (
            400,
            "AWS.SimpleQueueService.QueueDeletedRecently",
            ErrorKind::NameInUse,
        ),
        (400, "QueueDeletedRecently", ErrorKind::NameInUse),
        (404, "ReceiptHandleIsInvalid", ErrorKind::MessageGone),
        (
            400,
            "AWS.SimpleQueueService.MessageNotInflight",
            ErrorKind::MessageGone,
        ),
        (403, "AccessDenied", ErrorKind::Denied),
        (400, "AccessDeniedException", ErrorKind::Denied),
        (403, "AccessForbidden", ErrorKind::Denied),
        (403, "AllAccessDisabled", ErrorKind::Denied),
        (403, "InvalidPayer", ErrorKind::Denied),
        (403, "AuthorizationError", ErrorKind::Denied),
        (403, "Forbidden", ErrorKind::Denied),
        (401, "Unauthorized", ErrorKind::Denied),
        (401, "UnauthorizedAccess", ErrorKind::Denied),
        (403, "UnauthorizedOperation", ErrorKind::Denied),
        (400, "KMS.AccessDeniedException", ErrorKind::Denied),
        (400, "KMS.DisabledException", ErrorKind::Denied),
        (400, "KMS.InvalidKeyUsageException", ErrorKind::Denied),
        (400, "KMS.InvalidStateException", ErrorKind::Denied),
        (400, "KMS.KMSInvalidStateException", ErrorKind::Denied),
        (400, "KMS.NotFoundException", ErrorKind::Denied),
        (400, "KMS.SomethingNewException", ErrorKind::Denied),
        (400, "DisabledException", ErrorKind::Denied),
        (400, "InvalidStateException", ErrorKind::Denied),
        (400, "KMSInvalidStateException", ErrorKind::Denied),
        (400, "KmsAccessDenied", ErrorKind::Denied),
        (400, "KmsDisabled", ErrorKind::Denied),
        (400, "KmsInvalidKeyUsage", ErrorKind::Denied),
        (400, "KmsInvalidState", ErrorKind::Denied),
        (400, "KmsNotFound", ErrorKind::Denied),
        (400, "KmsOptInRequired", ErrorKind::Denied),
        (400, "KMS.IncorrectKeyException", ErrorKind::Denied),
        (400, "KMS.InvalidCiphertextException", ErrorKind::Denied),
        (400, "KMS.InvalidGrantTokenException", ErrorKind::Denied),
        (400, "KMS.LimitExceededException", ErrorKind::Throttled),
        (400, "KMS.RequestLimitExceeded", ErrorKind::Throttled),
        (400, "KMS.ThrottlingException", ErrorKind::Throttled),
        (400, "KmsThrottled", ErrorKind::Throttled),
        (400, "KMS.KeyUnavailableException", ErrorKind::Transient),
        (400, "KeyUnavailableException", ErrorKind::Transient),
        (500, "KMS.KMSInternalException", ErrorKind::Transient),
        (500, "KMS.DependencyTimeoutException", ErrorKind::Transient),
        (500, "KMS.InternalException", ErrorKind::Transient),
        (500, "KMS.InternalFailure", ErrorKind::Transient),
        (503, "KMS.ServiceUnavailable", ErrorKind::Transient),
        (403, "AccountProblem", ErrorKind::Credentials),
        (401, "AuthFailure", ErrorKind::Credentials),
        (400, "AuthorizationHeaderMalformed", ErrorKind::Credentials),
        (400, "CredentialsNotSupported", ErrorKind::Credentials),
        (400, "ExpiredToken", ErrorKind::Credentials),
        (400, "ExpiredTokenException", ErrorKind::Credentials),
        (400, "IncompleteSignature", ErrorKind::Credentials),
        (400, "IncompleteSignatureException", ErrorKind::Credentials),
        (403, "InvalidAccessKeyId", ErrorKind::Credentials),
        (403, "InvalidClientTokenId", ErrorKind::Credentials),
        (403, "InvalidSecurity", ErrorKind::Credentials),
        (403, "InvalidSignatureException", ErrorKind::Credentials),
        (400, "InvalidToken", ErrorKind::Credentials),
        (403, "MissingAuthenticationToken", ErrorKind::Credentials),
        (
            400,
            "MissingAuthenticationTokenException",
            ErrorKind::Credentials,
        ),
        (400, "MissingSecurityElement", ErrorKind::Credentials),
        (400, "MissingSecurityHeader", ErrorKind::Credentials),
        (403, "NotSignedUp", ErrorKind::Credentials),
        (403, "OptInRequired", ErrorKind::Credentials),
        (400, "RequestExpired", ErrorKind::Credentials),
        (403, "RequestTimeTooSkewed", ErrorKind::Credentials),
        (403, "SignatureDoesNotMatch", ErrorKind::Credentials),
        (400, "TokenRefreshRequired", ErrorKind::Credentials),
        (400, "UnrecognizedClientException", ErrorKind::Credentials),
        (
            400,
            "IllegalLocationConstraintException",
            ErrorKind::WrongRegion,
        ),
        (400, "IncorrectEndpoint", ErrorKind::WrongRegion),
        (400, "InvalidRegion", ErrorKind::WrongRegion),
        (301, "PermanentRedirect", ErrorKind::WrongRegion),
        (307, "Redirect", ErrorKind::WrongRegion),
        (307, "TemporaryRedirect", ErrorKind::WrongRegion),
        (412, "PreconditionFailed", ErrorKind::Precondition),
        (409, "ConditionalRequestConflict", ErrorKind::Conflict),
        (409, "OperationAborted", ErrorKind::Conflict),
        (509, "BandwidthLimitExceeded", ErrorKind::Throttled),
        (403, "OverLimit", ErrorKind::Throttled),
        (400, "PriorRequestNotComplete", ErrorKind::Throttled),
        (503, "RequestBandwidthExceeded", ErrorKind::Throttled),
        (400, "RequestLimitExceeded", ErrorKind::Throttled),
        (403, "RequestThrottled", ErrorKind::Throttled),
        (400, "RequestThrottledException", ErrorKind::Throttled),
        (503, "SlowDown", ErrorKind::Throttled),
        (400, "ThrottledException", ErrorKind::Throttled),
        (400, "Throttling", ErrorKind::Throttled),
        (400, "ThrottlingException", ErrorKind::Throttled),
        (429, "TooManyRequests", ErrorKind::Throttled),
        (400, "TooManyRequestsException", ErrorKind::Throttled),
        (403, "InvalidObjectState", ErrorKind::Archived),
        (403, "ObjectNotInActiveTierError", ErrorKind::Archived),
        (400, "IncompleteBody", ErrorKind::Transient),
        (500, "InternalError", ErrorKind::Transient),
        (200, "InternalError", ErrorKind::Transient),
        (500, "InternalFailure", ErrorKind::Transient),
        (500, "InternalServerError", ErrorKind::Transient),
        (400, "RequestTimeout", ErrorKind::Transient),
        (400, "RequestTimeoutException", ErrorKind::Transient),
        (503, "ServiceUnavailable", ErrorKind::Transient),
        (501, "NotImplemented", ErrorKind::Unsupported),
        (400, "BatchRequestTooLong", ErrorKind::Rejected),
        (400, "InvalidMessageContents", ErrorKind::Rejected),
        (400, "UnsupportedOperation", ErrorKind::Rejected),
    ] {
        assert_eq!(
            of("GetObject", status, code, "", Origin::Service),
            kind,
            "{status} {code}"
        );
    }
}

#[test]
fn a_code_of_several_meanings_is_told_by_its_message_or_operation() {
    let of = |operation, code, message| of(operation, 400, code, message, Origin::Service);
    let region = "The authorization header is malformed; the region 'us-east-1' is wrong; \
        expecting 'eu-west-1'";
    assert_eq!(
        of("CopyObject", "AuthorizationHeaderMalformed", region),
        ErrorKind::WrongRegion
    );
    let credential = "The authorization header is malformed; the Credential is mal-formed";
    assert_eq!(
        of("CopyObject", "AuthorizationHeaderMalformed", credential),
        ErrorKind::Credentials
    );
    let mechanism = "The authorization mechanism you have provided is not supported. Please use \
        AWS4-HMAC-SHA256.";
    assert_eq!(
        of("GetObject", "InvalidRequest", mechanism),
        ErrorKind::Credentials
    );
    let sse_c = "The object was stored using a form of Server Side Encryption. The correct \
        parameters must be provided";
    assert_eq!(
        of("GetObject", "InvalidRequest", sse_c),
        ErrorKind::CustomerKey
    );
    assert_eq!(
        of("HeadObject", "InvalidArgument", sse_c),
        ErrorKind::CustomerKey
    );
    assert_eq!(
        of(
            "GetObject",
            "InvalidArgument",
            "Invalid version id specified"
        ),
        ErrorKind::Rejected
    );
    assert_eq!(
        of("GetObject", "InvalidRequest", "something else"),
        ErrorKind::Rejected
    );
    let handle = (
        "InvalidParameterValue",
        "Value for parameter ReceiptHandle is invalid",
    );
    assert_eq!(
        of("ChangeMessageVisibility", handle.0, handle.1),
        ErrorKind::MessageGone
    );
    assert_eq!(of("SendMessage", handle.0, handle.1), ErrorKind::Rejected);
}

#[test]
fn unknown_codes_and_answers_without_one_are_sorted_by_their_status() {
    for (status, of_code, of_head) in [
        (301, ErrorKind::WrongRegion, ErrorKind::WrongRegion),
        (307, ErrorKind::WrongRegion, ErrorKind::WrongRegion),
        (400, ErrorKind::Rejected, ErrorKind::Rejected),
        (401, ErrorKind::Rejected, ErrorKind::Denied),
        (403, ErrorKind::Rejected, ErrorKind::Denied),
        (404, ErrorKind::Rejected, ErrorKind::NotFound),
        (405, ErrorKind::Rejected, ErrorKind::Foreign),
        (408, ErrorKind::Transient, ErrorKind::Transient),
        (409, ErrorKind::Conflict, ErrorKind::Conflict),
        (412, ErrorKind::Precondition, ErrorKind::Precondition),
        (416, ErrorKind::Rejected, ErrorKind::Rejected),
        (429, ErrorKind::Throttled, ErrorKind::Throttled),
        (410, ErrorKind::Rejected, ErrorKind::Foreign),
        (451, ErrorKind::Rejected, ErrorKind::Foreign),
        (500, ErrorKind::Transient, ErrorKind::Transient),
        (501, ErrorKind::Unsupported, ErrorKind::Unsupported),
        (502, ErrorKind::Transient, ErrorKind::Transient),
        (503, ErrorKind::Throttled, ErrorKind::Throttled),
        (599, ErrorKind::Transient, ErrorKind::Transient),
    ] {
        assert_eq!(
            of("GetObject", status, "SomethingNew", "", Origin::Service),
            of_code,
            "{status}"
        );
        assert_eq!(
            of("HeadObject", status, "", "", Origin::Service),
            of_head,
            "{status}"
        );
    }
}

#[test]
fn a_foreign_answer_says_nothing_about_the_object() {
    for (status, kind) in [
        (200, ErrorKind::Foreign),
        (302, ErrorKind::Foreign),
        (400, ErrorKind::Foreign),
        (401, ErrorKind::Foreign),
        (403, ErrorKind::Foreign),
        (404, ErrorKind::Foreign),
        (405, ErrorKind::Foreign),
        (407, ErrorKind::Foreign),
        (412, ErrorKind::Foreign),
        (429, ErrorKind::Throttled),
        (500, ErrorKind::Transient),
        (501, ErrorKind::Unsupported),
        (503, ErrorKind::Throttled),
        (504, ErrorKind::Transient),
    ] {
        // Not even with a code: a document that was cut off has one, too.
        for code in ["", "NoSuchKey", "AccessDenied"] {
            assert_eq!(
                of("GetObject", status, code, "", Origin::Foreign),
                kind,
                "{status} {code}"
            );
        }
        assert!(kind.is_transient() || kind == ErrorKind::Unsupported);
    }
}

#[test]
fn a_method_is_not_allowed_on_a_delete_marker_only_if_the_answer_says_so() {
    assert_eq!(
        of(
            "GetObject",
            405,
            "MethodNotAllowed",
            "",
            Origin::DeleteMarker
        ),
        ErrorKind::NotFound
    );
    assert_eq!(
        of("HeadObject", 405, "", "", Origin::DeleteMarker),
        ErrorKind::NotFound
    );
    assert_eq!(
        of("GetObject", 405, "MethodNotAllowed", "", Origin::Service),
        ErrorKind::Rejected
    );
}

#[test]
fn a_connection_that_breaks_is_not_an_endpoint_that_is_down() {
    let io = |kind: io::ErrorKind| ConnectorError::io(Box::new(io::Error::from(kind)));
    assert_eq!(
        of_connection(&io(io::ErrorKind::ConnectionReset)),
        ErrorKind::Transient
    );
    assert_eq!(
        of_connection(&ConnectorError::timeout("late".into())),
        ErrorKind::Transient
    );
    assert_eq!(
        of_connection(&ConnectorError::other("odd".into(), None)),
        ErrorKind::Transient
    );
}

#[test]
fn a_refusal_is_told_by_its_status_or_by_its_document() {
    let document = |code: &str| {
        format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message/></Error>")
    };
    let result = "<CopyObjectResult><ETag>e</ETag><Code>SlowDown</Code></CopyObjectResult>";
    for (status, body, refused) in [
        (503, String::new(), true),
        (429, "<html>too many</html>".to_owned(), true),
        (200, document("SlowDown"), true),
        (400, document("KMS.ThrottlingException"), true),
        (400, document("RequestLimitExceeded"), true),
        (200, document("InternalError"), false),
        (200, document("SlowDown").replace("</Error>", ""), false),
        (200, result.to_owned(), false),
        (400, document("InvalidRequest"), false),
        (200, String::new(), false),
        (500, document("InternalError"), false),
    ] {
        let response = HttpResponse::new(
            status.try_into().expect("a status"),
            SdkBody::from(body.clone()),
        );
        assert_eq!(is_refusal(&response), refused, "{status} {body}");
    }
}
