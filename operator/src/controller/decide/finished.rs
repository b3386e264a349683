//! After the end: what the run had is deleted, and the run itself once its time is over.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::decision::{Decision, Phase, Write};
use crate::controller::explanation::Explanation;
use crate::controller::intervals::POLL_PERIOD;
use crate::controller::observed::{GrouperState, Observed};
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
    if seen.workers.is_some() || seen.grouper != GrouperState::Absent || seen.pods.present > 0 {
        decision.writes.push(Write::DeleteWorkloads);
        decision.requeue_after = Some(POLL_PERIOD);
    } else if phase != Phase::Failed
        && !queues_are_gone(prior)
        && matches!(run.queue, QueuePlan::Managed(_))
    {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
    use serde_json::json;

    use super::*;
    use crate::controller::fixtures::{claimed, condition, decide, decide_at, run, seen, working};
    use crate::crd::ArchiveRunStatus;

    #[test]
    fn after_the_end_everything_goes_in_order_and_failed_runs_keep_their_queues() {
        let ended = |name: &str, reason: &str| ArchiveRunStatus {
            conditions: vec![
                condition(name, reason, "2026-11-23T11:59:00Z"),
                Condition {
                    status: "False".to_owned(),
                    ..condition("Ready", reason, "2026-11-23T11:59:00Z")
                },
            ],
            completion_time: Some(Time("2026-11-23T11:59:00Z".parse().unwrap())),
            ..claimed()
        };
        let run = run(json!({"ttlSecondsAfterFinished": 60}));
        let decision = decide(&run, &ended("Complete", "Complete"), &working(1));
        assert_eq!(decision.writes, [Write::DeleteWorkloads]);
        let decision = decide(&run, &ended("Complete", "Complete"), &seen());
        assert_eq!(decision.writes, [Write::DeleteQueues]);
        let mut gone = ended("Complete", "Complete");
        gone.conditions
            .push(condition("QueueReady", "Deleted", "2026-11-23T11:59:00Z"));
        assert_eq!(decide(&run, &gone, &seen()).writes, [Write::DeleteRun]);
        let early = "2026-11-23T11:59:30Z".parse().unwrap();
        let decision = decide_at(&run, &gone, &seen(), early);
        assert_eq!(
            (decision.writes.len(), decision.requeue_after),
            (0, Some(Duration::from_secs(30)))
        );

        let failed = decide_at(
            &run,
            &ended("Failed", "TooManyFailedObjects"),
            &seen(),
            early,
        );
        assert!(!failed.writes.contains(&Write::DeleteQueues), "{failed:?}");
        assert_eq!(failed.failed.unwrap().reason, "TooManyFailedObjects");
    }
}
