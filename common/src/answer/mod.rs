//! What S3 or SQS answered when it did not do as asked: one table for both programs. What to do
//! about a kind is the policy of each program.
//!
//! ```text
//! SdkError ──► own: is the body the service's? ──► table: operation, status, code ──► ErrorKind
//!     │                                                                                  ▲
//!     └── no answer came: connection, time-out, credentials ─────────────────────────────┘
//! ```

mod asked;
mod expired;
mod origin;
mod region;
mod retry;
mod table;

use std::io;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

pub use expired::ExpiredToken;
pub use region::Regions;
pub use retry::retry_foreign;
pub use table::{Answer, Origin, classify};

/// The service that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// S3, or a store that speaks its protocol.
    S3,
    /// SQS, or a server that speaks its protocol.
    Sqs,
}

/// What a failed request means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The object, version or upload is not there.
    NotFound,
    /// The bucket is not there.
    NoBucket,
    /// The queue is not there.
    NoQueue,
    /// SQS refuses the name of a queue for 60 seconds after the queue was deleted.
    NameInUse,
    /// The message is gone, or its receipt handle is no longer the newest.
    MessageGone,
    /// A policy, an access control list or a KMS key denies what was asked for: this object, bucket
    /// or queue.
    Denied,
    /// The credentials, their token, the signature or this machine's clock are not accepted: every
    /// request would fail.
    Credentials,
    /// The bucket is in another region than the one that was asked.
    WrongRegion,
    /// A condition of the request was not met (412).
    Precondition,
    /// Another writer changed it at the same time (409).
    Conflict,
    /// Asked too often.
    Throttled,
    /// In an archive tier and not restored.
    Archived,
    /// Encrypted with a key that only the customer has (SSE-C).
    CustomerKey,
    /// The service failed, the connection broke or time ran out: worth another try.
    Transient,
    /// The answer is not the service's, such as the page of a proxy. It says nothing about what was
    /// asked for.
    Foreign,
    /// No connection to the endpoint can be made.
    Unreachable,
    /// The store does not have this operation, or a header of it.
    Unsupported,
    /// The service refuses the request, for a reason that has no kind of its own.
    Rejected,
    /// No request can be made of these arguments, such as a key that is only white space: nothing
    /// was sent.
    Unsent,
}

impl ErrorKind {
    /// Whether the same request may succeed later.
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Throttled | Self::Transient | Self::Foreign | Self::Unreachable | Self::Conflict
        )
    }

    /// Whether a person has to change permissions or credentials.
    pub const fn is_denied(self) -> bool {
        matches!(self, Self::Denied | Self::Credentials)
    }
}

/// The service's code and message of a failed request, both empty if the answer has none.
pub fn code_and_message<E: ProvideErrorMetadata>(
    error: &SdkError<E, HttpResponse>,
) -> (&str, &str) {
    let service = error.as_service_error();
    service.map_or(("", ""), |error| {
        (
            error.code().unwrap_or_default(),
            error.message().unwrap_or_default(),
        )
    })
}

/// Sorts what the SDK returned for `operation`, the API's name of the request.
pub fn kind_of<E>(service: Service, operation: &str, error: &SdkError<E, HttpResponse>) -> ErrorKind
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if let Some(response) = error.raw_response() {
        let (code, message) = code_and_message(error);
        let origin = origin::origin(service, is_head(operation), response);
        return classify(&Answer {
            operation,
            status: response.status().as_u16(),
            code,
            message,
            origin,
        });
    }
    match error {
        SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_)
            if mentions_credentials(error) =>
        {
            ErrorKind::Credentials
        }
        SdkError::ConstructionFailure(_) => ErrorKind::Unsent,
        SdkError::DispatchFailure(failure) => failure
            .as_connector_error()
            .map_or(ErrorKind::Transient, of_connection),
        _ => ErrorKind::Transient,
    }
}

/// Whether S3 refuses a request because there are too many, whatever the HTTP status says: it
/// answers a copy with 200 before it knows how the copy ends ("CopyObject",
/// "CompleteMultipartUpload", S3 API reference), and KMS refuses through S3 with 400. The body must
/// have been read.
pub fn is_refusal(response: &HttpResponse) -> bool {
    matches!(response.status().as_u16(), 429 | 503)
        || error_document(response).is_some_and(|(_, kind)| kind == ErrorKind::Throttled)
}

/// The code in S3's error document and its kind, whatever the HTTP status; `None` if the answer is
/// not such a document.
fn error_document(response: &HttpResponse) -> Option<(&str, ErrorKind)> {
    let code = origin::code_of_error(response)?;
    let answer = Answer {
        operation: "",
        status: response.status().as_u16(),
        code,
        message: "",
        origin: Origin::Service,
    };
    Some((code, classify(&answer)))
}

fn is_head(operation: &str) -> bool {
    operation.starts_with("Head")
}

/// A connection that cannot be made is trouble of the endpoint; one that breaks may be the trouble
/// of one request.
fn of_connection(error: &ConnectorError) -> ErrorKind {
    let (mut connecting, mut broke) = (false, false);
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let client = error.downcast_ref::<hyper_util::client::legacy::Error>();
        connecting |= client.is_some_and(hyper_util::client::legacy::Error::is_connect);
        let io_error = error.downcast_ref::<io::Error>();
        broke |= io_error.is_some_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::UnexpectedEof
            )
        });
        // An I/O error's source is the source of its payload: the payload itself would be skipped.
        cause = match io_error {
            Some(error) => error
                .get_ref()
                .map(|payload| payload as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    if error.is_io() && connecting && !broke {
        ErrorKind::Unreachable
    } else {
        ErrorKind::Transient
    }
}

/// Whether no request could be signed, which the SDK tells only in words.
pub fn mentions_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error
            .to_string()
            .to_ascii_lowercase()
            .contains("credential")
        {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests;
