#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use s3bundler_contract::{LeftOut, RunName, RunSummary};
use serde_json::{Value, json};

use super::*;
use crate::aws::{AwsError, AwsErrorKind};
use crate::controller::fixtures::{claimed, counted, decide, denied, depths, run, working};
use crate::controller::observed::{JobState, Observed, Pods};
use crate::crd::ArchiveRunStatus;
use crate::queues::Depths;

#[test]
fn a_run_is_whole_by_the_names_of_its_receipts() {
    let run = run(json!({}));
    let receipt = |number: u64| format!("logs.{number:06}~a10~c0~f0~b100");
    let decide = |names: &[String], pods| {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let pods = Pods {
            present: pods,
            ..Pods::default()
        };
        decide(
            &run,
            &claimed(),
            &Observed {
                counted: Some(counted(&names)),
                pods,
                ..working(3)
            },
        )
    };
    let all: Vec<_> = (0..3).map(receipt).collect();
    assert_eq!(decide(&all[..2], 0).phase, Phase::Bundling);
    // Three receipts, one of them of a group that the summary does not have.
    let beyond = [receipt(0), receipt(1), receipt(7)];
    assert_eq!(
        decide(&beyond, 0).phase,
        Phase::Bundling,
        "a number is no proof"
    );
    let draining = decide(&all, 2);
    assert_eq!(
        (draining.phase, &draining.writes[..]),
        (Phase::Draining, &[Write::Scale(0)][..])
    );
    let complete = decide(&all, 0);
    assert_eq!(complete.phase, Phase::Complete);
    assert_eq!(complete.message, "30 objects in 3 groups are archived");
}

#[test]
fn objects_worth_another_try_are_grouped_again_once_the_pass_is_whole() {
    let run = run(json!({"retry": {"maxObjectPasses": 1}}));
    let first = "logs.000000~a8~c0~f2~b80~NoSuchKey1~Retry1";
    let seen = Observed {
        counted: Some(counted(&[first])),
        ..working(1)
    };
    let decision = decide(&run, &claimed(), &seen);
    assert_eq!(
        (decision.phase, decision.pass, decision.writes.len()),
        (Phase::Retrying, 1, 0)
    );

    let more = Observed {
        counted: Some(counted(&[first])),
        ..working(2)
    };
    let message = decide(&run, &claimed(), &more).message;
    assert_eq!(
        message, "1 of 2 groups, 1 objects failed: NoSuchKey 1",
        "the other may still be had"
    );

    let never = self::run(json!({"retry": {"maxObjectPasses": 0}}));
    let message = decide(&never, &claimed(), &more).message;
    assert_eq!(
        message,
        "1 of 2 groups, 2 objects failed: Retry 1, NoSuchKey 1"
    );

    let prior = ArchiveRunStatus {
        retry_pass: Some(1),
        ..claimed()
    };
    let again = Observed {
        pass_summary: None,
        grouper: JobState::Absent,
        counted: Some(counted(&[first])),
        ..working(1)
    };
    let decision = decide(&run, &prior, &again);
    assert_eq!(decision.writes[0], Write::ApplyGrouper(1));
    assert_eq!(decision.phase, Phase::Retrying);

    // The last pass is whole: what is left has failed.
    let all = [first, "logs.retry1.000000~a0~c0~f1~b0~Retry1"];
    let decision = decide(
        &run,
        &prior,
        &Observed {
            counted: Some(counted(&all)),
            ..working(1)
        },
    );
    assert_eq!(decision.phase, Phase::CompleteWithFailures);
    assert_eq!(
        decision.message,
        "8 objects in 2 groups are archived, 2 objects failed: Retry 1, NoSuchKey 1"
    );
}

#[test]
fn a_run_whose_receipts_do_not_add_up_is_stalled_and_never_complete() {
    let all = ["logs.000000~a10~c0~f0~b1", "logs.000001~a8~c1~f0~b1"];
    let seen = |names: &[&str]| {
        let depths = Some(depths(0, 0, 0));
        Observed {
            counted: Some(counted(names)),
            depths,
            ..working(2)
        }
    };
    let decision = decide(&run(json!({})), &claimed(), &seen(&all));
    let stalled = decision.stalled.unwrap();
    assert_eq!(
        (stalled.reason, decision.phase, decision.failed),
        ("AccountingMismatch", Phase::Bundling, None)
    );
    assert!(
        stalled
            .message
            .contains("20 rows, but 18 archived + 1 copied + 0 failed + 0 left out are 19"),
        "{stalled:?}"
    );
    assert!(decision.requeue_after.is_some());
    assert_eq!(
        decision.writes,
        [Write::Scale(0)],
        "its queue and its name stay"
    );
    let depths = Depths {
        groups: Err(AwsError {
            kind: AwsErrorKind::Transient,
            ..denied()
        }),
        dead_lettered: Ok(0),
    };
    let decision = decide(
        &run(json!({})),
        &claimed(),
        &Observed {
            depths: Some(depths),
            ..seen(&all)
        },
    );
    assert!(
        !decision.writes.contains(&Write::Scale(0)),
        "there may be groups of a redo: {:?}",
        decision.writes
    );
    // The rows that the selection left out are in no group.
    let mut left_out = seen(&all);
    let summary = left_out.summary.as_mut().unwrap();
    summary.left_out = [(LeftOut::TooSmall, 1)].into();
    summary.objects = 19;
    assert_eq!(
        decide(&run(json!({})), &claimed(), &left_out).phase,
        Phase::Complete
    );
    let right = [
        "logs.000000~a10~c0~f0~b1",
        "logs.000001~a8~c1~f1~b1~NoSuchKey1",
    ];
    assert_eq!(
        decide(&run(json!({})), &claimed(), &seen(&right)).phase,
        Phase::CompleteWithFailures
    );
}

#[test]
fn a_run_whose_own_summary_cannot_be_read_does_not_end() {
    let name: RunName = "logs".parse().unwrap();
    let pass = RunSummary {
        groups: 1,
        objects: 1,
        rows: 1,
        ..RunSummary::of_pass(name, 1)
    };
    let all = [
        "logs.000000~a9~c0~f1~b1~Retry1",
        "logs.retry1.000000~a1~c0~f0~b1",
    ];
    let seen = |summary| Observed {
        counted: Some(counted(&all)),
        summary,
        pass_summary: Some(pass.clone()),
        ..working(1)
    };
    let prior = ArchiveRunStatus {
        retry_pass: Some(1),
        ..claimed()
    };
    let decision = decide(&run(json!({})), &prior, &seen(None));
    assert_eq!((decision.phase, decision.workers), (Phase::Retrying, 2));
    assert!(
        decision.message.contains("p/runs/logs.done.json"),
        "{}",
        decision.message
    );
    assert_eq!(
        decide(&run(json!({})), &prior, &seen(working(1).summary)).phase,
        Phase::Complete
    );
}

#[test]
fn a_retry_pass_takes_objects_of_the_reasons_of_the_spec() {
    let receipt = "logs.000000~a7~c0~f3~b70~AccessDenied2~NoSuchKey1";
    let seen = || Observed {
        counted: Some(counted(&[receipt])),
        ..working(1)
    };
    let default = run(json!({}));
    assert_eq!(
        decide(&default, &claimed(), &seen()).phase,
        Phase::CompleteWithFailures
    );
    let granted = run(json!({"retry": {"reasons": ["AccessDenied", "Retry"]}}));
    let decision = decide(&granted, &claimed(), &seen());
    assert_eq!((decision.phase, decision.pass), (Phase::Retrying, 1));
    assert_eq!(decision.message, "2 objects are tried again, pass 1");
}

/// Until its last retry pass has come to them, objects that failed for the time being have not
/// failed.
#[test]
fn no_run_fails_for_objects_that_a_pass_has_not_tried_yet() {
    let strict =
        run(json!({"retry": {"maxObjectPasses": 1}, "failurePolicy": {"maxFailedObjects": 10}}));
    let first = "logs.000000~a0~c0~f1000~b0~Retry1000";
    let last_pass = ArchiveRunStatus {
        retry_pass: Some(1),
        ..claimed()
    };
    let name: RunName = "logs".parse().unwrap();
    let own = RunSummary {
        groups: 1,
        objects: 1000,
        rows: 1000,
        ..RunSummary::empty(name.clone())
    };
    let failed = |names: &[&str], groups| {
        let pass = RunSummary {
            groups,
            objects: 1000,
            rows: 1000,
            ..RunSummary::of_pass(name.clone(), 1)
        };
        let summaries = (Some(own.clone()), Some(pass));
        let seen = Observed {
            counted: Some(counted(names)),
            summary: summaries.0,
            pass_summary: summaries.1,
            ..working(1)
        };
        decide(&strict, &last_pass, &seen)
            .failed
            .map(|it| it.reason)
    };
    assert_eq!(failed(&[first], 10), None);
    assert_eq!(
        failed(&[first, "logs.retry1.000000~a90~c0~f10~b0~Retry10"], 10),
        None
    );
    assert_eq!(
        failed(&[first, "logs.retry1.000000~a89~c0~f11~b0~Retry11"], 10),
        Some("TooManyFailedObjects")
    );
    assert_eq!(
        failed(&[first, "logs.retry1.000000~a990~c0~f10~b0~Retry10"], 1),
        None
    );
    assert_eq!(
        failed(&[first, "logs.retry1.000000~a0~c0~f1000~b0~Retry1000"], 1),
        Some("TooManyFailedObjects")
    );
}

#[test]
fn too_many_failed_objects_end_a_run() {
    let strict = run(json!({"failurePolicy": {"maxFailedObjects": 1}}));
    let failed = |names: &[&str]| {
        decide(
            &strict,
            &claimed(),
            &Observed {
                counted: Some(counted(names)),
                ..working(2)
            },
        )
        .failed
    };
    assert_eq!(
        failed(&["logs.000000~a1~c0~f2~b1~NoSuchKey2"])
            .unwrap()
            .reason,
        "TooManyFailedObjects"
    );
    assert_eq!(
        failed(&["logs.000000~a1~c0~f2~b1~NoSuchKey1~Retry1"]),
        None,
        "one may still be had"
    );
}

#[test]
fn a_run_fails_if_more_than_a_share_of_its_objects_or_all_of_them_failed() {
    // Two groups with 20 objects.
    let ended = |limit: Value, names: &[&str]| {
        let spec = if limit.is_null() {
            json!({})
        } else {
            json!({"failurePolicy": {"maxFailedObjects": limit}})
        };
        let seen = Observed {
            counted: Some(counted(names)),
            ..working(2)
        };
        let decision = decide(&run(spec), &claimed(), &seen);
        (decision.phase, decision.failed.map(|it| it.message))
    };
    let half = [
        "logs.000000~a10~c0~f0~b10",
        "logs.000001~a0~c0~f10~b0~AccessDenied10",
    ];
    let all = [
        "logs.000000~a0~c0~f10~b0~NoSuchKey10",
        "logs.000001~a0~c0~f10~b0~AccessDenied10",
    ];
    let with_failures = (Phase::CompleteWithFailures, None);
    for (limit, names) in [
        (Value::Null, half),
        (json!("50%"), half),
        (json!(10), half),
        (json!("100%"), all),
        (json!(20), all),
    ] {
        assert_eq!(ended(limit.clone(), &names), with_failures, "{limit}");
    }
    let too_many = "10 objects failed, more than failurePolicy.maxFailedObjects, 9";
    assert_eq!(
        ended(json!("49.9%"), &half),
        (Phase::Failed, Some(too_many.to_owned()))
    );
    let nothing = "all 20 objects failed: NoSuchKey 10, AccessDenied 10";
    assert_eq!(
        ended(Value::Null, &all),
        (Phase::Failed, Some(nothing.to_owned()))
    );
    // An empty inventory has nothing that could fail.
    let empty = Observed {
        counted: Some(counted(&[])),
        ..working(0)
    };
    let decision = decide(&run(json!({})), &claimed(), &empty);
    assert_eq!(decision.phase, Phase::Complete);
}
