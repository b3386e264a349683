//! One message from its receive to its end: what it names is worked on under the guard, then the message is deleted,
//! given back or set aside. What becomes of it is decided by `fate`, a pure function.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use s3bundler_contract::message::ManifestRef;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::visibility::{Held, keep_hidden};
use super::{Queue, QueueError, QueueErrorKind};

/// A group that failed is given back for this long times the number of its receives …
const PAUSE: Duration = Duration::from_secs(30);
/// … and this long at most.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// Tries to delete or release, on top of the SDK's own.
const TRIES: u32 = 3;
const BETWEEN_TRIES: Duration = Duration::from_secs(2);
/// After its work is told to stop, a message is given up that the queue has not settled for so long: the process is to end,
/// and the message comes back by itself. The pod's grace period has room for it.
const LAST_TRIES: Duration = Duration::from_secs(15);

/// What to do with the message of a group that failed. In order of weight: of several groups in one message, the
/// heaviest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disposition {
    /// Nobody can use it: the queue's redrive has it in the end.
    LeaveForRedrive,
    /// Another try may succeed, later or elsewhere.
    GiveBack,
    /// Every group would have this trouble here: give it back at once and end.
    Fatal,
}

/// Why a group was not archived, and what that means for its message.
#[derive(Debug)]
pub struct GroupFailure<E> {
    /// What to do with the message.
    pub disposition: Disposition,
    /// Why.
    pub cause: E,
}

impl<E> GroupFailure<E> {
    /// A failure with this consequence.
    pub const fn new(disposition: Disposition, cause: E) -> Self {
        Self { disposition, cause }
    }
}

/// How the work on a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Done,
    Failed(Disposition),
    /// It was told to stop before it was done.
    Stopped,
    /// The task panicked.
    Panicked,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Delete,
    /// Visible to others after this long.
    Release(Duration),
    SetAside,
}

/// What becomes of a message after its work. A message with an unusable part is never deleted. Interrupted work did not
/// fail: the message is visible to other workers at once.
fn fate(work: Work, is_whole: bool, receive_count: u32) -> Fate {
    match work {
        Work::Done if is_whole => Fate::Delete,
        Work::Stopped | Work::Failed(Disposition::Fatal) => Fate::Release(Duration::ZERO),
        Work::Done | Work::Failed(Disposition::LeaveForRedrive) => Fate::SetAside,
        Work::Failed(Disposition::GiveBack) | Work::Panicked => {
            Fate::Release(PAUSE.saturating_mul(receive_count.max(1)).min(LONGEST_PAUSE))
        }
    }
}

/// What a message came to.
#[derive(Debug)]
pub(super) enum Settled<E> {
    /// Its groups are archived.
    Done,
    /// Its work was told to stop.
    Stopped,
    /// A group of it failed.
    Failed,
    /// A group of it failed as every group would.
    Fatal(E),
    /// It was archived, but the queue does not let us say so.
    NotDeleted(QueueError),
}

/// Works on what a message names, one manifest after another, and settles the message. `is_whole`: all of the message can
/// be used.
pub(super) async fn see_through<Q, F, Fut, E>(
    queue: &Q,
    held: &Held,
    manifests: Vec<ManifestRef>,
    is_whole: bool,
    visibility: Duration,
    cancel: CancellationToken,
    handler: Arc<F>,
) -> Settled<E>
where
    Q: Queue,
    F: Fn(ManifestRef, CancellationToken) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), GroupFailure<E>>> + Send + 'static,
    E: Display + Send + 'static,
{
    let first = held.newest();
    let work = {
        let cancel = cancel.clone();
        async move { work_through(manifests, &cancel, &*handler).await }
    };
    let (work, fatal) = match keep_hidden(queue, held, visibility, &cancel, work).await {
        Ok(ended) => ended,
        Err(error) if error.is_panic() => {
            tracing::error!(message_id = first.id, cause = %error, "work on a group panicked");
            (Work::Panicked, None)
        }
        Err(_) => {
            tracing::warn!(message_id = first.id, "work on a group was broken off, it did not stop by itself");
            (Work::Stopped, None)
        }
    };
    let settled = settle_in_time(queue, held, fate(work, is_whole, first.receive_count), &cancel).await;
    match (work, fatal, settled) {
        (_, Some(cause), _) => Settled::Fatal(cause),
        (Work::Done, _, Err(error)) => Settled::NotDeleted(error),
        (Work::Done, ..) => Settled::Done,
        (Work::Stopped, ..) => Settled::Stopped,
        _ => Settled::Failed,
    }
}

/// Works on every manifest of a message, also after one that failed, unless all would or the work is to stop. The
/// heaviest failure counts; a fatal one is given as it is.
async fn work_through<F, Fut, E>(
    manifests: Vec<ManifestRef>,
    cancel: &CancellationToken,
    handler: &F,
) -> (Work, Option<E>)
where
    F: Fn(ManifestRef, CancellationToken) -> Fut,
    Fut: Future<Output = Result<(), GroupFailure<E>>>,
    E: Display,
{
    let mut heaviest = None;
    for manifest in manifests {
        if cancel.is_cancelled() {
            return (Work::Stopped, None);
        }
        let address = manifest.address();
        let span = tracing::info_span!("group", manifest = %address);
        let Err(GroupFailure { disposition, cause }) = handler(manifest, cancel.clone()).instrument(span).await else {
            continue;
        };
        if disposition == Disposition::Fatal {
            tracing::error!(manifest = %address, %cause, "group not archived, nor would any other be");
            return (Work::Failed(disposition), Some(cause));
        }
        if cancel.is_cancelled() {
            tracing::info!(manifest = %address, %cause, "group stopped");
            return (Work::Stopped, None);
        }
        tracing::warn!(manifest = %address, ?disposition, %cause, "group not archived");
        heaviest = heaviest.max(Some(disposition));
    }
    (heaviest.map_or(Work::Done, Work::Failed), None)
}

/// As [`settle`], not much longer than until `cancel` is cancelled.
async fn settle_in_time<Q: Queue>(
    queue: &Q,
    held: &Held,
    fate: Fate,
    cancel: &CancellationToken,
) -> Result<(), QueueError> {
    let too_late = async {
        cancel.cancelled().await;
        tokio::time::sleep(LAST_TRIES).await;
    };
    tokio::select! {
        settled = settle(queue, held, fate) => settled,
        () = too_late => {
            let message_id = held.newest().id;
            tracing::warn!(message_id, "the queue does not answer, message not settled, it will come back");
            Ok(())
        }
    }
}

/// Does with a message what was decided. Only a message that cannot be deleted is an error: others come back by
/// themselves when their visibility ends.
async fn settle<Q: Queue>(queue: &Q, held: &Held, fate: Fate) -> Result<(), QueueError> {
    for n in 1.. {
        let delivery = held.newest();
        let result = match fate {
            Fate::Delete => queue.delete(&delivery).await,
            Fate::Release(after) => queue.release(&delivery, after).await,
            Fate::SetAside => queue.set_aside(&delivery).await,
        };
        match result {
            Ok(()) => break,
            Err(error) if error.kind == QueueErrorKind::Transient && n < TRIES => {
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            Err(error) => {
                tracing::warn!(message_id = delivery.id, cause = %error, "message not settled, it will come back");
                let fatal = matches!(error.kind, QueueErrorKind::Denied | QueueErrorKind::Missing);
                return if fatal && fate == Fate::Delete { Err(error) } else { Ok(()) };
            }
        }
    }
    Ok(())
}

/// Releases a message that came after the worker received the signal to stop.
pub(super) async fn give_back<Q: Queue>(queue: &Q, held: &Held) {
    let stopped = CancellationToken::new();
    stopped.cancel();
    // Never an error: see `settle`.
    let _ = settle_in_time(queue, held, Fate::Release(Duration::ZERO), &stopped).await;
}

/// Takes a message off the queue that names nothing.
pub(super) async fn discard<Q: Queue, E>(queue: &Q, held: &Held) -> Settled<E> {
    settle(queue, held, Fate::Delete).await.map_or_else(Settled::NotDeleted, |()| Settled::Done)
}

/// Leaves a message to the queue's redrive.
pub(super) async fn set_aside<Q: Queue>(queue: &Q, held: &Held) {
    // Never an error: see `settle`.
    let _ = settle(queue, held, Fate::SetAside).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

    use std::sync::Mutex;

    use s3bundler_contract::S3Address;

    use super::*;
    use crate::queue::visibility::VISIBILITY;
    use crate::queue::{Delivery, MemoryQueue};

    #[test]
    fn what_becomes_of_a_message() {
        let seconds = Duration::from_secs;
        for (work, receive_count, expected) in [
            (Work::Done, 1, Fate::Delete),
            (Work::Stopped, 9, Fate::Release(Duration::ZERO)),
            (Work::Failed(Disposition::Fatal), 9, Fate::Release(Duration::ZERO)),
            (Work::Failed(Disposition::LeaveForRedrive), 1, Fate::SetAside),
            (Work::Failed(Disposition::GiveBack), 1, Fate::Release(seconds(30))),
            (Work::Failed(Disposition::GiveBack), 3, Fate::Release(seconds(90))),
            (Work::Failed(Disposition::GiveBack), 10, Fate::Release(seconds(300))),
            (Work::Failed(Disposition::GiveBack), u32::MAX, Fate::Release(seconds(300))),
            (Work::Panicked, 2, Fate::Release(seconds(60))),
        ] {
            assert_eq!(fate(work, true, receive_count), expected, "{work:?} {receive_count}");
        }
    }

    fn manifests(keys: &[&str]) -> Vec<ManifestRef> {
        keys.iter().map(|key| ManifestRef::new(S3Address::new("b", *key), None)).collect()
    }

    /// What the groups of a message end like, by key, and how the message's work ends then; and which were tried.
    async fn worked_through(ends: &[(&str, Option<Disposition>)]) -> (Work, Vec<String>) {
        let tried = Mutex::new(Vec::new());
        let ends: std::collections::HashMap<_, _> = ends.iter().copied().collect();
        let mut keys: Vec<_> = ends.keys().copied().collect();
        keys.sort_unstable();
        let (work, _) = work_through(manifests(&keys), &CancellationToken::new(), &|manifest: ManifestRef, _| {
            let end = ends[manifest.key.as_str()];
            tried.lock().unwrap().push(manifest.key);
            std::future::ready(end.map_or(Ok(()), |it| Err(GroupFailure::new(it, "cause"))))
        })
        .await;
        (work, tried.into_inner().unwrap())
    }

    #[tokio::test]
    async fn the_heaviest_failure_of_a_message_counts_and_only_a_fatal_one_ends_it() {
        use Disposition::{Fatal, GiveBack, LeaveForRedrive};
        for (ends, expected, tried) in [
            ([None, None, None], Work::Done, 3),
            ([Some(GiveBack), None, None], Work::Failed(GiveBack), 3),
            ([Some(GiveBack), None, Some(LeaveForRedrive)], Work::Failed(GiveBack), 3),
            ([Some(LeaveForRedrive), None, None], Work::Failed(LeaveForRedrive), 3),
            ([None, Some(Fatal), None], Work::Failed(Fatal), 2),
        ] {
            let named = [("1", ends[0]), ("2", ends[1]), ("3", ends[2])];
            let (work, keys) = worked_through(&named).await;
            assert_eq!((work, keys.len()), (expected, tried), "{ends:?}");
        }
    }

    #[test]
    fn a_message_of_which_a_part_cannot_be_used_is_never_deleted() {
        assert_eq!(fate(Work::Done, false, 1), Fate::SetAside);
        assert_eq!(fate(Work::Stopped, false, 1), Fate::Release(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_told_to_stop_between_two_groups_is_not_done() {
        let queue = MemoryQueue::new(10);
        queue.send_body("x");
        let held = Held::new(queue.receive(1, Duration::ZERO, VISIBILITY).await.unwrap().remove(0));
        let cancel = CancellationToken::new();
        let handler = Arc::new(|_: ManifestRef, cancel: CancellationToken| async move {
            cancel.cancel();
            Ok::<(), GroupFailure<&str>>(())
        });
        let settled = see_through(&queue, &held, manifests(&["1", "2"]), true, VISIBILITY, cancel, handler).await;
        assert!(matches!(settled, Settled::Stopped), "{settled:?}");
        let again = queue.receive(1, Duration::ZERO, VISIBILITY).await.unwrap();
        assert_eq!(again[0].receive_count, 2, "given back at once");
    }

    /// A queue that takes requests and never answers.
    struct Silent;

    impl Queue for Silent {
        async fn send(&self, _: &[ManifestRef]) -> Result<(), QueueError> {
            std::future::pending().await
        }

        async fn receive(&self, _: usize, _: Duration, _: Duration) -> Result<Vec<Delivery>, QueueError> {
            std::future::pending().await
        }

        async fn extend(&self, _: &Delivery, _: Duration) -> Result<(), QueueError> {
            std::future::pending().await
        }

        async fn delete(&self, _: &Delivery) -> Result<(), QueueError> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_does_not_answer_holds_up_no_worker_that_was_told_to_stop() {
        let queue = MemoryQueue::new(10);
        queue.send_body("x");
        let held = Held::new(queue.receive(1, Duration::ZERO, VISIBILITY).await.unwrap().remove(0));
        let cancel = CancellationToken::new();
        let handler = Arc::new(|_: ManifestRef, cancel: CancellationToken| async move {
            cancel.cancelled().await;
            Ok::<(), GroupFailure<&str>>(())
        });
        let (begun, told) = (tokio::time::Instant::now(), cancel.clone());
        let stop = async {
            tokio::time::sleep(Duration::from_mins(1)).await;
            told.cancel();
        };
        let working = see_through(&Silent, &held, manifests(&["1"]), true, VISIBILITY, cancel, handler);
        let (settled, ()) = tokio::join!(working, stop);
        assert!(matches!(settled, Settled::Done), "{settled:?}");
        assert_eq!(begun.elapsed(), Duration::from_mins(1) + LAST_TRIES);
        give_back(&Silent, &held).await;
        assert_eq!(begun.elapsed(), Duration::from_mins(1) + 2 * LAST_TRIES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_costs_its_own_message_a_try_and_nothing_else() {
        let queue = MemoryQueue::new(10);
        queue.send_body("x");
        let held = Held::new(queue.receive(1, Duration::ZERO, VISIBILITY).await.unwrap().remove(0));
        let handler = Arc::new(|_: ManifestRef, _| async {
            assert!(std::hint::black_box(false), "a defect");
            Ok::<(), GroupFailure<&str>>(())
        });
        let token = CancellationToken::new();
        let settled = see_through(&queue, &held, manifests(&["1"]), true, VISIBILITY, token, handler).await;
        assert!(matches!(settled, Settled::Failed), "{settled:?}");
        tokio::time::advance(PAUSE).await;
        assert_eq!(queue.receive(1, Duration::ZERO, VISIBILITY).await.unwrap().len(), 1);
    }
}
