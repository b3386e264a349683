#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use s3bundler_contract::InventoryRef;
use serde_json::json;

use super::*;
use crate::aws::AwsError;
use crate::controller::fixtures::{condition, decide, decide_at, denied, depths, now, run, seen};
use crate::crd::{QueueStatus, WaitingStatus};

/// A run that has its queue, and nothing else yet, since two hours.
fn begun() -> ArchiveRunStatus {
    let queue = QueueStatus {
        url: Some("https://sqs/q".to_owned()),
        ..QueueStatus::default()
    };
    let suspended = condition("Suspended", "NotSuspended", "2026-11-23T10:00:00Z");
    ArchiveRunStatus {
        queue: Some(queue),
        conditions: vec![Condition {
            status: "False".to_owned(),
            ..suspended
        }],
        ..ArchiveRunStatus::default()
    }
}

fn end_of(reason: Reason) -> Termination {
    Termination {
        reason,
        message: "said".to_owned(),
    }
}

fn taken() -> Reason {
    Reason::RunNameTaken {
        difference: "another inventory".to_owned(),
        owner: "laptop".to_owned(),
    }
}

/// A run that waits since a time, without a queue.
fn waiting_since(at: &str, reason: Reason) -> ArchiveRunStatus {
    ArchiveRunStatus {
        queue: None,
        waiting: Some(WaitingStatus {
            since: Time(at.parse().unwrap()),
            termination_message: end_of(reason).to_line(),
        }),
        ..begun()
    }
}

/// A grouper that failed just now.
fn failed(exit_code: Option<i32>, reason: Option<Reason>) -> Observed {
    Observed {
        grouper: JobState::Failed {
            exit_code,
            message: "told".to_owned(),
        },
        grouper_at: Some(now()),
        grouper_end: reason.map(end_of),
        acknowledged: Acknowledged::No,
        ..seen()
    }
}

#[test]
fn a_run_begins_with_its_queue_and_the_grouper_follows() {
    let existing = json!({"queue": {"type": "Existing", "existing": {"url": "https://sqs.eu-west-1.amazonaws.com/1/q"}}});
    for (spec, is_made) in [(json!({}), true), (existing, false)] {
        let decision = decide(&run(spec), &ArchiveRunStatus::default(), &seen());
        assert!(
            match &decision.writes[..] {
                [Write::MakeQueues(_)] => is_made,
                [Write::UseQueues(_)] => !is_made,
                _ => false,
            },
            "{decision:?}"
        );
        assert_eq!(
            (decision.phase, decision.requeue_after),
            (Phase::Pending, Some(Duration::ZERO))
        );
    }
    let decision = decide(&run(json!({})), &begun(), &seen());
    assert_eq!(decision.writes, [Write::ApplyGrouper(0)]);
    assert_eq!(decision.phase, Phase::Grouping);
}

#[test]
fn nothing_but_the_grouper_is_made_before_the_run_is_acknowledged() {
    let running = |acknowledged, grouping| {
        let mut seen = Observed {
            grouper: JobState::Running,
            grouper_at: Some(now()),
            depths: Some(depths(9, 0, 0)),
            acknowledged,
            ..seen()
        };
        seen.pods.grouping = grouping;
        decide(&run(json!({})), &begun(), &seen)
    };
    for acknowledged in [Acknowledged::Unknown, Acknowledged::No] {
        let decision = running(acknowledged, true);
        assert_eq!(
            (decision.phase, decision.writes.len()),
            (Phase::Grouping, 0)
        );
        assert_eq!(decision.requeue_after, Some(ACKNOWLEDGEMENT_PERIOD));
    }
    let decision = running(Acknowledged::No, false);
    assert_eq!(
        decision.requeue_after,
        Some(POLL_PERIOD),
        "its pod has not started"
    );
    let inventory = InventoryRef {
        manifest: "s3://inv/manifest.json".parse().unwrap(),
        etag: "e".to_owned(),
        creation_timestamp: None,
    };
    for acknowledged in [None, Some(inventory)] {
        let decision = running(Acknowledged::Yes(acknowledged), true);
        assert!(
            decision.writes.contains(&Write::ApplyWorkers),
            "{decision:?}"
        );
    }
}

#[test]
fn what_the_grouper_waits_for_is_told_before_anything_is_deleted() {
    let (source, destination) = (Bucket::Source, Bucket::Destination);
    let waits = |reason: Reason| {
        let decision = decide(&run(json!({})), &begun(), &failed(Some(3), Some(reason)));
        assert_eq!(decision.failed, None);
        assert_eq!(decision.requeue_after, Some(Duration::ZERO));
        decision
    };
    for (reason, phase, stalled, words) in [
        (
            Reason::InventoryMissing,
            Phase::InventoryPending,
            Some("InventoryMissing"),
            "said; check spec.source.inventory",
        ),
        (
            Reason::NoManifests,
            Phase::InventoryPending,
            Some("InventoryMissing"),
            ".index: check spec.source.manifests",
        ),
        (
            Reason::InventoryUnfinished,
            Phase::InventoryPending,
            None,
            "manifest.checksum",
        ),
        (
            Reason::NoInventory,
            Phase::InventoryPending,
            None,
            "no finished inventory under s3://inv/",
        ),
        (
            Reason::InventoryTooOld { hours: 50 },
            Phase::InventoryPending,
            None,
            "50 hours old",
        ),
        (
            Reason::AccessDenied { bucket: source },
            Phase::InventoryPending,
            Some("AccessDenied"),
            "the grouper was denied: said",
        ),
        (
            Reason::AccessDenied {
                bucket: destination,
            },
            Phase::Grouping,
            Some("AccessDenied"),
            "the grouper was denied: said",
        ),
    ] {
        let decision = waits(reason.clone());
        assert_eq!(decision.phase, phase, "{reason:?}");
        assert_eq!(
            decision.stalled.as_ref().map(|it| it.reason),
            stalled,
            "{reason:?}"
        );
        assert!(
            decision.message.contains(words) && decision.writes.is_empty(),
            "{decision:?}"
        );
    }
    for (reason, expected, words) in [
        (
            taken(),
            "RunNameTaken",
            "the name logs belongs to another inventory, claimed by laptop",
        ),
        (Reason::NoDestination, "Invalid", "said"),
        (
            Reason::OtherRegion { bucket: source },
            "Invalid",
            "said: name the bucket's region in spec.source.region",
        ),
        (
            Reason::OtherRegion {
                bucket: destination,
            },
            "Invalid",
            "said: name the bucket's region in spec.destination.region",
        ),
    ] {
        let refused = waits(reason).refused.unwrap();
        assert_eq!(refused.reason, expected);
        assert!(refused.message.starts_with(words), "{refused:?}");
    }
}

#[test]
fn a_run_that_waits_has_neither_a_job_nor_a_queue_and_begins_anew_after_its_pause() {
    let existing = json!({"queue": {"type": "Existing", "existing": {"url": "https://sqs.eu-west-1.amazonaws.com/1/q"}}});
    let second = Duration::from_secs(1);
    for (spec, reason) in [
        (json!({}), taken()),
        (json!({}), Reason::NoInventory),
        (existing, Reason::NoInventory),
    ] {
        let run = run(spec);
        let waits = waiting_since("2026-11-23T12:00:00Z", reason.clone());
        let with_queue = ArchiveRunStatus {
            queue: begun().queue,
            ..waits.clone()
        };
        let failed = failed(Some(6), Some(reason));
        let longest = Some(LONGEST_PAUSE);
        for (status, seen) in [(&with_queue, &failed), (&with_queue, &seen())] {
            let decision = decide(&run, status, seen);
            assert_eq!(decision.writes, [Write::DeleteQueues]);
            assert_eq!(decision.requeue_after, longest);
        }
        let late = decide_at(&run, &with_queue, &failed, now() + LONGEST_PAUSE);
        assert_eq!(
            late.writes,
            [Write::DeleteGrouper(0)],
            "the queue is for the next"
        );
        let at = |after: Duration| decide_at(&run, &waits, &seen(), now() + after);
        let decision = at(LONGEST_PAUSE.saturating_sub(second));
        assert_eq!(
            (decision.writes, decision.requeue_after),
            (vec![], Some(second))
        );
        let decision = at(LONGEST_PAUSE);
        assert!(
            matches!(
                decision.writes[..],
                [Write::MakeQueues(_) | Write::UseQueues(_)]
            ),
            "{decision:?}"
        );
        // What it waited for is told until it is known to be otherwise.
        let told = (decision.phase, decision.refused);
        let again = decide_at(&run, &with_queue, &seen(), now() + LONGEST_PAUSE);
        assert_eq!(again.writes, [Write::ApplyGrouper(0)]);
        assert_eq!((again.phase, again.refused), told);
    }
}

#[test]
fn a_grouper_that_waits_is_created_again_after_as_long_as_the_run_has_waited() {
    let minutes = Duration::from_mins;
    for (reason, failed_at, expected) in [
        (Reason::NoInventory, "2026-11-23T10:00:00Z", SHORTEST_PAUSE),
        (Reason::NoInventory, "2026-11-23T09:00:00Z", SHORTEST_PAUSE),
        (Reason::NoInventory, "2026-11-23T10:01:00Z", SHORTEST_PAUSE),
        (Reason::NoInventory, "2026-11-23T10:08:00Z", minutes(8)),
        (Reason::NoInventory, "2026-11-23T11:00:00Z", minutes(30)),
        (taken(), "2026-11-23T10:08:00Z", minutes(8)),
        (
            Reason::AccessDenied {
                bucket: Bucket::Source,
            },
            "2026-11-23T11:00:00Z",
            SHORTEST_PAUSE,
        ),
    ] {
        let failed_at: Timestamp = failed_at.parse().unwrap();
        let waits = waiting_since(&failed_at.to_string(), reason.clone());
        let decision = decide_at(&run(json!({})), &waits, &seen(), failed_at);
        assert_eq!(
            (decision.writes, decision.requeue_after),
            (vec![], Some(expected)),
            "{reason:?} {failed_at}"
        );
    }
}

#[test]
fn a_reason_is_told_until_another_grouper_has_run_for_a_while() {
    let status = ArchiveRunStatus {
        queue: begun().queue,
        ..waiting_since("2026-11-23T11:00:00Z", Reason::NoInventory)
    };
    let phase = |grouper, at: &str| {
        let seen = Observed {
            grouper,
            grouper_at: Some(at.parse().unwrap()),
            ..seen()
        };
        decide(&run(json!({})), &status, &seen).phase
    };
    let just_now = "2026-11-23T11:59:30Z";
    let waits = Phase::InventoryPending;
    assert_eq!(phase(JobState::Absent, just_now), waits);
    assert_eq!(phase(JobState::Running, just_now), waits);
    assert_eq!(
        phase(JobState::Running, "2026-11-23T11:58:30Z"),
        Phase::Grouping
    );
    // The Job tries again by itself after some failures.
    let again = Observed {
        grouper: JobState::Running,
        grouper_at: Some("2026-11-23T11:00:00Z".parse().unwrap()),
        grouper_end: Some(end_of(Reason::NoDestination)),
        ..seen()
    };
    let decision = decide(&run(json!({})), &begun(), &again);
    assert_eq!(decision.refused.unwrap().reason, "Invalid");
    assert_eq!(decision.writes, []);
}

#[test]
fn a_grouper_that_failed_for_no_reason_to_wait_ends_the_run() {
    let decision = decide(&run(json!({})), &begun(), &failed(Some(2), None));
    assert_eq!(decision.failed.unwrap().reason, "GrouperFailed");
    // SQS denied it, or it is of a release that gives no reasons.
    let decision = decide(&run(json!({})), &begun(), &failed(Some(7), None));
    assert_eq!(decision.stalled.unwrap().reason, "AccessDenied");
    // The node with its pod was removed while the run waited.
    let gone = failed(None, None);
    let decision = decide(&run(json!({})), &begun(), &gone);
    assert_eq!((decision.failed, decision.writes.len()), (None, 0));
    assert_eq!(decision.degraded.unwrap().reason, "GrouperFailed");
    let later = "2026-11-23T13:00:00Z".parse().unwrap();
    let decision = decide_at(&run(json!({})), &begun(), &gone, later);
    assert_eq!(decision.writes, [Write::DeleteGrouper(0)]);
}

#[test]
fn a_grouper_that_ends_without_acknowledgement_is_told() {
    let ended = |acknowledged| {
        let seen = Observed {
            grouper: JobState::Succeeded,
            acknowledged,
            ..seen()
        };
        decide(&run(json!({})), &begun(), &seen).stalled
    };
    assert_eq!(ended(Acknowledged::Unknown), None, "it was not asked for");
    let stalled = ended(Acknowledged::No).unwrap();
    assert_eq!(stalled.reason, "NotAcknowledged");
    assert!(
        stalled
            .message
            .contains("s3://archive/p/runs/logs.ack.0a1b2c3d-4e5f-6789-abcd-ef0123456789.json"),
        "{stalled:?}"
    );
}

#[test]
fn a_destination_that_the_operator_cannot_read_is_told() {
    let read = |kind| {
        let error = AwsError { kind, ..denied() };
        let seen = Observed {
            grouper: JobState::Running,
            records_error: Some(RecordsError::Aws(error)),
            ..seen()
        };
        decide(&run(json!({})), &begun(), &seen)
    };
    let decision = read(AwsErrorKind::Denied);
    assert_eq!(decision.stalled.unwrap().reason, "AccessDenied");
    let decision = read(AwsErrorKind::OtherRegion);
    let refused = decision.refused.unwrap();
    assert_eq!((refused.reason, decision.writes.len()), ("Invalid", 0));
    assert!(
        refused
            .message
            .ends_with("name the bucket's region in spec.destination.region"),
        "{refused:?}"
    );
    let decision = read(AwsErrorKind::Transient);
    assert_eq!(decision.degraded.unwrap().reason, "DepthUnknown");
}
