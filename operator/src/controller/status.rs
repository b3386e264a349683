//! The last step: what is said of the run. Pure but for its one write. Every condition is there from the first time, and
//! counts do not fall while receipts are missing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use s3bundler_contract::Reason;
use s3bundler_contract::record::InventoryRef;

use super::apply::Applied;
use super::decide::{Decision, Explanation, Phase};
use super::failure::Failure;
use super::observed::Observed;
use super::run::{QueuePlan, Run};
use crate::crd::{
    ArchiveRunStatus, ByteCounts, FailureCount, GroupCounts, InventoryStatus, ObjectCounts, QueueStatus, WorkerStatus,
};
use crate::store::ClaimState;

/// Longest message of a condition ("Condition" of meta/v1).
const MAX_MESSAGE: usize = 32_768;

/// What a look at a run came to.
pub struct Outcome<'a> {
    /// The run; absent where it was refused before it could be read.
    pub run: Option<&'a Run>,
    /// What there was.
    pub seen: Option<&'a Observed>,
    /// What was decided.
    pub decision: &'a Decision,
    /// What was done.
    pub applied: &'a Applied,
    /// The generation that was looked at.
    pub generation: i64,
    /// The time.
    pub now: Timestamp,
}

/// The next status.
pub fn next(prior: &ArchiveRunStatus, outcome: &Outcome<'_>) -> ArchiveRunStatus {
    let Outcome { run, seen, decision, applied, generation, now } = *outcome;
    let mut status = prior.clone();
    status.observed_generation = Some(generation);
    let taken = match &applied.claim {
        Some(ClaimState::Taken { difference, owner }) => {
            let name = run.map(|run| run.name.to_string()).unwrap_or_default();
            let message =
                format!("the name {name} belongs to {difference}, claimed by {owner}: choose another name, or prefix");
            Some(Explanation::new("RunNameTaken", message))
        }
        _ => None,
    };
    let failure = applied.failed.as_ref().and_then(|(_, failure)| failure.as_ref());
    let invalid = match failure {
        Some(Failure::Refused(explanation)) => Some(explanation.clone()),
        _ => None,
    };
    let refused = taken.or(invalid).or_else(|| decision.refused.clone());

    if let Some(run) = run.filter(|_| refused.is_none()) {
        if applied.queues.is_some() {
            status.worker_image.get_or_insert_with(|| run.image.clone());
            status.region.get_or_insert_with(|| run.region.clone());
            status.service_account_name.get_or_insert_with(|| run.service_account.clone());
            status.start_time.get_or_insert(Time(now));
        }
        if let (Some(ClaimState::Ours(inventory)), true) = (&applied.claim, applied.queues.is_some()) {
            status.inventory = Some(inventory_status(inventory));
        }
        if let Some(pair) = &applied.queues {
            let queue = status.queue.get_or_insert_default();
            queue.url = Some(pair.url.clone());
            queue.dead_letter_url.clone_from(&pair.dead_letter_url);
        }
    }
    if let Some(Ok(asked)) = &applied.redriven {
        status.queue.get_or_insert_default().redrive_handled = Some(asked.clone());
    }
    if let Some(seen) = seen {
        depth(&mut status, seen, now);
        let retried = run.filter(|run| !decision.phase.is_final() && run.max_passes > 0);
        let may_be_had = retried.map_or(&[][..], |run| &run.retry_reasons);
        counts(&mut status, seen, may_be_had);
        status.workers = Some(WorkerStatus {
            desired: int32(decision.workers),
            running: int32(seen.pods.running),
            busy: int32(seen.pods.busy),
        });
    }
    if decision.pass > 0 || status.retry_pass.is_some() {
        status.retry_pass = Some(int32(decision.pass));
    }
    let was_suspended = condition(prior, "Suspended").is_some_and(|it| it.status == "True");
    conditions(&mut status, outcome, refused, failure);
    let is_suspended = condition(&status, "Suspended").is_some_and(|it| it.status == "True");
    if was_suspended && !is_suspended {
        // Suspended time does not count toward the deadline (docs/decisions/suspended-time.md).
        let since = condition(prior, "Suspended").map(|it| it.last_transition_time.0);
        if let (Some(start), Some(since)) = (&mut status.start_time, since) {
            let rested = now.duration_since(since);
            start.0 = start.0.checked_add(rested).unwrap_or(start.0).min(now);
        }
    }
    if decision.phase.is_final() && status.completion_time.is_none() {
        status.completion_time = Some(Time(now));
    }

    status
}

/// The status of a run that somebody has to help before anything else can be said of it.
pub fn stalled_status(
    prior: &ArchiveRunStatus,
    why: &Explanation,
    generation: Option<i64>,
    now: Timestamp,
) -> ArchiveRunStatus {
    let mut status = prior.clone();
    set(&mut status, "Stalled", true, why, generation, now);
    for name in ["Ready", "Degraded", "Accepted", "Complete", "Failed", "Suspended", "Grouped", "QueueReady"] {
        // The schema's own of a new run tells of no generation.
        if condition(&status, name).is_none_or(|it| it.observed_generation.is_none()) {
            let unknown = Explanation::new("Pending", format!("not known yet: {}", why.message));
            set(&mut status, name, false, &unknown, generation, now);
        }
    }
    status.observed_generation = status.observed_generation.or(generation);
    status
}

/// Sets a condition.
fn set(
    status: &mut ArchiveRunStatus,
    name: &str,
    value: bool,
    explanation: &Explanation,
    generation: Option<i64>,
    now: Timestamp,
) {
    let value = if value { "True" } else { "False" };
    let message: String = explanation.message.chars().take(MAX_MESSAGE / 4).collect();
    let known = status.conditions.iter().position(|it| it.type_ == name);
    // Another reason to be stalled begins anew: a person has not known of it.
    let is_same = |it: &&Condition| it.status == value && (name != "Stalled" || it.reason == explanation.reason);
    let since = known.map(|at| &status.conditions[at]).filter(is_same);
    let since = since.map_or(Time(now), |it| it.last_transition_time.clone());
    let new = Condition {
        type_: name.to_owned(),
        status: value.to_owned(),
        reason: explanation.reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: since,
    };
    match known {
        Some(at) => status.conditions[at] = new,
        None => status.conditions.push(new),
    }
}

/// The first status of a run: everything unknown, nothing hidden.
fn conditions(
    status: &mut ArchiveRunStatus,
    outcome: &Outcome<'_>,
    refused: Option<Explanation>,
    failure: Option<&Failure>,
) {
    let Outcome { run, seen, decision, applied, generation, now } = *outcome;
    let phase = decision.phase;
    let mut set = |name: &str, value: bool, explanation: Explanation| {
        set(status, name, value, &explanation, Some(generation), now);
    };
    let (stalled, degraded) = match failure {
        Some(Failure::Stalled(explanation)) => (Some(explanation.clone()), decision.degraded.clone()),
        Some(Failure::Degraded(explanation)) => (decision.stalled.clone(), Some(explanation.clone())),
        Some(Failure::Refused(_)) | None => (decision.stalled.clone(), decision.degraded.clone()),
    };
    let degraded = match &applied.redriven {
        Some(Err(error)) => Some(Explanation::new("DeadLetters", error.to_string())),
        _ => degraded,
    };
    let failed = decision.failed.clone();
    let message = stalled.as_ref().filter(|_| !phase.is_final()).map_or(&decision.message, |it| &it.message);
    set(
        "Ready",
        matches!(phase, Phase::Complete | Phase::CompleteWithFailures),
        Explanation::new(phase.reason(), message.clone()),
    );
    let progressing = || Explanation::new("Progressing", "nothing keeps it from going on");
    set("Stalled", stalled.is_some(), stalled.unwrap_or_else(progressing));
    set("Degraded", degraded.is_some(), degraded.unwrap_or_else(|| Explanation::new("AsExpected", "nothing is wrong")));
    set(
        "Accepted",
        refused.is_none(),
        refused.unwrap_or_else(|| Explanation::new("Valid", "the run can be carried out")),
    );
    let complete = matches!(phase, Phase::Complete | Phase::CompleteWithFailures);
    let not_yet = || Explanation::new("InProgress", "the run has not ended");
    let end = || Explanation::new(phase.reason(), decision.message.clone());
    set("Complete", complete, if phase.is_final() { end() } else { not_yet() });
    set("Failed", failed.is_some(), failed.unwrap_or_else(|| if phase.is_final() { end() } else { not_yet() }));
    let rests = phase == Phase::Suspended && seen.is_some_and(|seen| seen.pods.present == 0);
    let resting = match (phase, rests) {
        (Phase::Suspended, true) => Explanation::new("Suspended", "no pod is left; set spec.suspend to false to go on"),
        (Phase::Suspended, false) => Explanation::new("Suspending", decision.message.clone()),
        _ => Explanation::new("NotSuspended", "the run is not suspended"),
    };
    set("Suspended", rests, resting);

    // True once, and then only taken back by the end.
    let summary = seen.and_then(|seen| seen.summary.as_ref());
    let grouped = summary.map(|summary| {
        Explanation::new("AllGroupsMade", format!("{} objects in {} groups", summary.objects, summary.groups))
    });
    if let Some(explanation) = grouped {
        set("Grouped", true, explanation);
    }
    let managed = run.is_some_and(|run| matches!(run.queue, QueuePlan::Managed(_)));
    if applied.queues_deleted {
        set("QueueReady", false, Explanation::new("Deleted", "the run has ended"));
    } else if applied.queues.is_some() {
        let explanation = if managed {
            Explanation::new("Made", "made for this run")
        } else {
            Explanation::new("Existing", "brought by this run")
        };
        set("QueueReady", true, explanation);
    }
    for (name, explanation) in [
        ("Grouped", Explanation::new("Pending", "the groups are not made yet")),
        ("QueueReady", Explanation::new("Pending", "there is no queue yet")),
    ] {
        match status.conditions.iter_mut().find(|it| it.type_ == name) {
            Some(known) => known.observed_generation = Some(generation),
            None => status.conditions.push(Condition {
                type_: name.to_owned(),
                status: "False".to_owned(),
                reason: explanation.reason.to_owned(),
                message: explanation.message,
                observed_generation: Some(generation),
                last_transition_time: Time(now),
            }),
        }
    }
}

fn depth(status: &mut ArchiveRunStatus, seen: &Observed, now: Timestamp) {
    let Some(depths) = &seen.depths else { return };
    let queue: &mut QueueStatus = status.queue.get_or_insert_default();
    if let Ok(depth) = &depths.groups {
        let (visible, in_flight) = (Some(int64(depth.visible)), Some(int64(depth.in_flight)));
        if (queue.visible, queue.in_flight) != (visible, in_flight) || queue.observed_at.is_none() {
            (queue.visible, queue.in_flight, queue.observed_at) = (visible, in_flight, Some(Time(now)));
        }
    }
    if let Ok(dead) = depths.dead_lettered {
        status.groups.get_or_insert_default().dead_lettered = int64(dead);
    }
}

/// What S3 shows. What another pass may still bring has not failed.
fn counts(status: &mut ArchiveRunStatus, seen: &Observed, may_be_had: &[Reason]) {
    if let Some(summary) = &seen.summary {
        status.groups.get_or_insert_default().total = Some(int64(summary.groups));
        status.bytes.get_or_insert_default().total = Some(int64(summary.bytes));
        let objects = status.objects.get_or_insert_default();
        (objects.total, objects.left_out) = (Some(int64(summary.rows)), int64(summary.left_out_rows()));
    }
    let Some(counted) = &seen.counted else { return };
    let mut outcome = counted.outcome();
    if !may_be_had.is_empty() {
        outcome.failed.retain(|reason, _| !may_be_had.contains(reason));
    }
    let own = seen.summary.as_ref();
    let committed = own.map_or(counted.pass(0).groups, |own| counted.committed(&own.run, 0, own.groups));
    // A LIST may lag behind another. One that shows every receipt does not: what a repaired receipt or a redo took back is
    // taken back.
    let is_whole = seen.pass_summary.as_ref().is_some_and(|summary| counted.is_whole(summary));
    let grown = |before: i64, now: u64| if is_whole { int64(now) } else { before.max(int64(now)) };
    let groups: &mut GroupCounts = status.groups.get_or_insert_default();
    groups.committed = grown(groups.committed, committed);
    let objects: &mut ObjectCounts = status.objects.get_or_insert_default();
    objects.archived = grown(objects.archived, outcome.archived);
    objects.copied = grown(objects.copied, outcome.copied);
    objects.failed = int64(outcome.failed_objects());
    let bytes: &mut ByteCounts = status.bytes.get_or_insert_default();
    bytes.archived = grown(bytes.archived, outcome.archived_bytes);
    bytes.copied = grown(bytes.copied, outcome.copied_bytes);
    bytes.failed = int64(outcome.failed_bytes);
    status.failures = outcome
        .failed
        .iter()
        .map(|(reason, count)| FailureCount { reason: reason.to_string(), count: int64(*count) })
        .collect();
    let groups = status.groups.unwrap_or_default();
    let total = groups.total.map_or_else(|| "?".to_owned(), |total| total.to_string());
    status.progress = Some(format!("{}/{total}", groups.committed));
}

fn inventory_status(inventory: &InventoryRef) -> InventoryStatus {
    let created = inventory.creation_timestamp.and_then(|millis| i64::try_from(millis).ok());
    InventoryStatus {
        manifest: inventory.manifest.to_string(),
        etag: Some(inventory.etag.clone()),
        created_at: created.and_then(|millis| Timestamp::from_millisecond(millis).ok()).map(Time),
    }
}

/// A condition by its name.
pub fn condition<'a>(status: &'a ArchiveRunStatus, name: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|it| it.type_ == name)
}

fn int64(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn int32(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

    use s3bundler_contract::layout::{GroupName, RunName};
    use s3bundler_contract::{LeftOut, Receipt, RunSummary};

    use super::*;
    use crate::aws::{AwsError, AwsErrorKind};
    use crate::controller::fixtures::{counted, seen};

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn another_reason_to_be_stalled_begins_anew_and_the_same_does_not() {
        let since = |status: &ArchiveRunStatus| condition(status, "Stalled").unwrap().last_transition_time.0;
        let (first, later) = (time("2026-11-23T12:00:00Z"), time("2026-11-24T12:00:00Z"));
        let denied = stalled_status(
            &ArchiveRunStatus::default(),
            &Explanation::new("AccessDenied", "one thing"),
            Some(1),
            first,
        );
        assert_eq!(
            since(&stalled_status(&denied, &Explanation::new("AccessDenied", "another"), Some(2), later)),
            first
        );
        assert_eq!(
            since(&stalled_status(&denied, &Explanation::new("GroupsDeadLettered", "dead"), Some(2), later)),
            later
        );
    }

    #[test]
    fn a_run_that_cannot_even_be_looked_at_has_all_conditions() {
        let explanation = Explanation::new("AccessDenied", "pods cannot be listed");
        let held = stalled_status(&ArchiveRunStatus::default(), &explanation, Some(3), time("2026-11-23T12:00:00Z"));
        assert_eq!((held.conditions.len(), held.observed_generation), (9, Some(3)));
        for it in &held.conditions {
            let expected = if it.type_ == "Stalled" { ("True", "AccessDenied") } else { ("False", "Pending") };
            assert_eq!((it.status.as_str(), it.reason.as_str()), expected, "{}", it.type_);
            assert!(it.message.contains("pods cannot be listed") && it.observed_generation == Some(3), "{it:?}");
        }
    }

    #[test]
    fn objects_and_bytes_are_those_of_summary_and_receipts() {
        let run: RunName = "logs".parse().unwrap();
        let left_out = [(LeftOut::Excluded, 7), (LeftOut::TooSmall, 2)].into();
        let summary =
            RunSummary { groups: 3, objects: 91, rows: 100, bytes: 5000, left_out, ..RunSummary::empty(run.clone()) };
        let receipt = |number, archived, failed: &[(Reason, u64)]| {
            let mut receipt = Receipt::empty(GroupName::numbered(&run, number));
            let figures = &mut receipt.figures;
            (figures.archived, figures.copied, figures.archived_bytes, figures.copied_bytes) = (archived, 2, 800, 600);
            (figures.failed, figures.failed_bytes) = (failed.iter().copied().collect(), 50);
            receipt.name()
        };
        let names = [
            receipt(0, 20, &[]),
            receipt(1, 21, &[(Reason::NoSuchKey, 3), (Reason::Retry, 4)]),
            receipt(2, 22, &[(Reason::NoSuchKey, 1)]),
        ];
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let look =
            |names: &[&str]| Observed { summary: Some(summary.clone()), counted: Some(counted(names)), ..seen() };

        let mut status = ArchiveRunStatus::default();
        counts(&mut status, &look(&names), &[]);
        let (objects, bytes) = (status.objects.unwrap(), status.bytes.unwrap());
        assert_eq!((objects.total, objects.left_out), (Some(100), 9));
        assert_eq!((objects.archived, objects.copied, objects.failed), (63, 6, 8));
        assert_eq!((bytes.total, bytes.archived, bytes.copied, bytes.failed), (Some(5000), 2400, 1800, 150));
        let failures: Vec<_> = status.failures.iter().map(|it| (it.reason.as_str(), it.count)).collect();
        assert_eq!(failures, [("Retry", 4), ("NoSuchKey", 4)]);
        assert_eq!((status.groups.unwrap().committed, status.progress.as_deref()), (3, Some("3/3")));

        // A LIST that lags behind another takes nothing back.
        counts(&mut status, &look(&names[..1]), &[]);
        let (groups, objects, bytes) = (status.groups.unwrap(), status.objects.unwrap(), status.bytes.unwrap());
        assert_eq!((groups.committed, objects.archived, objects.copied), (3, 63, 6));
        assert_eq!((bytes.archived, bytes.copied), (2400, 1800));

        // What another pass may bring has not failed.
        counts(&mut status, &look(&names), &[Reason::Retry]);
        assert_eq!((status.objects.unwrap().failed, status.failures.len()), (4, 1));
    }

    #[test]
    fn a_repaired_receipt_takes_back_what_it_counted_too_much() {
        let run: RunName = "logs".parse().unwrap();
        let summary = RunSummary { groups: 2, objects: 20, rows: 20, ..RunSummary::empty(run) };
        let mut status = ArchiveRunStatus::default();
        let mut look = |names: &[&str]| {
            let pass_summary = Some(summary.clone());
            let seen =
                Observed { summary: Some(summary.clone()), pass_summary, counted: Some(counted(names)), ..seen() };
            counts(&mut status, &seen, &[]);
            (status.objects.unwrap().archived, status.bytes.unwrap().archived)
        };
        let (first, right) = ("logs.000000~a10~c0~f0~b100", "logs.000001~a10~c0~f0~b100");
        let huge = "logs.000001~a18446744073709551615~c0~f0~b18446744073709551615";
        assert_eq!(look(&[first, huge]), (i64::MAX, i64::MAX));
        assert_eq!(look(&[first]), (i64::MAX, i64::MAX), "a LIST may lag");
        assert_eq!(look(&[first, right]), (20, 200));
    }

    #[test]
    fn a_write_that_failed_is_told_in_its_condition_and_goes_with_its_mending() {
        let decision = Decision::refused(Explanation::new("Invalid", "why"));
        let decision = Decision { refused: None, ..decision };
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
        let explanation = || Explanation::new("AnyReason", "what was said");
        let status = |prior: &ArchiveRunStatus, failure: Option<Failure>| {
            let kind = AwsErrorKind::Rejected;
            let error = AwsError { action: "CreateQueue", target: "q".to_owned(), kind, detail: "no".to_owned() };
            let failed = failure.map(|failure| (error.into(), Some(failure)));
            let applied = Applied { failed, ..Applied::default() };
            let (decision, applied) = (&decision, &applied);
            next(prior, &Outcome { run: None, seen: None, decision, applied, generation: 1, now })
        };
        for (failure, name, value) in [
            (Failure::Refused(explanation()), "Accepted", "False"),
            (Failure::Stalled(explanation()), "Stalled", "True"),
            (Failure::Degraded(explanation()), "Degraded", "True"),
        ] {
            let failed = status(&ArchiveRunStatus::default(), Some(failure));
            let shown = condition(&failed, name).expect("it is there");
            assert_eq!((shown.status.as_str(), shown.message.as_str()), (value, "what was said"), "{name}");
            let mended = status(&failed, None);
            assert_ne!(condition(&mended, name).expect("it is there").status, value, "{name}");
        }
    }
}
