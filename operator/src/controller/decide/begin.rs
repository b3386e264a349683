//! Before the run's own pods have shown that they may write to the destination: the queues, and the
//! grouper, which claims the run's name. The operator has read nothing of the destination yet.
//!
//! ```text
//! queues ──► grouper ──► acknowledgement ──► the run goes on
//!   ▲           │
//!   │           └─ it waits for something: for an inventory, or for its name
//!   │                    │
//!   └─── Job again ◄── a pause of 1 to 30 minutes, without a pod; without a queue if the name is taken
//! ```

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use s3bundler_common::text::printable;
use s3bundler_contract::Termination;
use s3bundler_contract::termination::{Bucket, Reason};

use super::decision::{Decision, Phase, Write};
use super::grouper::{DENIED, GROUPER_DENIED, grouper, grouper_age};
use super::problems::problems;
use crate::aws::AwsErrorKind;
use crate::controller::explanation::Explanation;
use crate::controller::intervals::{ACKNOWLEDGEMENT_PERIOD, POLL_PERIOD};
use crate::controller::observed::{Acknowledged, GrouperState, Observed};
use crate::controller::run::{QueuePlan, Run};
use crate::crd::{ArchiveRunStatus, Origin};
use crate::records::RecordsError;

/// The pause before a grouper that waits is created again: as long as the run has waited already, so
/// that it doubles, within these.
const SHORTEST_PAUSE: Duration = Duration::from_mins(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(30);

/// The next step of a run that is not acknowledged yet.
pub(super) fn begin(
    run: &Run,
    prior: &ArchiveRunStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    if let Some(RecordsError::Aws(error)) = &seen.records_error
        && error.kind == AwsErrorKind::OtherRegion
    {
        return elsewhere(&error.to_string(), Bucket::Destination);
    }
    let end = end(seen, now);
    let mut decision = end.map_or_else(
        || Decision::new(Phase::Grouping, "the grouper reads what there is to group"),
        |end| waiting(run, end),
    );
    decision.workers = seen.replicas();
    decision.requeue_after = Some(if seen.pods.grouping {
        ACKNOWLEDGEMENT_PERIOD
    } else {
        POLL_PERIOD
    });
    match (&seen.grouper, &prior.queue) {
        (GrouperState::Failed { exit_code, message }, _)
            if end.is_some() || exit_code.is_none() =>
        {
            if end.is_none() {
                // Its pod is gone, and with it the reason.
                let message = format!("the grouper failed: {message}");
                decision.degraded = Some(Explanation::new("GrouperFailed", message));
            }
            let is_taken = end.is_some_and(|end| matches!(end.reason, Reason::RunNameTaken { .. }));
            if is_taken && prior.queue.is_some() && matches!(run.queue, QueuePlan::Managed(_)) {
                decision.writes.push(Write::DeleteQueues);
            }
            let left = pause(end, prior, seen).saturating_sub(grouper_age(seen, now));
            if left.is_zero() {
                decision.writes.push(Write::DeleteGrouper(0));
            } else {
                decision.requeue_after = Some(left);
            }
        }
        (GrouperState::Absent, None) => {
            if end.is_none() {
                decision.phase = Phase::Pending;
                "making its queue".clone_into(&mut decision.message);
            }
            decision.writes.push(match &run.queue {
                QueuePlan::Managed(queue) => Write::MakeQueues(queue.name.clone()),
                QueuePlan::Existing(pair) => Write::UseQueues(pair.clone()),
            });
            decision.requeue_after = Some(Duration::ZERO);
            return decision;
        }
        // One that is there without a queue is being deleted.
        (_, None) => {}
        (GrouperState::Succeeded, Some(_)) => {
            if seen.acknowledged == Acknowledged::No {
                decision.stalled = Some(Explanation::new("NotAcknowledged", lost(run)));
            }
        }
        (_, Some(_)) => {
            if let Some(failed) = grouper(prior, seen, &mut decision, now) {
                return failed;
            }
        }
    }
    problems(&mut decision, seen);
    decision
}

/// What the grouper waits for: the one whose Job is there, or the one before it, until its successor
/// has run for a while.
fn end(seen: &Observed, now: Timestamp) -> Option<&Termination> {
    let may_be_old = match seen.grouper {
        GrouperState::Absent
        | GrouperState::Failed {
            exit_code: None, ..
        } => true,
        GrouperState::Running => grouper_age(seen, now) < DENIED,
        GrouperState::Succeeded | GrouperState::Failed { .. } => false,
    };
    let earlier = seen.earlier_end.as_ref().filter(|_| may_be_old);
    seen.grouper_end.as_ref().or(earlier)
}

/// How long no Job is created after one that failed.
fn pause(end: Option<&Termination>, prior: &ArchiveRunStatus, seen: &Observed) -> Duration {
    if end.is_some_and(|end| matches!(end.reason, Reason::AccessDenied { .. })) {
        // Somebody may be about to allow it.
        return DENIED;
    }
    // The condition changes when the run is created and when it is resumed.
    let since = prior
        .condition("Suspended")
        .filter(|it| it.status != "True");
    let waited = since
        .zip(seen.grouper_at)
        .map(|(since, failed)| failed.duration_since(since.last_transition_time.0));
    let waited = waited.and_then(|waited| Duration::try_from(waited).ok());
    waited
        .unwrap_or_default()
        .clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

/// A run whose grouper waits for something.
fn waiting(run: &Run, end: &Termination) -> Decision {
    let pending = |message: String| Decision::new(Phase::InventoryPending, message);
    let missing = |message: String| Decision {
        stalled: Some(Explanation::new("InventoryMissing", message.clone())),
        ..pending(message)
    };
    let (origin, said) = (run.origin.address(), printable(&end.message));
    match &end.reason {
        Reason::InventoryMissing => {
            let field = match run.origin {
                Origin::Manifests(_) => "spec.source.manifests",
                Origin::Inventory(_) | Origin::Latest { .. } => "spec.source.inventory",
            };
            missing(format!("{said}; check {field}"))
        }
        Reason::NoManifests => missing(format!(
            "there is no group manifest under {origin}, no key that ends in .index: check \
             spec.source.manifests"
        )),
        Reason::InventoryUnfinished => pending(format!(
            "S3 is still writing the inventory: {origin} has no manifest.checksum beside it yet"
        )),
        Reason::NoInventory => {
            pending(format!("there is no finished inventory under {origin} yet"))
        }
        Reason::InventoryTooOld { hours } => pending(format!(
            "the newest inventory under {origin} is {hours} hours old: waiting for a newer one"
        )),
        Reason::RunNameTaken { difference, owner } => Decision::refused(Explanation::new(
            "RunNameTaken",
            format!(
                "the name {} belongs to {}, claimed by {}: choose another name, or prefix",
                run.name,
                printable(difference),
                printable(owner)
            ),
        )),
        Reason::AccessDenied { bucket } => {
            let message = format!("{GROUPER_DENIED}: {said}");
            let phase = match bucket {
                Bucket::Source => Phase::InventoryPending,
                Bucket::Destination => Phase::Grouping,
            };
            Decision {
                stalled: Some(Explanation::new("AccessDenied", message.clone())),
                ..Decision::new(phase, message)
            }
        }
        Reason::OtherRegion { bucket } => elsewhere(&said, *bucket),
        Reason::NoDestination => Decision::refused(Explanation::new("Invalid", said)),
    }
}

/// A bucket is in another region than the one that the run names, or the operator's settings.
fn elsewhere(error: &str, bucket: Bucket) -> Decision {
    let field = match bucket {
        Bucket::Source => "spec.source.region",
        Bucket::Destination => "spec.destination.region",
    };
    Decision::refused(Explanation::new(
        "Invalid",
        format!("{error}: name the bucket's region in {field}"),
    ))
}

/// The grouper has ended, and has not shown that it may write to the destination: it is of a release
/// that does not know how, or what it wrote was deleted.
fn lost(run: &Run) -> String {
    format!(
        "the grouper ended, but s3://{}/{} does not exist: no receipt of the run is read without it. \
         Delete the run and create it again; it goes on with what is archived",
        run.bucket,
        run.layout.acknowledgement(&run.name, &run.uid)
    )
}

#[cfg(test)]
mod tests;
