#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use serde_json::json;

use super::*;
use crate::controller::fixtures::{claimed, decide, run, working};
use crate::controller::observed::Observed;
use crate::crd::ArchiveRunStatus;

#[test]
fn a_run_under_way_goes_on_without_its_service_account() {
    let lost = || Observed {
        service_account: false,
        ..working(2)
    };
    let decision = decide(&run(json!({})), &ArchiveRunStatus::default(), &lost());
    assert_eq!(
        (decision.refused.unwrap().reason, decision.writes.len()),
        ("ServiceAccountNotFound", 0)
    );
    let decision = decide(&run(json!({})), &claimed(), &lost());
    assert_eq!(
        (decision.refused.unwrap().reason, decision.phase),
        ("ServiceAccountNotFound", Phase::Bundling)
    );
    let decision = decide(&run(json!({"suspend": true})), &claimed(), &lost());
    assert!(
        decision.refused.is_some() && decision.writes.contains(&Write::Scale(0)),
        "{:?}",
        decision.writes
    );
}

#[test]
fn what_is_somebody_elses_is_named_and_what_goes_is_waited_for() {
    let there = |goes| {
        name_conflict(&NameConflict {
            object: "Deployment logs-worker".to_owned(),
            is_temporary: goes,
        })
    };
    let refused = there(false).refused.expect("refused");
    assert!(
        refused.reason == "Invalid" && refused.message.contains("Deployment logs-worker"),
        "{refused:?}"
    );
    let waiting = there(true);
    assert!(
        waiting.refused.is_none() && waiting.message.contains("Deployment logs-worker"),
        "{waiting:?}"
    );
    assert!(
        there(false).writes.is_empty()
            && waiting.writes.is_empty()
            && waiting.requeue_after.is_some()
    );
}
