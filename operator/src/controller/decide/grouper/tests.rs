#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::json;

use super::*;
use crate::controller::fixtures::{NOW, claimed, condition, decide, run, seen, working};
use crate::controller::observed::{JobState, Observed};
use crate::crd::ArchiveRunStatus;

#[test]
fn a_grouper_that_failed_ends_the_run_unless_somebody_may_still_allow_it() {
    let failed = |exit_code| Observed {
        grouper: JobState::Failed {
            exit_code,
            message: "told".to_owned(),
        },
        ..seen()
    };
    let decision = decide(&run(json!({})), &claimed(), &failed(Some(3)));
    assert_eq!(decision.failed.unwrap().reason, "GrouperFailed");
    assert_eq!(decision.writes, [Write::DeleteWorkloads]);
    let again = |failed_at: &str| {
        let seen = Observed {
            grouper_at: Some(failed_at.parse().unwrap()),
            ..failed(Some(7))
        };
        let decision = decide(&run(json!({})), &claimed(), &seen);
        assert_eq!(
            (decision.failed, decision.stalled.unwrap().reason),
            (None, "AccessDenied")
        );
        assert!(decision.requeue_after.is_some());
        decision.writes.contains(&Write::DeleteGrouper(0))
    };
    assert!(again("2026-11-23T11:59:00Z"));
    assert!(
        !again("2026-11-23T11:59:10Z"),
        "not at once, or it would be made over and over"
    );
}

#[test]
fn a_grouper_that_was_denied_is_stalled_until_it_has_worked_for_a_while() {
    let message = "the grouper was denied: told";
    let stalled = condition("Stalled", "AccessDenied", "2026-11-23T11:50:00Z");
    let prior = ArchiveRunStatus {
        conditions: vec![Condition {
            message: message.to_owned(),
            ..stalled
        }],
        ..claimed()
    };
    let is_stalled = |grouper, made: &str| {
        let seen = Observed {
            grouper,
            grouper_at: Some(made.parse().unwrap()),
            ..seen()
        };
        decide(&run(json!({})), &prior, &seen)
            .stalled
            .is_some_and(|stalled| stalled.message == message)
    };
    assert!(is_stalled(JobState::Absent, NOW));
    assert!(is_stalled(JobState::Running, "2026-11-23T11:59:30Z"));
    assert!(!is_stalled(JobState::Running, "2026-11-23T11:58:30Z"));
    assert!(!is_stalled(JobState::Succeeded, NOW));
}

#[test]
fn a_grouper_that_fails_to_send_again_ends_the_run_only_where_no_work_is_left() {
    let failed = |empty_for| Observed {
        grouper: JobState::Failed {
            exit_code: Some(3),
            message: "told".to_owned(),
        },
        empty_for,
        ..working(2)
    };
    let decision = decide(&run(json!({})), &claimed(), &failed(Duration::ZERO));
    assert_eq!(
        (decision.failed, decision.degraded.unwrap().reason),
        (None, "GrouperFailed")
    );
    let decision = decide(&run(json!({})), &claimed(), &failed(Duration::from_mins(1)));
    assert_eq!(decision.failed.unwrap().reason, "GrouperFailed");
}
