//! A failed request to S3, as the program reports it. The kinds of errors and their table are in
//! `s3bundler_common::answer`.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
pub use s3bundler_common::answer::ErrorKind;
use s3bundler_common::answer::{Regions, Service, code_and_message, kind_of};
use s3bundler_common::causes::with_causes;
use s3bundler_common::text::printable;
use s3bundler_contract::termination::{Bucket, Reason};
use s3bundler_contract::{ExitCode, S3Address};

use super::patience::retry_after;

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
    /// S3's error code, the HTTP status if the answer has none, or a word of ours if no answer
    /// came.
    pub code: String,
    /// Code and message, for people.
    pub detail: String,
    /// When the server wants the next request.
    pub retry_after: Option<Duration>,
}

impl S3Error {
    /// Sorts what the SDK gave back.
    pub fn new<E>(
        action: &'static str,
        address: S3Address,
        error: &SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        let kind = kind_of(Service::S3, action, error);
        let (code, message) = match kind {
            // Not even the code of a document that was cut off counts.
            ErrorKind::Foreign => ("", "an answer that is not S3's"),
            _ => code_and_message(error),
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
        let detail = if kind == ErrorKind::WrongRegion {
            in_region(&detail, &Regions::of(error))
        } else {
            detail
        };
        let retry_after = error.raw_response().and_then(retry_after);
        Self {
            action,
            address,
            kind,
            code: shown,
            detail,
            retry_after,
        }
    }

    /// A failure that is ours to tell, not the SDK's.
    pub fn local(
        action: &'static str,
        address: S3Address,
        kind: ErrorKind,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            action,
            address,
            kind,
            code: format!("{kind:?}"),
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// Whether this error is ours to tell: there was no answer, or a good one that contradicts
    /// others.
    pub fn is_local(&self) -> bool {
        self.code == format!("{:?}", self.kind)
    }

    /// Whether the store says that it does not know such requests, as opposed to refusing this one.
    pub fn is_unimplemented(&self) -> bool {
        self.kind == ErrorKind::Unsupported || self.code == "MethodNotAllowed"
    }

    /// The same error of a request that carried a CRC64NVME, with the option to use if the answer
    /// names the checksum.
    #[must_use]
    pub fn with_crc64nvme(mut self, carried: bool) -> Self {
        let refused = matches!(self.kind, ErrorKind::Rejected | ErrorKind::Unsupported);
        let named = || {
            let said = self.detail.to_ascii_lowercase();
            ["checksum", "crc64", "digest"]
                .iter()
                .any(|word| said.contains(word))
        };
        if carried && refused && named() {
            self.detail
                .push_str("; if the store does not know CRC64NVME, --no-crc64nvme writes without");
        }
        self
    }

    /// What a run waits for that could not begin because of this answer of its `bucket`.
    pub(crate) const fn reason(&self, bucket: Bucket) -> Option<Reason> {
        match (self.kind, bucket) {
            (ErrorKind::Denied | ErrorKind::Credentials, _) => {
                Some(Reason::AccessDenied { bucket })
            }
            (ErrorKind::WrongRegion, _) => Some(Reason::OtherRegion { bucket }),
            (ErrorKind::NoBucket, Bucket::Source) => Some(Reason::InventoryMissing),
            (ErrorKind::NoBucket, Bucket::Destination) => Some(Reason::NoDestination),
            _ => None,
        }
    }

    /// The exit code where this error ends the process and the request was a read.
    pub const fn reading(&self) -> ExitCode {
        if self.kind.is_denied() {
            ExitCode::Permission
        } else {
            ExitCode::Download
        }
    }

    /// The exit code where this error ends the process and the request was a write.
    pub const fn writing(&self) -> ExitCode {
        if self.kind.is_denied() {
            ExitCode::Permission
        } else {
            ExitCode::Upload
        }
    }
}

/// The answer to a request that went to the wrong region, with what to do.
fn in_region(detail: &str, regions: &Regions) -> String {
    let known = regions
        .sentence()
        .map(|known| format!("; {known}"))
        .unwrap_or_default();
    match &regions.bucket {
        Some(region) => format!("{detail}{known}: set --region {region}"),
        None => format!("{detail}{known}: set --region to the region of the bucket"),
    }
}

#[cfg(test)]
mod tests;
