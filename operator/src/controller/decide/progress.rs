//! From the queue to the end of a run: grouper, missing groups, workers.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use s3bundler_common::text::printable;

use super::completion::{
    ACCOUNTING_MISMATCH, end, failed_words, retryable, still_to_be_had, too_many_failed,
};
use super::decision::{Decision, Phase, Write};
use super::ending;
use super::grouper::grouper;
use super::missing_groups::{self, GROUPS_DEAD_LETTERED, Missing};
use super::problems::problems;
use super::verify::VERIFY_FAILED;
use super::workers::{Room, workers};
use crate::controller::explanation::Explanation;
use crate::controller::observed::{JobState, Observed};
use crate::controller::run::Run;
use crate::crd::ArchiveRunStatus;
use crate::receipts::Counted;

/// The next step of a run that has its queue.
pub(super) fn go_on(
    run: &Run,
    prior: &ArchiveRunStatus,
    seen: &Observed,
    cap: u32,
    now: Timestamp,
) -> Decision {
    let pass = prior.pass();
    let mut decision = Decision {
        pass,
        ..Decision::new(Phase::Grouping, "")
    };
    // Of a retry pass the rows are among those of the inventory.
    let own_is_missing = pass > 0 && seen.summary.is_none();
    let room = Room::of(cap, prior, seen, now);
    let Some(counted) = seen.counted.as_ref().filter(|_| !own_is_missing) else {
        return uncounted(run, prior, seen, decision, own_is_missing, room);
    };

    // Whether the pass is whole, and what comes after it.
    if let Some(summary) = seen
        .pass_summary
        .as_ref()
        .filter(|summary| counted.is_whole(summary))
    {
        let again = retryable(run, counted);
        if again > 0 && pass < run.max_passes {
            decision.pass = pass + 1;
            decision.phase = Phase::Retrying;
            decision.message = format!("{again} objects are tried again, pass {}", pass + 1);
            decision.requeue_after = Some(Duration::ZERO);
            decision.workers = seen.replicas();
            return decision;
        }
        return end(run, prior, decision, seen, (counted, summary), room, now);
    }
    let all = seen.summary.as_ref().map(|summary| summary.objects);
    let pending = still_to_be_had(run, counted, pass);
    if let Some(explanation) = too_many_failed(run, counted, pending, all) {
        return Decision::failed(prior, explanation);
    }

    if let Some(failed) = grouper(prior, seen, &mut decision, now) {
        return failed;
    }

    // Groups without receipt, and those of them that nobody works on.
    let total = seen.pass_summary.as_ref().map(|summary| summary.groups);
    // It is not whole: where as many groups as there are have receipts, one of those is of a group
    // that is not.
    let missing = total.map(|total| {
        total
            .saturating_sub(counted.committed(&run.name, pass, total))
            .max(1)
    });
    // If only a redo keeps the run from its end, its groups are what is missing.
    let redo = seen
        .pass_summary
        .as_ref()
        .filter(|summary| counted.is_pass_whole(summary));
    let redo = redo.and_then(|_| counted.unfinished_redo());
    if let Some(failed) = missing_groups::check(
        run,
        prior,
        seen,
        &mut decision,
        Missing {
            groups: missing,
            redo,
        },
        now,
    ) {
        return failed;
    }
    if seen.verifier.state != JobState::Absent {
        // A redo has begun meanwhile.
        decision.writes.push(Write::DeleteVerifier);
    }
    workers(run, &mut decision, seen, missing, room);
    missing_groups::missing_queue(run, &mut decision, seen);
    missing_groups::redrive(run, prior, seen, &mut decision);
    describe(run, &mut decision, seen, counted, total);
    decision
}

/// The next step of a run of which it is not known how much is done. What is not counted is not
/// missing: nothing that hangs on receipts is decided, and what was told of them stays.
fn uncounted(
    run: &Run,
    prior: &ArchiveRunStatus,
    seen: &Observed,
    mut decision: Decision,
    own_is_missing: bool,
    room: Room,
) -> Decision {
    decision.workers = seen.replicas();
    decision.message = if own_is_missing {
        format!(
            "{} is not there or cannot be read",
            run.layout.summary(&run.name)
        )
    } else {
        "its receipts are being counted".to_owned()
    };
    decision.phase = match (ending(prior), decision.pass, &seen.summary) {
        (Some(phase), ..) => phase,
        (None, 0, None) => Phase::Grouping,
        (None, 0, Some(_)) => Phase::Bundling,
        _ => Phase::Retrying,
    };
    if seen.is_counting {
        let depth = seen.depths.as_ref().map(|depths| &depths.groups);
        let may_have_work = matches!(depth, Some(Ok(depth)) if !depth.is_empty());
        // A verifier must not meet them.
        if may_have_work && decision.phase != Phase::Verifying {
            workers(run, &mut decision, seen, None, room);
        }
        decision.stalled = stalled_by_receipts(prior);
    }
    problems(&mut decision, seen);
    decision
}

/// What the receipts that were counted before have stalled the run with.
fn stalled_by_receipts(prior: &ArchiveRunStatus) -> Option<Explanation> {
    let stalled = prior
        .condition("Stalled")
        .filter(|it| it.status == "True")?;
    let known = [ACCOUNTING_MISMATCH, GROUPS_DEAD_LETTERED, VERIFY_FAILED];
    let reason = known.into_iter().find(|known| *known == stalled.reason)?;
    Some(Explanation::new(reason, stalled.message.clone()))
}

/// Phase, message, and what is wrong.
fn describe(
    run: &Run,
    decision: &mut Decision,
    seen: &Observed,
    counted: &Counted,
    total: Option<u64>,
) {
    let sums = counted.pass(decision.pass);
    let mut outcome = counted.outcome();
    if run.max_passes > 0 {
        // They may still be had.
        outcome
            .failed
            .retain(|reason, _| !run.retry_reasons.contains(reason));
    }
    (decision.phase, decision.message) = match (decision.pass, total) {
        (0, None) => (
            Phase::Grouping,
            format!("making groups; {} are archived already", sums.groups),
        ),
        (0, Some(total)) => (
            Phase::Bundling,
            format!("{} of {total} groups", sums.groups),
        ),
        (pass, None) => (Phase::Retrying, format!("retry pass {pass}: making groups")),
        (pass, Some(total)) => (
            Phase::Retrying,
            format!("retry pass {pass}: {} of {total} groups", sums.groups),
        ),
    };
    decision.message.push_str(&failed_words(&outcome));
    problems(decision, seen);
    if let Some(name) = counted.defects.first() {
        let message = format!(
            "{} should not be among the receipts of this run",
            printable(name)
        );
        decision
            .degraded
            .get_or_insert_with(|| Explanation::new("UnexpectedReceipts", message));
    }
    if let Some(total) = total.filter(|total| sums.beyond > *total) {
        let message = format!(
            "there are receipts of groups beyond the {total} that were made: see receipts/ of \
             this run"
        );
        decision
            .degraded
            .get_or_insert_with(|| Explanation::new("UnexpectedReceipts", message));
    }
}

#[cfg(test)]
mod tests;
