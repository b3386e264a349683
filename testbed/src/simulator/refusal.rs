//! Errors as S3 words them ("Error responses", S3 API reference).

use std::borrow::Cow;

use http::StatusCode;

/// Why a request is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: Cow<'static, str>,
    /// Headers of the answer.
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Refusal {
    /// The same error with another message.
    pub(super) fn saying(self, message: String) -> Self {
        Self {
            message: message.into(),
            ..self
        }
    }

    /// The same error with a header.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

macro_rules! refusals {
    ($($name:ident = $status:ident $code:literal $message:literal;)+) => {
        impl Refusal {
            $(pub(super) const $name: Self = Self {
                status: StatusCode::$status,
                code: $code,
                message: Cow::Borrowed($message),
                headers: Vec::new(),
            };)+
        }
    };
}

refusals! {
    NO_SUCH_BUCKET = NOT_FOUND "NoSuchBucket" "The specified bucket does not exist";
    NO_SUCH_KEY = NOT_FOUND "NoSuchKey" "The specified key does not exist.";
    NO_SUCH_VERSION = NOT_FOUND "NoSuchVersion" "The specified version does not exist.";
    NO_SUCH_UPLOAD = NOT_FOUND "NoSuchUpload" "The specified multipart upload does not exist.";
    BUCKET_EXISTS = CONFLICT "BucketAlreadyOwnedByYou" "The bucket is yours already.";
    BUCKET_NOT_EMPTY = CONFLICT "BucketNotEmpty" "The bucket you tried to delete is not empty.";
    PRECONDITION_FAILED = PRECONDITION_FAILED "PreconditionFailed" "At least one of the pre-conditions you specified did not hold";
    NOT_MODIFIED = NOT_MODIFIED "NotModified" "Not Modified";
    INVALID_RANGE = RANGE_NOT_SATISFIABLE "InvalidRange" "The requested range is not satisfiable";
    INVALID_PART = BAD_REQUEST "InvalidPart" "One or more of the specified parts could not be found.";
    INVALID_PART_ORDER = BAD_REQUEST "InvalidPartOrder" "The list of parts was not in ascending order.";
    ENTITY_TOO_SMALL = BAD_REQUEST "EntityTooSmall" "Your proposed upload is smaller than the minimum allowed size";
    BAD_DIGEST = BAD_REQUEST "BadDigest" "The checksum you specified did not match what we received.";
    MALFORMED_XML = BAD_REQUEST "MalformedXML" "The XML you provided was not well-formed";
    INVALID_ARGUMENT = BAD_REQUEST "InvalidArgument" "Invalid Argument";
    INVALID_REQUEST = BAD_REQUEST "InvalidRequest" "Invalid Request";
    INVALID_STATE = FORBIDDEN "InvalidObjectState" "The operation is not valid for the object's storage class";
    RESTORE_IN_PROGRESS = CONFLICT "RestoreAlreadyInProgress" "Object restore is already in progress";
    MISSING_ATTRIBUTES = BAD_REQUEST "InvalidRequest" "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty";
    NOT_IMPLEMENTED = NOT_IMPLEMENTED "NotImplemented" "A header or query you provided implies functionality that is not implemented";
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED "MethodNotAllowed" "The specified method is not allowed against this resource.";
    SLOW_DOWN = SERVICE_UNAVAILABLE "SlowDown" "Please reduce your request rate.";
    UNAVAILABLE = SERVICE_UNAVAILABLE "ServiceUnavailable" "Service is unable to handle request.";
}
