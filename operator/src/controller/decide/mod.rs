//! The third step: what to do about a run, from what it is and what there is. Pure, and the only place that decides.
//!
//! ```text
//! refused? ──► finished? ──► suspended? ──► too late? ──► inventory, claim, queues ──► grouper ──► workers ──► whole?
//!                  │                                                                     ▲                      │
//!                  └ cleanup, TTL                                                        └── next retry pass ◄──┤
//!                                                                                             drain, Complete ◄─┘
//! ```
//!
//! A run is whole by the names of its groups' receipts, never by the depth of its queue.

mod begin;
mod missing_groups;
mod progress;

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use s3bundler_contract::record::InventoryRef;

use super::observed::{GrouperState, Observed};
use super::ownership::NameConflict;
use super::run::{QueuePlan, Run};
use crate::aws::AwsErrorKind;
use crate::crd::{ArchiveRunStatus, ScalingMode};
use crate::queues::QueuePair;
use crate::store::StoreError;
use begin::begin;
use progress::go_on;

/// Between looks at a run that is under way.
pub const PERIOD: Duration = Duration::from_secs(15);

/// Why a run that has all its receipts is stalled, if they do not add up to its inventory.
pub const ACCOUNTING_MISMATCH: &str = "AccountingMismatch";

/// What a run is doing: the reason of its condition `Ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing has begun.
    Pending,
    /// There is no finished inventory yet.
    InventoryPending,
    /// The grouper is at work.
    Grouping,
    /// All groups are made, and being archived.
    Bundling,
    /// Objects that failed for the time being are tried again.
    Retrying,
    /// All is archived; the last workers are leaving.
    Draining,
    /// At rest until it is resumed.
    Suspended,
    /// Every object is archived or copied.
    Complete,
    /// As above, but for objects that are dead letters.
    CompleteWithFailures,
    /// Ended without being whole.
    Failed,
}

impl Phase {
    /// The reason.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InventoryPending => "InventoryPending",
            Self::Grouping => "Grouping",
            Self::Bundling => "Bundling",
            Self::Retrying => "Retrying",
            Self::Draining => "Draining",
            Self::Suspended => "Suspended",
            Self::Complete => "Complete",
            Self::CompleteWithFailures => "CompleteWithFailures",
            Self::Failed => "Failed",
        }
    }

    /// Whether it never changes again.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Complete | Self::CompleteWithFailures | Self::Failed)
    }
}

/// Reason and message of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The reason: a word.
    pub reason: &'static str,
    /// The message: a sentence for people.
    pub message: String,
}

impl Explanation {
    /// A reason with its message.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// Something to do. Each can be done again without harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Claim the run's name for an inventory. What follows is done only if it is ours.
    ClaimName(InventoryRef),
    /// Make the queue and its dead-letter queue.
    MakeQueues(String),
    /// Take the queues that the run brings.
    UseQueues(QueuePair),
    /// Make the grouper of a pass.
    ApplyGrouper(u32),
    /// Take the grouper of a pass away, to make it again.
    DeleteGrouper(u32),
    /// The same where messages are lost: a grouper that is made again sends the groups without receipt.
    SendAgain(u32),
    /// Make the workers, or what they have in common newer.
    ApplyWorkers,
    /// Ask for so many workers.
    Scale(u32),
    /// Let KEDA scale to so many workers at most; hold at zero with 0.
    ApplyScaledObject(u32),
    /// Put dead-lettered groups back on the queue.
    Redrive(String),
    /// Take everything away that runs.
    DeleteWorkloads,
    /// Delete the queues that were made for the run.
    DeleteQueues,
    /// Delete the resource itself.
    DeleteRun,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What the run is doing.
    pub phase: Phase,
    /// That, for people.
    pub message: String,
    /// Why it failed, with phase `Failed`.
    pub failed: Option<Explanation>,
    /// Why the run is not accepted.
    pub refused: Option<Explanation>,
    /// Why nothing moves until a person acts.
    pub stalled: Option<Explanation>,
    /// What is wrong while it moves.
    pub degraded: Option<Explanation>,
    /// The retry pass at hand.
    pub pass: u32,
    /// Workers asked for.
    pub workers: u32,
    /// What to do, in this order.
    pub writes: Vec<Write>,
    /// When to look again; `None`: only when something changes.
    pub requeue_after: Option<Duration>,
}

impl Decision {
    /// A run that is doing this, with nothing to be done about it.
    pub fn new(phase: Phase, message: impl Into<String>) -> Self {
        Self {
            phase,
            message: message.into(),
            failed: None,
            refused: None,
            stalled: None,
            degraded: None,
            pass: 0,
            workers: 0,
            writes: Vec::new(),
            requeue_after: Some(PERIOD),
        }
    }

    /// A run that is not carried out.
    pub fn refused(explanation: Explanation) -> Self {
        Self {
            refused: Some(explanation.clone()),
            requeue_after: Some(4 * PERIOD),
            ..Self::new(Phase::Pending, explanation.message)
        }
    }

    /// Workers that the run may have once this is carried out, of `current` replicas.
    pub fn holds(&self, current: u32) -> u32 {
        self.writes.iter().fold(current, |holds, write| match write {
            Write::Scale(replicas) | Write::ApplyScaledObject(replicas) => *replicas,
            Write::DeleteWorkloads => 0,
            _ => holds,
        })
    }

    fn failed(prior: &ArchiveRunStatus, explanation: Explanation) -> Self {
        let writes = vec![Write::DeleteWorkloads];
        let (message, pass) = (explanation.message.clone(), pass_of(prior));
        Self {
            failed: Some(explanation.clone()),
            stalled: Some(explanation),
            writes,
            pass,
            requeue_after: Some(Duration::ZERO),
            ..Self::new(Phase::Failed, message)
        }
    }
}

/// Decides what to do about a run that is not being deleted, and may have so many workers as far as others go.
pub fn decide(run: &Run, prior: &ArchiveRunStatus, seen: &Observed, cap: u32, now: Timestamp) -> Decision {
    if let Some(phase) = finished(prior) {
        return after_the_end(run, prior, seen, phase, now);
    }
    let refused = no_service_account(run, seen);
    if run.suspend {
        return Decision { refused, ..suspended(run, prior, seen) };
    }
    let is_done = is_draining(prior) || progress::is_done(run, prior, seen);
    if let Some(explanation) = too_late(run, prior, now).filter(|_| !is_done) {
        return Decision::failed(prior, explanation);
    }
    match (&prior.queue, refused) {
        (None, Some(explanation)) => Decision::refused(explanation),
        (None, None) => begin(run, seen),
        // What is under way goes on without its service account, but for new pods.
        (Some(_), refused) => Decision { refused, ..go_on(run, prior, seen, cap, now) },
    }
}

/// What is done about an object that has a name of the run's and is not its own: nothing.
pub fn name_conflict(it: &NameConflict) -> Decision {
    let object = &it.object;
    if it.is_temporary {
        let message = format!("waiting for {object} to go, of a run of this name that was deleted");
        return Decision { requeue_after: Some(PERIOD / 3), ..Decision::new(Phase::Pending, message) };
    }
    let message =
        format!("{object} has a name that this run needs, and belongs to somebody else: name the run otherwise");
    Decision::refused(Explanation::new("Invalid", message))
}

/// Whether all was archived when the run was looked at last, which is never taken back.
fn is_draining(status: &ArchiveRunStatus) -> bool {
    status.conditions.iter().any(|it| it.type_ == "Ready" && it.reason == Phase::Draining.reason())
}

fn no_service_account(run: &Run, seen: &Observed) -> Option<Explanation> {
    let (name, namespace) = (&run.service_account, &run.namespace);
    let message = || format!("there is no service account {name} in namespace {namespace}: make it, or name another");
    (!seen.service_account).then(|| Explanation::new("ServiceAccountNotFound", message()))
}

/// The last phase, where there was one.
pub fn finished(status: &ArchiveRunStatus) -> Option<Phase> {
    let is_true = |name: &str| status.conditions.iter().any(|it| it.type_ == name && it.status == "True");
    let reason = status.conditions.iter().find(|it| it.type_ == "Ready").map(|ready| ready.reason.as_str());
    if is_true("Failed") {
        Some(Phase::Failed)
    } else if is_true("Complete") {
        let with_failures = reason == Some(Phase::CompleteWithFailures.reason());
        Some(if with_failures { Phase::CompleteWithFailures } else { Phase::Complete })
    } else {
        None
    }
}

fn pass_of(status: &ArchiveRunStatus) -> u32 {
    status.retry_pass.map_or(0, i32::unsigned_abs)
}

fn after_the_end(run: &Run, prior: &ArchiveRunStatus, seen: &Observed, phase: Phase, now: Timestamp) -> Decision {
    let ready = prior.conditions.iter().find(|it| it.type_ == "Ready");
    let mut decision = Decision::new(phase, ready.map(|it| it.message.clone()).unwrap_or_default());
    (decision.pass, decision.requeue_after) = (pass_of(prior), None);
    if phase == Phase::Failed {
        let failed = prior.conditions.iter().find(|it| it.type_ == "Failed");
        let reason = failed.map(|it| it.reason.as_str()).unwrap_or_default();
        let reason = FAILURES.into_iter().find(|known| *known == reason).unwrap_or("GrouperFailed");
        let explanation = Explanation::new(reason, failed.map(|it| it.message.clone()).unwrap_or_default());
        (decision.failed, decision.stalled) = (Some(explanation.clone()), Some(explanation));
    }
    if seen.workers.is_some() || seen.grouper != GrouperState::Absent || seen.pods.present > 0 {
        decision.writes.push(Write::DeleteWorkloads);
        decision.requeue_after = Some(PERIOD);
    } else if phase != Phase::Failed && !queues_are_gone(prior) && matches!(run.queue, QueuePlan::Managed(_)) {
        // Those of a failed run stay for whoever looks into it, until the run is deleted.
        decision.writes.push(Write::DeleteQueues);
        decision.requeue_after = Some(Duration::ZERO);
    } else if let (Some(ttl), Some(ended)) = (run.ttl, &prior.completion_time) {
        let left = ttl.saturating_sub(now.duration_since(ended.0).unsigned_abs());
        if left.is_zero() {
            decision.writes.push(Write::DeleteRun);
        }
        decision.requeue_after = Some(left.max(Duration::from_secs(1)));
    }
    decision
}

/// Reasons of `Failed`.
const FAILURES: [&str; 4] = ["DeadlineExceeded", "TooManyFailedObjects", "GrouperFailed", "GroupsDeadLettered"];

/// Whether there are no queues, or none any more.
pub fn queues_are_gone(status: &ArchiveRunStatus) -> bool {
    status.queue.is_none() || status.conditions.iter().any(|it| it.type_ == "QueueReady" && it.reason == "Deleted")
}

fn suspended(run: &Run, prior: &ArchiveRunStatus, seen: &Observed) -> Decision {
    let pass = pass_of(prior);
    let left = seen.pods.present;
    let message = if left == 0 { "suspended".to_owned() } else { format!("suspending: {left} pods are still there") };
    let mut decision = Decision { pass, ..Decision::new(Phase::Suspended, message) };
    if seen.grouper == GrouperState::Running {
        // Not suspended: kueue would resume it. A new Job continues where this one stopped
        // (docs/decisions/suspended-groupers.md).
        decision.writes.push(Write::DeleteGrouper(pass));
    }
    if seen.workers.is_some() {
        decision.writes.extend(scale_to_zero(run));
    }
    // Only to see the last pods go.
    decision.requeue_after = (left > 0).then_some(PERIOD);
    decision
}

/// What keeps workers at zero.
fn scale_to_zero(run: &Run) -> Vec<Write> {
    match run.mode {
        ScalingMode::Keda => vec![Write::ApplyScaledObject(0), Write::Scale(0)],
        ScalingMode::Builtin | ScalingMode::External => vec![Write::Scale(0)],
    }
}

fn too_late(run: &Run, prior: &ArchiveRunStatus, now: Timestamp) -> Option<Explanation> {
    let (deadline, started) = (run.deadline?, prior.start_time.as_ref()?);
    // Of a run that is being resumed the start is moved by its rest only after this.
    let resting = prior.conditions.iter().find(|it| it.type_ == "Suspended" && it.status == "True");
    let rested = resting.map_or(SignedDuration::ZERO, |it| now.duration_since(it.last_transition_time.0));
    let taken = Duration::try_from(now.duration_since(started.0) - rested).unwrap_or_default();
    let message = || format!("it took longer than activeDeadlineSeconds, {} s", deadline.as_secs());
    (taken > deadline).then(|| Explanation::new("DeadlineExceeded", message()))
}

/// What of S3's errors a person has to act on.
fn trouble(error: &StoreError) -> Option<Explanation> {
    match error {
        StoreError::Aws(error) if error.kind == AwsErrorKind::Denied => {
            Some(Explanation::new("AccessDenied", error.to_string()))
        }
        StoreError::Aws(_) => None,
        StoreError::Record { .. } | StoreError::Manifest { .. } => {
            Some(Explanation::new("InventoryMissing", error.to_string()))
        }
    }
}

#[cfg(test)]
mod tests;
