//! What is reported of a run. Pure.
//!
//! ```text
//! start: what never changes again ──► counts: depth, groups, objects, bytes ──► pace: rate, remaining time
//!     ──► verify ──► conditions ──► state: the word that is read first ──► progress: when it last moved
//! ```

mod conditions;
mod counts;
mod outcome;
mod pace;
mod progress;
mod start;
mod state;
mod verify;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use self::conditions::{conditions, refusal};
use self::counts::{counts, depth, int32};
use self::pace::pace;
use self::progress::last_progress;
use self::state::state;
use crate::controller::decide::Phase;
use crate::crd::{ArchiveRunStatus, WorkerStatus};

pub(crate) use self::conditions::stalled_status;
pub(crate) use self::outcome::Outcome;

pub(crate) fn next(prior: &ArchiveRunStatus, outcome: &Outcome<'_>) -> ArchiveRunStatus {
    let Outcome {
        run,
        seen,
        decision,
        applied,
        generation,
        now,
    } = *outcome;
    let mut status = prior.clone();
    status.observed_generation = Some(generation);
    let refused = refusal(outcome);
    if let Some(run) = run {
        start::queues(&mut status, run, outcome);
        if !decision.phase.is_final() {
            start::pods(&mut status, run);
        }
    }
    if let Some(Ok(asked)) = &applied.redriven {
        status.queue.get_or_insert_default().redrive_handled = Some(asked.clone());
    }
    if let Some(seen) = seen {
        start::acknowledgement(&mut status, &seen.acknowledged, now);
        start::waiting(&mut status, seen, now);
        start::start_time(&mut status, decision.phase, now);
        depth(&mut status, seen, now);
        let retried = run.filter(|run| !decision.phase.is_final() && run.max_passes > 0);
        let may_be_had = retried.map_or(&[][..], |run| &run.retry_reasons);
        counts(&mut status, seen, may_be_had);
        let is_archiving = matches!(decision.phase, Phase::Bundling | Phase::Retrying);
        pace(&mut status, seen, is_archiving);
        status.workers = Some(WorkerStatus {
            desired: int32(decision.workers),
            running: int32(seen.pods.running),
            busy: int32(seen.pods.busy),
        });
    }
    if let (Some(run), Some(seen)) = (run, seen)
        && status.completion_time.is_none()
    {
        verify::verify(&mut status, run.verify, &seen.verifier, decision.phase, now);
    }
    if decision.pass > 0 {
        // A decision that is about something else has no pass.
        status.retry_pass = status.retry_pass.max(Some(int32(decision.pass)));
    }
    conditions(&mut status, outcome, refused);
    status.state = Some(state(&status, decision.phase));
    if prior.is_true("Suspended") && !status.is_true("Suspended") {
        move_start_time(&mut status, prior, now);
    }
    if decision.phase.is_final() && status.completion_time.is_none() {
        status.completion_time = Some(Time(now));
    }
    status.last_progress_time = last_progress(prior, &status, now);
    status
}

/// Whether all that is new in a status are counters, and the messages of conditions, which have them
/// too.
pub(crate) fn differ_in_counters(prior: &ArchiveRunStatus, next: &ArchiveRunStatus) -> bool {
    let without_counters = |status: &ArchiveRunStatus| {
        let mut status = status.clone();
        for condition in &mut status.conditions {
            condition.message = String::new();
        }
        if let Some(queue) = &mut status.queue {
            (queue.visible, queue.in_flight, queue.observed_at) = (None, None, None);
        }
        ArchiveRunStatus {
            last_progress_time: None,
            progress: None,
            groups: None,
            objects: None,
            bytes: None,
            failures: Vec::new(),
            workers: None,
            rate: None,
            eta: None,
            ..status
        }
    };
    without_counters(prior) == without_counters(next)
}

/// Suspended time does not count toward the deadline (docs/decisions/suspended-time.md).
fn move_start_time(status: &mut ArchiveRunStatus, prior: &ArchiveRunStatus, now: Timestamp) {
    let since = prior
        .condition("Suspended")
        .map(|it| it.last_transition_time.0);
    if let (Some(start), Some(since)) = (&mut status.start_time, since) {
        let rested = now.duration_since(since);
        start.0 = start.0.checked_add(rested).unwrap_or(start.0).min(now);
    }
}

#[cfg(test)]
mod tests;
