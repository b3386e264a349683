//! SQS. The SDK owns the retries of a request; entries that fail inside a batch that succeeded are
//! sent again here, and batches that are refused because there are too many requests.

mod name;

use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchOutput;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, SendMessageBatchRequestEntry};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use s3bundler_common::answer::{
    Answer, ErrorKind, Origin, Service, classify, code_and_message, kind_of, retry_foreign,
};
use s3bundler_common::causes::with_causes;
use s3bundler_common::config::endpoint_of_queue;
use s3bundler_contract::message::ManifestRef;
use tokio::time::Instant;

use name::Name;

use super::{Delivery, Queue, QueueError, QueueErrorKind};

/// Messages in a request, at most ("Message quotas", SQS developer guide).
const BATCH: usize = 10;
/// A long poll, at most ("Amazon SQS short and long polling", SQS developer guide).
const LONGEST_POLL: Duration = Duration::from_secs(20);
/// An answer that takes half as long again as the longest poll is not coming.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A request with all its attempts: about 12 s of pauses if all are refused at once.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(75);
const ATTEMPTS: u32 = 20;
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);
/// Times that an entry is sent before it is an error: 0.2 + 0.4 + 0.8 + 1.6 + 3.2 s of waiting
/// between them.
const SENDS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A queue in SQS, or in a server that speaks its protocol. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: Client,
    url: String,
}

impl SqsQueue {
    /// The queue at a URL, which is used as given, or of a name, ACCOUNT/NAME or ARN, which is
    /// looked up in the ARN's or the configuration's region.
    ///
    /// A URL asks nobody: that its queue is missing or denied is the first request's error. AWS's
    /// own hosts name the region in the URL, which wins over the configuration's; the host of any
    /// other URL is the endpoint, unless the configuration has one.
    pub async fn connect(config: &SdkConfig, url_or_name: &str) -> Result<Self, QueueError> {
        let name = Name::parse(url_or_name)?;
        // Also of a body that stops after its headers.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ANSWER_TIMEOUT)
            .operation_timeout(REQUEST_TIMEOUT)
            .build();
        let (note_request, retry_foreign) = retry_foreign(Service::Sqs);
        let mut builder = aws_sdk_sqs::config::Builder::from(config)
            .timeout_config(timeouts)
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(ATTEMPTS)
                    .with_max_backoff(LONGEST_BACKOFF),
            )
            // A queue that refuses most requests is asked as often as one that works.
            .retry_partition(
                RetryPartition::custom("sqs")
                    .token_bucket(TokenBucket::unlimited())
                    .build(),
            )
            .interceptor(note_request)
            .retry_classifier(retry_foreign);
        if let Some(region) = name.region() {
            builder = builder.region(Region::new(region.to_owned()));
        }
        if let Name::Url(url) = &name
            && let Some(endpoint) = endpoint_of_queue(config, url)
        {
            builder = builder.endpoint_url(endpoint);
        }
        let client = Client::from_conf(builder.build());
        let url = match name {
            Name::Url(_) => url_or_name.to_owned(),
            Name::Name { name, account, .. } => look_up(&client, &name, account).await?,
        };
        Ok(Self { client, url })
    }

    /// The queue's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn error<E>(&self, action: &'static str, error: &SdkError<E, HttpResponse>) -> QueueError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        sort(action, &self.url, error)
    }

    /// Sends at most ten messages. Gives the first that the queue refuses for what it says, after
    /// all others are sent.
    async fn send_batch(&self, batch: &[ManifestRef]) -> Result<Option<QueueError>, QueueError> {
        const ACTION: &str = "SendMessageBatch";
        let mut left: Vec<usize> = (0..batch.len()).collect();
        let mut refused = None;
        for n in 0..SENDS {
            if n > 0 {
                tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(n - 1)).await;
            }
            let entries = left.iter().filter_map(|n| {
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(n.to_string())
                    .message_body(body_of(&batch[*n]));
                entry.build().ok()
            });
            let request = self
                .client
                .send_message_batch()
                .queue_url(&self.url)
                .set_entries(Some(entries.collect()));
            let output = match request.send().await {
                Ok(output) => output,
                Err(error) if n + 1 < SENDS && is_throttled(ACTION, &error) => continue,
                Err(error) => return Err(self.error(ACTION, &error)),
            };
            let answer = BatchAnswer::of(&left, &output);
            if let Some((n, kind, detail)) = answer.refused {
                let detail = format!(
                    "the message of {} was refused: {detail}",
                    batch[n].address()
                );
                refused.get_or_insert(self.refusal(kind, detail));
            }
            left = answer.again;
            if left.is_empty() {
                return Ok(refused);
            }
            tracing::warn!(
                queue = self.url,
                entries = left.len(),
                cause = answer.cause,
                "entries of a batch not sent"
            );
        }
        let first = left
            .first()
            .map(|n| batch[*n].address().to_string())
            .unwrap_or_default();
        let detail = format!(
            "{} of a batch were not taken in {SENDS} tries, the first that of {first}",
            left.len()
        );
        Err(self.refusal(QueueErrorKind::Transient, detail))
    }

    fn refusal(&self, kind: QueueErrorKind, detail: String) -> QueueError {
        QueueError {
            action: "SendMessageBatch",
            queue: self.url.clone(),
            kind,
            detail,
        }
    }
}

/// The message's body in the characters that SQS takes, which are not all that a key may have
/// ("SendMessage", SQS API reference); JSON has escaped the others below them.
fn body_of(manifest: &ManifestRef) -> String {
    manifest
        .to_json()
        .replace('\u{fffe}', "\\ufffe")
        .replace('\u{ffff}', "\\uffff")
}

async fn look_up(
    client: &Client,
    name: &str,
    account: Option<String>,
) -> Result<String, QueueError> {
    let request = client
        .get_queue_url()
        .queue_name(name)
        .set_queue_owner_aws_account_id(account);
    let output = request
        .send()
        .await
        .map_err(|error| sort("GetQueueUrl", name, &error))?;
    output.queue_url.ok_or_else(|| QueueError {
        action: "GetQueueUrl",
        queue: name.to_owned(),
        kind: QueueErrorKind::Transient,
        detail: "the answer has no URL".to_owned(),
    })
}

/// What a batch's answer says of its entries.
#[derive(Debug, Default, PartialEq, Eq)]
struct BatchAnswer {
    /// Entries to send again.
    again: Vec<usize>,
    /// The first entry that will never be taken, and why.
    refused: Option<(usize, QueueErrorKind, String)>,
    /// Why one of `again` was not taken.
    cause: String,
}

impl BatchAnswer {
    /// An entry that the answer does not mention is sent again: two messages of a group do no harm,
    /// none does.
    fn of(sent: &[usize], output: &SendMessageBatchOutput) -> Self {
        let mut answer = Self::default();
        for &n in sent {
            let id = n.to_string();
            if output.successful().iter().any(|entry| entry.id() == id) {
                continue;
            }
            let failed = output.failed().iter().find(|entry| entry.id() == id);
            let (code, at_fault) =
                failed.map_or(("", false), |entry| (entry.code(), entry.sender_fault()));
            let detail = failed.map_or_else(
                || "the answer does not mention it".to_owned(),
                |entry| format!("{code}: {}", entry.message().unwrap_or_default()),
            );
            // An entry has no status of its own, only whose fault it is.
            let status = if at_fault { 400 } else { 500 };
            let entry = Answer {
                operation: "SendMessageBatch",
                status,
                code,
                message: "",
                origin: Origin::Service,
            };
            match QueueErrorKind::from(classify(&entry)) {
                QueueErrorKind::Transient => {
                    answer.again.push(n);
                    answer.cause = detail;
                }
                QueueErrorKind::Denied => {
                    answer
                        .refused
                        .get_or_insert((n, QueueErrorKind::Denied, detail));
                }
                _ => {
                    answer
                        .refused
                        .get_or_insert((n, QueueErrorKind::Rejected, detail));
                }
            }
        }
        answer
    }
}

fn is_throttled<E>(action: &'static str, error: &SdkError<E, HttpResponse>) -> bool
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    kind_of(Service::Sqs, action, error) == ErrorKind::Throttled
}

/// Sorts what the SDK returned.
fn sort<E>(action: &'static str, queue: &str, error: &SdkError<E, HttpResponse>) -> QueueError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let kind = kind_of(Service::Sqs, action, error);
    let (code, message) = if kind == ErrorKind::Foreign {
        ("", "")
    } else {
        code_and_message(error)
    };
    let detail = match (code, message, status) {
        ("", _, Some(status)) if kind == ErrorKind::Foreign => {
            format!("HTTP {status}: an answer that is not SQS's")
        }
        ("", _, Some(status)) => format!("HTTP {status}"),
        ("", _, None) => with_causes(error),
        (code, "", _) => code.to_owned(),
        (code, message, _) => format!("{code}: {message}"),
    };
    QueueError {
        action,
        queue: queue.to_owned(),
        kind: kind.into(),
        detail,
    }
}

/// What the program can do about a kind of error.
impl From<ErrorKind> for QueueErrorKind {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Denied | ErrorKind::Credentials => Self::Denied,
            ErrorKind::NoQueue | ErrorKind::NameInUse => Self::Missing,
            ErrorKind::MessageGone => Self::Gone,
            ErrorKind::Throttled
            | ErrorKind::Transient
            | ErrorKind::Foreign
            | ErrorKind::Unreachable
            | ErrorKind::Conflict => Self::Transient,
            ErrorKind::WrongRegion
            | ErrorKind::Unsupported
            | ErrorKind::Rejected
            | ErrorKind::Unsent
            // Of objects, never of queues.
            | ErrorKind::NotFound
            | ErrorKind::NoBucket
            | ErrorKind::Precondition
            | ErrorKind::Archived
            | ErrorKind::CustomerKey => Self::Rejected,
        }
    }
}

fn whole_seconds(duration: Duration) -> i32 {
    let up = u64::from(duration.subsec_nanos() > 0);
    i32::try_from(duration.as_secs().saturating_add(up)).unwrap_or(i32::MAX)
}

fn delivery(message: Message, received: Instant) -> Delivery {
    let count = message
        .attributes()
        .and_then(|attributes| attributes.get(&MessageSystemAttributeName::ApproximateReceiveCount))
        .and_then(|count| count.parse().ok())
        .unwrap_or(1);
    Delivery {
        id: message.message_id.unwrap_or_default(),
        receipt_handle: message.receipt_handle.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        receive_count: count,
        received,
    }
}

impl Queue for SqsQueue {
    async fn send(&self, manifests: &[ManifestRef]) -> Result<(), QueueError> {
        let mut refused = None;
        for batch in manifests.chunks(BATCH) {
            refused = refused.or(self.send_batch(batch).await?);
        }
        refused.map_or(Ok(()), Err)
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let received = Instant::now();
        let output = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(max.clamp(1, BATCH)).unwrap_or(1))
            .wait_time_seconds(whole_seconds(wait.min(LONGEST_POLL)))
            .visibility_timeout(whole_seconds(visibility))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await
            .map_err(|error| self.error("ReceiveMessage", &error))?;
        Ok(output
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(|message| delivery(message, received))
            .collect())
    }

    async fn extend(&self, delivery: &Delivery, visibility: Duration) -> Result<(), QueueError> {
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(&delivery.receipt_handle)
            .visibility_timeout(whole_seconds(visibility))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| self.error("ChangeMessageVisibility", &error))
    }

    async fn delete(&self, delivery: &Delivery) -> Result<(), QueueError> {
        let request = self
            .client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(&delivery.receipt_handle);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match self.error("DeleteMessage", &error) {
                error if error.kind == QueueErrorKind::Gone => Ok(()),
                error => Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests;
