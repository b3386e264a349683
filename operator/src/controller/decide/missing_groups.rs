//! Groups without receipt that nobody works on: in the dead-letter queue, lost with their messages,
//! or with their queue.
//!
//! ```text
//! missing ──► queue empty? ──► dead letters enough for all? ──► a person is waited for, a day ──► failed
//!                   │                     └ no, for 15 min, or a minute after a rest ──► lost: sent again
//!                   └ no queue ──► made again, and all is sent again
//! ```
//!
//! docs/decisions/dead-lettered-groups.md says why.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::decision::{Decision, Write};
use crate::aws::{AwsError, AwsErrorKind};
use crate::controller::explanation::Explanation;
use crate::controller::observed::{JobState, Observed};
use crate::controller::run::{QueuePlan, Run};
use crate::controller::validate::REDRIVE_ANNOTATION;
use crate::crd::ArchiveRunStatus;
use crate::queues::Depth;

/// A queue that stays empty for so long while receipts are missing has lost messages: they are sent
/// again.
const LOST: Duration = Duration::from_mins(15);
/// How long a run that only dead-lettered groups keep from its end waits for a person.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
/// A queue that stays empty for so long is empty: SQS may be wrong about it for a minute
/// ("GetQueueAttributes", SQS API reference).
pub(super) const EMPTY: Duration = Duration::from_mins(1);

/// Why a run is stalled that only dead-lettered groups keep from its end, and fails in the end.
pub(super) const GROUPS_DEAD_LETTERED: &str = "GroupsDeadLettered";

/// What a run waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing {
    /// Groups without receipt; `None` while groups are made.
    pub(super) groups: Option<u64>,
    /// The redo that they are of, if all groups of the pass have receipts.
    pub(super) redo: Option<u32>,
}

/// Decides about the missing groups. Gives the end of a run that waited for a person in vain.
pub(super) fn check(
    run: &Run,
    prior: &ArchiveRunStatus,
    seen: &Observed,
    decision: &mut Decision,
    missing: Missing,
    now: Timestamp,
) -> Option<Decision> {
    match seen.depths.as_ref().map(|depths| &depths.dead_lettered) {
        Some(Ok(dead)) => check_dead_letters(run, prior, seen, decision, (missing, *dead), now),
        Some(Err(error)) => {
            dead_letters_unknown(prior, seen, decision, error);
            None
        }
        None => None,
    }
}

/// `dead` letters may be those of the missing groups, or of others, or of groups that were archived
/// all the same.
fn check_dead_letters(
    run: &Run,
    prior: &ArchiveRunStatus,
    seen: &Observed,
    decision: &mut Decision,
    (
        Missing {
            groups: missing,
            redo,
        },
        dead,
    ): (Missing, u64),
    now: Timestamp,
) -> Option<Decision> {
    let is_empty = seen
        .depths
        .as_ref()
        .and_then(|depths| depths.groups.as_ref().ok())
        .is_some_and(Depth::is_empty);
    let stalled = stalled_by_dead_letters(prior);
    if let Some(explanation) = dead_letters(run, dead, missing) {
        // One reading may be wrong; an operator that comes anew has none but the first.
        let is_empty = is_empty && (stalled.is_some() || seen.empty_for >= EMPTY);
        if is_empty && missing.is_some_and(|missing| missing <= dead) {
            let explanation = Explanation::new(GROUPS_DEAD_LETTERED, explanation.message);
            let since = stalled.map(|it| it.last_transition_time.0);
            if since.is_some_and(|since| now.duration_since(since) > PATIENCE) {
                return Some(Decision::failed(prior, explanation));
            }
            decision.stalled = Some(explanation);
        } else {
            decision.degraded = Some(explanation);
        }
    }
    let missing = missing.unwrap_or(0);
    // With more letters than missing groups some are of others, and hide that groups are lost.
    // Sending those again that are dead letters costs their tries once more, so it is done once.
    let lost = if dead > missing && !seen.sent_again {
        missing
    } else {
        missing.saturating_sub(dead)
    };
    let patience = if is_untouched_since_resumed(prior, seen) {
        EMPTY
    } else {
        LOST
    };
    if let Some(redo) = redo {
        if lost > 0 && seen.empty_for >= EMPTY {
            decision.degraded = Some(lost_of_redo(run, redo));
        }
    } else if lost > 0 && seen.empty_for >= patience && seen.grouper == JobState::Succeeded {
        // Their messages are gone: retention, or a grouper that died between PUT and send.
        let message =
            format!("{lost} groups have neither a receipt nor a message: they are sent again");
        decision.degraded = Some(Explanation::new("MessagesLost", message));
        decision.writes.push(Write::SendAgain(decision.pass));
    }
    None
}

/// Whether the queue was empty when the run was resumed, and is since: no worker has a group that may
/// come back. It is read off the status, because an operator may have started meanwhile.
fn is_untouched_since_resumed(prior: &ArchiveRunStatus, seen: &Observed) -> bool {
    let resumed = prior
        .condition("Suspended")
        .filter(|it| it.status == "False")
        .map(|it| it.last_transition_time.0);
    let (Some(resumed), Some(grouper_made), Some(queue)) = (resumed, seen.grouper_at, &prior.queue)
    else {
        return false;
    };
    let is_empty = (queue.visible, queue.in_flight) == (Some(0), Some(0));
    // It was observed when the depth last changed.
    let is_unchanged = queue.observed_at.as_ref().is_some_and(|it| it.0 <= resumed);
    is_empty && is_unchanged && grouper_made < resumed
}

/// Groups of a redo are sent by the command that plans it, never by a grouper of the run.
fn lost_of_redo(run: &Run, redo: u32) -> Explanation {
    let message = format!(
        "redo {redo} has receipts or a summary, but not all of its groups have a receipt, and the \
         queue is empty: repeat `s3bundler group --redo {redo}` with the same groups and --queue, \
         or delete receipts {}.redo{redo}.… that no redo wrote",
        run.name
    );
    Explanation::new("MessagesLost", message)
}

fn stalled_by_dead_letters(prior: &ArchiveRunStatus) -> Option<&Condition> {
    prior
        .condition("Stalled")
        .filter(|it| it.status == "True" && it.reason == GROUPS_DEAD_LETTERED)
}

/// Whether groups are lost or dead letters cannot be told, so neither is acted on, and a run that
/// waits goes on waiting.
fn dead_letters_unknown(
    prior: &ArchiveRunStatus,
    seen: &Observed,
    decision: &mut Decision,
    error: &AwsError,
) {
    let explanation = || Explanation::new("DepthUnknown", error.to_string());
    if let Some(known) = stalled_by_dead_letters(prior) {
        decision.stalled = Some(Explanation::new(
            GROUPS_DEAD_LETTERED,
            known.message.clone(),
        ));
        decision.degraded = Some(explanation());
    } else if error.kind == AwsErrorKind::Denied && seen.empty_for >= LOST {
        decision.stalled = Some(Explanation::new("AccessDenied", error.to_string()));
    } else {
        decision.degraded = Some(explanation());
    }
}

fn dead_letters(run: &Run, dead: u64, missing: Option<u64>) -> Option<Explanation> {
    let dead = dead.min(missing.unwrap_or(u64::MAX));
    (dead > 0).then(|| {
        let message = format!(
            "{dead} groups failed over and over and are in the dead-letter queue; the workers' \
             logs say why. Put them back with: kubectl annotate --overwrite archiverun {} -n {} \
             {}=\"$(date)\"",
            run.name, run.namespace, REDRIVE_ANNOTATION
        );
        Explanation::new("DeadLetters", message)
    })
}

/// A queue that somebody deleted took its messages along. One of the run's own is made again, and
/// they are sent again.
pub(super) fn missing_queue(run: &Run, decision: &mut Decision, seen: &Observed) {
    let Some(depths) = &seen.depths else { return };
    let is_gone = |error: &&AwsError| error.kind == AwsErrorKind::NotFound;
    let gone = depths.groups.as_ref().err().filter(is_gone);
    let dead_letters_gone = depths.dead_lettered.as_ref().err().filter(is_gone);
    match (&run.queue, gone, dead_letters_gone) {
        (_, None, None) => {}
        (QueuePlan::Existing(_), Some(error), _) => {
            decision.stalled.get_or_insert_with(|| {
                Explanation::new("QueueMissing", format!("{error}: make it again"))
            });
        }
        (QueuePlan::Existing(_), None, Some(error)) => {
            decision.degraded = Some(Explanation::new(
                "QueueMissing",
                format!("{error}: make it again"),
            ));
        }
        (QueuePlan::Managed(queue), Some(error), _) => {
            let message = format!("{error}: it is made again, and what it held is sent again");
            decision.degraded = Some(Explanation::new("QueueMissing", message));
            decision.writes.push(Write::MakeQueues(queue.name.clone()));
            if matches!(seen.grouper, JobState::Running | JobState::Succeeded) {
                decision.writes.push(Write::DeleteGrouper(decision.pass));
            }
        }
        // What it held is sent again once its queue has been empty for long enough.
        (QueuePlan::Managed(queue), None, Some(error)) => {
            decision.degraded = Some(Explanation::new(
                "QueueMissing",
                format!("{error}: it is made again"),
            ));
            decision.writes.push(Write::MakeQueues(queue.name.clone()));
        }
    }
}

/// Puts dead letters back where somebody asks for it, once for each time.
pub(super) fn redrive(
    run: &Run,
    prior: &ArchiveRunStatus,
    seen: &Observed,
    decision: &mut Decision,
) {
    let dead = seen
        .depths
        .as_ref()
        .and_then(|depths| depths.dead_lettered.as_ref().ok());
    let handled = prior
        .queue
        .as_ref()
        .and_then(|queue| queue.redrive_handled.as_ref());
    if let Some(asked) = run
        .redrive_requested
        .as_ref()
        .filter(|asked| handled != Some(*asked))
        && dead.is_some_and(|dead| *dead > 0)
    {
        decision.writes.push(Write::Redrive(asked.clone()));
    }
}

#[cfg(test)]
mod tests;
