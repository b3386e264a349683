#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use s3bundler_contract::{Termination, termination};
use serde_json::json;

use super::*;
use crate::controller::apply::Applied;
use crate::controller::build::PodRevision;
use crate::controller::decide::Decision;
use crate::controller::explanation::Explanation;
use crate::controller::fixtures::{claimed, now, run};
use crate::crd::QueueStatus;
use crate::queues::QueuePair;

fn record(status: &mut ArchiveRunStatus, decision: &Decision, applied: &Applied) {
    let run = run(json!({}));
    let outcome = Outcome {
        run: Some(&run),
        seen: None,
        decision,
        applied,
        generation: 1,
        now: now(),
    };
    queues(status, &run, &outcome);
}

#[test]
fn queues_are_known_while_they_are_there_and_those_of_a_run_that_ended_stay_in_its_status() {
    let refused = Decision::refused(Explanation::new("RunNameTaken", "why"));
    let pair = QueuePair {
        url: "https://sqs/q".to_owned(),
        dead_letter_url: Some("https://sqs/q-dlq".to_owned()),
    };
    let made = Applied {
        queues: Some(pair),
        ..Applied::default()
    };
    let deleted = Applied {
        queues_deleted: true,
        ..Applied::default()
    };
    let mut status = ArchiveRunStatus::default();
    record(&mut status, &refused, &made);
    let queue = status.queue.clone().unwrap();
    assert_eq!(queue.url.as_deref(), Some("https://sqs/q"));
    let mut ended = status.clone();
    record(
        &mut ended,
        &Decision::new(Phase::Complete, "done"),
        &deleted,
    );
    assert_eq!(ended.queue, Some(queue));
    record(&mut status, &refused, &deleted);
    assert_eq!(
        status,
        ArchiveRunStatus::default(),
        "it begins anew, with the image of then"
    );
}

#[test]
fn what_pods_are_made_with_is_recorded_with_the_queue_and_so_is_the_request_for_another() {
    let mut run = Run {
        upgrade_requested: Some("monday".to_owned()),
        ..run(json!({}))
    };
    let mut status = ArchiveRunStatus::default();
    pods(&mut status, &run);
    assert_eq!(status, ArchiveRunStatus::default(), "no pod is made yet");
    status.queue = Some(QueueStatus::default());
    pods(&mut status, &run);
    let made_with = |status: &ArchiveRunStatus| {
        let (image, handled) = (&status.worker_image, &status.upgrade_handled);
        (image.clone().unwrap(), status.pod_revision, handled.clone())
    };
    let number = Some(PodRevision::LATEST.number());
    let monday = Some("monday".to_owned());
    assert_eq!(
        made_with(&status),
        ("worker:1".to_owned(), number, monday.clone())
    );
    (run.upgrade_requested, run.image) = (None, "worker:2".to_owned());
    pods(&mut status, &run);
    assert_eq!(made_with(&status), ("worker:2".to_owned(), number, monday));
}

#[test]
fn an_acknowledgement_is_recorded_once_with_the_inventory_of_the_claim() {
    let inventory = InventoryRef {
        manifest: "s3://inv/manifest.json".parse().unwrap(),
        etag: "e".to_owned(),
        creation_timestamp: Some(0),
    };
    let mut status = ArchiveRunStatus::default();
    for acknowledged in [Acknowledged::Unknown, Acknowledged::No] {
        acknowledgement(&mut status, &acknowledged, now());
        assert_eq!(status, ArchiveRunStatus::default());
    }
    acknowledgement(&mut status, &Acknowledged::Yes(Some(inventory)), now());
    let found = status.inventory.clone().unwrap();
    assert_eq!(
        (found.manifest.as_str(), found.etag.as_deref()),
        ("s3://inv/manifest.json", Some("e"))
    );
    assert_eq!(
        found.created_at.unwrap().0,
        "1970-01-01T00:00:00Z".parse().unwrap()
    );
    let later = "2026-11-24T12:00:00Z".parse().unwrap();
    acknowledgement(&mut status, &Acknowledged::Yes(None), later);
    assert_eq!(status.acknowledged_at, Some(Time(now())));
    assert!(status.inventory.is_some());
}

#[test]
fn what_a_run_waits_for_is_known_until_it_is_acknowledged() {
    let seen = |grouper, grouper_end| Observed {
        grouper,
        grouper_end,
        grouper_at: Some(now()),
        ..Observed::default()
    };
    let failed = || JobState::Failed {
        exit_code: Some(3),
        message: String::new(),
    };
    let end = Termination {
        reason: termination::Reason::NoInventory,
        message: "why".to_owned(),
    };
    let later = "2026-11-24T12:00:00Z".parse().unwrap();
    let mut status = ArchiveRunStatus::default();
    // The Job tries again by itself.
    waiting(
        &mut status,
        &seen(JobState::Running, Some(end.clone())),
        later,
    );
    waiting(&mut status, &seen(failed(), None), later);
    assert_eq!(status.waiting, None);
    waiting(&mut status, &seen(failed(), Some(end.clone())), later);
    let known = status.waiting.clone().unwrap();
    assert_eq!(known.since, Time(now()));
    assert_eq!(Termination::parse(&known.termination_message), Some(end));
    waiting(&mut status, &seen(JobState::Absent, None), later);
    assert_eq!(status.waiting, Some(known));
    status.acknowledged_at = Some(Time(later));
    waiting(&mut status, &seen(JobState::Succeeded, None), later);
    assert_eq!(status.waiting, None);
}

#[test]
fn a_run_that_waits_has_not_started() {
    let started = |mut status: ArchiveRunStatus, phase| {
        start_time(&mut status, phase, now());
        status.start_time
    };
    let waiting = ArchiveRunStatus::default;
    assert_eq!(started(waiting(), Phase::Pending), None);
    assert_eq!(started(waiting(), Phase::InventoryPending), None);
    assert_eq!(started(waiting(), Phase::Suspended), None);
    assert_eq!(started(waiting(), Phase::Grouping), Some(Time(now())));
    let tried = ArchiveRunStatus {
        start_time: Some(Time(now())),
        ..waiting()
    };
    assert_eq!(started(tried.clone(), Phase::InventoryPending), None);
    assert_eq!(started(tried, Phase::Suspended), Some(Time(now())));
    let before = claimed().start_time;
    for phase in [Phase::Pending, Phase::Grouping, Phase::Bundling] {
        assert_eq!(started(claimed(), phase), before, "{phase:?}");
    }
}
