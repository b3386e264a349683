//! A suspended run: it keeps its queue, and no pods.

use super::decision::{Decision, Phase, Write};
use super::workers::scale_to_zero;
use crate::controller::intervals::POLL_PERIOD;
use crate::controller::observed::{GrouperState, Observed};
use crate::controller::run::Run;
use crate::crd::ArchiveRunStatus;

pub(super) fn suspended(run: &Run, prior: &ArchiveRunStatus, seen: &Observed) -> Decision {
    let pass = prior.pass();
    let left = seen.pods.present;
    let message = if left == 0 {
        "suspended".to_owned()
    } else {
        format!("suspending: {left} pods are still there")
    };
    let mut decision = Decision {
        pass,
        ..Decision::new(Phase::Suspended, message)
    };
    if seen.grouper == GrouperState::Running {
        // Not suspended: kueue would resume it. A new Job continues where this one stopped
        // (docs/decisions/suspended-groupers.md).
        decision.writes.push(Write::DeleteGrouper(pass));
    }
    if seen.workers.is_some() {
        decision.writes.extend(scale_to_zero(run));
    }
    // Only to see the last pods go.
    decision.requeue_after = (left > 0).then_some(POLL_PERIOD);
    decision
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

    use serde_json::json;

    use super::*;
    use crate::controller::fixtures::{claimed, decide, run, seen, working};
    use crate::controller::observed::{GrouperState, Observed, Pods};
    use crate::crd::ArchiveRunStatus;

    #[test]
    fn suspension_rests_everything_and_keeps_the_queue() {
        let suspended = run(json!({"suspend": true}));
        let decision = decide(&suspended, &ArchiveRunStatus::default(), &seen());
        assert_eq!(
            (
                decision.phase,
                decision.writes.len(),
                decision.requeue_after
            ),
            (Phase::Suspended, 0, None)
        );
        let busy = Observed {
            grouper: GrouperState::Running,
            pods: Pods {
                present: 3,
                ..Pods::default()
            },
            ..working(2)
        };
        let decision = decide(&suspended, &claimed(), &busy);
        assert_eq!(decision.writes, [Write::DeleteGrouper(0), Write::Scale(0)]);
        assert!(decision.requeue_after.is_some());
        let keda = run(json!({"suspend": true, "workers": {"scaling": {"mode": "Keda"}}}));
        let decision = decide(&keda, &claimed(), &busy);
        assert!(
            decision.writes.contains(&Write::ApplyScaledObject(0)),
            "{decision:?}"
        );
    }
}
