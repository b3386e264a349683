//! Whether a run is done, and how it ends.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use s3bundler_contract::accounts::Mismatch;
use s3bundler_contract::{Figures, RunSummary};

use super::decision::{Decision, Phase, Write};
use super::problems::problems;
use super::verify::{passed, verify};
use super::workers::{Room, scale_to_zero, workers};
use crate::controller::explanation::Explanation;
use crate::controller::intervals::POLL_PERIOD;
use crate::controller::observed::{JobState, Observed};
use crate::controller::run::Run;
use crate::crd::{ArchiveRunStatus, FailureLimit, Verify};
use crate::queues::Depth;
use crate::receipts::Counted;

/// Why a run that has all its receipts is stalled, if they do not add up to its inventory.
pub(crate) const ACCOUNTING_MISMATCH: &str = "AccountingMismatch";

/// Why a run failed that lost more objects than it bears.
const TOO_MANY_FAILED: &str = "TooManyFailedObjects";

/// Whether every group of every pass has its receipt, and no pass is left to be made.
pub(super) fn is_done(run: &Run, prior: &ArchiveRunStatus, seen: &Observed) -> bool {
    let (Some(counted), Some(summary), Some(_)) =
        (&seen.counted, &seen.pass_summary, &seen.summary)
    else {
        return false;
    };
    counted.is_whole(summary) && (retryable(run, counted) == 0 || prior.pass() >= run.max_passes)
}

/// Objects that another pass may bring.
pub(super) fn retryable(run: &Run, counted: &Counted) -> u64 {
    counted.outcome().failed_for_any(&run.retry_reasons)
}

/// Objects that failed for the time being and are not lost yet: those that the pass at hand has not
/// come to, and those that another may bring.
pub(super) fn still_to_be_had(run: &Run, counted: &Counted, pass: u32) -> u64 {
    let again = retryable(run, counted);
    let of_pass = counted
        .pass(pass)
        .figures
        .failed_for_any(&run.retry_reasons);
    if pass < run.max_passes {
        again
    } else {
        again.saturating_sub(of_pass)
    }
}

/// Whether more objects failed than the run bears, of `all` that it has, as far as that is known. Of
/// those that are `pending` nothing is known yet.
pub(super) fn too_many_failed(
    run: &Run,
    counted: &Counted,
    pending: u64,
    all: Option<u64>,
) -> Option<Explanation> {
    let most = match run.max_failed_objects? {
        FailureLimit::Objects(most) => most,
        share @ FailureLimit::Millionths(_) => share.of(all?),
    };
    let failed = counted.outcome().failed_objects().saturating_sub(pending);
    let message =
        || format!("{failed} objects failed, more than failurePolicy.maxFailedObjects, {most}");
    (failed > most).then(|| Explanation::new(TOO_MANY_FAILED, message()))
}

/// Whether all objects failed, which fails a run that does not say how many may.
fn all_failed(run: &Run, outcome: &Figures) -> Option<Explanation> {
    let failed = outcome.failed_objects();
    let is_all = failed > 0 && outcome.archived == 0 && outcome.copied == 0;
    (is_all && run.max_failed_objects.is_none()).then(|| {
        let message = format!("all {failed} objects failed: {}", reasons(outcome));
        Explanation::new(TOO_MANY_FAILED, message)
    })
}

/// All groups have their receipts, and these do not add up to the inventory: a person has to look
/// before anything is deleted.
fn mismatched(
    run: &Run,
    mut decision: Decision,
    seen: &Observed,
    mismatch: &Mismatch,
    room: Room,
) -> Decision {
    decision.phase = if decision.pass == 0 {
        Phase::Bundling
    } else {
        Phase::Retrying
    };
    decision.message = mismatch.to_string();
    decision.stalled = Some(Explanation::new(
        ACCOUNTING_MISMATCH,
        decision.message.clone(),
    ));
    let depth = seen
        .depths
        .as_ref()
        .and_then(|depths| depths.groups.as_ref().ok());
    if depth.is_some_and(Depth::is_empty) {
        decision.writes = scale_to_zero(run);
    } else {
        // A user may have had groups archived again.
        workers(run, &mut decision, seen, None, room);
    }
    problems(&mut decision, seen);
    decision
}

/// All groups of all passes have their receipts: let the workers go, verify what they have archived if
/// the run asks for it, then it is over.
pub(super) fn end(
    run: &Run,
    prior: &ArchiveRunStatus,
    mut decision: Decision,
    seen: &Observed,
    (counted, summary): (&Counted, &RunSummary),
    room: Room,
    now: Timestamp,
) -> Decision {
    if let Some(mismatch) = seen
        .summary
        .as_ref()
        .and_then(|summary| Mismatch::of(summary, counted.outcome()))
    {
        return mismatched(run, decision, seen, &mismatch, room);
    }
    let outcome = counted.outcome();
    let all = seen.summary.as_ref().map(|summary| summary.objects);
    let too_many = too_many_failed(run, counted, 0, all);
    if let Some(explanation) = too_many.or_else(|| all_failed(run, &outcome)) {
        let writes = vec![Write::DeleteWorkloads];
        let message = explanation.message.clone();
        return Decision {
            failed: Some(explanation.clone()),
            stalled: Some(explanation),
            writes,
            phase: Phase::Failed,
            message,
            ..decision
        };
    }
    let left = seen.pods.present.saturating_sub(seen.pods.verifiers);
    if left > 0 {
        decision.phase = Phase::Draining;
        decision.message = format!("all groups are archived; {left} pods are leaving");
        decision.writes = scale_to_zero(run);
        if seen.grouper == JobState::Running {
            // It has nothing left to send.
            decision.writes.push(Write::DeleteGrouper(decision.pass));
        }
        problems(&mut decision, seen);
        decision.requeue_after = Some(POLL_PERIOD / 5);
        return decision;
    }
    if run.verify > Verify::None {
        if !seen.verifier.has_passed(run.verify) {
            return verify(run, prior, decision, seen, now);
        }
        decision.verified = Some(passed(&seen.verifier));
    }
    let failed = outcome.failed_objects();
    decision.phase = if failed == 0 {
        Phase::Complete
    } else {
        Phase::CompleteWithFailures
    };
    let objects = outcome.archived.saturating_add(outcome.copied);
    let groups = if decision.pass == 0 {
        summary.groups
    } else {
        counted.groups()
    };
    decision.message = format!(
        "{objects} objects in {groups} groups are archived{}",
        failed_words(&outcome)
    );
    decision.writes = scale_to_zero(run);
    decision.requeue_after = Some(Duration::ZERO);
    decision
}

/// How many objects failed and why, for the end of a sentence; nothing where none did.
pub(super) fn failed_words(outcome: &Figures) -> String {
    match outcome.failed_objects() {
        0 => String::new(),
        failed => format!(", {failed} objects failed: {}", reasons(outcome)),
    }
}

/// How many objects failed for each reason.
fn reasons(outcome: &Figures) -> String {
    let reasons = outcome.failed.iter();
    let reasons: Vec<_> = reasons
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    reasons.join(", ")
}

#[cfg(test)]
mod tests;
