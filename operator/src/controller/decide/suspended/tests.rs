#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use serde_json::json;

use super::*;
use crate::autoscale::plan::Bounds;
use crate::controller::fixtures::{claimed, decide, run, seen, working};
use crate::controller::observed::{JobState, Observed, Pods};
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
        grouper: JobState::Running,
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
        decision
            .writes
            .contains(&Write::ApplyScaledObject(Bounds::NONE)),
        "{decision:?}"
    );
}
