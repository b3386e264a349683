//! Clients of S3 and SQS, by region, and what their errors mean to a controller.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use s3bundler_common::answer::{self, ErrorKind, Regions, Service};
use s3bundler_common::causes::with_causes;
use s3bundler_common::config;
use s3bundler_common::http_client::HttpClientError;
use s3bundler_common::latin1::Latin1ToUtf8;
use s3bundler_common::queue_url::QueueUrl;
use s3bundler_common::text::printable;

use crate::metrics::AwsRequests;

/// A request that takes longer is tried again, as long as the reconcile has time. S3 and SQS answer
/// in a fraction of a second.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Regions whose clients are kept. More than AWS has: runs may name others.
const REGIONS: usize = 64;
/// Tries of a request. The next reconcile is the retry that matters.
const ATTEMPTS: u32 = 3;

/// What a controller can do about a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AwsErrorKind {
    /// Not allowed, or no good credentials: a person has to act.
    Denied,
    /// The bucket, object or queue is not there.
    NotFound,
    /// A conditional write found that somebody was there before.
    Precondition,
    /// SQS refuses a queue's name for 60 seconds after it was deleted.
    NameInUse,
    /// The bucket is in another region than the one that was asked.
    OtherRegion,
    /// Something else that asking again will not change.
    Rejected,
    /// Worth asking again.
    Transient,
}

/// A failed request: what was asked, of what, and what came back.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{action} of {target} failed: {detail}")]
pub struct AwsError {
    /// The API's name of the request.
    pub action: &'static str,
    /// The object, prefix or queue.
    pub target: String,
    /// What one can do about it.
    pub kind: AwsErrorKind,
    /// Code and message, for people.
    pub detail: String,
}

impl AwsError {
    /// A failed request to S3.
    pub(crate) fn s3<E>(
        action: &'static str,
        target: impl Into<String>,
        error: &SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        Self::new(Service::S3, action, target, error)
    }

    /// A failed request to SQS.
    pub(crate) fn sqs<E>(
        action: &'static str,
        target: impl Into<String>,
        error: &SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        Self::new(Service::Sqs, action, target, error)
    }

    fn new<E>(
        service: Service,
        action: &'static str,
        target: impl Into<String>,
        error: &SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        let kind = answer::kind_of(service, action, error);
        let (code, message) = match kind {
            ErrorKind::Foreign => ("", ""),
            _ => answer::code_and_message(error),
        };
        let detail = match (code, message, status) {
            ("", _, Some(status)) if kind == ErrorKind::Foreign => {
                format!("HTTP {status}: an answer that is not that of AWS")
            }
            ("", _, Some(403)) => "HTTP 403 (access denied)".to_owned(),
            ("", _, Some(status)) => format!("HTTP {status}"),
            ("", _, None) => brief(&with_causes(error)),
            (code, "", _) => code.to_owned(),
            (code, message, _) => brief(&format!("{code}: {message}")),
        };
        let regions = if kind == ErrorKind::WrongRegion {
            Regions::of(error).sentence()
        } else {
            None
        };
        let detail = [Some(detail), regions]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("; ");
        Self {
            action,
            target: target.into(),
            kind: kind.into(),
            detail,
        }
    }
}

/// What the operator can do about a kind of error.
impl From<ErrorKind> for AwsErrorKind {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Denied | ErrorKind::Credentials => Self::Denied,
            ErrorKind::NotFound | ErrorKind::NoBucket | ErrorKind::NoQueue => Self::NotFound,
            ErrorKind::Precondition => Self::Precondition,
            ErrorKind::NameInUse => Self::NameInUse,
            ErrorKind::WrongRegion => Self::OtherRegion,
            ErrorKind::Throttled
            | ErrorKind::Transient
            | ErrorKind::Foreign
            | ErrorKind::Unreachable
            | ErrorKind::Conflict => Self::Transient,
            ErrorKind::MessageGone
            | ErrorKind::Archived
            | ErrorKind::CustomerKey
            | ErrorKind::Unsupported
            | ErrorKind::Rejected
            | ErrorKind::Unsent => Self::Rejected,
        }
    }
}

/// A message for a status: one line, not longer than a person reads.
fn brief(text: &str) -> String {
    printable(text).chars().take(300).collect()
}

/// The clients of one region.
#[derive(Debug, Clone)]
pub struct Clients {
    pub s3: aws_sdk_s3::Client,
    pub sqs: aws_sdk_sqs::Client,
}

/// AWS, in whichever regions the runs are. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Aws {
    config: SdkConfig,
    path_style: bool,
    clients: Arc<Mutex<Recent>>,
    requests: AwsRequests,
}

/// The clients of the regions that were asked for last, the newest last.
type Recent = VecDeque<(Region, Clients)>;

impl Aws {
    /// Loads region, credentials, endpoints, proxies and certificates as every AWS tool does.
    /// `region` wins over what the environment names.
    pub async fn load(region: Option<String>) -> Result<Self, HttpClientError> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(OPERATION_TIMEOUT);
        let loader = config::loader(region)?
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts.build());
        Ok(Self::new(config::load(loader).await))
    }

    /// Over a configuration that is there.
    pub fn new(config: SdkConfig) -> Self {
        let path_style = config::s3_endpoint(&config).is_some();
        Self {
            config,
            path_style,
            clients: Arc::default(),
            requests: AwsRequests::default(),
        }
    }

    /// Counts its requests here. Called before the first client is made.
    #[must_use]
    pub fn metered(self, requests: &AwsRequests) -> Self {
        Self {
            requests: requests.clone(),
            ..self
        }
    }

    /// The region for whatever names none of its own.
    pub fn region(&self) -> &str {
        self.config.region().map_or("us-east-1", Region::as_ref)
    }

    /// The clients of a region.
    pub fn clients(&self, region: &str) -> Clients {
        let region = Region::new(region.to_owned());
        let mut recent = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recent.iter().position(|(of, _)| *of == region);
        let clients = match known.and_then(|at| recent.remove(at)) {
            Some((_, clients)) => clients,
            None => self.connect(&region),
        };
        recent.push_back((region, clients.clone()));
        if recent.len() > REGIONS {
            recent.pop_front();
        }
        clients
    }

    /// The SQS client for the queue at a URL: in the region that it names, `region` if it names none,
    /// and at its own host if that is the endpoint.
    pub fn sqs_of(&self, url: &str, region: &str) -> aws_sdk_sqs::Client {
        let url = QueueUrl::parse(url);
        let region = url.as_ref().and_then(QueueUrl::region).unwrap_or(region);
        let sqs = self.clients(region).sqs;
        let endpoint = url.and_then(|url| config::endpoint_of_queue(&self.config, &url));
        match endpoint {
            None => sqs,
            Some(endpoint) => {
                let at_host = sqs.config().to_builder().endpoint_url(endpoint);
                aws_sdk_sqs::Client::from_conf(at_host.build())
            }
        }
    }

    fn connect(&self, region: &Region) -> Clients {
        let (note_request, retry_foreign) = answer::retry_foreign(Service::S3);
        let s3 = aws_sdk_s3::config::Builder::from(&self.config)
            .region(region.clone())
            .force_path_style(self.path_style)
            .interceptor(note_request)
            .retry_classifier(retry_foreign)
            .interceptor(self.requests.meter("s3"))
            .interceptor(Latin1ToUtf8);
        let (note_request, retry_foreign) = answer::retry_foreign(Service::Sqs);
        let sqs = aws_sdk_sqs::config::Builder::from(&self.config)
            .region(region.clone())
            .interceptor(note_request)
            .interceptor(self.requests.meter("sqs"))
            .retry_classifier(retry_foreign)
            .build();
        Clients {
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
        }
    }
}

#[cfg(test)]
mod tests;
