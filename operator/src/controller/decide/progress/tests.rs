#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use serde_json::json;

use super::*;
use crate::aws::{AwsError, AwsErrorKind};
use crate::controller::decide::Write;
use crate::controller::fixtures::{
    claimed, condition, counted, decide, denied, depths, run, seen, working,
};
use crate::controller::observed::{JobState, Observed, WorkersState};
use crate::records::RecordsError;

#[test]
fn groups_are_made_and_archived_side_by_side() {
    let decision = decide(&run(json!({})), &claimed(), &seen());
    assert_eq!(
        decision.writes,
        [Write::ApplyGrouper(0)],
        "no worker before the depth is known"
    );
    assert_eq!(decision.phase, Phase::Grouping);
    let empty = Some(depths(0, 0, 0));
    let decision = decide(
        &run(json!({})),
        &claimed(),
        &Observed {
            depths: empty,
            ..seen()
        },
    );
    assert_eq!(
        decision.writes,
        [Write::ApplyGrouper(0), Write::ApplyWorkers, Write::Scale(1)]
    );
    let grouping = Observed {
        grouper: JobState::Running,
        depths: Some(depths(3, 0, 0)),
        workers: Some(WorkersState { replicas: 1 }),
        replicas_then: 1,
        counted: Some(counted(&["logs.000000~a10~c0~f0~b100"])),
        ..seen()
    };
    let decision = decide(&run(json!({})), &claimed(), &grouping);
    assert_eq!(decision.writes, [Write::ApplyWorkers, Write::Scale(2)]);
}

#[test]
fn what_is_not_counted_is_not_missing() {
    let error = RecordsError::Aws(AwsError {
        kind: AwsErrorKind::Transient,
        ..denied()
    });
    let seen = Observed {
        counted: None,
        records_error: Some(error),
        empty_for: Duration::from_hours(1),
        ..working(2)
    };
    let decision = decide(&run(json!({})), &claimed(), &seen);
    assert_eq!(
        (decision.phase, decision.writes.len(), decision.workers),
        (Phase::Bundling, 0, 2)
    );
    assert_eq!(decision.degraded.unwrap().reason, "DepthUnknown");
}

#[test]
fn workers_are_scaled_by_the_queue_while_receipts_are_counted() {
    let counting = |visible, replicas| Observed {
        counted: None,
        is_counting: true,
        depths: Some(depths(visible, 0, 0)),
        workers: Some(WorkersState { replicas }),
        ..working(1_000)
    };
    let decision = decide(&run(json!({})), &claimed(), &counting(7, 2));
    assert_eq!(decision.writes, [Write::ApplyWorkers, Write::Scale(7)]);
    assert_eq!(decision.phase, Phase::Bundling);
    // Groups may be missing, or none: that is not known yet.
    for replicas in [0, 2] {
        let decision = decide(&run(json!({})), &claimed(), &counting(0, replicas));
        assert_eq!((decision.writes, decision.workers), (vec![], replicas));
    }
}

#[test]
fn what_was_told_of_receipts_stays_while_they_are_counted_again() {
    let counting = Observed {
        counted: None,
        is_counting: true,
        ..working(2)
    };
    for reason in ["AccountingMismatch", "GroupsDeadLettered"] {
        let mut prior = claimed();
        prior.conditions = vec![condition("Stalled", reason, "2026-11-23T11:00:00Z")];
        let decision = decide(&run(json!({})), &prior, &counting);
        assert_eq!(decision.stalled.unwrap().reason, reason);
    }
    let mut prior = claimed();
    prior.conditions = vec![condition("Ready", "Draining", "2026-11-23T11:00:00Z")];
    let decision = decide(&run(json!({})), &prior, &counting);
    assert_eq!((decision.phase, decision.stalled), (Phase::Draining, None));
}
