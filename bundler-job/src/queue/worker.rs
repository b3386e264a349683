//! The worker's loop: as many messages as there are free slots, each seen through in a task of its
//! own, until there is a reason to end.
//!
//! ```text
//! shutdown ──────────────► stop receiving ──drain──► cancel what still runs ──► Ended::Shutdown
//! idle, finished ────────►       │        ─────────► nothing runs any more  ──► Ended::Idle, Ended::Finished
//! enough groups ─────────►       │        ─────────► nothing runs any more  ──► Ended::Recycle
//! a queue that is gone ──►       │        ──drain──► cancel what still runs ──► WorkError::Queue
//! a fatal group ─────────►       └─────────────────► cancel what runs       ──► WorkError::Fatal
//! ```
//!
//! A poll that is under way is never dropped: SQS could be answering it, and the messages in that
//! answer would be hidden from everybody and one receive nearer to the dead-letter queue. So a
//! worker that stops waits for the poll's answer and releases the messages in it
//! (docs/decisions/polls-are-finished.md).

use std::collections::HashMap;
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use s3bundler_contract::layout::DEAD_LETTERS_SUFFIX;
use s3bundler_contract::message::{self, ManifestRef, Message, MessageError};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::destination::Destination;
use crate::s3::S3;

use super::settle::{self, GroupFailure, Settled};
use super::visibility::{Held, VISIBILITY};
use super::{Delivery, PauseFile, Queue, QueueError, QueueErrorKind};

/// Half of what SQS allows: an idle worker that is told to end waits for the poll's answer.
const POLL: Duration = Duration::from_secs(10);
/// A poll of no length asks only some of SQS's servers and may find nothing where there is
/// something ("Amazon SQS short and long polling", SQS developer guide).
const SHORTEST_POLL: Duration = Duration::from_secs(1);
/// A poll that has not answered this long after the stop is given up.
const LAST_POLL: Duration = Duration::from_secs(15);
/// Between receives that failed: 1, 2, 4, … s.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Receives that fail in a row before a queue that has never answered is given up.
const FIRST_CONTACT: u32 = 5;
/// Bytes of an unusable message that are logged.
const EXCERPT: usize = 200;

/// How to work.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Messages at a time, at least 1.
    pub groups: usize,
    /// End once nothing runs and the queue has given nothing for this long.
    pub idle_exit: Option<Duration>,
    /// How long groups may go on after a shutdown.
    pub drain: Duration,
    /// Stop after this many groups, with [`Ended::Recycle`]; 0 is never.
    pub recycle_after: u64,
    /// How long a message stays hidden unless extended.
    pub visibility: Duration,
    /// Where archives are written: S3 events of what is written there are dropped.
    pub destination: Option<Destination>,
    /// Nothing is received while a bucket of this S3 does not answer.
    pub s3: Option<S3>,
    /// Nothing is received while this file says so.
    pub pause: Option<PauseFile>,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        let drain = Duration::from_secs(90);
        Self {
            groups: 1,
            idle_exit: None,
            drain,
            recycle_after: 0,
            visibility: VISIBILITY,
            destination: None,
            s3: None,
            pause: None,
        }
    }
}

/// Why the loop ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Shutdown,
    /// The queue gave nothing for long enough.
    Idle,
    /// The queue will never give anything again.
    Finished,
    /// Enough groups for one process.
    Recycle,
}

/// Why the loop ended badly.
#[derive(Debug, thiserror::Error)]
pub enum WorkError<E> {
    /// A group failed as every group would.
    #[error("{0}")]
    Fatal(E),
    /// The queue is missing or denied.
    #[error(transparent)]
    Queue(QueueError),
}

/// Works on a queue until there is a reason to end.
///
/// `handler` archives the group of one manifest. It runs in a task of its own and is given a token:
/// once that is cancelled it should abort its upload and end within
/// [`ABORT_GRACE`](super::visibility::ABORT_GRACE). Its message is deleted after `Ok`, and
/// otherwise handled as the failure's [`Disposition`](super::Disposition) says.
pub async fn work<Q, F, Fut, E>(
    queue: &Q,
    options: &WorkerOptions,
    shutdown: CancellationToken,
    handler: F,
) -> Result<Ended, WorkError<E>>
where
    Q: Queue,
    F: Fn(ManifestRef, CancellationToken) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), GroupFailure<E>>> + Send + 'static,
    E: Display + Send + 'static,
{
    let mut worker = Worker {
        queue,
        options,
        handler: Arc::new(handler),
        stop: None,
        stop_polls: CancellationToken::new(),
        stop_work: CancellationToken::new(),
        drain_ends: None,
        poll_ends: None,
        running: FuturesUnordered::new(),
        held: HashMap::new(),
        groups: 0,
        last_activity: Instant::now(),
        failures: 0,
        was_answered: false,
    };
    let mut poll: Option<Poll<'_>> = None;
    let mut is_told = false;
    loop {
        poll = poll.or_else(|| worker.next_poll());
        if poll.is_none() && worker.running.is_empty() {
            return worker
                .stop
                .unwrap_or(Stop::Well(Ended::Finished))
                .into_result();
        }
        let (drain_ends, poll_ends) = (
            worker.drain_ends,
            worker.poll_ends.filter(|_| poll.is_some()),
        );
        tokio::select! {
            biased;
            Some((id, settled)) = worker.running.next() => worker.settled(&id, settled),
            () = shutdown.cancelled(), if !is_told => {
                is_told = true;
                worker.stop_for(Stop::Well(Ended::Shutdown));
            }
            () = until(drain_ends) => worker.cancel_work(),
            answer = answer_of(&mut poll) => {
                poll = None;
                worker.answered(answer);
            }
            () = until(poll_ends) => poll = None,
        }
    }
}

type Answer = Result<Vec<Delivery>, QueueError>;
type Poll<'a> = BoxFuture<'a, Answer>;

async fn answer_of(poll: &mut Option<Poll<'_>>) -> Answer {
    match poll {
        Some(poll) => poll.await,
        None => std::future::pending().await,
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

#[derive(Debug)]
enum Stop<E> {
    Well(Ended),
    Badly(WorkError<E>),
}

impl<E> Stop<E> {
    fn into_result(self) -> Result<Ended, WorkError<E>> {
        match self {
            Self::Well(ended) => Ok(ended),
            Self::Badly(error) => Err(error),
        }
    }

    /// Whether another reason replaces this one: an error or a shutdown counts from its first
    /// moment on, the others only until one of those comes.
    fn yields(&self) -> bool {
        matches!(
            self,
            Self::Well(Ended::Idle | Ended::Finished | Ended::Recycle)
        )
    }
}

struct Worker<'a, Q, F, E> {
    queue: &'a Q,
    options: &'a WorkerOptions,
    handler: Arc<F>,
    /// Why nothing more is received.
    stop: Option<Stop<E>>,
    /// Ends pauses between polls.
    stop_polls: CancellationToken,
    /// The parent of every group's token.
    stop_work: CancellationToken,
    /// When groups that still run are cancelled.
    drain_ends: Option<Instant>,
    /// When a poll that is still under way is given up.
    poll_ends: Option<Instant>,
    running: FuturesUnordered<BoxFuture<'a, (String, Settled<E>)>>,
    /// The messages of `running` by id.
    held: HashMap<String, Held>,
    /// Groups begun.
    groups: u64,
    /// When a message last came or was settled.
    last_activity: Instant,
    /// Receives that failed in a row.
    failures: u32,
    was_answered: bool,
}

impl<'a, Q, F, Fut, E> Worker<'a, Q, F, E>
where
    Q: Queue,
    F: Fn(ManifestRef, CancellationToken) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), GroupFailure<E>>> + Send + 'static,
    E: Display + Send + 'static,
{
    /// The next receive, for as many messages as may be begun; none where none may.
    fn next_poll(&self) -> Option<Poll<'a>> {
        let free = self
            .options
            .groups
            .max(1)
            .saturating_sub(self.running.len());
        let allowed = match self.options.recycle_after {
            0 => usize::MAX,
            after => usize::try_from(after.saturating_sub(self.groups)).unwrap_or(usize::MAX),
        };
        let max = free.min(allowed);
        if self.stop.is_some() || max == 0 {
            return None;
        }
        let wait = match self.options.idle_exit {
            Some(idle) if self.running.is_empty() => idle
                .saturating_sub(self.last_activity.elapsed())
                .clamp(SHORTEST_POLL, POLL),
            _ => POLL,
        };
        let (queue, visibility, pause) = (
            self.queue,
            self.options.visibility,
            pause_after(self.failures),
        );
        let (stop, s3, pause_file) = (
            self.stop_polls.clone(),
            self.options.s3.clone(),
            self.options.pause.clone(),
        );
        Some(Box::pin(async move {
            tokio::select! {
                () = stop.cancelled() => return Ok(Vec::new()),
                () = sleep(pause) => {}
            }
            if let Some(s3) = s3 {
                tokio::select! {
                    () = stop.cancelled() => return Ok(Vec::new()),
                    () = s3.outages_over() => {}
                }
            }
            if let Some(file) = pause_file {
                tokio::select! {
                    () = stop.cancelled() => return Ok(Vec::new()),
                    () = file.over() => {}
                }
            }
            queue.receive(max, wait, visibility).await
        }))
    }

    fn answered(&mut self, answer: Answer) {
        let deliveries = match answer {
            Ok(deliveries) => deliveries,
            Err(error) => return self.failed(error),
        };
        self.failures = 0;
        self.was_answered = true;
        if deliveries.is_empty() {
            let idle = self
                .options
                .idle_exit
                .is_some_and(|idle| self.last_activity.elapsed() >= idle);
            if self.queue.is_finished() {
                self.stop_for(Stop::Well(Ended::Finished));
            } else if idle && self.running.is_empty() {
                self.stop_for(Stop::Well(Ended::Idle));
            }
            return;
        }
        self.last_activity = Instant::now();
        for delivery in deliveries {
            self.begin(delivery);
        }
        if self.options.recycle_after > 0 && self.groups >= self.options.recycle_after {
            self.stop_for(Stop::Well(Ended::Recycle));
        }
    }

    fn failed(&mut self, error: QueueError) {
        self.failures = self.failures.saturating_add(1);
        let is_hopeless = !self.was_answered && self.failures >= FIRST_CONTACT;
        if error.kind != QueueErrorKind::Transient || is_hopeless {
            return self.stop_for(Stop::Badly(WorkError::Queue(error)));
        }
        tracing::warn!(cause = %error, failures = self.failures, "receiving failed, trying again");
    }

    fn begin(&mut self, delivery: Delivery) {
        let id = delivery.id.clone();
        if let Some(held) = self.held.get(&id) {
            tracing::warn!(
                message_id = id,
                "message came again while it is worked on here, going on with its new handle"
            );
            return held.adopt(delivery);
        }
        let named = self.named(&id, &delivery.body);
        if let Err(cause) = &named {
            let (receive_count, body) = (delivery.receive_count, excerpt(&delivery.body));
            tracing::warn!(message_id = id, receive_count, %cause, body, "message cannot be used, \
                leaving it to the queue's redrive");
        }
        let queue = self.queue;
        let held = Held::new(delivery);
        self.held.insert(id.clone(), held.clone());
        self.running.push(match named {
            _ if self.stop.is_some() => Box::pin(async move {
                settle::give_back(queue, &held).await;
                (id, Settled::Stopped)
            }),
            Err(_) => Box::pin(async move {
                settle::set_aside(queue, &held).await;
                (id, Settled::Failed)
            }),
            Ok((manifests, true)) if manifests.is_empty() => {
                tracing::debug!(message_id = id, "message names no manifest, discarding it");
                Box::pin(async move { (id, settle::discard(queue, &held).await) })
            }
            Ok((manifests, is_whole)) => {
                self.groups += manifests.len() as u64;
                let (visibility, handler) = (self.options.visibility, Arc::clone(&self.handler));
                let cancel = self.stop_work.child_token();
                Box::pin(async move {
                    let settled = settle::see_through(
                        queue, &held, manifests, is_whole, visibility, cancel, handler,
                    )
                    .await;
                    (id, settled)
                })
            }
        });
    }

    /// The manifests that a message names, and whether all of it can be used. An error if none of
    /// it can.
    fn named(&self, id: &str, body: &str) -> Result<(Vec<ManifestRef>, bool), MessageError> {
        let Message {
            mut manifests,
            is_event,
            mut unusable,
        } = message::read(body)?;
        if manifests.is_empty() && !unusable.is_empty() {
            return Err(unusable.swap_remove(0));
        }
        for cause in &unusable {
            let body = excerpt(body);
            tracing::warn!(message_id = id, %cause, body, "part of a message cannot be used, \
                leaving the message to the queue's redrive");
        }
        if is_event {
            // A bucket's notifications name every object. A message of ours may name dead letters
            // on purpose.
            manifests.retain(|manifest| {
                let written = self
                    .options
                    .destination
                    .as_ref()
                    .is_some_and(|it| it.is_output(&manifest.address()));
                let dropped = written
                    || manifest.key.ends_with('/')
                    || manifest.key.ends_with(DEAD_LETTERS_SUFFIX);
                if dropped {
                    tracing::debug!(message_id = id, manifest = %manifest.address(), "event is of \
                        no group manifest, dropping it");
                }
                !dropped
            });
        }
        Ok((manifests, unusable.is_empty()))
    }

    fn settled(&mut self, id: &str, settled: Settled<E>) {
        self.held.remove(id);
        self.last_activity = Instant::now();
        match settled {
            Settled::Done | Settled::Stopped | Settled::Failed => {}
            Settled::NotDeleted(error) => self.stop_for(Stop::Badly(WorkError::Queue(error))),
            Settled::Fatal(cause) => {
                self.stop_for(Stop::Badly(WorkError::Fatal(cause)));
                self.cancel_work();
            }
        }
    }

    /// Receives no more.
    fn stop_for(&mut self, reason: Stop<E>) {
        self.stop_polls.cancel();
        let running = self.running.len();
        match &reason {
            Stop::Well(ended) => {
                tracing::info!(reason = ?ended, running, "receiving no more groups");
            }
            Stop::Badly(_) => tracing::info!(reason = "error", running, "receiving no more groups"),
        }
        self.poll_ends.get_or_insert(Instant::now() + LAST_POLL);
        if !reason.yields() {
            self.drain_ends
                .get_or_insert(Instant::now() + self.options.drain);
        }
        if self.stop.as_ref().is_none_or(Stop::yields) {
            self.stop = Some(reason);
        }
    }

    fn cancel_work(&mut self) {
        self.drain_ends = None;
        if !self.running.is_empty() && !self.stop_work.is_cancelled() {
            tracing::info!(
                running = self.running.len(),
                "stopping groups and giving them back"
            );
        }
        self.stop_work.cancel();
    }
}

fn pause_after(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        n => Duration::from_secs(1)
            .saturating_mul(2_u32.saturating_pow(n - 1))
            .min(LONGEST_PAUSE),
    }
}

/// The beginning of a body that may be anything, safe to print.
fn excerpt(body: &str) -> String {
    body.as_bytes()[..body.len().min(EXCERPT)]
        .escape_ascii()
        .to_string()
}

#[cfg(test)]
mod tests;
