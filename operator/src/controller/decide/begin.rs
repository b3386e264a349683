//! Before the run's own pods have shown that they may write to the destination: the queues, and the
//! grouper, which claims the run's name. The operator has read nothing of the destination yet.
//!
//! ```text
//! queues ──► grouper ──► acknowledgement ──► the run goes on
//!   ▲           │
//!   │           └─ it waits for something: for an inventory, or for its name
//!   │                    │
//!   │                 status.waiting
//!   │                    │
//!   └──────────── a pause of 1 to 30 minutes, without a pod, a Job and a queue
//! ```
//!
//! A run that waits is as it was before it began, so an operator of any release can begin it.

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
use crate::controller::observed::{Acknowledged, JobState, Observed};
use crate::controller::run::{QueuePlan, Run};
use crate::crd::{ArchiveRunStatus, Origin};
use crate::records::RecordsError;

/// The pause before a grouper that waits is created again: as long as the run has waited already, so
/// that it doubles, within these. For a minute SQS refuses to create a queue again ("DeleteQueue",
/// SQS API reference), which is deleted some seconds after the grouper has ended.
const SHORTEST_PAUSE: Duration = Duration::from_secs(75);
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
    let known = Ended::of(prior);
    let end = end(known.as_ref(), seen, now);
    let mut decision = end.map_or_else(
        || Decision::new(Phase::Grouping, "the grouper reads what there is to group"),
        |end| waiting(run, end),
    );
    decision.workers = seen.replicas();
    // One that ended well has acknowledged the run just now.
    let is_expected = seen.pods.grouping
        || (seen.grouper == JobState::Succeeded && seen.acknowledged == Acknowledged::Unknown);
    decision.requeue_after = Some(if is_expected {
        ACKNOWLEDGEMENT_PERIOD
    } else {
        POLL_PERIOD
    });
    let left = known.as_ref().map_or(Duration::ZERO, |known| {
        let pause = pause(Some(&known.end), prior, Some(known.at));
        pause.saturating_sub(since(known.at, now))
    });
    match (&seen.grouper, &prior.queue) {
        (JobState::Failed { .. }, _) if seen.grouper_end.is_some() => {
            // What it waits for is in the status before anything is deleted.
            let is_known = known.as_ref().is_some_and(|it| it.is_of(seen.grouper_at));
            decision
                .writes
                .extend(is_known.then_some(if left.is_zero() {
                    Write::DeleteGrouper(0)
                } else {
                    Write::DeleteQueues
                }));
            decision.requeue_after = Some(if is_known { left } else { Duration::ZERO });
        }
        (
            JobState::Failed {
                exit_code: None,
                message,
            },
            _,
        ) => {
            if end.is_none() {
                // Its pod is gone, and with it the reason.
                let message = format!("the grouper failed: {message}");
                decision.degraded = Some(Explanation::new("GrouperFailed", message));
            }
            let left = pause(end, prior, seen.grouper_at).saturating_sub(grouper_age(seen, now));
            if left.is_zero() {
                decision.writes.push(Write::DeleteGrouper(0));
            } else {
                decision.requeue_after = Some(left);
            }
        }
        (JobState::Absent, queue) if !left.is_zero() => {
            if queue.is_some() {
                decision.writes.push(Write::DeleteQueues);
            }
            decision.requeue_after = Some(left);
        }
        (JobState::Absent, None) => {
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
        (JobState::Succeeded, Some(_)) => {
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

/// The last grouper that could not begin, as the status knows it.
struct Ended {
    end: Termination,
    at: Timestamp,
}

impl Ended {
    fn of(status: &ArchiveRunStatus) -> Option<Self> {
        let waiting = status.waiting.as_ref()?;
        let end = Termination::parse(&waiting.termination_message)?;
        let at = waiting.since.0;
        Some(Self { end, at })
    }

    /// Whether it is the one that ended then. Kubernetes knows no fractions of a second.
    fn is_of(&self, at: Option<Timestamp>) -> bool {
        at.is_some_and(|at| at.as_second() == self.at.as_second())
    }
}

/// What the grouper waits for: the one whose Job is there, or the one before it, until its successor
/// has run for a while.
fn end<'a>(
    known: Option<&'a Ended>,
    seen: &'a Observed,
    now: Timestamp,
) -> Option<&'a Termination> {
    let may_be_old = match seen.grouper {
        JobState::Absent
        | JobState::Failed {
            exit_code: None, ..
        } => true,
        JobState::Running => grouper_age(seen, now) < DENIED,
        JobState::Succeeded | JobState::Failed { .. } => false,
    };
    let earlier = known.filter(|_| may_be_old).map(|known| &known.end);
    seen.grouper_end.as_ref().or(earlier)
}

/// How long no Job is created after one that failed at a time.
fn pause(
    end: Option<&Termination>,
    prior: &ArchiveRunStatus,
    failed_at: Option<Timestamp>,
) -> Duration {
    if end.is_some_and(|end| matches!(end.reason, Reason::AccessDenied { .. })) {
        // Somebody may be about to allow it.
        return SHORTEST_PAUSE;
    }
    // The condition changes when the run is created and when it is resumed.
    let begun = prior
        .condition("Suspended")
        .filter(|it| it.status != "True")
        .map(|it| it.last_transition_time.0);
    let waited = begun
        .zip(failed_at)
        .map(|(begun, failed)| since(begun, failed));
    waited
        .unwrap_or_default()
        .clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

/// The time from one instant to a later one.
fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
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
