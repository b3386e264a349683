#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::json;

use super::*;
use crate::aws::{AwsError, AwsErrorKind};
use crate::controller::decide::Phase;
use crate::controller::fixtures::{
    claimed, condition, counted, decide, denied, depths, run, working,
};
use crate::controller::observed::{JobState, Observed};
use crate::crd::ArchiveRunStatus;
use crate::queues::Depths;

#[test]
fn dead_lettered_groups_degrade_then_stall_then_fail_a_run() {
    let run = run(json!({}));
    let dead = |dead, names: &[&str]| Observed {
        depths: Some(depths(0, 0, dead)),
        counted: Some(counted(names)),
        empty_for: Duration::from_mins(1),
        ..working(2)
    };
    let one = ["logs.000000~a1~c0~f0~b1"];
    let decision = decide(&run, &claimed(), &dead(1, &[]));
    let degraded = decision.degraded.unwrap();
    assert_eq!((degraded.reason, decision.stalled), ("DeadLetters", None));
    assert!(
        degraded.message.contains("kubectl annotate"),
        "{degraded:?}"
    );
    assert_eq!(
        decide(&run, &claimed(), &dead(1, &one))
            .stalled
            .unwrap()
            .reason,
        "GroupsDeadLettered"
    );
    // A single reading may be wrong.
    let just_now = Observed {
        empty_for: Duration::ZERO,
        ..dead(1, &one)
    };
    let decision = decide(&run, &claimed(), &just_now);
    assert_eq!(
        (decision.stalled, decision.degraded.unwrap().reason),
        (None, "DeadLetters")
    );
    // An existing queue may have dead letters of others.
    let foreign = Observed {
        depths: working(2).depths,
        ..dead(500, &one)
    };
    let foreign = Observed {
        depths: foreign.depths.map(|depths| Depths {
            dead_lettered: Ok(500),
            ..depths
        }),
        ..dead(500, &one)
    };
    let decision = decide(&run, &claimed(), &foreign);
    assert_eq!(
        (decision.stalled, decision.degraded.unwrap().reason),
        (None, "DeadLetters")
    );

    let stalled = |since| ArchiveRunStatus {
        conditions: vec![condition("Stalled", "GroupsDeadLettered", since)],
        ..claimed()
    };
    let patient = decide(&run, &stalled("2026-11-23T11:00:00Z"), &dead(1, &one));
    assert_eq!(patient.failed, None);
    // An operator that has just started has seen the queue once.
    let anew = decide(&run, &stalled("2026-11-23T11:00:00Z"), &just_now);
    assert_eq!(anew.stalled.unwrap().reason, "GroupsDeadLettered");
    let given_up = decide(&run, &stalled("2026-11-22T11:00:00Z"), &dead(1, &one));
    assert_eq!(given_up.failed.unwrap().reason, "GroupsDeadLettered");

    let asked = Run {
        redrive_requested: Some("today".to_owned()),
        ..run.clone()
    };
    let redrive = Write::Redrive("today".to_owned());
    assert_eq!(
        decide(&asked, &claimed(), &dead(1, &one)).writes.last(),
        Some(&redrive)
    );
    let mut done = claimed();
    done.queue.get_or_insert_default().redrive_handled = Some("today".to_owned());
    assert!(
        !decide(&asked, &done, &dead(1, &one))
            .writes
            .contains(&redrive)
    );
}

#[test]
fn dead_letters_that_cannot_be_counted_are_neither_lost_nor_given_up() {
    let unknown = |kind, empty_for| Observed {
        depths: Some(Depths {
            groups: Ok(Depth {
                visible: 0,
                in_flight: 0,
            }),
            dead_lettered: Err(AwsError {
                kind,
                action: "GetQueueAttributes",
                ..denied()
            }),
        }),
        empty_for,
        ..working(2)
    };
    let (run, long) = (run(json!({})), Duration::from_hours(1));
    let waits = condition("Stalled", "GroupsDeadLettered", "2026-11-20T11:00:00Z");
    let waits = ArchiveRunStatus {
        conditions: vec![waits],
        ..claimed()
    };
    for (prior, kind, empty_for, stalled, degraded) in [
        (
            claimed(),
            AwsErrorKind::Transient,
            long,
            None,
            Some("DepthUnknown"),
        ),
        (
            claimed(),
            AwsErrorKind::Denied,
            Duration::ZERO,
            None,
            Some("DepthUnknown"),
        ),
        (
            claimed(),
            AwsErrorKind::Denied,
            long,
            Some("AccessDenied"),
            None,
        ),
        (
            waits,
            AwsErrorKind::Transient,
            long,
            Some("GroupsDeadLettered"),
            Some("DepthUnknown"),
        ),
    ] {
        let decision = decide(&run, &prior, &unknown(kind, empty_for));
        let reasons = [decision.stalled, decision.degraded].map(|it| it.map(|it| it.reason));
        assert_eq!(
            (reasons, decision.failed),
            ([stalled, degraded], None),
            "{kind:?} {empty_for:?}"
        );
        assert!(
            !decision.writes.contains(&Write::SendAgain(0)),
            "{:?}",
            decision.writes
        );
    }
    let gone = decide(&run, &claimed(), &unknown(AwsErrorKind::NotFound, long));
    assert_eq!(gone.degraded.unwrap().reason, "QueueMissing");
    assert!(
        matches!(gone.writes.last(), Some(Write::MakeQueues(_))),
        "{:?}",
        gone.writes
    );
}

#[test]
fn groups_whose_messages_are_lost_are_sent_again() {
    let lost = |empty_for| Observed {
        depths: Some(depths(0, 0, 0)),
        empty_for,
        ..working(2)
    };
    let again = |seen| {
        decide(&run(json!({})), &claimed(), &seen)
            .writes
            .contains(&Write::SendAgain(0))
    };
    assert!(!again(lost(Duration::from_mins(10))));
    assert!(again(lost(Duration::from_mins(15))));
    // Also beside a dead letter.
    let beside = Observed {
        depths: Some(depths(0, 0, 1)),
        ..lost(Duration::from_mins(15))
    };
    assert!(again(beside));
    // Letters of others may hide that messages are lost: once.
    for (dead, sent_again, expected) in [(2, false, false), (500, false, true), (500, true, false)]
    {
        let hidden = Observed {
            depths: Some(depths(0, 0, dead)),
            sent_again,
            ..lost(Duration::from_mins(15))
        };
        assert_eq!(again(hidden), expected, "{dead} {sent_again}");
    }
    // As many receipts as groups, but not theirs.
    let beyond = counted(&["logs.000000~a1~c0~f0~b1", "logs.000007~a1~c0~f0~b1"]);
    let seen = Observed {
        counted: Some(beyond),
        ..lost(Duration::from_mins(15))
    };
    let decision = decide(&run(json!({})), &claimed(), &seen);
    assert!(
        decision.writes.contains(&Write::SendAgain(0)),
        "{:?}",
        decision.writes
    );
    let seen = Observed {
        counted: Some(counted(&[
            "logs.000000~a1~c0~f0~b1",
            "logs.000007~a1~c0~f0~b1",
        ])),
        ..working(2)
    };
    let decision = decide(&run(json!({})), &claimed(), &seen);
    assert_eq!(
        (decision.workers, decision.degraded.unwrap().reason),
        (2, "UnexpectedReceipts")
    );
}

#[test]
fn messages_that_are_lost_while_a_run_is_suspended_are_missed_a_minute_after_it_is_resumed() {
    let time = |time: &str| format!("2026-11-23T{time}:00Z").parse().unwrap();
    let resumed = |visible, observed_at| {
        let mut status = claimed();
        status.conditions = vec![Condition {
            status: "False".to_owned(),
            ..condition("Suspended", "NotSuspended", "2026-11-23T11:50:00Z")
        }];
        let queue = status.queue.get_or_insert_default();
        (queue.visible, queue.in_flight) = (Some(visible), Some(0));
        queue.observed_at = Some(Time(time(observed_at)));
        status
    };
    let seen = |minutes, grouper_at| Observed {
        depths: Some(depths(0, 0, 0)),
        empty_for: Duration::from_mins(minutes),
        grouper_at: Some(time(grouper_at)),
        ..working(2)
    };
    let again = |prior: &ArchiveRunStatus, seen: Observed| {
        decide(&run(json!({})), prior, &seen)
            .writes
            .contains(&Write::SendAgain(0))
    };
    // The last reading before may have been empty already.
    for observed_at in ["11:10", "11:50"] {
        let prior = resumed(0, observed_at);
        assert!(again(&prior, seen(1, "11:05")), "{observed_at}");
        assert!(!again(&prior, seen(0, "11:05")), "one reading may be wrong");
        assert!(!again(&prior, seen(1, "11:50")), "a grouper sent groups");
    }
    assert!(
        !again(&resumed(0, "11:51"), seen(1, "11:05")),
        "groups came"
    );
    assert!(
        !again(&resumed(2, "11:50"), seen(1, "11:05")),
        "groups went"
    );
    let running = Observed {
        grouper: JobState::Running,
        ..seen(1, "11:05")
    };
    assert!(!again(&resumed(0, "11:50"), running));
    let at_rest = ArchiveRunStatus {
        conditions: vec![condition("Suspended", "Suspended", "2026-11-23T11:50:00Z")],
        ..resumed(0, "11:50")
    };
    assert!(!again(&at_rest, seen(1, "11:05")), "it has just gone on");
}

#[test]
fn a_queue_that_somebody_deleted_is_made_again_unless_it_was_brought() {
    let gone = |kind| Depths {
        groups: Err(AwsError { kind, ..denied() }),
        dead_lettered: Ok(0),
    };
    let existing = json!({"queue": {"type": "Existing", "existing": {"url": "https://sqs.eu-west-1.amazonaws.com/1/q"}}});
    for (spec, kind, is_made, stalled, degraded) in [
        (
            json!({}),
            AwsErrorKind::NotFound,
            true,
            None,
            Some("QueueMissing"),
        ),
        (
            json!({}),
            AwsErrorKind::Transient,
            false,
            None,
            Some("DepthUnknown"),
        ),
        (
            existing,
            AwsErrorKind::NotFound,
            false,
            Some("QueueMissing"),
            None,
        ),
    ] {
        let seen = Observed {
            depths: Some(gone(kind)),
            ..working(5)
        };
        let decision = decide(&run(spec.clone()), &claimed(), &seen);
        // In this order: the grouper goes once there is a queue to send to.
        let makes = matches!(
            &decision.writes[..],
            [.., Write::MakeQueues(_), Write::DeleteGrouper(0)]
        );
        let reasons = [decision.stalled, decision.degraded].map(|it| it.map(|it| it.reason));
        assert_eq!(
            (makes, reasons),
            (is_made, [stalled, degraded]),
            "{spec} {kind:?}"
        );
    }
}

#[test]
fn groups_of_a_redo_that_nobody_works_on_are_told_and_not_sent_again_by_the_grouper() {
    let all = [
        "logs.000000~a10~c0~f0~b1",
        "logs.000001~a10~c0~f0~b1",
        "logs.redo1.000001~redo~a1~c0~f0~b1",
    ];
    let seen = |empty_for| Observed {
        depths: Some(depths(0, 0, 0)),
        counted: Some(counted(&all)),
        empty_for,
        ..working(2)
    };
    let run = run(json!({}));
    let degraded = |empty_for| {
        let decision = decide(&run, &claimed(), &seen(empty_for));
        assert!(
            !decision.writes.contains(&Write::SendAgain(0)),
            "{:?}",
            decision.writes
        );
        assert_eq!((decision.phase, decision.stalled), (Phase::Bundling, None));
        decision.degraded.map(|it| (it.reason, it.message))
    };
    assert_eq!(degraded(Duration::ZERO), None, "its groups are being sent");
    let (reason, message) = degraded(Duration::from_hours(1)).unwrap();
    assert!(
        reason == "MessagesLost" && message.contains("s3bundler group --redo 1"),
        "{message}"
    );
}
