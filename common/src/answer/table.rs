//! The table: operation, status, code and origin of an answer to its kind.

use super::ErrorKind;

/// Who wrote an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The service.
    Service,
    /// The service, of a version that is a delete marker (`x-amz-delete-marker`).
    DeleteMarker,
    /// A proxy, a load balancer or another server in between.
    Foreign,
}

/// An answer, as far as it decides.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The API's name of the request.
    pub operation: &'a str,
    /// HTTP status.
    pub status: u16,
    /// The service's code; empty if there is none, as in answers to HEAD.
    pub code: &'a str,
    /// The service's message.
    pub message: &'a str,
    /// Who wrote it.
    pub origin: Origin,
}

/// Sorts an answer: by the code, then by the HTTP status if there is no code ("Error responses", S3
/// API reference; "Common errors", SQS API reference). An answer that is not the service's has only
/// a status, and no status of a page decides what becomes of an object.
pub fn classify(answer: &Answer<'_>) -> ErrorKind {
    let Answer { status, origin, .. } = *answer;
    if origin == Origin::Foreign {
        return match status {
            429 | 503 => ErrorKind::Throttled,
            501 => ErrorKind::Unsupported,
            408 | 500.. => ErrorKind::Transient,
            _ => ErrorKind::Foreign,
        };
    }
    // SQS has a namespace before the codes of one protocol, and the service's name before those of
    // the other.
    let code = answer.code.rsplit('#').next().unwrap_or_default();
    let code = code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code);
    if let Some(kind) = of_key(code).or_else(|| of_code(code, answer)) {
        return kind;
    }
    match (status, code) {
        (405, "" | "MethodNotAllowed") if origin == Origin::DeleteMarker => ErrorKind::NotFound,
        (409, _) => ErrorKind::Conflict,
        (412, _) => ErrorKind::Precondition,
        (429 | 503, _) => ErrorKind::Throttled,
        (501, _) => ErrorKind::Unsupported,
        (301 | 307, _) => ErrorKind::WrongRegion,
        (408, _) => ErrorKind::Transient,
        (401 | 403, "") => ErrorKind::Denied,
        (404, "") => ErrorKind::NotFound,
        // S3 gives no other to HEAD ("Error responses", S3 API reference).
        (402 | 405..=415 | 417..=499, "") => ErrorKind::Foreign,
        (300..=499, _) => ErrorKind::Rejected,
        _ => ErrorKind::Transient,
    }
}

/// KMS says why an object cannot be decrypted, through S3 (`KMS.DisabledException`) and through SQS
/// (`KmsDisabled`). A key is of an object, whatever is wrong with it.
fn of_key(code: &str) -> Option<ErrorKind> {
    let reason = match code {
        "DisabledException"
        | "InvalidStateException"
        | "KMSInvalidStateException"
        | "KeyUnavailableException" => code,
        _ => ["KMS.", "Kms"]
            .iter()
            .find_map(|prefix| code.strip_prefix(prefix))?,
    };
    Some(match reason.strip_suffix("Exception").unwrap_or(reason) {
        "Throttling" | "Throttled" | "LimitExceeded" | "RequestLimitExceeded" => {
            ErrorKind::Throttled
        }
        "KeyUnavailable" | "DependencyTimeout" | "Internal" | "KMSInternal" | "InternalFailure"
        | "ServiceUnavailable" => ErrorKind::Transient,
        _ => ErrorKind::Denied,
    })
}

fn of_code(code: &str, answer: &Answer<'_>) -> Option<ErrorKind> {
    let says = |words: &str| answer.message.to_ascii_lowercase().contains(words);
    Some(match code {
        "NoSuchKey" | "NoSuchVersion" | "NoSuchUpload" | "NotFound" => ErrorKind::NotFound,
        "NoSuchBucket" => ErrorKind::NoBucket,
        "QueueDoesNotExist" | "NonExistentQueue" | "InvalidAddress" => ErrorKind::NoQueue,
        "QueueDeletedRecently" => ErrorKind::NameInUse,
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => ErrorKind::MessageGone,
        // SQS says this of a message that was deleted or received again, never of our arguments:
        // they are checked.
        "InvalidParameterValue" if answer.operation == "ChangeMessageVisibility" => {
            ErrorKind::MessageGone
        }
        "AccessDenied"
        | "AccessDeniedException"
        | "AccessForbidden"
        | "AllAccessDisabled"
        | "AuthorizationError"
        | "Forbidden"
        | "InvalidPayer"
        | "Unauthorized"
        | "UnauthorizedAccess"
        | "UnauthorizedOperation" => ErrorKind::Denied,
        // S3 answers with it if the signature is for another region, and if it is malformed
        // otherwise.
        "AuthorizationHeaderMalformed" if says("region") => ErrorKind::WrongRegion,
        "AccountProblem"
        | "AuthFailure"
        | "AuthorizationHeaderMalformed"
        | "CredentialsNotSupported"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSecurity"
        | "InvalidSignatureException"
        | "InvalidToken"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "MissingSecurityElement"
        | "MissingSecurityHeader"
        | "NotSignedUp"
        | "OptInRequired"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch"
        | "TokenRefreshRequired"
        | "UnrecognizedClientException" => ErrorKind::Credentials,
        "InvalidRequest"
            if says("authorization mechanism") || says("signature") || says("aws4-hmac") =>
        {
            ErrorKind::Credentials
        }
        "IllegalLocationConstraintException"
        | "IncorrectEndpoint"
        | "InvalidRegion"
        | "PermanentRedirect"
        | "Redirect"
        | "TemporaryRedirect" => ErrorKind::WrongRegion,
        "PreconditionFailed" => ErrorKind::Precondition,
        "ConditionalRequestConflict" | "OperationAborted" => ErrorKind::Conflict,
        "BandwidthLimitExceeded"
        | "OverLimit"
        | "PriorRequestNotComplete"
        | "RequestBandwidthExceeded"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown"
        | "ThrottledException"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequests"
        | "TooManyRequestsException" => ErrorKind::Throttled,
        "InvalidObjectState" | "ObjectNotInActiveTierError" => ErrorKind::Archived,
        // S3 has no code of its own for it.
        "InvalidRequest" | "InvalidArgument" if says("form of server side encryption") => {
            ErrorKind::CustomerKey
        }
        "IncompleteBody"
        | "InternalError"
        | "InternalFailure"
        | "InternalServerError"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "ServiceUnavailable" => ErrorKind::Transient,
        "NotImplemented" => ErrorKind::Unsupported,
        "BatchRequestTooLong" | "InvalidMessageContents" | "UnsupportedOperation" => {
            ErrorKind::Rejected
        }
        _ => return None,
    })
}
