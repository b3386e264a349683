//! Groups that nobody can archive: told while others are archived, put back when a person asks,
//! given up in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::QueueAttributeName;
use k8s_openapi::jiff::SignedDuration;
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation, Seen};
use serde_json::json;

use super::patience::PATIENCE;
use super::scene::Scene;
use super::team::{FAILING, Team, message, told};

const REDRIVE: &str = "archive.s3bundler.dev/redrive-requested-at";

fn reads_group(seen: &Seen, number: u64) -> bool {
    seen.operation == Operation::GetObject
        && seen
            .key()
            .ends_with(&format!("/groups/logs/logs.{number:06}.index"))
}

pub async fn dead_lettered_groups_are_told_and_put_back_when_asked(scene: &Scene) {
    let team = scene.team("dead").await;
    let manifest = team.inventory(30).await;
    let (is_told, is_mended) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let (told_of, mended) = (Arc::clone(&is_told), Arc::clone(&is_mended));
    team.rule("archive", move |seen| match () {
        () if mended.load(Ordering::Relaxed) => Fault::Forward,
        () if reads_group(seen, 0) => FAILING,
        () if reads_group(seen, 1) => {
            // One is under way for as long as the other's end is not told.
            hold_until(&told_of);
            Fault::Forward
        }
        () => Fault::Forward,
    });
    let mut run = team.archive_run("logs", &manifest, two_workers());
    // Longer than a request is held.
    run["spec"]["source"]["firstByteTimeoutSeconds"] = json!(600);
    team.apply(&run).await;
    let dead_letters = impatient_queue(&team).await;
    has_letters(scene, &dead_letters).await;
    let status = team
        .shows(Instant::now(), "logs", "Degraded", "DeadLetters")
        .await;
    let words = message(&status, "Degraded");
    assert!(
        words.starts_with("1 ") && words.contains("kubectl annotate") && words.contains(REDRIVE),
        "{words}"
    );
    assert_eq!(
        told(&status, "Stalled").unwrap().0,
        "False",
        "the others are archived meanwhile: {status:?}"
    );
    assert_eq!(status.groups.unwrap().dead_lettered, 1);

    is_told.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    while client::list_keys(&scene.s3, &team.bucket("archive"), "arch/receipts/logs/")
        .await
        .unwrap()
        .len()
        < 2
    {
        assert!(
            begun.elapsed() < PATIENCE,
            "the other groups are not archived"
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    // The queue has to stay empty for a minute first: that a group is dead is told all the while.
    let status = team
        .condition("logs", "Stalled", "True", "GroupsDeadLettered")
        .await;
    assert!(message(&status, "Stalled").contains(REDRIVE), "{status:?}");
    // No worker of a stalled run has anything to do, so the second one goes. Before it is gone it
    // may take a group and give it back, and one try is all that a group has here.
    team.until("logs", "down to one worker", |status| {
        status
            .workers
            .is_some_and(|it| (it.desired, it.running) == (1, 1))
    })
    .await;

    is_mended.store(true, Ordering::Relaxed);
    team.patch(
        "logs",
        json!({"metadata": {"annotations": {REDRIVE: "2026-11-23T12:00:00Z"}}}),
    )
    .await;
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    assert_eq!(
        (
            status.groups.unwrap().committed,
            status.groups.unwrap().dead_lettered
        ),
        (3, 0)
    );
    assert_eq!(
        (
            told(&status, "Stalled").unwrap().0,
            told(&status, "Degraded").unwrap().0
        ),
        ("False", "False")
    );
    team.assert_verified("logs").await;
}

pub async fn a_run_whose_groups_stay_dead_letters_fails_and_keeps_its_queues(scene: &Scene) {
    let team = scene.team("given-up").await;
    let manifest = team.inventory(5).await;
    team.rule("archive", |seen| {
        if reads_group(seen, 0) {
            FAILING
        } else {
            Fault::Forward
        }
    });
    team.apply(&team.archive_run("logs", &manifest, two_workers()))
        .await;
    let dead_letters = impatient_queue(&team).await;
    has_letters(scene, &dead_letters).await;
    team.shows(Instant::now(), "logs", "Degraded", "DeadLetters")
        .await;
    team.condition("logs", "Stalled", "True", "GroupsDeadLettered")
        .await;

    // A day and an hour later.
    let begun = Instant::now();
    let status = loop {
        let status = team.status("logs").await;
        if told(&status, "Failed").unwrap().0 == "True" {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE, "{status:#?}");
        let mut conditions = status.conditions;
        let stalled = conditions
            .iter_mut()
            .find(|it| it.type_ == "Stalled")
            .unwrap();
        stalled.last_transition_time.0 -= SignedDuration::from_hours(25);
        team.patch_status("logs", json!({"conditions": conditions}))
            .await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    };
    assert_eq!(
        told(&status, "Failed"),
        Some(("True", "GroupsDeadLettered"))
    );
    assert_eq!(told(&status, "Ready"), Some(("False", "Failed")));
    assert!(status.completion_time.is_some());
    team.cleared(&["deployments", "jobs", "pods"]).await;
    assert_eq!(
        depth(scene, &dead_letters).await,
        1,
        "for whoever looks into it"
    );
}

/// No scaling in before the run is stalled: it may give a group back, which counts as one of its
/// tries.
fn two_workers() -> serde_json::Value {
    json!({"workers": {"scaling": {"minReplicas": 2, "maxReplicas": 2}}})
}

/// Makes dead letters of what failed once and not ten times, which takes half an hour; gives the
/// URL of their queue.
async fn impatient_queue(team: &Team<'_>) -> String {
    let sqs = &team.scene.sqs;
    let status = team
        .until("logs", "begun", |status| {
            status.queue.as_ref().is_some_and(|it| it.url.is_some())
        })
        .await;
    let queue = status.queue.unwrap();
    let (url, dead_letters) = (queue.url.unwrap(), queue.dead_letter_url.unwrap());
    let asked = sqs
        .get_queue_attributes()
        .queue_url(&dead_letters)
        .attribute_names(QueueAttributeName::QueueArn);
    let arn =
        asked.send().await.unwrap().attributes.unwrap()[&QueueAttributeName::QueueArn].clone();
    let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": 1}).to_string();
    let set = sqs
        .set_queue_attributes()
        .queue_url(url)
        .attributes(QueueAttributeName::RedrivePolicy, policy);
    set.send().await.unwrap();
    dead_letters
}

/// Keeps a request from its answer until somebody lets it go.
fn hold_until(is_over: &AtomicBool) {
    let held = async {
        let begun = Instant::now();
        while !is_over.load(Ordering::Relaxed) && begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(held));
}

/// Waits until there are messages on a queue.
async fn has_letters(scene: &Scene, url: &str) {
    let begun = Instant::now();
    while depth(scene, url).await == 0 {
        assert!(begun.elapsed() < PATIENCE, "no dead letter in {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn depth(scene: &Scene, url: &str) -> u64 {
    let visible = QueueAttributeName::ApproximateNumberOfMessages;
    let asked = scene
        .sqs
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(visible.clone())
        .send()
        .await;
    asked.unwrap().attributes.unwrap()[&visible]
        .parse()
        .unwrap()
}
