//! From the queue to the end: grouper, workers, and whether all is done.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use s3bundler_contract::accounts::Mismatch;
use s3bundler_contract::{ExitCode, Figures, RunSummary};

use super::missing_groups::{self, EMPTY, Missing};
use super::{ACCOUNTING_MISMATCH, Decision, Explanation, PERIOD, Phase, Write, pass_of, scale_to_zero, trouble};
use crate::autoscale::plan::{Inputs, most, replicas};
use crate::aws::AwsErrorKind;
use crate::controller::observed::{GrouperState, Observed};
use crate::controller::run::Run;
use crate::crd::{ArchiveRunStatus, ScalingMode};
use crate::queues::Depth;
use crate::receipts::Counted;

/// How long a grouper that was denied waits for somebody to allow it, before it tries again; and how long one that tries
/// again is taken for denied.
const DENIED: Duration = Duration::from_mins(1);
/// What a denied grouper is told with.
const GROUPER_DENIED: &str = "the grouper was denied";

/// Whether every group of every pass has its receipt, and no pass is left to be made.
pub(super) fn is_done(run: &Run, prior: &ArchiveRunStatus, seen: &Observed) -> bool {
    let (Some(counted), Some(summary), Some(_)) = (&seen.counted, &seen.pass_summary, &seen.summary) else {
        return false;
    };
    counted.is_whole(summary) && (retryable(run, counted) == 0 || pass_of(prior) >= run.max_passes)
}

/// Objects that another pass may bring.
fn retryable(run: &Run, counted: &Counted) -> u64 {
    counted.outcome().failed_for_any(&run.retry_reasons)
}

/// The next step of a run that has its queue.
pub(super) fn go_on(run: &Run, prior: &ArchiveRunStatus, seen: &Observed, cap: u32, now: Timestamp) -> Decision {
    let pass = pass_of(prior);
    let mut decision = Decision { pass, ..Decision::new(Phase::Grouping, "") };
    // Of a retry pass the rows are among those of the inventory.
    let own_is_missing = pass > 0 && seen.summary.is_none();
    let Some(counted) = seen.counted.as_ref().filter(|_| !own_is_missing) else {
        // What is not counted is not missing: nothing that hangs on receipts is decided.
        decision.workers = seen.workers.map_or(0, |workers| workers.replicas);
        decision.message = if own_is_missing {
            format!("{} is not there or cannot be read", run.layout.summary(&run.name))
        } else {
            "its receipts are not counted yet".to_owned()
        };
        decision.phase = match (pass, &seen.summary) {
            (0, None) => Phase::Grouping,
            (0, Some(_)) => Phase::Bundling,
            _ => Phase::Retrying,
        };
        problems(&mut decision, seen);
        return decision;
    };

    // Whether the pass is whole, and what comes after it.
    if let Some(summary) = seen.pass_summary.as_ref().filter(|summary| counted.is_whole(summary)) {
        let again = retryable(run, counted);
        if again > 0 && pass < run.max_passes {
            decision.pass = pass + 1;
            decision.phase = Phase::Retrying;
            decision.message = format!("{again} objects are tried again, pass {}", pass + 1);
            decision.requeue_after = Some(Duration::ZERO);
            decision.workers = seen.workers.map_or(0, |workers| workers.replicas);
            return decision;
        }
        return end(run, decision, seen, counted, summary, cap);
    }
    if let Some(explanation) = too_many_failed(run, counted, still_to_be_had(run, counted, pass)) {
        return Decision::failed(prior, explanation);
    }

    // The grouper.
    match &seen.grouper {
        // Also where its summary is there already: a grouper that starts again sends the groups without receipt.
        GrouperState::Absent => decision.writes.push(Write::ApplyGrouper(pass)),
        GrouperState::Running | GrouperState::Succeeded => {}
        GrouperState::Failed { exit_code, message } => {
            let explanation = Explanation::new("GrouperFailed", format!("the grouper failed: {message}"));
            if *exit_code == Some(i32::from(ExitCode::Permission.code())) {
                // Somebody may be about to allow it: it is tried again, and again.
                decision.stalled = Some(Explanation::new("AccessDenied", format!("{GROUPER_DENIED}: {message}")));
                if grouper_age(seen, now) >= DENIED {
                    decision.writes.push(Write::DeleteGrouper(pass));
                }
            } else if seen.pass_summary.is_some() && seen.empty_for < EMPTY {
                // It was to send again what is missing, and there is work left without it.
                decision.degraded = Some(explanation);
            } else {
                return Decision::failed(prior, explanation);
            }
        }
    }
    if decision.stalled.is_none() {
        decision.stalled = still_denied(prior, seen, now);
    }

    // Groups without receipt, and those of them that nobody works on.
    let total = seen.pass_summary.as_ref().map(|summary| summary.groups);
    // It is not whole: where as many groups as there are have receipts, one of those is of a group that is not.
    let missing = total.map(|total| total.saturating_sub(counted.committed(&run.name, pass, total)).max(1));
    // If only a redo keeps the run from its end, its groups are what is missing.
    let redo = seen.pass_summary.as_ref().filter(|summary| counted.is_pass_whole(summary));
    let redo = redo.and_then(|_| counted.unfinished_redo());
    if let Some(failed) = missing_groups::check(run, prior, seen, &mut decision, Missing { groups: missing, redo }, now)
    {
        return failed;
    }
    workers(run, &mut decision, seen, missing, cap);
    missing_groups::missing_queue(run, &mut decision, seen);
    missing_groups::redrive(run, prior, seen, &mut decision);
    describe(run, &mut decision, seen, counted, total);
    decision
}

/// How long ago the grouper was made, or failed.
fn grouper_age(seen: &Observed, now: Timestamp) -> Duration {
    let age = seen.grouper_at.map(|at| now.duration_since(at));
    age.and_then(|age| Duration::try_from(age).ok()).unwrap_or_default()
}

/// A grouper that tries again has not shown yet that it is allowed to.
fn still_denied(prior: &ArchiveRunStatus, seen: &Observed, now: Timestamp) -> Option<Explanation> {
    let again = match seen.grouper {
        GrouperState::Absent => true,
        GrouperState::Running => grouper_age(seen, now) < DENIED,
        GrouperState::Succeeded | GrouperState::Failed { .. } => false,
    };
    let known = prior.conditions.iter().find(|it| it.type_ == "Stalled" && it.status == "True");
    let known = known.filter(|it| again && it.message.starts_with(GROUPER_DENIED));
    known.map(|it| Explanation::new("AccessDenied", it.message.clone()))
}

/// The workers, and how many of them.
fn workers(run: &Run, decision: &mut Decision, seen: &Observed, missing: Option<u64>, cap: u32) {
    let current = seen.workers.map_or(0, |workers| workers.replicas);
    let inputs = Inputs {
        at_rest: false,
        work_left: missing != Some(0),
        depth: seen.depths.as_ref().and_then(|depths| depths.groups.as_ref().ok()).copied(),
        groups_per_worker: run.groups_per_worker,
        min: run.min_replicas,
        max: run.max_replicas,
        cap,
        current,
        busy: seen.pods.busy,
    };
    let (workers, scale) = match run.mode {
        ScalingMode::Builtin => {
            let wanted = replicas(inputs);
            (wanted, seen.workers.is_none_or(|it| it.replicas != wanted).then_some(Write::Scale(wanted)))
        }
        ScalingMode::Keda => (current, Some(Write::ApplyScaledObject(most(inputs)))),
        ScalingMode::External => (current, None),
    };
    decision.workers = workers;
    // A Deployment begins with one pod: there is none before there may be one.
    let is_made = seen.workers.is_some();
    if is_made || !matches!(scale, Some(Write::Scale(0) | Write::ApplyScaledObject(0))) {
        decision.writes.push(Write::ApplyWorkers);
        decision.writes.extend(scale);
    }
    if cap == 0 && decision.workers == 0 && run.mode != ScalingMode::External && missing != Some(0) {
        let message = "other runs have all workers that the operator may give, its --max-workers: this one goes on when \
                       one of them needs fewer";
        decision.degraded.get_or_insert_with(|| Explanation::new("WorkersExhausted", message));
    }
}

/// Phase, message, and what is wrong.
fn describe(run: &Run, decision: &mut Decision, seen: &Observed, counted: &Counted, total: Option<u64>) {
    let sums = counted.pass(decision.pass);
    let mut outcome = counted.outcome();
    if run.max_passes > 0 {
        // They may still be had.
        outcome.failed.retain(|reason, _| !run.retry_reasons.contains(reason));
    }
    (decision.phase, decision.message) = match (decision.pass, total) {
        (0, None) => (Phase::Grouping, format!("making groups; {} are archived already", sums.groups)),
        (0, Some(total)) => (Phase::Bundling, format!("{} of {total} groups", sums.groups)),
        (pass, None) => (Phase::Retrying, format!("retry pass {pass}: making groups")),
        (pass, Some(total)) => (Phase::Retrying, format!("retry pass {pass}: {} of {total} groups", sums.groups)),
    };
    decision.message.push_str(&failed_words(&outcome));
    problems(decision, seen);
    if let Some(name) = counted.defects.first() {
        let message = format!("{} should not be among the receipts of this run", crate::printable(name));
        decision.degraded.get_or_insert_with(|| Explanation::new("UnexpectedReceipts", message));
    }
    if let Some(total) = total.filter(|total| sums.beyond > *total) {
        let message =
            format!("there are receipts of groups beyond the {total} that were made: see receipts/ of this run");
        decision.degraded.get_or_insert_with(|| Explanation::new("UnexpectedReceipts", message));
    }
}

/// How many objects failed and why, for the end of a sentence; nothing where none did.
fn failed_words(outcome: &Figures) -> String {
    let reasons: Vec<_> = outcome.failed.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    match outcome.failed_objects() {
        0 => String::new(),
        failed => format!(", {failed} objects failed: {}", reasons.join(", ")),
    }
}

/// What is wrong with pods, the destination and the queue.
fn problems(decision: &mut Decision, seen: &Observed) {
    // A grouper that cannot go on is as bad as workers that cannot, unless there are groups to work on meanwhile.
    let of_grouper = seen.pods.grouper_problems.iter().map(|problem| (problem, seen.pods.busy));
    let of_workers = seen.pods.problems.iter().map(|problem| (problem, seen.pods.running));
    for (problem, at_work) in of_grouper.chain(of_workers) {
        let explanation = Explanation::new(problem.reason(), problem.message());
        let place = if problem.stalls(at_work) { &mut decision.stalled } else { &mut decision.degraded };
        place.get_or_insert(explanation);
    }
    if let Some(error) = &seen.store_error {
        match trouble(error) {
            Some(explanation) => decision.stalled = decision.stalled.take().or(Some(explanation)),
            None => {
                decision.degraded.get_or_insert_with(|| Explanation::new("DepthUnknown", error.to_string()));
            }
        }
    }
    if let Some(Err(error)) = seen.depths.as_ref().map(|depths| &depths.groups) {
        match error.kind {
            AwsErrorKind::Denied => {
                decision.stalled.get_or_insert_with(|| Explanation::new("AccessDenied", error.to_string()));
            }
            // Told already.
            AwsErrorKind::NotFound => {}
            _ => {
                decision.degraded.get_or_insert_with(|| Explanation::new("DepthUnknown", error.to_string()));
            }
        }
    }
}

/// Objects that failed for the time being and are not lost yet: those that the pass at hand has not come to, and those that
/// another may bring.
fn still_to_be_had(run: &Run, counted: &Counted, pass: u32) -> u64 {
    let again = retryable(run, counted);
    let of_pass = counted.pass(pass).figures.failed_for_any(&run.retry_reasons);
    if pass < run.max_passes { again } else { again.saturating_sub(of_pass) }
}

/// Whether more objects failed than the run bears; of those that are `pending` nobody knows yet.
fn too_many_failed(run: &Run, counted: &Counted, pending: u64) -> Option<Explanation> {
    let most = run.max_failed_objects?;
    let failed = counted.outcome().failed_objects().saturating_sub(pending);
    let message = || format!("{failed} objects failed, more than failurePolicy.maxFailedObjects, {most}");
    (failed > most).then(|| Explanation::new("TooManyFailedObjects", message()))
}

/// All groups have their receipts, and these do not add up to the inventory: a person has to look before anything is deleted.
fn mismatched(run: &Run, mut decision: Decision, seen: &Observed, mismatch: &Mismatch, cap: u32) -> Decision {
    decision.phase = if decision.pass == 0 { Phase::Bundling } else { Phase::Retrying };
    decision.message = mismatch.to_string();
    decision.stalled = Some(Explanation::new(ACCOUNTING_MISMATCH, decision.message.clone()));
    let depth = seen.depths.as_ref().and_then(|depths| depths.groups.as_ref().ok());
    if depth.is_some_and(Depth::is_empty) {
        decision.writes = scale_to_zero(run);
    } else {
        // A user may have had groups archived again.
        workers(run, &mut decision, seen, None, cap);
    }
    problems(&mut decision, seen);
    decision
}

/// All groups of all passes have their receipts: let the workers go, then it is over.
fn end(
    run: &Run,
    mut decision: Decision,
    seen: &Observed,
    counted: &Counted,
    summary: &RunSummary,
    cap: u32,
) -> Decision {
    if let Some(mismatch) = seen.summary.as_ref().and_then(|summary| Mismatch::of(summary, counted.outcome())) {
        return mismatched(run, decision, seen, &mismatch, cap);
    }
    if let Some(explanation) = too_many_failed(run, counted, 0) {
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
    let left = seen.pods.present;
    if left > 0 {
        decision.phase = Phase::Draining;
        decision.message = format!("all groups are archived; {left} pods are leaving");
        decision.writes = scale_to_zero(run);
        if seen.grouper == GrouperState::Running {
            // It has nothing left to send.
            decision.writes.push(Write::DeleteGrouper(decision.pass));
        }
        problems(&mut decision, seen);
        decision.requeue_after = Some(PERIOD / 5);
        return decision;
    }
    let outcome = counted.outcome();
    let failed = outcome.failed_objects();
    decision.phase = if failed == 0 { Phase::Complete } else { Phase::CompleteWithFailures };
    let objects = outcome.archived.saturating_add(outcome.copied);
    let groups = if decision.pass == 0 { summary.groups } else { counted.groups() };
    decision.message = format!("{objects} objects in {groups} groups are archived{}", failed_words(&outcome));
    decision.writes = scale_to_zero(run);
    decision.requeue_after = Some(Duration::ZERO);
    decision
}
