//! What S3 answered when it did not do as asked, sorted by what one can do about it.

use std::borrow::Cow;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use s3bundler_contract::{ExitCode, S3Address};

/// A failed request: what was asked, of what, and what came back.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{action} of {} failed: {}", printable(&address.to_string()), printable(detail))]
pub struct S3Error {
    /// The API's name of the request.
    pub action: &'static str,
    /// The object, prefix or bucket.
    pub address: S3Address,
    /// What one can do about it.
    pub kind: ErrorKind,
    /// S3's error code, or a word of ours where no answer came.
    pub code: String,
    /// Code and message, for people.
    pub detail: String,
}

/// What one can do about a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The object, version or upload is not there.
    NotFound,
    /// The bucket is not there.
    NoBucket,
    /// Not allowed, or the credentials are not good or not there.
    Denied,
    /// A condition of the request was not met (412).
    Precondition,
    /// Another writer was at it at the same time (409).
    Conflict,
    /// Asked too often (503 SlowDown, 429).
    Throttled,
    /// In an archive tier (403 InvalidObjectState).
    Archived,
    /// The server failed, the connection broke or time ran out: worth trying again.
    Transient,
    /// Nobody answers at the endpoint.
    Unreachable,
    /// The request itself is wrong.
    Rejected,
}

impl ErrorKind {
    /// Whether the same request may succeed later.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Transient | Self::Unreachable | Self::Conflict)
    }
}

impl S3Error {
    /// Sorts what the SDK gave back.
    pub fn new<E>(action: &'static str, address: S3Address, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let (code, message) = match error.as_service_error() {
            Some(service) => (service.code().unwrap_or_default(), service.message().unwrap_or_default()),
            None => ("", ""),
        };
        let kind = match error {
            SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) if mentions_credentials(error) => {
                ErrorKind::Denied
            }
            SdkError::ConstructionFailure(_) => ErrorKind::Rejected,
            SdkError::DispatchFailure(failure) if failure.is_io() && failure.as_connector_error().is_some() => {
                ErrorKind::Unreachable
            }
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => ErrorKind::Transient,
            _ => classify(status, code),
        };
        let shown = match (code, status) {
            ("", Some(status)) => format!("HTTP {status}"),
            (code, _) => code.to_owned(),
        };
        let detail = match (shown.as_str(), message) {
            ("", _) => with_causes(error),
            // A HEAD's answer has no body to say more.
            (_, "") if code.is_empty() && status == Some(403) => format!("{shown} (access denied)"),
            (_, "") => shown.clone(),
            (_, message) => format!("{shown}: {message}"),
        };
        Self { action, address, kind, code: shown, detail }
    }

    /// A failure that is ours to tell, not the SDK's.
    pub fn local(action: &'static str, address: S3Address, kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { action, address, kind, code: format!("{kind:?}"), detail: detail.into() }
    }

    /// The same error of a request that carried a CRC64NVME, with what to do where the store may not know of it.
    #[must_use]
    pub fn with_crc64nvme(mut self, carried: bool) -> Self {
        if carried && self.kind == ErrorKind::Rejected {
            self.detail.push_str("; where the store does not know CRC64NVME, --no-crc64nvme writes without");
        }
        self
    }

    /// The exit code where this error ends the process and the request was a read.
    pub const fn reading(&self) -> ExitCode {
        match self.kind {
            ErrorKind::Denied => ExitCode::Permission,
            _ => ExitCode::Download,
        }
    }

    /// The exit code where this error ends the process and the request was a write.
    pub const fn writing(&self) -> ExitCode {
        match self.kind {
            ErrorKind::Denied => ExitCode::Permission,
            _ => ExitCode::Upload,
        }
    }
}

/// What the SDK wraps causes in, and says nothing with.
const WRAPPERS: [&str; 3] = ["dispatch failure", "io error", "other"];

/// An error and all its causes on one line, with what to do where it is always the same. The SDK's own
/// `DisplayErrorContext` goes on with everything it knows, such as raw answers of credential services.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        cause = error.source();
        let next = error.to_string();
        // Wrappers often say what they wrap.
        if (cause.is_some() && WRAPPERS.contains(&next.as_str())) || text.ends_with(&next) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&next);
    }
    if is_distrust(error) {
        text.push_str("; AWS_CA_BUNDLE names a PEM file with the authority to trust");
    }
    text
}

/// Whether a server's certificate is not trusted, which rustls tells in these words.
pub(super) fn is_distrust(error: &(dyn std::error::Error + 'static)) -> bool {
    mentions(error, "invalid peer certificate")
}

/// A text from outside, such as a key, with its control characters escaped: on a terminal they would be obeyed, in a log
/// they would make lines of their own.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// Whether no request could be signed, which the SDK tells only in words.
pub(crate) fn mentions_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    mentions(error, "credential")
}

fn mentions(error: &(dyn std::error::Error + 'static), words: &str) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.to_string().to_ascii_lowercase().contains(words) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// By code first ("Error responses", S3 API reference), then by HTTP status: HEAD answers carry no code.
fn classify(status: Option<u16>, code: &str) -> ErrorKind {
    match code {
        "NoSuchKey" | "NoSuchVersion" | "NoSuchUpload" | "NotFound" => ErrorKind::NotFound,
        "NoSuchBucket" => ErrorKind::NoBucket,
        "InvalidObjectState" => ErrorKind::Archived,
        "PreconditionFailed" => ErrorKind::Precondition,
        "ConditionalRequestConflict" | "OperationAborted" => ErrorKind::Conflict,
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "KMS.ThrottlingException" => ErrorKind::Throttled,
        "AccessDenied"
        | "AllAccessDisabled"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "InvalidToken"
        | "KMS.DisabledException"
        | "KMS.InvalidStateException"
        | "KMS.NotFoundException" => ErrorKind::Denied,
        // 501: another store than Amazon's, and no better the next time.
        "NotImplemented" => ErrorKind::Rejected,
        "InternalError" | "ServiceUnavailable" | "RequestTimeout" | "RequestTimeTooSkewed" => ErrorKind::Transient,
        _ => match status {
            Some(404) => ErrorKind::NotFound,
            Some(401 | 403) => ErrorKind::Denied,
            Some(409) => ErrorKind::Conflict,
            Some(412) => ErrorKind::Precondition,
            Some(429 | 503) => ErrorKind::Throttled,
            Some(400..=499) => ErrorKind::Rejected,
            _ => ErrorKind::Transient,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use s3bundler_contract::S3Address;

    use super::{ErrorKind, S3Error, classify, with_causes};

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Wrapped {
        text: &'static str,
        #[source]
        cause: io::Error,
        answer: &'static str,
    }

    #[test]
    fn an_error_is_told_with_its_causes_once_and_without_what_was_answered() {
        let wrapped = |text, cause: io::Error| Wrapped { text, cause, answer: "<SecretAccessKey>" };
        for (error, told) in [
            (wrapped("dispatch failure", io::Error::other("connection refused")), "connection refused"),
            (wrapped("a: b", io::Error::other(wrapped("b", io::Error::other("c")))), "a: b: c"),
            (
                wrapped("connect", io::Error::other("invalid peer certificate: UnknownIssuer")),
                "connect: invalid peer certificate: UnknownIssuer; AWS_CA_BUNDLE names a PEM file with the authority \
                 to trust",
            ),
        ] {
            assert_eq!(with_causes(&error), told);
            assert!(format!("{error:?}").contains(error.answer));
        }
    }

    #[test]
    fn control_characters_of_keys_and_answers_are_escaped() {
        let address = S3Address::new("b", "ä\u{1b}[31m\n");
        let error = S3Error::local("GetObject", address, ErrorKind::Rejected, "no\u{9b}2J");
        assert_eq!(error.to_string(), "GetObject of s3://b/ä\\u{1b}[31m\\n failed: no\\u{9b}2J");
    }

    #[test]
    fn the_code_speaks_before_the_status() {
        for (status, code, kind) in [
            (403, "InvalidObjectState", ErrorKind::Archived),
            (403, "AccessDenied", ErrorKind::Denied),
            (403, "", ErrorKind::Denied),
            (404, "NoSuchBucket", ErrorKind::NoBucket),
            (404, "", ErrorKind::NotFound),
            (503, "SlowDown", ErrorKind::Throttled),
            (503, "", ErrorKind::Throttled),
            (500, "InternalError", ErrorKind::Transient),
            (200, "InternalError", ErrorKind::Transient),
            (412, "", ErrorKind::Precondition),
            (409, "ConditionalRequestConflict", ErrorKind::Conflict),
            (400, "InvalidRequest", ErrorKind::Rejected),
            (501, "NotImplemented", ErrorKind::Rejected),
        ] {
            assert_eq!(classify(Some(status), code), kind, "{status} {code}");
        }
    }
}
