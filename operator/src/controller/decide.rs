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

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use s3bundler_contract::record::InventoryRef;
use s3bundler_contract::{ExitCode, RunSummary};

use super::observed::{GrouperState, InventoryLook, Observed};
use super::validate::{QueuePlan, Run};
use crate::autoscale::plan::{Depth, Inputs, replicas};
use crate::aws::AwsErrorKind;
use crate::crd::{ArchiveRunStatus, ScalingMode};
use crate::queues::QueuePair;
use crate::receipts::{Counted, Sums};
use crate::store::{InventoryState, StoreError};

/// Between looks at a run that is under way.
pub const PERIOD: Duration = Duration::from_secs(15);
/// Between looks at an inventory that is not there yet.
const INVENTORY_PERIOD: Duration = Duration::from_secs(30);
/// A queue that stays empty for so long while receipts are missing has lost messages: they are sent again.
const LOST: Duration = Duration::from_mins(15);
/// How long a run that only dead-lettered groups keep from its end waits for a person.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
/// How long a grouper that was denied waits for somebody to allow it, before it tries again; and how long one that tries
/// again is taken for denied.
const DENIED: Duration = Duration::from_mins(1);
/// What a denied grouper is told with.
const GROUPER_DENIED: &str = "the grouper was denied";
/// A queue that stays empty for so long is empty: SQS may be wrong about it for a minute ("GetQueueAttributes", SQS API
/// reference).
const EMPTY: Duration = Duration::from_mins(1);

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
pub struct Told {
    /// The reason: a word.
    pub reason: &'static str,
    /// The message: a sentence for people.
    pub message: String,
}

impl Told {
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
    /// Take the grouper of a pass away, to make it again: it sends what has no receipt.
    DeleteGrouper(u32),
    /// Let the grouper of a pass rest, or go on.
    SuspendGrouper(u32, bool),
    /// Make the workers, or what they have in common newer.
    ApplyWorkers,
    /// Ask for so many workers.
    Scale(u32),
    /// Let KEDA hold at zero, or go on.
    ApplyScaledObject {
        /// Whether to hold.
        paused: bool,
    },
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
    pub failed: Option<Told>,
    /// Why the run is not accepted.
    pub refused: Option<Told>,
    /// Why nothing moves until a person acts.
    pub stalled: Option<Told>,
    /// What is wrong while it moves.
    pub degraded: Option<Told>,
    /// The retry pass at hand.
    pub pass: u32,
    /// Workers asked for.
    pub workers: u32,
    /// What to do, in this order.
    pub writes: Vec<Write>,
    /// When to look again; `None`: only when something changes.
    pub look_again: Option<Duration>,
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
            look_again: Some(PERIOD),
        }
    }

    /// A run that is not carried out.
    pub fn refused(told: Told) -> Self {
        Self { refused: Some(told.clone()), look_again: Some(4 * PERIOD), ..Self::new(Phase::Pending, told.message) }
    }

    fn failed(prior: &ArchiveRunStatus, told: Told) -> Self {
        let writes = vec![Write::DeleteWorkloads];
        let (message, pass) = (told.message.clone(), pass_of(prior));
        Self {
            failed: Some(told.clone()),
            stalled: Some(told),
            writes,
            pass,
            look_again: Some(Duration::ZERO),
            ..Self::new(Phase::Failed, message)
        }
    }
}

/// Decides what to do about a run that is not being deleted.
pub fn decide(run: &Run, prior: &ArchiveRunStatus, seen: &Observed, now: Timestamp) -> Decision {
    if let Some(phase) = finished(prior) {
        return after_the_end(run, prior, seen, phase, now);
    }
    let refused = no_service_account(run, seen);
    if run.suspend {
        return Decision { refused, ..suspended(run, prior, seen) };
    }
    if let Some(told) = too_late(run, prior, now) {
        return Decision::failed(prior, told);
    }
    match (&prior.queue, refused) {
        (None, Some(told)) => Decision::refused(told),
        (None, None) => begin(run, seen),
        // What is under way goes on without its service account, but for new pods.
        (Some(_), refused) => Decision { refused, ..go_on(run, prior, seen, now) },
    }
}

fn no_service_account(run: &Run, seen: &Observed) -> Option<Told> {
    let (name, namespace) = (&run.service_account, &run.namespace);
    let message = || format!("there is no service account {name} in namespace {namespace}: make it, or name another");
    (!seen.service_account).then(|| Told::new("ServiceAccountNotFound", message()))
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
    (decision.pass, decision.look_again) = (pass_of(prior), None);
    if phase == Phase::Failed {
        let failed = prior.conditions.iter().find(|it| it.type_ == "Failed");
        let reason = failed.map(|it| it.reason.as_str()).unwrap_or_default();
        let reason = FAILURES.into_iter().find(|known| *known == reason).unwrap_or("GrouperFailed");
        let told = Told::new(reason, failed.map(|it| it.message.clone()).unwrap_or_default());
        (decision.failed, decision.stalled) = (Some(told.clone()), Some(told));
    }
    if seen.workers.is_some() || seen.grouper != GrouperState::Absent || seen.pods.present > 0 {
        decision.writes.push(Write::DeleteWorkloads);
        decision.look_again = Some(PERIOD);
    } else if phase != Phase::Failed && !queues_are_gone(prior) && matches!(run.queue, QueuePlan::Managed(_)) {
        // Those of a failed run stay for whoever looks into it, until the run is deleted.
        decision.writes.push(Write::DeleteQueues);
        decision.look_again = Some(Duration::ZERO);
    } else if let (Some(ttl), Some(ended)) = (run.ttl, &prior.completion_time) {
        let left = ttl.saturating_sub(now.duration_since(ended.0).unsigned_abs());
        if left.is_zero() {
            decision.writes.push(Write::DeleteRun);
        }
        decision.look_again = Some(left.max(Duration::from_secs(1)));
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
        decision.writes.push(Write::SuspendGrouper(pass, true));
    }
    if seen.workers.is_some() {
        decision.writes.extend(rest(run));
    }
    // Only to see the last pods go.
    decision.look_again = (left > 0).then_some(PERIOD);
    decision
}

/// What keeps workers at zero.
fn rest(run: &Run) -> Vec<Write> {
    match run.mode {
        ScalingMode::Keda => vec![Write::ApplyScaledObject { paused: true }, Write::Scale(0)],
        ScalingMode::Builtin | ScalingMode::External => vec![Write::Scale(0)],
    }
}

fn too_late(run: &Run, prior: &ArchiveRunStatus, now: Timestamp) -> Option<Told> {
    let (deadline, started) = (run.deadline?, prior.start_time.as_ref()?);
    // Of a run that is being resumed the start is moved by its rest only after this.
    let resting = prior.conditions.iter().find(|it| it.type_ == "Suspended" && it.status == "True");
    let rested = resting.map_or(SignedDuration::ZERO, |it| now.duration_since(it.last_transition_time.0));
    let taken = Duration::try_from(now.duration_since(started.0) - rested).unwrap_or_default();
    let message = || format!("it took longer than activeDeadlineSeconds, {} s", deadline.as_secs());
    (taken > deadline).then(|| Told::new("DeadlineExceeded", message()))
}

/// Before there is a queue: the inventory has to be whole and the name ours.
fn begin(run: &Run, seen: &Observed) -> Decision {
    let pending = |message: String| Decision {
        look_again: Some(INVENTORY_PERIOD),
        ..Decision::new(Phase::InventoryPending, message)
    };
    let origin = super::validate::origin_address(&run.origin);
    let missing = |message: String| {
        let stalled = Some(Told::new("InventoryMissing", message.clone()));
        Decision { stalled, ..pending(message) }
    };
    let inventory = match &seen.inventory {
        None => return pending(format!("nobody has looked for {origin} yet")),
        Some(InventoryLook::State(InventoryState::Finished(inventory))) => inventory.clone(),
        Some(InventoryLook::State(InventoryState::Missing)) => {
            return missing(format!("there is no {origin}: check spec.source.inventory"));
        }
        Some(InventoryLook::NoManifests) => {
            return missing(format!(
                "there is no group manifest under {origin}, no key that ends in .index: check spec.source.manifests"
            ));
        }
        Some(InventoryLook::State(InventoryState::Unfinished)) => {
            return pending(format!(
                "S3 is still writing the inventory: {origin} has no manifest.checksum beside it yet"
            ));
        }
        Some(InventoryLook::NoneFinished) => {
            return pending(format!("there is no finished inventory under {origin} yet"));
        }
        Some(InventoryLook::TooOld { age }) => {
            let hours = age.as_secs() / 3600;
            return pending(format!(
                "the newest inventory under {origin} is {hours} hours old: waiting for a newer one"
            ));
        }
        // Whoever lists is told of a bucket that is not there.
        Some(InventoryLook::Failed(StoreError::Aws(error))) if error.kind == AwsErrorKind::NotFound => {
            return missing(error.to_string());
        }
        Some(InventoryLook::Failed(error)) => {
            let stalled = trouble(error);
            return Decision { stalled, ..pending(error.to_string()) };
        }
    };
    let mut decision = Decision::new(Phase::Pending, "claiming the run's name and making its queue");
    decision.look_again = Some(Duration::ZERO);
    decision.writes.push(Write::ClaimName(inventory));
    decision.writes.push(match &run.queue {
        QueuePlan::Managed(name) => Write::MakeQueues(name.clone()),
        QueuePlan::Existing(pair) => Write::UseQueues(pair.clone()),
    });
    decision
}

/// What of S3's errors a person has to act on.
fn trouble(error: &StoreError) -> Option<Told> {
    match error {
        StoreError::Aws(error) if error.kind == AwsErrorKind::Denied => {
            Some(Told::new("AccessDenied", error.to_string()))
        }
        StoreError::Aws(_) => None,
        StoreError::Record { .. } | StoreError::Manifest { .. } => {
            Some(Told::new("InventoryMissing", error.to_string()))
        }
    }
}

/// Whether every group of a pass has a receipt: as many names as the pass has groups, and none beyond them.
fn is_whole(summary: &RunSummary, sums: &Sums) -> bool {
    sums.groups == summary.groups && sums.beyond <= summary.groups
}

/// From the queue to the end.
fn go_on(run: &Run, prior: &ArchiveRunStatus, seen: &Observed, now: Timestamp) -> Decision {
    let pass = pass_of(prior);
    let mut decision = Decision { pass, ..Decision::new(Phase::Grouping, "") };
    let Some(counted) = &seen.counted else {
        // What is not counted is not missing: nothing that hangs on receipts is decided.
        decision.workers = seen.workers.map_or(0, |workers| workers.replicas);
        "its receipts are not counted yet".clone_into(&mut decision.message);
        decision.phase = match (pass, &seen.summary) {
            (0, None) => Phase::Grouping,
            (0, Some(_)) => Phase::Bundling,
            _ => Phase::Retrying,
        };
        problems(&mut decision, seen);
        return decision;
    };
    let sums = counted.pass(pass);

    // Whether the pass is whole, and what comes after it.
    if let Some(summary) = seen.pass_summary.as_ref().filter(|summary| is_whole(summary, &sums)) {
        if sums.retryable() > 0 && pass < run.max_passes {
            decision.pass = pass + 1;
            decision.phase = Phase::Retrying;
            decision.message = format!("{} objects are tried again, pass {}", sums.retryable(), pass + 1);
            decision.look_again = Some(Duration::ZERO);
            decision.workers = seen.workers.map_or(0, |workers| workers.replicas);
            return decision;
        }
        return end(run, decision, seen, counted, summary);
    }
    if let Some(told) = too_many_failed(run, counted, pass) {
        return Decision::failed(prior, told);
    }

    // The grouper.
    match &seen.grouper {
        // Also where its summary is there already: a grouper that starts again sends the groups without receipt.
        GrouperState::Absent => decision.writes.push(Write::ApplyGrouper(pass)),
        GrouperState::Running => decision.writes.push(Write::SuspendGrouper(pass, false)),
        GrouperState::Succeeded => {}
        GrouperState::Failed { exit_code, message } => {
            let told = Told::new("GrouperFailed", format!("the grouper failed: {message}"));
            if *exit_code == Some(i32::from(ExitCode::Permission.code())) {
                // Somebody may be about to allow it: it is tried again, and again.
                decision.stalled = Some(Told::new("AccessDenied", format!("{GROUPER_DENIED}: {message}")));
                if grouper_age(seen, now) >= DENIED {
                    decision.writes.push(Write::DeleteGrouper(pass));
                }
            } else if seen.pass_summary.is_some() && seen.empty_for < EMPTY {
                // It was to send again what is missing, and there is work left without it.
                decision.degraded = Some(told);
            } else {
                return Decision::failed(prior, told);
            }
        }
    }
    if decision.stalled.is_none() {
        decision.stalled = still_denied(prior, seen, now);
    }

    // Groups that nobody works on.
    let total = seen.pass_summary.as_ref().map(|summary| summary.groups);
    let missing = total.map(|total| total.saturating_sub(sums.groups));
    let dead = seen.depths.as_ref().and_then(|depths| depths.dead_lettered).unwrap_or(0);
    if let Some(told) = dead_letters(run, dead, missing) {
        // Letters of others, or of groups that were archived all the same, keep no run from its end while it has work.
        let is_empty = seen.depths.as_ref().and_then(|depths| depths.groups.as_ref().ok()).is_some_and(Depth::is_empty);
        if is_empty && missing.is_some_and(|missing| missing <= dead) {
            let since = prior.conditions.iter().find(|it| it.type_ == "Stalled" && it.status == "True");
            let since = since.filter(|it| it.reason == "GroupsDeadLettered").map(|it| it.last_transition_time.0);
            if since.is_some_and(|since| now.duration_since(since) > PATIENCE) {
                return Decision::failed(prior, Told::new("GroupsDeadLettered", told.message));
            }
            decision.stalled = Some(Told::new("GroupsDeadLettered", told.message));
        } else {
            decision.degraded = Some(told);
        }
    }
    let lost = missing.map_or(0, |missing| missing.saturating_sub(dead));
    if lost > 0 && seen.empty_for >= LOST && seen.grouper == GrouperState::Succeeded {
        // Their messages are gone: retention, or a grouper that died between PUT and send.
        let message = format!("{lost} groups have neither a receipt nor a message: they are sent again");
        decision.degraded = Some(Told::new("MessagesLost", message));
        decision.writes.push(Write::DeleteGrouper(pass));
    }

    workers(run, &mut decision, seen, missing);
    let handled = prior.queue.as_ref().and_then(|queue| queue.redrive_handled.as_ref());
    if let Some(asked) = run.redrive_requested.as_ref().filter(|asked| handled != Some(*asked) && dead > 0) {
        decision.writes.push(Write::Redrive(asked.clone()));
    }
    tell(&mut decision, seen, counted, total);
    decision
}

/// How long ago the grouper was made, or failed.
fn grouper_age(seen: &Observed, now: Timestamp) -> Duration {
    let age = seen.grouper_at.map(|at| now.duration_since(at));
    age.and_then(|age| Duration::try_from(age).ok()).unwrap_or_default()
}

/// A grouper that tries again has not shown yet that it is allowed to.
fn still_denied(prior: &ArchiveRunStatus, seen: &Observed, now: Timestamp) -> Option<Told> {
    let again = match seen.grouper {
        GrouperState::Absent => true,
        GrouperState::Running => grouper_age(seen, now) < DENIED,
        GrouperState::Succeeded | GrouperState::Failed { .. } => false,
    };
    let known = prior.conditions.iter().find(|it| it.type_ == "Stalled" && it.status == "True");
    let known = known.filter(|it| again && it.message.starts_with(GROUPER_DENIED));
    known.map(|it| Told::new("AccessDenied", it.message.clone()))
}

/// The workers, and how many of them.
fn workers(run: &Run, decision: &mut Decision, seen: &Observed, missing: Option<u64>) {
    decision.writes.push(Write::ApplyWorkers);
    let depth = seen.depths.as_ref().and_then(|depths| depths.groups.as_ref().ok()).copied();
    let current = seen.workers.map_or(0, |workers| workers.replicas);
    match run.mode {
        ScalingMode::Builtin => {
            decision.workers = replicas(Inputs {
                at_rest: false,
                work_left: missing != Some(0),
                depth,
                groups_per_worker: run.groups_per_worker,
                min: run.min_replicas,
                max: run.max_replicas,
                cap: seen.worker_cap,
                current,
                busy: seen.pods.busy,
            });
            if seen.workers.is_none_or(|workers| workers.replicas != decision.workers) {
                decision.writes.push(Write::Scale(decision.workers));
            }
        }
        ScalingMode::Keda => {
            decision.workers = current;
            decision.writes.push(Write::ApplyScaledObject { paused: false });
        }
        ScalingMode::External => decision.workers = current,
    }
}

/// Phase, message, and what is wrong.
fn tell(decision: &mut Decision, seen: &Observed, counted: &Counted, total: Option<u64>) {
    let sums = counted.pass(decision.pass);
    (decision.phase, decision.message) = match (decision.pass, total) {
        (0, None) => (Phase::Grouping, format!("making groups; {} are archived already", sums.groups)),
        (0, Some(total)) => (Phase::Bundling, format!("{} of {total} groups", sums.groups)),
        (pass, None) => (Phase::Retrying, format!("retry pass {pass}: making groups")),
        (pass, Some(total)) => (Phase::Retrying, format!("retry pass {pass}: {} of {total} groups", sums.groups)),
    };
    problems(decision, seen);
    if let Some(name) = counted.defects.first() {
        let message = format!("{} should not be among the receipts of this run", crate::printable(name));
        decision.degraded.get_or_insert_with(|| Told::new("DeadLetters", message));
    }
}

/// What is wrong with pods, the destination and the queue.
fn problems(decision: &mut Decision, seen: &Observed) {
    for problem in &seen.pods.problems {
        let told = Told::new(problem.reason(), problem.message());
        let place = if problem.stalls() { &mut decision.stalled } else { &mut decision.degraded };
        place.get_or_insert(told);
    }
    if let Some(error) = &seen.store_error {
        match trouble(error) {
            Some(told) => decision.stalled = decision.stalled.take().or(Some(told)),
            None => {
                decision.degraded.get_or_insert_with(|| Told::new("DepthUnknown", error.to_string()));
            }
        }
    }
    if let Some(Err(error)) = seen.depths.as_ref().map(|depths| &depths.groups) {
        if error.kind == AwsErrorKind::Denied {
            decision.stalled.get_or_insert_with(|| Told::new("AccessDenied", error.to_string()));
        } else {
            decision.degraded.get_or_insert_with(|| Told::new("DepthUnknown", error.to_string()));
        }
    }
}

fn dead_letters(run: &Run, dead: u64, missing: Option<u64>) -> Option<Told> {
    let dead = dead.min(missing.unwrap_or(u64::MAX));
    (dead > 0).then(|| {
        let message = format!(
            "{dead} groups failed over and over and are in the dead-letter queue; the workers' logs say why. Put them back \
             with: kubectl annotate --overwrite archiverun {} -n {} {}=\"$(date)\"",
            run.name,
            run.namespace,
            super::validate::REDRIVE_ANNOTATION
        );
        Told::new("DeadLetters", message)
    })
}

fn too_many_failed(run: &Run, counted: &Counted, pass: u32) -> Option<Told> {
    let most = run.max_failed_objects?;
    let outcome = counted.outcome();
    // Those that another pass may bring are not lost yet.
    let pending = if pass < run.max_passes { outcome.retryable() } else { 0 };
    let failed = outcome.failed_objects().saturating_sub(pending);
    let message = || format!("{failed} objects failed, more than failurePolicy.maxFailedObjects, {most}");
    (failed > most).then(|| Told::new("TooManyFailedObjects", message()))
}

/// All groups of all passes have their receipts: let the workers go, then it is over.
fn end(run: &Run, mut decision: Decision, seen: &Observed, counted: &Counted, summary: &RunSummary) -> Decision {
    if let Some(told) = too_many_failed(run, counted, run.max_passes) {
        let writes = vec![Write::DeleteWorkloads];
        let message = told.message.clone();
        return Decision {
            failed: Some(told.clone()),
            stalled: Some(told),
            writes,
            phase: Phase::Failed,
            message,
            ..decision
        };
    }
    let left = seen.pods.present;
    if left > 0 {
        decision.phase = Phase::Draining;
        decision.message = format!("all groups are archived; {left} pods are leaving");
        decision.writes = rest(run);
        if seen.grouper == GrouperState::Running {
            // It has nothing left to send.
            decision.writes.push(Write::DeleteGrouper(decision.pass));
        }
        problems(&mut decision, seen);
        decision.look_again = Some(PERIOD / 5);
        return decision;
    }
    let outcome = counted.outcome();
    let failed = outcome.failed_objects();
    decision.phase = if failed == 0 { Phase::Complete } else { Phase::CompleteWithFailures };
    let objects = outcome.archived.saturating_add(outcome.copied);
    let groups = if decision.pass == 0 { summary.groups } else { outcome.groups };
    decision.message = match failed {
        0 => format!("{objects} objects in {groups} groups are archived"),
        failed => format!("{objects} objects in {groups} groups are archived, {failed} failed: see status.failures"),
    };
    decision.writes = rest(run);
    decision.look_again = Some(Duration::ZERO);
    decision
}

#[cfg(test)]
mod tests;
