//! After the end: what the run had is deleted, and the run itself once its time is over.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::decision::{Decision, Phase, Write};
use crate::controller::explanation::Explanation;
use crate::controller::intervals::POLL_PERIOD;
use crate::controller::notifications::time_to_wait;
use crate::controller::observed::{JobState, Observed};
use crate::controller::run::{QueuePlan, Run};
use crate::crd::ArchiveRunStatus;

const FAILURES: [&str; 4] = [
    "DeadlineExceeded",
    "TooManyFailedObjects",
    "GrouperFailed",
    "GroupsDeadLettered",
];

/// The last phase, where there was one.
pub(crate) fn finished(status: &ArchiveRunStatus) -> Option<Phase> {
    let reason = status.condition("Ready").map(|ready| ready.reason.as_str());
    if status.is_true("Failed") {
        Some(Phase::Failed)
    } else if status.is_true("Complete") {
        let with_failures = reason == Some(Phase::CompleteWithFailures.reason());
        Some(if with_failures {
            Phase::CompleteWithFailures
        } else {
            Phase::Complete
        })
    } else {
        None
    }
}

/// Whether there are no queues, or none any more.
pub(crate) fn queues_are_gone(status: &ArchiveRunStatus) -> bool {
    status.queue.is_none()
        || status
            .condition("QueueReady")
            .is_some_and(|it| it.reason == "Deleted")
}

/// Time until a run that has ended is to be deleted, if it ever is: its notifications are waited for
/// (docs/decisions/notifications.md).
pub(crate) fn time_left(
    ttl: Option<Duration>,
    status: &ArchiveRunStatus,
    now: Timestamp,
) -> Option<Duration> {
    let ended = status.completion_time.as_ref()?;
    let left = ttl?.saturating_sub(now.duration_since(ended.0).unsigned_abs());
    Some(left.max(time_to_wait(status, now)))
}

pub(super) fn after_the_end(
    run: &Run,
    prior: &ArchiveRunStatus,
    seen: &Observed,
    phase: Phase,
    now: Timestamp,
) -> Decision {
    let ready = prior.condition("Ready");
    let mut decision = Decision::new(
        phase,
        ready.map(|it| it.message.clone()).unwrap_or_default(),
    );
    (decision.pass, decision.requeue_after) = (prior.pass(), None);
    if phase == Phase::Failed {
        let failed = prior.condition("Failed");
        let reason = failed.map(|it| it.reason.as_str()).unwrap_or_default();
        let reason = FAILURES
            .into_iter()
            .find(|known| *known == reason)
            .unwrap_or("GrouperFailed");
        let explanation = Explanation::new(
            reason,
            failed.map(|it| it.message.clone()).unwrap_or_default(),
        );
        (decision.failed, decision.stalled) = (Some(explanation.clone()), Some(explanation));
    }
    let jobs = [&seen.grouper, &seen.verifier.state];
    let has_jobs = jobs.into_iter().any(|job| *job != JobState::Absent);
    if seen.workers.is_some() || has_jobs || seen.pods.present > 0 {
        decision.writes.push(Write::DeleteWorkloads);
        decision.requeue_after = Some(POLL_PERIOD);
    } else if phase != Phase::Failed
        && !queues_are_gone(prior)
        && matches!(run.queue, QueuePlan::Managed(_))
    {
        // Those of a failed run stay for whoever looks into it, until the run is deleted.
        decision.writes.push(Write::DeleteQueues);
        decision.requeue_after = Some(Duration::ZERO);
    } else if let Some(left) = time_left(run.ttl, prior, now) {
        if left.is_zero() {
            decision.writes.push(Write::DeleteRun);
        }
        decision.requeue_after = Some(left.max(Duration::from_secs(1)));
    }
    decision
}

#[cfg(test)]
mod tests;
