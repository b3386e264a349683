//! The grouper of a pass: whether there is to be one, and what its failure means.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use s3bundler_contract::ExitCode;

use super::decision::{Decision, Write};
use super::missing_groups::EMPTY;
use crate::controller::explanation::Explanation;
use crate::controller::observed::{GrouperState, Observed};
use crate::crd::ArchiveRunStatus;

/// How long a grouper that was denied waits for somebody to allow it, before it tries again; and
/// how long one that tries again is taken for denied.
const DENIED: Duration = Duration::from_mins(1);
/// What a denied grouper is told with.
const GROUPER_DENIED: &str = "the grouper was denied";

/// Decides about the grouper. Returns the end of a run whose grouper failed for good.
pub(super) fn grouper(
    prior: &ArchiveRunStatus,
    seen: &Observed,
    decision: &mut Decision,
    now: Timestamp,
) -> Option<Decision> {
    match &seen.grouper {
        // Also where its summary is there already: a grouper that starts again sends the groups
        // without receipt.
        GrouperState::Absent => decision.writes.push(Write::ApplyGrouper(decision.pass)),
        GrouperState::Running | GrouperState::Succeeded => {}
        GrouperState::Failed { exit_code, message } => {
            let explanation =
                Explanation::new("GrouperFailed", format!("the grouper failed: {message}"));
            if *exit_code == Some(i32::from(ExitCode::Permission.code())) {
                // Somebody may be about to allow it: it is tried again, and again.
                decision.stalled = Some(Explanation::new(
                    "AccessDenied",
                    format!("{GROUPER_DENIED}: {message}"),
                ));
                if grouper_age(seen, now) >= DENIED {
                    decision.writes.push(Write::DeleteGrouper(decision.pass));
                }
            } else if seen.pass_summary.is_some() && seen.empty_for < EMPTY {
                // It was to send again what is missing, and there is work left without it.
                decision.degraded = Some(explanation);
            } else {
                return Some(Decision::failed(prior, explanation));
            }
        }
    }
    if decision.stalled.is_none() {
        decision.stalled = still_denied(prior, seen, now);
    }
    None
}

/// How long ago the grouper was made, or failed.
fn grouper_age(seen: &Observed, now: Timestamp) -> Duration {
    let age = seen.grouper_at.map(|at| now.duration_since(at));
    age.and_then(|age| Duration::try_from(age).ok())
        .unwrap_or_default()
}

/// A grouper that tries again has not shown yet that it is allowed to.
fn still_denied(prior: &ArchiveRunStatus, seen: &Observed, now: Timestamp) -> Option<Explanation> {
    let again = match seen.grouper {
        GrouperState::Absent => true,
        GrouperState::Running => grouper_age(seen, now) < DENIED,
        GrouperState::Succeeded | GrouperState::Failed { .. } => false,
    };
    let known = prior.condition("Stalled").filter(|it| it.status == "True");
    let known = known.filter(|it| again && it.message.starts_with(GROUPER_DENIED));
    known.map(|it| Explanation::new("AccessDenied", it.message.clone()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
    use serde_json::json;

    use super::*;
    use crate::controller::fixtures::{NOW, claimed, condition, decide, run, seen, working};
    use crate::controller::observed::{GrouperState, Observed};
    use crate::crd::ArchiveRunStatus;

    #[test]
    fn a_grouper_that_failed_ends_the_run_unless_somebody_may_still_allow_it() {
        let failed = |exit_code| Observed {
            grouper: GrouperState::Failed {
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
        assert!(is_stalled(GrouperState::Absent, NOW));
        assert!(is_stalled(GrouperState::Running, "2026-11-23T11:59:30Z"));
        assert!(!is_stalled(GrouperState::Running, "2026-11-23T11:58:30Z"));
        assert!(!is_stalled(GrouperState::Succeeded, NOW));
    }

    #[test]
    fn a_grouper_that_fails_to_send_again_ends_the_run_only_where_no_work_is_left() {
        let failed = |empty_for| Observed {
            grouper: GrouperState::Failed {
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
}
