//! The guard that keeps a message invisible while it is worked on.
//!
//! ```text
//! received ──100 s──► extend ──100 s──► extend … ──► work ends: guard ends
//!     └────────────────────── 11 h 50 min: cancel the work, SQS would show the message at 12 h
//! ```
//!
//! The work runs in a task of its own, so however busy it is the guard is on time, and a request to
//! extend is never dropped half-way, where it could land after the message was given back and hide
//! it again. Dropping the guard stops the work and extends no more.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{Delivery, Queue, QueueErrorKind};

/// How long a message stays hidden once nobody extends it: what a worker that died costs, and three
/// chances to extend.
pub const VISIBILITY: Duration = Duration::from_mins(5);
/// Extensions in one visibility.
const CHANCES: u32 = 3;
/// How long work takes between two extensions of a message from SQS.
pub(crate) const EXTENDED_EVERY: Duration =
    Duration::from_secs(VISIBILITY.as_secs() / CHANCES as u64);
/// A message is visible again this long after the receive, whatever is extended ("Amazon SQS
/// visibility timeout", SQS developer guide).
const LONGEST: Duration = Duration::from_hours(12);
/// Left of it for the work to abort its upload and for the message to be given back.
const MARGIN: Duration = Duration::from_mins(10);
/// A request to extend that takes longer is given up, so that the end of the work is noticed.
const REQUEST: Duration = Duration::from_secs(30);
/// Work that was cancelled has this long to end by itself.
pub const ABORT_GRACE: Duration = Duration::from_secs(10);

/// A message in this process's hands: its newest delivery, shared by the worker, which may receive
/// it again, and the guard, which must extend with the newest handle.
#[derive(Debug, Clone)]
pub struct Held(Arc<Mutex<Delivery>>);

impl Held {
    /// A message just received.
    pub fn new(delivery: Delivery) -> Self {
        Self(Arc::new(Mutex::new(delivery)))
    }

    /// The newest delivery.
    pub fn newest(&self) -> Delivery {
        self.lock().clone()
    }

    /// The same message was received once more.
    pub fn adopt(&self, delivery: Delivery) {
        *self.lock() = delivery;
    }

    fn lock(&self) -> MutexGuard<'_, Delivery> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `work` in a task of its own and keeps the message invisible until it ends. `cancel` is the
/// work's own token: it is cancelled when SQS would show the message whatever we do; work that was
/// cancelled, by whomever, and does not end within [`ABORT_GRACE`] is aborted. The error is that of
/// a task that panicked or was aborted.
pub async fn keep_hidden<Q, W>(
    queue: &Q,
    held: &Held,
    visibility: Duration,
    cancel: &CancellationToken,
    work: W,
) -> Result<W::Output, JoinError>
where
    Q: Queue,
    W: Future<Output: Send> + Send + 'static,
{
    let mut work = AbortOnDropHandle::new(tokio::spawn(work));
    let mut guard = Guard {
        queue,
        held,
        visibility,
        cancel,
        stale: None,
    };
    let mut next = Instant::now() + guard.interval();
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = cancel.cancelled() => break,
            () = sleep_until(next) => next = guard.extend().await,
        }
    }
    if let Ok(done) = timeout(ABORT_GRACE, &mut work).await {
        return done;
    }
    work.abort();
    work.await
}

struct Guard<'a, Q> {
    queue: &'a Q,
    held: &'a Held,
    visibility: Duration,
    cancel: &'a CancellationToken,
    /// The receipt handle that the queue no longer takes.
    stale: Option<String>,
}

impl<Q: Queue> Guard<'_, Q> {
    fn interval(&self) -> Duration {
        self.visibility / CHANCES
    }

    /// Extends once; gives the time of the next look.
    async fn extend(&mut self) -> Instant {
        let delivery = self.held.newest();
        let next = Instant::now() + self.interval();
        let visibility = match step(delivery.received.elapsed(), self.visibility) {
            Step::Extend(visibility) => visibility,
            Step::Cancel => {
                tracing::error!(
                    message_id = delivery.id,
                    "group takes longer than a message can be held, giving it back"
                );
                self.cancel.cancel();
                return next;
            }
        };
        if self.stale.as_ref() == Some(&delivery.receipt_handle) {
            return next;
        }
        let (kind, cause) = match timeout(REQUEST, self.queue.extend(&delivery, visibility)).await {
            Ok(Ok(())) => {
                tracing::debug!(message_id = delivery.id, "message kept hidden");
                return next;
            }
            Ok(Err(error)) => (error.kind, error.to_string()),
            Err(_) => (
                QueueErrorKind::Transient,
                format!("no answer within {} s", REQUEST.as_secs()),
            ),
        };
        tracing::warn!(
            message_id = delivery.id,
            cause,
            "message not kept hidden, another worker may take it too"
        );
        match kind {
            QueueErrorKind::Transient => Instant::now() + self.interval() / 10,
            QueueErrorKind::Gone => {
                self.stale = Some(delivery.receipt_handle);
                next
            }
            _ => next,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Hide it for this long from now.
    Extend(Duration),
    /// End the work while the message can still be given back.
    Cancel,
}

fn step(held_for: Duration, visibility: Duration) -> Step {
    if held_for >= LONGEST.saturating_sub(MARGIN) {
        return Step::Cancel;
    }
    // SQS refuses to hide it beyond its limit.
    Step::Extend(visibility.min(LONGEST.saturating_sub(held_for)))
}

#[cfg(test)]
mod tests;
