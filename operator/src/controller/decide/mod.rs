//! The third step: what to do about a run, from what it is and what there is. Pure, and the only
//! place that decides.
//!
//! ```text
//! refused? ──► finished? ──► suspended? ──► too late? ──► queues, grouper ──► acknowledged? ──► grouper ──► workers ──► whole?
//!                  │                                                                             ▲                      │
//!                  └ cleanup, TTL                                                                └── next retry pass ◄──┤
//!                                                                                             drain, verify, Complete ◄─┘
//! ```
//!
//! A run is whole by the names of its groups' receipts, never by the depth of its queue.

mod begin;
mod completion;
mod deadline;
mod decision;
mod finished;
mod grouper;
mod missing_groups;
mod problems;
mod progress;
mod suspended;
mod verify;
mod workers;

use k8s_openapi::jiff::Timestamp;

pub(crate) use self::completion::ACCOUNTING_MISMATCH;
pub(crate) use self::decision::{Decision, Phase, Verified, Write};
pub(crate) use self::finished::{finished, queues_are_gone, time_left};

use self::begin::begin;
use self::completion::is_done;
use self::deadline::too_late;
use self::finished::after_the_end;
use self::progress::go_on;
use self::suspended::suspended;
use self::verify::{is_pending, not_yet};
use super::explanation::Explanation;
use super::intervals::POLL_PERIOD;
use super::observed::{Acknowledged, Observed};
use super::ownership::NameConflict;
use super::run::Run;
use crate::crd::ArchiveRunStatus;

/// Decides what to do about a run that is not being deleted, and may have so many workers as far as
/// others go.
pub(crate) fn decide(
    run: &Run,
    prior: &ArchiveRunStatus,
    seen: &Observed,
    cap: u32,
    now: Timestamp,
) -> Decision {
    if let Some(phase) = finished(prior) {
        return after_the_end(run, prior, seen, phase, now);
    }
    let decision = next_step(run, prior, seen, cap, now);
    let verified = decision.verified.clone();
    Decision {
        verified: verified.or_else(|| not_yet(run, prior, decision.phase)),
        ..decision
    }
}

fn next_step(
    run: &Run,
    prior: &ArchiveRunStatus,
    seen: &Observed,
    cap: u32,
    now: Timestamp,
) -> Decision {
    let refused = no_service_account(run, seen);
    if run.suspend {
        return Decision {
            refused,
            ..suspended(run, prior, seen)
        };
    }
    let is_archived = ending(prior).is_some() || is_done(run, prior, seen);
    let is_done = is_archived && !is_pending(run, seen);
    if let Some(explanation) = too_late(run, prior, now).filter(|_| !is_done) {
        return Decision::failed(prior, explanation);
    }
    let decision = match (&prior.queue, &refused) {
        (None, Some(explanation)) => return Decision::refused(explanation.clone()),
        (Some(_), _) if is_acknowledged(prior, seen) => go_on(run, prior, seen, cap, now),
        _ => begin(run, prior, seen, now),
    };
    // What is under way goes on without its service account, but for new pods.
    Decision {
        refused: refused.or(decision.refused),
        ..decision
    }
}

/// Whether the pods of the run have shown that they may write to the destination.
fn is_acknowledged(prior: &ArchiveRunStatus, seen: &Observed) -> bool {
    prior.is_acknowledged() || matches!(seen.acknowledged, Acknowledged::Yes(_))
}

/// What the run was doing after all was archived, if it was when the run was looked at last. Only a
/// redo takes that back.
pub(crate) fn ending(status: &ArchiveRunStatus) -> Option<Phase> {
    let ready = status.condition("Ready")?;
    [Phase::Draining, Phase::Verifying]
        .into_iter()
        .find(|phase| phase.reason() == ready.reason)
}

fn no_service_account(run: &Run, seen: &Observed) -> Option<Explanation> {
    let (name, namespace) = (&run.service_account, &run.namespace);
    let message = || {
        format!(
            "there is no service account {name} in namespace {namespace}: make it, or name another"
        )
    };
    (!seen.service_account).then(|| Explanation::new("ServiceAccountNotFound", message()))
}

/// What is done about an object that has a name of the run's and is not its own: nothing.
pub(crate) fn name_conflict(it: &NameConflict) -> Decision {
    let object = &it.object;
    if it.is_temporary {
        let message = format!("waiting for {object} to go, of a run of this name that was deleted");
        return Decision {
            requeue_after: Some(POLL_PERIOD / 3),
            ..Decision::new(Phase::Pending, message)
        };
    }
    let message = format!(
        "{object} has a name that this run needs, and belongs to somebody else: name the run \
         otherwise"
    );
    Decision::refused(Explanation::new("Invalid", message))
}

#[cfg(test)]
mod tests;
