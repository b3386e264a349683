//! The queue of groups: SQS, or its twin in memory.
//!
//! ```text
//! group ──► send ──► queue ──► receive ──► Delivery ──► bundle ──► delete
//!                      ▲                      │  extend while it works
//!                      └────── release ◄──────┘  given back at once on SIGTERM
//! ```

use std::future::Future;
use std::time::Duration;

use s3bundler_contract::message::ManifestRef;

/// A message in somebody's hands.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The message's id, for logs.
    pub id: String,
    /// The newest receipt handle; only that counts (SQS: "Queue and message identifiers").
    pub receipt_handle: String,
    /// The body, untrusted.
    pub body: String,
    /// How often it was received, this time included.
    pub receive_count: u32,
}

/// Why the queue did not do as asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{action} on queue {queue} failed: {detail}")]
pub struct QueueError {
    /// The API's name of the request.
    pub action: &'static str,
    /// The queue's URL or name.
    pub queue: String,
    /// Code and message, for people.
    pub detail: String,
    /// Whether credentials or permissions are the cause.
    pub denied: bool,
    /// Whether there is no such queue.
    pub missing: bool,
}

/// A queue of groups.
pub trait Queue: Send + Sync {
    /// Sends one message a manifest, in batches; entries that failed are sent again.
    fn send(&self, manifests: &[ManifestRef]) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Waits for up to `wait` for at most `max` messages; empty when none came.
    fn receive(&self, max: usize, wait: Duration) -> impl Future<Output = Result<Vec<Delivery>, QueueError>> + Send;

    /// Keeps a message invisible for `visibility` from now; zero gives it back at once.
    fn extend(&self, delivery: &Delivery, visibility: Duration) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Takes a message off the queue.
    fn delete(&self, delivery: &Delivery) -> impl Future<Output = Result<(), QueueError>> + Send;
}
