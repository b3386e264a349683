#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use s3bundler_contract::{LeftOut, RunName, RunSummary, S3Address};
use serde_json::{Value, json};

use super::*;
use crate::aws::AwsError;
use crate::controller::fixtures::{archive_run, counted, defaults, seen};
use crate::controller::observed::{InventoryCheck, Pods, WorkersState};
use crate::controller::problem::Problem;
use crate::controller::validate::validate;
use crate::crd::{InventoryStatus, QueueStatus};
use crate::queues::{Depth, Depths};
use crate::store::InventoryState;

const NOW: &str = "2026-11-23T12:00:00Z";

pub(super) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

pub(super) fn run(spec: Value) -> Run {
    validate(&archive_run(spec), &defaults()).unwrap()
}

/// A run that has its queue, with the grouper done and this many groups of ten objects.
pub(super) fn working(groups: u64) -> Observed {
    let (objects, run) = (10 * groups, "logs".parse().unwrap());
    let summary = RunSummary { groups, objects, rows: objects, ..RunSummary::empty(run) };
    Observed {
        grouper: GrouperState::Succeeded,
        workers: Some(WorkersState { replicas: 2 }),
        depths: Some(Depths { groups: Ok(Depth { visible: 0, in_flight: 2 }), dead_lettered: Ok(0) }),
        summary: Some(summary.clone()),
        pass_summary: Some(summary),
        ..seen()
    }
}

/// With workers enough for every run.
pub(super) fn decide(run: &Run, prior: &ArchiveRunStatus, seen: &Observed, now: Timestamp) -> Decision {
    super::decide(run, prior, seen, 1000, now)
}

pub(super) fn claimed() -> ArchiveRunStatus {
    ArchiveRunStatus {
        queue: Some(QueueStatus { url: Some("https://sqs/q".to_owned()), ..QueueStatus::default() }),
        start_time: Some(Time("2026-11-23T11:00:00Z".parse().unwrap())),
        inventory: Some(InventoryStatus { manifest: "s3://inv/m.json".to_owned(), etag: None, created_at: None }),
        ..ArchiveRunStatus::default()
    }
}

pub(super) fn condition(name: &str, reason: &str, since: &str) -> Condition {
    Condition {
        type_: name.to_owned(),
        status: "True".to_owned(),
        reason: reason.to_owned(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: Time(since.parse().unwrap()),
    }
}

fn inventory() -> InventoryRef {
    let manifest = S3Address::new("inv", "src/daily/2026-11-22T01-00Z/manifest.json");
    InventoryRef { manifest, etag: "e".to_owned(), creation_timestamp: None }
}

pub(super) fn denied() -> AwsError {
    AwsError {
        action: "GetObject",
        target: "s3://inv/x".to_owned(),
        kind: AwsErrorKind::Denied,
        detail: "no".to_owned(),
    }
}

#[test]
fn a_run_begins_with_a_finished_inventory_and_a_claim_before_its_queue() {
    let found = InventoryCheck::State(InventoryState::Finished(inventory()));
    let decision =
        decide(&run(json!({})), &ArchiveRunStatus::default(), &Observed { inventory: Some(found), ..seen() }, now());
    assert!(matches!(&decision.writes[..], [Write::ClaimName(_), Write::MakeQueues(_)]), "{decision:?}");
    assert_eq!(decision.requeue_after, Some(Duration::ZERO));
    let existing =
        json!({"queue": {"type": "Existing", "existing": {"url": "https://sqs.eu-west-1.amazonaws.com/1/q"}}});
    let found = InventoryCheck::State(InventoryState::Finished(inventory()));
    let decision =
        decide(&run(existing), &ArchiveRunStatus::default(), &Observed { inventory: Some(found), ..seen() }, now());
    assert!(matches!(&decision.writes[..], [Write::ClaimName(_), Write::UseQueues(_)]), "{decision:?}");
}

#[test]
fn an_inventory_that_cannot_be_read_yet_is_waited_for_and_makes_nothing() {
    let failed = |error| InventoryCheck::Failed(StoreError::Aws(error));
    for (look, stalled, words) in [
        (InventoryCheck::State(InventoryState::Missing), Some("InventoryMissing"), "there is no s3://inv/"),
        (InventoryCheck::State(InventoryState::Unfinished), None, "manifest.checksum"),
        (InventoryCheck::NoManifests, Some("InventoryMissing"), ".index"),
        (InventoryCheck::NoneFinished, None, "no finished inventory"),
        (InventoryCheck::TooOld { age: Duration::from_hours(50) }, None, "50 hours old"),
        (failed(denied()), Some("AccessDenied"), "GetObject"),
        (failed(AwsError { kind: AwsErrorKind::NotFound, ..denied() }), Some("InventoryMissing"), "GetObject"),
        (failed(AwsError { kind: AwsErrorKind::Transient, ..denied() }), None, "GetObject"),
    ] {
        let seen = Observed { inventory: Some(look), ..seen() };
        let decision = decide(&run(json!({})), &ArchiveRunStatus::default(), &seen, now());
        assert_eq!(decision.phase, Phase::InventoryPending);
        assert_eq!(decision.stalled.as_ref().map(|it| it.reason), stalled, "{decision:?}");
        assert!(decision.message.contains(words) && decision.writes.is_empty(), "{decision:?}");
        assert!(decision.requeue_after.is_some());
    }
}

#[test]
fn a_bucket_of_another_region_is_for_the_spec_to_name() {
    let elsewhere = || StoreError::Aws(AwsError { kind: AwsErrorKind::OtherRegion, ..denied() });
    for (look, field) in [
        (InventoryCheck::Failed(elsewhere()), "spec.source.region"),
        (InventoryCheck::ClaimFailed(elsewhere()), "spec.destination.region"),
    ] {
        let seen = Observed { inventory: Some(look), ..seen() };
        let decision = decide(&run(json!({})), &ArchiveRunStatus::default(), &seen, now());
        let explanation = decision.refused.unwrap();
        assert_eq!((explanation.reason, decision.writes.len()), ("Invalid", 0));
        assert!(explanation.message.ends_with(&format!("name the bucket's region in {field}")), "{explanation:?}");
    }
}

#[test]
fn groups_are_made_and_archived_side_by_side() {
    let decision = decide(&run(json!({})), &claimed(), &seen(), now());
    assert_eq!(decision.writes, [Write::ApplyGrouper(0)], "no worker before the depth is known");
    assert_eq!(decision.phase, Phase::Grouping);
    let empty = Some(Depths { groups: Ok(Depth { visible: 0, in_flight: 0 }), dead_lettered: Ok(0) });
    let decision = decide(&run(json!({})), &claimed(), &Observed { depths: empty, ..seen() }, now());
    assert_eq!(decision.writes, [Write::ApplyGrouper(0), Write::ApplyWorkers, Write::Scale(1)]);
    let grouping = Observed {
        grouper: GrouperState::Running,
        depths: Some(Depths { groups: Ok(Depth { visible: 3, in_flight: 0 }), dead_lettered: Ok(0) }),
        workers: Some(WorkersState { replicas: 1 }),
        ..seen()
    };
    let decision = decide(&run(json!({})), &claimed(), &grouping, now());
    assert_eq!(decision.writes, [Write::ApplyWorkers, Write::Scale(3)]);
}

#[test]
fn a_run_is_whole_by_the_names_of_its_receipts() {
    let run = run(json!({}));
    let receipt = |number: u64| format!("logs.{number:06}~a10~c0~f0~b100");
    let decide = |names: &[String], pods| {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let pods = Pods { present: pods, ..Pods::default() };
        decide(&run, &claimed(), &Observed { counted: Some(counted(&names)), pods, ..working(3) }, now())
    };
    let all: Vec<_> = (0..3).map(receipt).collect();
    assert_eq!(decide(&all[..2], 0).phase, Phase::Bundling);
    // Three receipts, one of them of a group that the summary does not have.
    let beyond = [receipt(0), receipt(1), receipt(7)];
    assert_eq!(decide(&beyond, 0).phase, Phase::Bundling, "a number is no proof");
    let draining = decide(&all, 2);
    assert_eq!((draining.phase, &draining.writes[..]), (Phase::Draining, &[Write::Scale(0)][..]));
    let complete = decide(&all, 0);
    assert_eq!(complete.phase, Phase::Complete);
    assert_eq!(complete.message, "30 objects in 3 groups are archived");
}

#[test]
fn objects_worth_another_try_are_grouped_again_once_the_pass_is_whole() {
    let run = run(json!({"retry": {"maxObjectPasses": 1}}));
    let first = "logs.000000~a8~c0~f2~b80~NoSuchKey1~Retry1";
    let seen = Observed { counted: Some(counted(&[first])), ..working(1) };
    let decision = decide(&run, &claimed(), &seen, now());
    assert_eq!((decision.phase, decision.pass, decision.writes.len()), (Phase::Retrying, 1, 0));

    let more = Observed { counted: Some(counted(&[first])), ..working(2) };
    let message = decide(&run, &claimed(), &more, now()).message;
    assert_eq!(message, "1 of 2 groups, 1 objects failed: NoSuchKey 1", "the other may still be had");

    let never = self::run(json!({"retry": {"maxObjectPasses": 0}}));
    let message = decide(&never, &claimed(), &more, now()).message;
    assert_eq!(message, "1 of 2 groups, 2 objects failed: Retry 1, NoSuchKey 1");

    let prior = ArchiveRunStatus { retry_pass: Some(1), ..claimed() };
    let again =
        Observed { pass_summary: None, grouper: GrouperState::Absent, counted: Some(counted(&[first])), ..working(1) };
    let decision = decide(&run, &prior, &again, now());
    assert_eq!(decision.writes[0], Write::ApplyGrouper(1));
    assert_eq!(decision.phase, Phase::Retrying);

    // The last pass is whole: what is left has failed.
    let all = [first, "logs.retry1.000000~a0~c0~f1~b0~Retry1"];
    let decision = decide(&run, &prior, &Observed { counted: Some(counted(&all)), ..working(1) }, now());
    assert_eq!(decision.phase, Phase::CompleteWithFailures);
    assert_eq!(decision.message, "8 objects in 2 groups are archived, 2 objects failed: Retry 1, NoSuchKey 1");
}

#[test]
fn a_grouper_that_failed_ends_the_run_unless_somebody_may_still_allow_it() {
    let failed =
        |exit_code| Observed { grouper: GrouperState::Failed { exit_code, message: "told".to_owned() }, ..seen() };
    let decision = decide(&run(json!({})), &claimed(), &failed(Some(3)), now());
    assert_eq!(decision.failed.unwrap().reason, "GrouperFailed");
    assert_eq!(decision.writes, [Write::DeleteWorkloads]);
    let again = |failed_at: &str| {
        let seen = Observed { grouper_at: Some(failed_at.parse().unwrap()), ..failed(Some(7)) };
        let decision = decide(&run(json!({})), &claimed(), &seen, now());
        assert_eq!((decision.failed, decision.stalled.unwrap().reason), (None, "AccessDenied"));
        assert!(decision.requeue_after.is_some());
        decision.writes.contains(&Write::DeleteGrouper(0))
    };
    assert!(again("2026-11-23T11:59:00Z"));
    assert!(!again("2026-11-23T11:59:10Z"), "not at once, or it would be made over and over");
}

#[test]
fn a_grouper_that_was_denied_is_stalled_until_it_has_worked_for_a_while() {
    let message = "the grouper was denied: told";
    let stalled = condition("Stalled", "AccessDenied", "2026-11-23T11:50:00Z");
    let prior =
        ArchiveRunStatus { conditions: vec![Condition { message: message.to_owned(), ..stalled }], ..claimed() };
    let is_stalled = |grouper, made: &str| {
        let seen = Observed { grouper, grouper_at: Some(made.parse().unwrap()), ..seen() };
        decide(&run(json!({})), &prior, &seen, now()).stalled.is_some_and(|stalled| stalled.message == message)
    };
    assert!(is_stalled(GrouperState::Absent, NOW));
    assert!(is_stalled(GrouperState::Running, "2026-11-23T11:59:30Z"));
    assert!(!is_stalled(GrouperState::Running, "2026-11-23T11:58:30Z"));
    assert!(!is_stalled(GrouperState::Succeeded, NOW));
}

#[test]
fn a_grouper_that_fails_to_send_again_ends_the_run_only_where_no_work_is_left() {
    let failed = |empty_for| Observed {
        grouper: GrouperState::Failed { exit_code: Some(3), message: "told".to_owned() },
        empty_for,
        ..working(2)
    };
    let decision = decide(&run(json!({})), &claimed(), &failed(Duration::ZERO), now());
    assert_eq!((decision.failed, decision.degraded.unwrap().reason), (None, "GrouperFailed"));
    let decision = decide(&run(json!({})), &claimed(), &failed(Duration::from_mins(1)), now());
    assert_eq!(decision.failed.unwrap().reason, "GrouperFailed");
}

#[test]
fn what_is_not_counted_is_not_missing() {
    let error = StoreError::Aws(AwsError { kind: AwsErrorKind::Transient, ..denied() });
    let seen = Observed { counted: None, store_error: Some(error), empty_for: Duration::from_hours(1), ..working(2) };
    let decision = decide(&run(json!({})), &claimed(), &seen, now());
    assert_eq!((decision.phase, decision.writes.len(), decision.workers), (Phase::Bundling, 0, 2));
    assert_eq!(decision.degraded.unwrap().reason, "DepthUnknown");
}

#[test]
fn a_run_under_way_goes_on_without_its_service_account() {
    let lost = || Observed { service_account: false, ..working(2) };
    let decision = decide(&run(json!({})), &ArchiveRunStatus::default(), &lost(), now());
    assert_eq!((decision.refused.unwrap().reason, decision.writes.len()), ("ServiceAccountNotFound", 0));
    let decision = decide(&run(json!({})), &claimed(), &lost(), now());
    assert_eq!((decision.refused.unwrap().reason, decision.phase), ("ServiceAccountNotFound", Phase::Bundling));
    let decision = decide(&run(json!({"suspend": true})), &claimed(), &lost(), now());
    assert!(decision.refused.is_some() && decision.writes.contains(&Write::Scale(0)), "{:?}", decision.writes);
}

#[test]
fn suspension_rests_everything_and_keeps_the_queue() {
    let suspended = run(json!({"suspend": true}));
    let decision = decide(&suspended, &ArchiveRunStatus::default(), &seen(), now());
    assert_eq!((decision.phase, decision.writes.len(), decision.requeue_after), (Phase::Suspended, 0, None));
    let busy = Observed { grouper: GrouperState::Running, pods: Pods { present: 3, ..Pods::default() }, ..working(2) };
    let decision = decide(&suspended, &claimed(), &busy, now());
    assert_eq!(decision.writes, [Write::DeleteGrouper(0), Write::Scale(0)]);
    assert!(decision.requeue_after.is_some());
    let keda = run(json!({"suspend": true, "workers": {"scaling": {"mode": "Keda"}}}));
    let decision = decide(&keda, &claimed(), &busy, now());
    assert!(decision.writes.contains(&Write::ApplyScaledObject(0)), "{decision:?}");
}

#[test]
fn who_scales_is_left_to_it() {
    for (mode, scaled) in [("Builtin", true), ("Keda", false), ("External", false)] {
        let run = run(json!({"workers": {"scaling": {"mode": mode}}}));
        let seen = Observed { workers: Some(WorkersState { replicas: 9 }), ..working(5) };
        let writes = decide(&run, &claimed(), &seen, now()).writes;
        assert_eq!(writes.iter().any(|write| matches!(write, Write::Scale(_))), scaled, "{mode}: {writes:?}");
        let is_applied = writes.contains(&Write::ApplyScaledObject(20));
        assert_eq!(is_applied, mode == "Keda", "{mode}: {writes:?}");
    }
}

#[test]
fn a_run_for_which_others_leave_no_worker_says_so_and_has_none() {
    for (mode, is_told) in [("Builtin", true), ("Keda", true), ("External", false)] {
        let run = run(json!({"workers": {"scaling": {"mode": mode}}}));
        let waiting = Depths { groups: Ok(Depth { visible: 5, in_flight: 0 }), dead_lettered: Ok(0) };
        let mut seen = Observed { workers: None, depths: Some(waiting), ..working(5) };
        let decision = super::decide(&run, &claimed(), &seen, 0, now());
        assert_eq!((decision.workers, decision.holds(0)), (0, 0), "{mode}");
        let reason = decision.degraded.as_ref().map(|it| it.reason);
        assert_eq!(reason, is_told.then_some("WorkersExhausted"), "{mode}");
        assert_eq!(decision.writes.contains(&Write::ApplyWorkers), !is_told, "{mode}: a Deployment begins with a pod");

        // It goes on once there is room, and comes down where there is less: but for what is busy.
        let decision = super::decide(&run, &claimed(), &seen, 2, now());
        let expected = match mode {
            "Builtin" => vec![Write::ApplyWorkers, Write::Scale(2)],
            "Keda" => vec![Write::ApplyWorkers, Write::ApplyScaledObject(2)],
            _ => vec![Write::ApplyWorkers],
        };
        assert_eq!((decision.writes, decision.degraded), (expected, None), "{mode}");
        seen.workers = Some(WorkersState { replicas: 9 });
        seen.pods = Pods { running: 9, busy: 4, ..Pods::default() };
        let decision = super::decide(&run, &claimed(), &seen, 2, now());
        assert_eq!(decision.holds(9), if is_told { 4 } else { 9 }, "{mode}");
    }
}

#[test]
fn deadlines_and_too_many_failures_end_a_run() {
    let late = run(json!({"activeDeadlineSeconds": 3599}));
    assert_eq!(decide(&late, &claimed(), &working(2), now()).failed.unwrap().reason, "DeadlineExceeded");
    let in_time = run(json!({"activeDeadlineSeconds": 3601}));
    assert_eq!(decide(&in_time, &claimed(), &working(2), now()).failed, None);
    // An hour since its start, 40 minutes of it at rest until now.
    let resumed = condition("Suspended", "Suspended", "2026-11-23T11:20:00Z");
    let resumed = ArchiveRunStatus { conditions: vec![resumed], ..claimed() };
    for (deadline, late) in [(1199, true), (1201, false)] {
        let run = run(json!({"activeDeadlineSeconds": deadline}));
        assert_eq!(decide(&run, &resumed, &working(2), now()).failed.is_some(), late, "{deadline}");
    }

    // Not where all is archived already and only the pods are leaving.
    let all = ["logs.000000~a10~c0~f0~b1", "logs.000001~a10~c0~f0~b1"];
    for (pods, phase) in [(2, Phase::Draining), (0, Phase::Complete)] {
        let pods = Pods { present: pods, ..Pods::default() };
        let seen = Observed { counted: Some(counted(&all)), pods, ..working(2) };
        assert_eq!(decide(&late, &claimed(), &seen, now()).phase, phase);
    }
    // Nor where that cannot be read just now, and was told before.
    let draining = Condition { status: "False".to_owned(), ..condition("Ready", "Draining", NOW) };
    let draining = ArchiveRunStatus { conditions: vec![draining], ..claimed() };
    let unread = Observed { counted: None, ..working(2) };
    assert_eq!(decide(&late, &draining, &unread, now()).failed, None);

    let strict = run(json!({"failurePolicy": {"maxFailedObjects": 1}}));
    let failed = |names: &[&str]| {
        decide(&strict, &claimed(), &Observed { counted: Some(counted(names)), ..working(2) }, now()).failed
    };
    assert_eq!(failed(&["logs.000000~a1~c0~f2~b1~NoSuchKey2"]).unwrap().reason, "TooManyFailedObjects");
    assert_eq!(failed(&["logs.000000~a1~c0~f2~b1~NoSuchKey1~Retry1"]), None, "one may still be had");
}

#[test]
fn a_run_whose_receipts_do_not_add_up_is_stalled_and_never_complete() {
    let all = ["logs.000000~a10~c0~f0~b1", "logs.000001~a8~c1~f0~b1"];
    let seen = |names: &[&str]| {
        let depths = Some(Depths { groups: Ok(Depth { visible: 0, in_flight: 0 }), dead_lettered: Ok(0) });
        Observed { counted: Some(counted(names)), depths, ..working(2) }
    };
    let decision = decide(&run(json!({})), &claimed(), &seen(&all), now());
    let stalled = decision.stalled.unwrap();
    assert_eq!((stalled.reason, decision.phase, decision.failed), ("AccountingMismatch", Phase::Bundling, None));
    assert!(
        stalled.message.contains("20 rows, but 18 archived + 1 copied + 0 failed + 0 left out are 19"),
        "{stalled:?}"
    );
    assert!(decision.requeue_after.is_some());
    assert_eq!(decision.writes, [Write::Scale(0)], "its queue and its name stay");
    let depths = Depths { groups: Err(AwsError { kind: AwsErrorKind::Transient, ..denied() }), dead_lettered: Ok(0) };
    let decision = decide(&run(json!({})), &claimed(), &Observed { depths: Some(depths), ..seen(&all) }, now());
    assert!(!decision.writes.contains(&Write::Scale(0)), "there may be groups of a redo: {:?}", decision.writes);
    // The rows that the selection left out are in no group.
    let mut left_out = seen(&all);
    let summary = left_out.summary.as_mut().unwrap();
    summary.left_out = [(LeftOut::TooSmall, 1)].into();
    summary.objects = 19;
    assert_eq!(decide(&run(json!({})), &claimed(), &left_out, now()).phase, Phase::Complete);
    let right = ["logs.000000~a10~c0~f0~b1", "logs.000001~a8~c1~f1~b1~NoSuchKey1"];
    assert_eq!(decide(&run(json!({})), &claimed(), &seen(&right), now()).phase, Phase::CompleteWithFailures);
}

#[test]
fn a_run_whose_own_summary_cannot_be_read_does_not_end() {
    let name: RunName = "logs".parse().unwrap();
    let pass = RunSummary { groups: 1, objects: 1, rows: 1, ..RunSummary::of_pass(name, 1) };
    let all = ["logs.000000~a9~c0~f1~b1~Retry1", "logs.retry1.000000~a1~c0~f0~b1"];
    let seen =
        |summary| Observed { counted: Some(counted(&all)), summary, pass_summary: Some(pass.clone()), ..working(1) };
    let prior = ArchiveRunStatus { retry_pass: Some(1), ..claimed() };
    let decision = decide(&run(json!({})), &prior, &seen(None), now());
    assert_eq!((decision.phase, decision.workers), (Phase::Retrying, 2));
    assert!(decision.message.contains("p/runs/logs.done.json"), "{}", decision.message);
    assert_eq!(decide(&run(json!({})), &prior, &seen(working(1).summary), now()).phase, Phase::Complete);
}

#[test]
fn a_retry_pass_takes_objects_of_the_reasons_of_the_spec() {
    let receipt = "logs.000000~a7~c0~f3~b70~AccessDenied2~NoSuchKey1";
    let seen = || Observed { counted: Some(counted(&[receipt])), ..working(1) };
    let default = run(json!({}));
    assert_eq!(decide(&default, &claimed(), &seen(), now()).phase, Phase::CompleteWithFailures);
    let granted = run(json!({"retry": {"reasons": ["AccessDenied", "Retry"]}}));
    let decision = decide(&granted, &claimed(), &seen(), now());
    assert_eq!((decision.phase, decision.pass), (Phase::Retrying, 1));
    assert_eq!(decision.message, "2 objects are tried again, pass 1");
}

/// Until its last retry pass has come to them, objects that failed for the time being have not failed.
#[test]
fn no_run_fails_for_objects_that_a_pass_has_not_tried_yet() {
    let strict = run(json!({"retry": {"maxObjectPasses": 1}, "failurePolicy": {"maxFailedObjects": 10}}));
    let first = "logs.000000~a0~c0~f1000~b0~Retry1000";
    let last_pass = ArchiveRunStatus { retry_pass: Some(1), ..claimed() };
    let name: RunName = "logs".parse().unwrap();
    let own = RunSummary { groups: 1, objects: 1000, rows: 1000, ..RunSummary::empty(name.clone()) };
    let failed = |names: &[&str], groups| {
        let pass = RunSummary { groups, objects: 1000, rows: 1000, ..RunSummary::of_pass(name.clone(), 1) };
        let summaries = (Some(own.clone()), Some(pass));
        let seen =
            Observed { counted: Some(counted(names)), summary: summaries.0, pass_summary: summaries.1, ..working(1) };
        decide(&strict, &last_pass, &seen, now()).failed.map(|it| it.reason)
    };
    assert_eq!(failed(&[first], 10), None);
    assert_eq!(failed(&[first, "logs.retry1.000000~a90~c0~f10~b0~Retry10"], 10), None);
    assert_eq!(failed(&[first, "logs.retry1.000000~a89~c0~f11~b0~Retry11"], 10), Some("TooManyFailedObjects"));
    assert_eq!(failed(&[first, "logs.retry1.000000~a990~c0~f10~b0~Retry10"], 1), None);
    assert_eq!(failed(&[first, "logs.retry1.000000~a0~c0~f1000~b0~Retry1000"], 1), Some("TooManyFailedObjects"));
}

#[test]
fn what_is_wrong_with_pods_stalls_or_degrades() {
    for (problem, running, stalled, degraded) in [
        (Problem::Denied("x".to_owned()), 0, Some("AccessDenied"), None),
        (Problem::Denied("x".to_owned()), 1, Some("AccessDenied"), None),
        (Problem::ImagePull("x".to_owned()), 0, Some("ImagePull"), None),
        (Problem::FailedCreate("x".to_owned()), 0, Some("QuotaExceeded"), None),
        // Others are at work.
        (Problem::ImagePull("x".to_owned()), 1, None, Some("ImagePull")),
        (Problem::FailedCreate("x".to_owned()), 5, None, Some("QuotaExceeded")),
        (Problem::CrashLooping("x".to_owned()), 0, None, Some("CrashLooping")),
        (Problem::Unschedulable("x".to_owned()), 0, None, Some("Unschedulable")),
    ] {
        let pods = Pods { problems: vec![problem], running, ..Pods::default() };
        let decision = decide(&run(json!({})), &claimed(), &Observed { pods, ..working(2) }, now());
        assert_eq!(decision.stalled.map(|it| it.reason), stalled);
        assert_eq!(decision.degraded.map(|it| it.reason), degraded);
    }
    // A worker that waits for groups which no grouper can make is no work.
    for (busy, stalled) in [(0, true), (1, false)] {
        let grouper_problems = vec![Problem::FailedCreate("x".to_owned())];
        let pods = Pods { grouper_problems, running: 1, busy, ..Pods::default() };
        let decision = decide(&run(json!({})), &claimed(), &Observed { pods, ..seen() }, now());
        assert_eq!((decision.stalled.is_some(), decision.degraded.is_some()), (stalled, !stalled), "{busy}");
    }
}

#[test]
fn workers_stay_as_they_are_where_the_depth_is_unknown() {
    let depths = Depths { groups: Err(AwsError { kind: AwsErrorKind::Transient, ..denied() }), dead_lettered: Ok(0) };
    let seen = Observed { depths: Some(depths), workers: Some(WorkersState { replicas: 7 }), ..working(9) };
    let decision = decide(&run(json!({})), &claimed(), &seen, now());
    assert_eq!((decision.workers, decision.degraded.unwrap().reason), (7, "DepthUnknown"));
    assert!(!decision.writes.iter().any(|write| matches!(write, Write::Scale(_))));
}

#[test]
fn after_the_end_everything_goes_in_order_and_failed_runs_keep_their_queues() {
    let ended = |name: &str, reason: &str| ArchiveRunStatus {
        conditions: vec![
            condition(name, reason, "2026-11-23T11:59:00Z"),
            Condition { status: "False".to_owned(), ..condition("Ready", reason, "2026-11-23T11:59:00Z") },
        ],
        completion_time: Some(Time("2026-11-23T11:59:00Z".parse().unwrap())),
        ..claimed()
    };
    let run = run(json!({"ttlSecondsAfterFinished": 60}));
    let decision = decide(&run, &ended("Complete", "Complete"), &working(1), now());
    assert_eq!(decision.writes, [Write::DeleteWorkloads]);
    let decision = decide(&run, &ended("Complete", "Complete"), &seen(), now());
    assert_eq!(decision.writes, [Write::DeleteQueues]);
    let mut gone = ended("Complete", "Complete");
    gone.conditions.push(condition("QueueReady", "Deleted", "2026-11-23T11:59:00Z"));
    assert_eq!(decide(&run, &gone, &seen(), now()).writes, [Write::DeleteRun]);
    let early = "2026-11-23T11:59:30Z".parse().unwrap();
    let decision = decide(&run, &gone, &seen(), early);
    assert_eq!((decision.writes.len(), decision.requeue_after), (0, Some(Duration::from_secs(30))));

    let failed = decide(&run, &ended("Failed", "TooManyFailedObjects"), &seen(), early);
    assert!(!failed.writes.contains(&Write::DeleteQueues), "{failed:?}");
    assert_eq!(failed.failed.unwrap().reason, "TooManyFailedObjects");
}

#[test]
fn what_is_somebody_elses_is_named_and_what_goes_is_waited_for() {
    let there = |goes| name_conflict(&NameConflict { object: "Deployment logs-worker".to_owned(), is_temporary: goes });
    let refused = there(false).refused.expect("refused");
    assert!(refused.reason == "Invalid" && refused.message.contains("Deployment logs-worker"), "{refused:?}");
    let waiting = there(true);
    assert!(waiting.refused.is_none() && waiting.message.contains("Deployment logs-worker"), "{waiting:?}");
    assert!(there(false).writes.is_empty() && waiting.writes.is_empty() && waiting.requeue_after.is_some());
}
