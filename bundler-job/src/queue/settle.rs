//! One message from its receive to its end: what it names is worked on under the guard, then the
//! message is deleted, given back or set aside. What becomes of it is decided by `fate`, a pure
//! function.

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
/// After its work is told to stop, a message is given up that the queue has not settled for so
/// long: the process is to end, and the message comes back by itself. The pod's grace period has
/// room for it.
const LAST_TRIES: Duration = Duration::from_secs(15);

/// What to do with the message of a group that failed. In order of weight: of several groups in one
/// message, the heaviest counts.
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

/// What becomes of a message after its work. A message with an unusable part is never deleted.
/// Interrupted work did not fail: the message is visible to other workers at once.
fn fate(work: Work, is_whole: bool, receive_count: u32) -> Fate {
    match work {
        Work::Done if is_whole => Fate::Delete,
        Work::Stopped | Work::Failed(Disposition::Fatal) => Fate::Release(Duration::ZERO),
        Work::Done | Work::Failed(Disposition::LeaveForRedrive) => Fate::SetAside,
        Work::Failed(Disposition::GiveBack) | Work::Panicked => Fate::Release(
            PAUSE
                .saturating_mul(receive_count.max(1))
                .min(LONGEST_PAUSE),
        ),
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

/// Works on what a message names, one manifest after another, and settles the message. `is_whole`:
/// all of the message can be used.
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
            tracing::warn!(
                message_id = first.id,
                "work on a group was broken off, it did not stop by itself"
            );
            (Work::Stopped, None)
        }
    };
    let settled = settle_in_time(
        queue,
        held,
        fate(work, is_whole, first.receive_count),
        &cancel,
    )
    .await;
    match (work, fatal, settled) {
        (_, Some(cause), _) => Settled::Fatal(cause),
        (Work::Done, _, Err(error)) => Settled::NotDeleted(error),
        (Work::Done, ..) => Settled::Done,
        (Work::Stopped, ..) => Settled::Stopped,
        _ => Settled::Failed,
    }
}

/// Works on every manifest of a message, also after one that failed, unless all would or the work
/// is to stop. The heaviest failure counts; a fatal one is given as it is.
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
        let Err(GroupFailure { disposition, cause }) =
            handler(manifest, cancel.clone()).instrument(span).await
        else {
            continue;
        };
        if disposition == Disposition::Fatal {
            tracing::error!(manifest = %address, %cause, "group not archived, nor would any other \
                be");
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
            tracing::warn!(message_id, "the queue does not answer, message not settled, it will \
                come back");
            Ok(())
        }
    }
}

/// Does with a message what was decided. Only a message that cannot be deleted is an error: others
/// come back by themselves when their visibility ends.
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
                tracing::warn!(message_id = delivery.id, cause = %error, "message not settled, it \
                    will come back");
                let fatal = matches!(error.kind, QueueErrorKind::Denied | QueueErrorKind::Missing);
                return if fatal && fate == Fate::Delete {
                    Err(error)
                } else {
                    Ok(())
                };
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
    settle(queue, held, Fate::Delete)
        .await
        .map_or_else(Settled::NotDeleted, |()| Settled::Done)
}

/// Leaves a message to the queue's redrive.
pub(super) async fn set_aside<Q: Queue>(queue: &Q, held: &Held) {
    // Never an error: see `settle`.
    let _ = settle(queue, held, Fate::SetAside).await;
}

#[cfg(test)]
mod tests;
