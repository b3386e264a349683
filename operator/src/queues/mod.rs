//! The queues of runs: made with what they need, measured, redriven, deleted. Never those that a
//! run was given.

mod depth;
mod name;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use s3bundler_common::queue_url::QueueUrl;

use crate::aws::{Aws, AwsError, AwsErrorKind};
use crate::crd::ArchiveRunStatus;
use name::DEAD_LETTERS;

pub use depth::{Depth, Depths};
pub use name::{ClusterName, RunQueue, earlier_queue_name, is_managed, queue_name};

/// 14 days, the most that SQS keeps a message.
const RETENTION_SECONDS: &str = "1209600";
/// 5 minutes, extended while a group is worked on: a killed worker's group comes back soon.
const VISIBILITY_SECONDS: &str = "300";
/// Room for a good many spot interruptions: each may count as a receive.
const MAX_RECEIVE_COUNT: u32 = 10;

/// A queue can be used a second after it was made ("CreateQueue", SQS API reference). One that
/// takes longer than this is told.
const SETTLES: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The queues of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePair {
    pub url: String,
    /// Groups that nobody could archive; absent where a given queue has none.
    pub dead_letter_url: Option<String>,
}

impl QueuePair {
    /// Those that a status tells of.
    pub fn of(status: &ArchiveRunStatus) -> Option<Self> {
        let queue = status.queue.as_ref()?;
        let (url, dead_letter_url) = (
            queue.url.clone().unwrap_or_default(),
            queue.dead_letter_url.clone(),
        );
        Some(Self {
            url,
            dead_letter_url,
        })
    }
}

/// SQS, as far as runs need it. Queues that are known by their URLs are asked where these say.
#[derive(Debug, Clone)]
pub struct Queues {
    aws: Aws,
    region: String,
}

impl Queues {
    /// The queues of a region.
    pub fn new(aws: &Aws, region: &str) -> Self {
        Self {
            aws: aws.clone(),
            region: region.to_owned(),
        }
    }

    /// Those of the region that a queue's URL names; of `region` where it names none.
    pub fn of(aws: &Aws, url: &str, region: &str) -> Self {
        let url = QueueUrl::parse(url);
        Self::new(
            aws,
            url.as_ref().and_then(QueueUrl::region).unwrap_or(region),
        )
    }

    /// The client for names of queues.
    fn by_name(&self) -> Client {
        self.aws.clients(&self.region).sqs
    }

    /// The client for a queue's URL.
    fn at(&self, url: &str) -> Client {
        self.aws.sqs_of(url, &self.region)
    }

    /// Makes the queue of this name and its dead-letter queue, where they are not there.
    pub async fn ensure(
        &self,
        name: &str,
        tags: &HashMap<String, String>,
    ) -> Result<QueuePair, AwsError> {
        let dead = format!("{name}{DEAD_LETTERS}");
        let dead_letter_url = self.create(
            &dead,
            tags,
            [(
                QueueAttributeName::MessageRetentionPeriod,
                RETENTION_SECONDS,
            )],
        );
        let dead_letter_url = dead_letter_url.await?;
        let arn = self.arn_of_new(&dead_letter_url).await?;
        let redrive =
            format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{MAX_RECEIVE_COUNT}}}"#);
        let attributes = [
            (
                QueueAttributeName::MessageRetentionPeriod,
                RETENTION_SECONDS,
            ),
            (QueueAttributeName::VisibilityTimeout, VISIBILITY_SECONDS),
            (QueueAttributeName::RedrivePolicy, redrive.as_str()),
        ];
        let url = self.create(name, tags, attributes).await?;
        self.arn_of_new(&url).await?;
        Ok(QueuePair {
            url,
            dead_letter_url: Some(dead_letter_url),
        })
    }

    /// The queues of this name that are there.
    pub async fn find(&self, name: &str) -> Result<Vec<String>, AwsError> {
        let (client, mut found) = (self.by_name(), Vec::new());
        for name in [name.to_owned(), format!("{name}{DEAD_LETTERS}")] {
            let asked = client.get_queue_url().queue_name(&name).send().await;
            match asked.map_err(|error| AwsError::sqs("GetQueueUrl", &name, &error)) {
                Ok(answer) => found.extend(answer.queue_url),
                Err(error) if error.kind == AwsErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// How many messages wait and are worked on.
    pub async fn depth(&self, url: &str) -> Result<Depth, AwsError> {
        let answer = self
            .at(url)
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesDelayed)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            .send()
            .await
            .map_err(|error| AwsError::sqs("GetQueueAttributes", url, &error))?;
        let number = |name| {
            let text = answer
                .attributes
                .as_ref()
                .and_then(|attributes| attributes.get(&name));
            text.and_then(|text| text.parse::<u64>().ok())
        };
        let missing = || AwsError {
            action: "GetQueueAttributes",
            target: url.to_owned(),
            kind: AwsErrorKind::Transient,
            detail: "the answer has no number of messages".to_owned(),
        };
        let visible =
            number(QueueAttributeName::ApproximateNumberOfMessages).ok_or_else(missing)?;
        let delayed = number(QueueAttributeName::ApproximateNumberOfMessagesDelayed).unwrap_or(0);
        let in_flight = number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            .ok_or_else(missing)?;
        Ok(Depth {
            visible: visible.saturating_add(delayed),
            in_flight,
        })
    }

    /// Groups in the dead-letter queue of a run; 0 if it has no such queue.
    pub async fn dead_letters(&self, pair: &QueuePair) -> Result<u64, AwsError> {
        let Some(url) = &pair.dead_letter_url else {
            return Ok(0);
        };
        let depth = self.depth(url).await?;
        Ok(depth.visible.saturating_add(depth.in_flight))
    }

    /// Moves the dead letters back to where they came from, where that is not under way already.
    pub async fn redrive(&self, dead_letter_url: &str) -> Result<(), AwsError> {
        let arn = self.arn(dead_letter_url).await?;
        let started = self
            .at(dead_letter_url)
            .start_message_move_task()
            .source_arn(&arn)
            .send()
            .await;
        match started.map_err(|error| AwsError::sqs("StartMessageMoveTask", arn, &error)) {
            Ok(_) => Ok(()),
            // SQS has no code of its own for it.
            Err(error) if error.detail.contains("already a task running") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes a queue; one that is not there is deleted already.
    pub async fn delete(&self, url: &str) -> Result<(), AwsError> {
        let deleted = self.at(url).delete_queue().queue_url(url).send().await;
        match deleted.map_err(|error| AwsError::sqs("DeleteQueue", url, &error)) {
            Ok(_) => Ok(()),
            Err(error) if error.kind == AwsErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn create<const N: usize>(
        &self,
        name: &str,
        tags: &HashMap<String, String>,
        attributes: [(QueueAttributeName, &str); N],
    ) -> Result<String, AwsError> {
        let attributes = attributes
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        let request = self.by_name().create_queue().queue_name(name);
        let request = request
            .set_attributes(Some(attributes))
            .set_tags(Some(tags.clone()));
        let made = request
            .send()
            .await
            .map_err(|error| AwsError::sqs("CreateQueue", name, &error))?;
        Ok(made.queue_url.unwrap_or_default())
    }

    /// Waits until a queue that was made just now can be used.
    async fn arn_of_new(&self, url: &str) -> Result<String, AwsError> {
        let begun = Instant::now();
        loop {
            match self.arn(url).await {
                Err(error) if error.kind == AwsErrorKind::NotFound && begun.elapsed() < SETTLES => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                answer => return answer,
            }
        }
    }

    async fn arn(&self, url: &str) -> Result<String, AwsError> {
        let request = self.at(url).get_queue_attributes().queue_url(url);
        let answer = request
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await;
        let answer = answer.map_err(|error| AwsError::sqs("GetQueueAttributes", url, &error))?;
        let arn = answer
            .attributes
            .and_then(|mut attributes| attributes.remove(&QueueAttributeName::QueueArn));
        Ok(arn.unwrap_or_default())
    }
}
