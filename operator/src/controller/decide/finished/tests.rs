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
