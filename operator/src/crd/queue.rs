//! The queue between grouper and workers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::Rule;

/// The queue between grouper and workers.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[schemars(extend("x-kubernetes-validations" = [
    Rule::new("(self.type == 'Existing') == has(self.existing)", "existing is needed with type \
        Existing, and only then"),
    Rule::new(
        "self.delivery == 'Direct' || self.type == 'Existing'",
        "delivery S3Event needs type Existing: the operator never writes bucket notifications"
    )
]))]
pub struct Queue {
    /// Managed: the operator makes a queue and a dead-letter queue, and deletes them at the end.
    /// Existing: they are given.
    #[serde(default, rename = "type")]
    pub kind: QueueType,
    /// Direct: the grouper sends the messages. S3Event: a bucket notification on .index under
    /// groups/ does, which somebody else has set up.
    #[serde(default)]
    pub delivery: Delivery,
    /// Queues that are there already; never deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<ExistingQueue>,
}

/// Whose queue it is.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum QueueType {
    #[default]
    Managed,
    Existing,
}

/// Who sends the messages.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Delivery {
    #[default]
    Direct,
    S3Event,
}

/// Queues that are there already.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
pub struct ExistingQueue {
    /// URL of the queue.
    #[schemars(regex(pattern = "^https?://"), length(max = 1024))]
    pub url: String,
    /// URL of its dead-letter queue. Default: none is watched.
    #[serde(
        default,
        rename = "deadLetterURL",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(regex(pattern = "^https?://"), length(max = 1024))]
    pub dead_letter_url: Option<String>,
}
