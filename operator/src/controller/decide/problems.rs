//! What is wrong with pods, the destination and the queue, and whether it stalls or degrades the
//! run.

use super::decision::Decision;
use crate::aws::AwsErrorKind;
use crate::controller::explanation::Explanation;
use crate::controller::observed::Observed;
use crate::records::RecordsError;

/// What is wrong with pods, the destination and the queue.
pub(super) fn problems(decision: &mut Decision, seen: &Observed) {
    // A grouper that cannot go on is as bad as workers that cannot, unless there are groups to work
    // on meanwhile.
    let of_grouper = seen
        .pods
        .grouper_problems
        .iter()
        .map(|problem| (problem, seen.pods.busy));
    let of_workers = seen
        .pods
        .problems
        .iter()
        .map(|problem| (problem, seen.pods.running));
    for (problem, at_work) in of_grouper.chain(of_workers) {
        let explanation = Explanation::new(problem.reason(), problem.message());
        let place = if problem.stalls(at_work) {
            &mut decision.stalled
        } else {
            &mut decision.degraded
        };
        place.get_or_insert(explanation);
    }
    if let Some(error) = &seen.records_error {
        match trouble(error) {
            Some(explanation) => decision.stalled = decision.stalled.take().or(Some(explanation)),
            None => {
                decision
                    .degraded
                    .get_or_insert_with(|| Explanation::new("DepthUnknown", error.to_string()));
            }
        }
    }
    if let Some(Err(error)) = seen.depths.as_ref().map(|depths| &depths.groups) {
        match error.kind {
            AwsErrorKind::Denied => {
                decision
                    .stalled
                    .get_or_insert_with(|| Explanation::new("AccessDenied", error.to_string()));
            }
            // Told already.
            AwsErrorKind::NotFound => {}
            _ => {
                decision
                    .degraded
                    .get_or_insert_with(|| Explanation::new("DepthUnknown", error.to_string()));
            }
        }
    }
}

/// What of S3's errors a person has to act on.
pub(super) fn trouble(error: &RecordsError) -> Option<Explanation> {
    match error {
        RecordsError::Aws(error) if error.kind == AwsErrorKind::Denied => {
            Some(Explanation::new("AccessDenied", error.to_string()))
        }
        RecordsError::Aws(_) => None,
        RecordsError::Record { .. } | RecordsError::Manifest { .. } => {
            Some(Explanation::new("InventoryMissing", error.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

    use serde_json::json;

    use crate::controller::fixtures::{claimed, decide, run, seen, working};
    use crate::controller::observed::{Observed, Pods};
    use crate::controller::problem::Problem;

    #[test]
    fn what_is_wrong_with_pods_stalls_or_degrades() {
        for (problem, running, stalled, degraded) in [
            (
                Problem::Denied("x".to_owned()),
                0,
                Some("AccessDenied"),
                None,
            ),
            (
                Problem::Denied("x".to_owned()),
                1,
                Some("AccessDenied"),
                None,
            ),
            (
                Problem::ImagePull("x".to_owned()),
                0,
                Some("ImagePull"),
                None,
            ),
            (
                Problem::FailedCreate("x".to_owned()),
                0,
                Some("QuotaExceeded"),
                None,
            ),
            // Others are at work.
            (
                Problem::ImagePull("x".to_owned()),
                1,
                None,
                Some("ImagePull"),
            ),
            (
                Problem::FailedCreate("x".to_owned()),
                5,
                None,
                Some("QuotaExceeded"),
            ),
            (
                Problem::CrashLooping("x".to_owned()),
                0,
                None,
                Some("CrashLooping"),
            ),
            (
                Problem::Unschedulable("x".to_owned()),
                0,
                None,
                Some("Unschedulable"),
            ),
        ] {
            let pods = Pods {
                problems: vec![problem],
                running,
                ..Pods::default()
            };
            let decision = decide(
                &run(json!({})),
                &claimed(),
                &Observed { pods, ..working(2) },
            );
            assert_eq!(decision.stalled.map(|it| it.reason), stalled);
            assert_eq!(decision.degraded.map(|it| it.reason), degraded);
        }
        // A worker that waits for groups which no grouper can make is no work.
        for (busy, stalled) in [(0, true), (1, false)] {
            let grouper_problems = vec![Problem::FailedCreate("x".to_owned())];
            let pods = Pods {
                grouper_problems,
                running: 1,
                busy,
                ..Pods::default()
            };
            let decision = decide(&run(json!({})), &claimed(), &Observed { pods, ..seen() });
            assert_eq!(
                (decision.stalled.is_some(), decision.degraded.is_some()),
                (stalled, !stalled),
                "{busy}"
            );
        }
    }
}
