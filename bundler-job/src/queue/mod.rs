//! The queue of groups: SQS, or its twin in memory.
//!
//! ```text
//! group ──► send ──► queue ──► receive ──► Delivery ──► bundle ──► delete
//!                      ▲                      │  extend while it works
//!                      └────── release ◄──────┘  at once on SIGTERM, later after a failure
//! ```
//!
//! [`worker`] is the loop that takes messages and has them worked on, [`visibility`] keeps a
//! message out of others' hands meanwhile, [`settle`] decides what becomes of it afterwards.
//! [`sqs`] and [`memory`] are the two queues. Delivery is at least once and in any order, whichever
//! queue it is: that a group is archived once is the commit's business, not the queue's.

pub mod memory;
pub mod pause;
pub mod settle;
pub mod sqs;
pub mod visibility;
pub mod worker;

use std::future::Future;
use std::time::Duration;

use s3bundler_contract::message::ManifestRef;
use s3bundler_contract::{ExitCode, HasExitCode};
use tokio::time::Instant;

pub use memory::MemoryQueue;
pub use pause::PauseFile;
pub use settle::{Disposition, GroupFailure};
pub use sqs::SqsQueue;
pub use worker::{Ended, WorkError, WorkerOptions, work};

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
    /// When the receive that brought it was sent: SQS counts its 12 hours from there.
    pub received: Instant,
}

/// Why the queue did not do as asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{action} on queue {queue} failed: {detail}")]
pub struct QueueError {
    /// The API's name of the request.
    pub action: &'static str,
    /// The queue's URL or name.
    pub queue: String,
    /// What one can do about it.
    pub kind: QueueErrorKind,
    /// Code and message, for people.
    pub detail: String,
}

/// What one can do about a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueueErrorKind {
    /// Not allowed, or the credentials are not good or not there.
    Denied,
    /// There is no such queue.
    Missing,
    /// The message is gone, or its receipt handle is no longer the newest.
    Gone,
    /// The request, or a message in it, is wrong.
    Rejected,
    /// A queue this program cannot work with, or a text that names none.
    Unsupported,
    /// The server failed, the connection broke or time ran out: worth trying again.
    Transient,
}

impl HasExitCode for QueueError {
    fn exit_code(&self) -> ExitCode {
        match self.kind {
            QueueErrorKind::Denied => ExitCode::Permission,
            // No retry makes a queue of that name.
            QueueErrorKind::Missing | QueueErrorKind::Unsupported => ExitCode::Usage,
            _ if self.action.starts_with("SendMessage") => ExitCode::Upload,
            _ => ExitCode::Download,
        }
    }
}

/// A queue of groups.
pub trait Queue: Send + Sync {
    /// Sends one message a manifest, in batches; entries that failed are sent again. Where the
    /// queue refuses some for what they say, all others are sent before the error that names the
    /// first of them.
    fn send(
        &self,
        manifests: &[ManifestRef],
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Waits for up to `wait` for at most `max` messages, which nobody else sees for `visibility`;
    /// empty when none came. May wait for less. Not to be dropped half-way: a message that is on
    /// its way would be hidden from everybody.
    fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> impl Future<Output = Result<Vec<Delivery>, QueueError>> + Send;

    /// Keeps a message that is being worked on invisible for `visibility` from now.
    fn extend(
        &self,
        delivery: &Delivery,
        visibility: Duration,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Gives a message back: others see it in `after`, at once if that is zero.
    fn release(
        &self,
        delivery: &Delivery,
        after: Duration,
    ) -> impl Future<Output = Result<(), QueueError>> + Send {
        self.extend(delivery, after)
    }

    /// Takes a message off the queue. One that is off it already is no error.
    fn delete(&self, delivery: &Delivery) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Leaves an unusable message to the queue's own rules: SQS counts its receives and redrives
    /// it.
    fn set_aside(
        &self,
        _delivery: &Delivery,
    ) -> impl Future<Output = Result<(), QueueError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Whether nothing will ever come again.
    fn is_finished(&self) -> bool {
        false
    }
}
