//! The grouper of a pass: whether there is to be one, and what its failure means.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use s3bundler_contract::ExitCode;

use super::decision::{Decision, Write};
use super::missing_groups::EMPTY;
use crate::controller::explanation::Explanation;
use crate::controller::observed::{JobState, Observed};
use crate::crd::ArchiveRunStatus;

/// How long a grouper that was denied waits for somebody to allow it, before it tries again; and
/// how long one that tries again is taken for denied.
pub(super) const DENIED: Duration = Duration::from_mins(1);
/// What a denied grouper is told with.
pub(super) const GROUPER_DENIED: &str = "the grouper was denied";

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
        JobState::Absent => decision.writes.push(Write::ApplyGrouper(decision.pass)),
        JobState::Running | JobState::Succeeded => {}
        JobState::Failed { exit_code, message } => {
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
        let age = grouper_age(seen, now);
        decision.stalled = still_denied(prior, &seen.grouper, age, GROUPER_DENIED);
    }
    None
}

/// How long ago the grouper was made, or failed.
pub(super) fn grouper_age(seen: &Observed, now: Timestamp) -> Duration {
    since(seen.grouper_at, now)
}

/// The time since a Job was made, or failed.
pub(super) fn since(at: Option<Timestamp>, now: Timestamp) -> Duration {
    let age = at.map(|at| now.duration_since(at));
    age.and_then(|age| Duration::try_from(age).ok())
        .unwrap_or_default()
}

/// A Job that tries again, and whose predecessor was told with these words, has not shown yet that it
/// is allowed to.
pub(super) fn still_denied(
    prior: &ArchiveRunStatus,
    job: &JobState,
    age: Duration,
    denied: &str,
) -> Option<Explanation> {
    let again = match job {
        JobState::Absent => true,
        JobState::Running => age < DENIED,
        JobState::Succeeded | JobState::Failed { .. } => false,
    };
    let known = prior.condition("Stalled").filter(|it| it.status == "True");
    let known = known.filter(|it| again && it.message.starts_with(denied));
    known.map(|it| Explanation::new("AccessDenied", it.message.clone()))
}

#[cfg(test)]
mod tests;
