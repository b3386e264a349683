//! The guard that keeps a message invisible while it is worked on.
//!
//! ```text
//! received ──100 s──► extend ──100 s──► extend … ──► work ends: guard ends
//!     └────────────────────── 11 h 50 min: cancel the work, SQS would show the message at 12 h
//! ```
//!
//! The work runs in a task of its own, so however busy it is the guard is on time, and a request to extend is never
//! dropped half-way, where it could land after the message was given back and hide it again. Dropping the guard stops
//! the work and extends no more.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{Delivery, Queue, QueueErrorKind};

/// How long a message stays hidden once nobody extends it: what a worker that died costs, and three chances to extend.
pub const VISIBILITY: Duration = Duration::from_mins(5);
/// Extensions in one visibility.
const CHANCES: u32 = 3;
/// A message is visible again this long after the receive, whatever is extended ("Amazon SQS visibility timeout", SQS
/// developer guide).
const LONGEST: Duration = Duration::from_hours(12);
/// Left of it for the work to abort its upload and for the message to be given back.
const MARGIN: Duration = Duration::from_mins(10);
/// A request to extend that takes longer is given up, so that the end of the work is noticed.
const REQUEST: Duration = Duration::from_secs(30);
/// Work that was cancelled has this long to end by itself.
pub const ABORT_GRACE: Duration = Duration::from_secs(10);

/// A message in this process's hands: its newest delivery, shared by the worker, which may receive it again, and the
/// guard, which must extend with the newest handle.
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

/// Runs `work` in a task of its own and keeps the message invisible until it ends. `cancel` is the work's own token: it
/// is cancelled when SQS would show the message whatever we do; work that was cancelled, by whomever, and does not end
/// within [`ABORT_GRACE`] is aborted. The error is that of a task that panicked or was aborted.
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
    let mut guard = Guard { queue, held, visibility, cancel, stale: None };
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
            Err(_) => (QueueErrorKind::Transient, format!("no answer within {} s", REQUEST.as_secs())),
        };
        tracing::warn!(message_id = delivery.id, cause, "message not kept hidden, another worker may take it too");
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
mod tests {
    use super::*;
    use crate::queue::MemoryQueue;

    const HOUR: Duration = Duration::from_hours(1);
    const MINUTE: Duration = Duration::from_mins(1);

    async fn received(queue: &MemoryQueue) -> Held {
        let mut deliveries = queue.receive(1, Duration::ZERO, VISIBILITY).await.expect("an answer");
        Held::new(deliveries.pop().expect("a message"))
    }

    async fn is_visible(queue: &MemoryQueue) -> bool {
        !queue.receive(1, Duration::ZERO, VISIBILITY).await.expect("an answer").is_empty()
    }

    fn queue_of_one() -> MemoryQueue {
        let queue = MemoryQueue::new(10);
        queue.send_body("x");
        queue
    }

    #[test]
    fn a_message_is_extended_until_shortly_before_sqs_shows_it_anyway() {
        let minutes = Duration::from_mins;
        for (held_for, visibility, expected) in [
            (Duration::ZERO, VISIBILITY, Step::Extend(VISIBILITY)),
            (minutes(11 * 60 + 49), VISIBILITY, Step::Extend(VISIBILITY)),
            (minutes(11 * 60 + 49), HOUR, Step::Extend(minutes(11))),
            (minutes(11 * 60 + 50), VISIBILITY, Step::Cancel),
            (13 * HOUR, VISIBILITY, Step::Cancel),
        ] {
            assert_eq!(step(held_for, visibility), expected, "{held_for:?} {visibility:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_stays_hidden_for_as_long_as_the_work_takes() {
        let queue = queue_of_one();
        let held = received(&queue).await;
        let cancel = CancellationToken::new();
        let work = tokio::time::sleep(3 * HOUR);
        let (done, ()) = tokio::join!(keep_hidden(&queue, &held, VISIBILITY, &cancel, work), async {
            for _ in 0..179 {
                tokio::time::sleep(MINUTE).await;
                assert!(!is_visible(&queue).await);
            }
        });
        done.expect("the work's end");
        tokio::time::sleep(VISIBILITY).await;
        assert!(is_visible(&queue).await, "the guard ended with the work");
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_guard_stops_the_work_and_extends_no_more() {
        let queue = queue_of_one();
        let held = received(&queue).await;
        let cancel = CancellationToken::new();
        let (alive, ended) = tokio::sync::oneshot::channel::<()>();
        let work = async move {
            let _alive = alive;
            tokio::time::sleep(3 * HOUR).await;
        };
        let guard = timeout(10 * MINUTE, keep_hidden(&queue, &held, VISIBILITY, &cancel, work));
        guard.await.expect_err("it takes longer");
        assert!(ended.await.is_err(), "the work's task is gone");
        tokio::time::sleep(VISIBILITY).await;
        assert!(is_visible(&queue).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_lost_to_another_worker_does_not_end_the_work() {
        let queue = queue_of_one();
        let held = received(&queue).await;
        let cancel = CancellationToken::new();
        let work = async {
            tokio::time::sleep(HOUR).await;
            7
        };
        let (done, ()) = tokio::join!(keep_hidden(&queue, &held, VISIBILITY, &cancel, work), async {
            queue.release(&held.newest(), Duration::ZERO).await.expect("released");
            received(&queue).await;
        });
        assert_eq!(done.expect("the work's end"), 7);
        assert!(!cancel.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_handle_is_the_one_extended() {
        let queue = queue_of_one();
        let held = received(&queue).await;
        let cancel = CancellationToken::new();
        let work = tokio::time::sleep(HOUR);
        let (done, ()) = tokio::join!(keep_hidden(&queue, &held, VISIBILITY, &cancel, work), async {
            queue.release(&held.newest(), Duration::ZERO).await.expect("released");
            tokio::time::sleep(2 * MINUTE).await;
            held.adopt(received(&queue).await.newest());
            tokio::time::sleep(50 * MINUTE).await;
            assert!(!is_visible(&queue).await);
        });
        done.expect("the work's end");
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_cancelled_before_twelve_hours_and_aborted_if_it_does_not_listen() {
        let queue = queue_of_one();
        let held = received(&queue).await;
        let cancel = CancellationToken::new();
        let start = Instant::now();
        let work = std::future::pending::<()>();
        let done = keep_hidden(&queue, &held, VISIBILITY, &cancel, work).await;
        assert!(done.expect_err("aborted").is_cancelled());
        assert!(cancel.is_cancelled());
        assert!(start.elapsed() < 12 * HOUR, "{:?}", start.elapsed());
        queue.release(&held.newest(), Duration::ZERO).await.expect("still ours to give back");
    }

    #[tokio::test(start_paused = true)]
    async fn cancelled_work_may_clean_up_before_it_ends() {
        let queue = queue_of_one();
        let held = received(&queue).await;
        let cancel = CancellationToken::new();
        cancel.cancel();
        let work = async {
            tokio::time::sleep(ABORT_GRACE / 2).await;
            "cleaned up"
        };
        let done = keep_hidden(&queue, &held, VISIBILITY, &cancel, work).await;
        assert_eq!(done.expect("it ended by itself"), "cleaned up");
    }
}
