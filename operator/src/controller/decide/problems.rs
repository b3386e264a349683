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
        .job_problems
        .iter()
        .map(|problem| (problem, seen.pods.busy));
    let of_workers = seen
        .pods
        .problems
        .iter()
        .map(|problem| (problem, seen.pods.healthy));
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
        RecordsError::Aws(_) | RecordsError::TimedOut => None,
        RecordsError::Record { .. } => Some(Explanation::new("InvalidRecord", error.to_string())),
        RecordsError::Flooded(_) => Some(Explanation::new("UnexpectedReceipts", error.to_string())),
    }
}

#[cfg(test)]
mod tests;
