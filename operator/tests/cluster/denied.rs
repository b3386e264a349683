//! What AWS does not allow: whoever is denied, the run says what, and goes on by itself once it is
//! allowed.

use std::time::{Duration, Instant};

use s3bundler_contract::ExitCode;
use serde_json::json;

use super::scene::Scene;
use super::team::{Team, message, told};

pub const ORPHAN: &str = "archive.s3bundler.dev/orphan-queues";
/// What a container ends with that was denied something.
const DENIED: i32 = ExitCode::Permission.code() as i32;

pub async fn a_source_that_is_denied_to_the_workers_is_named(scene: &Scene) {
    let team = scene.team("denied-source").await;
    let manifest = team.inventory(5).await;
    team.deny("source", "s3:GetObject", "*").await;
    // One object a group: of several, some could be read before and some after it is allowed, and
    // the first are dead letters.
    team.apply(&team.archive_run("logs", &manifest, json!({"group": {"maxObjects": 1}})))
        .await;
    team.container_ends(DENIED).await;
    let status = team
        .shows(Instant::now(), "logs", "Stalled", "AccessDenied")
        .await;
    let words = message(&status, "Stalled");
    assert!(
        words.contains(&team.bucket("source")) && words.contains("s3:GetObject"),
        "{words}"
    );
    assert_eq!(
        message(&status, "Ready"),
        words,
        "whoever waits for Ready reads it too"
    );
    goes_on_once_allowed(&team, "source", 5).await;
}

pub async fn an_inventory_that_is_denied_to_the_grouper_is_named(scene: &Scene) {
    let team = scene.team("denied-inventory").await;
    let manifest = team.inventory(25).await;
    // manifest.json can be read.
    team.deny("inventory", "s3:GetObject", "*/data/*").await;
    team.apply(&team.archive_run("logs", &manifest, json!({})))
        .await;
    team.container_ends(DENIED).await;
    let status = team
        .shows(Instant::now(), "logs", "Stalled", "AccessDenied")
        .await;
    let words = message(&status, "Stalled");
    assert!(
        words.contains("grouper") && words.contains(&team.bucket("inventory")),
        "{words}"
    );
    goes_on_once_allowed(&team, "inventory", 25).await;
}

pub async fn a_destination_that_is_denied_is_named_whoever_meets_it(scene: &Scene) {
    let team = scene.team("denied-destination").await;
    let manifest = team.inventory(25).await;
    team.deny("archive", "s3:PutObject", "arch/runs/*").await;
    team.apply(&team.archive_run("logs", &manifest, json!({})))
        .await;
    let status = team
        .shows(Instant::now(), "logs", "Stalled", "AccessDenied")
        .await;
    let words = message(&status, "Stalled");
    assert!(
        words.contains("s3://denied-destination-archive/arch/runs/logs.json"),
        "the grouper's claim: {words}"
    );
    assert_eq!(
        team.names("deployments").await,
        [""; 0],
        "no worker for a run without a name"
    );
    team.deny("archive", "s3:PutObject", "arch/archives/*")
        .await;
    // The Job of the grouper that was denied is gone by then.
    team.until("logs", "acknowledged", |status| {
        status.acknowledged_at.is_some()
    })
    .await;
    team.container_ends(DENIED).await;
    let cause = Instant::now();
    let worker = |status: &_| {
        message(status, "Stalled").contains("s3://denied-destination-archive/arch/archives/")
    };
    team.until("logs", "told what the workers are denied", worker)
        .await;
    team.shows(cause, "logs", "Stalled", "AccessDenied").await;
    goes_on_once_allowed(&team, "archive", 25).await;
}

pub async fn queues_that_cannot_be_deleted_are_left_behind_when_asked(scene: &Scene) {
    let team = scene.team("orphaned").await;
    let statement = json!({"Effect": "Deny", "Action": "sqs:DeleteQueue", "Resource": "arn:aws:sqs:*:*:s3bundler_testbed_orphaned_*"});
    let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    scene
        .cluster
        .moto()
        .unwrap()
        .put_user_policy("operator", "orphaned", &policy)
        .await
        .unwrap();
    let manifest = team.inventory(15).await;
    team.apply(&team.archive_run("logs", &manifest, json!({})))
        .await;
    team.archiving("logs").await;
    team.delete("logs").await;
    let cause = Instant::now();
    let waits = |status: &_| message(status, "Stalled").contains(ORPHAN);
    let status = team.until("logs", "told what holds it", waits).await;
    team.shows(cause, "logs", "Stalled", "AccessDenied").await;
    let words = message(&status, "Stalled");
    assert!(
        words.contains("DeleteQueue") && words.contains("s3bundler_testbed_orphaned_logs_"),
        "{words}"
    );
    team.cleared(&["deployments", "jobs", "pods"]).await;

    team.patch(
        "logs",
        json!({"metadata": {"annotations": {ORPHAN: "true"}}}),
    )
    .await;
    team.gone("logs", Duration::from_mins(1)).await;
    let left = team.queues().await;
    assert_eq!(left.len(), 2, "{left:?}");
    for url in left {
        scene
            .sqs
            .delete_queue()
            .queue_url(url)
            .send()
            .await
            .unwrap();
    }
}

async fn goes_on_once_allowed(team: &Team<'_>, kind: &str, objects: i64) {
    team.allow(kind).await;
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    assert_eq!(status.objects.unwrap().archived, objects);
    assert_eq!(told(&status, "Stalled").unwrap().0, "False", "{status:?}");
    team.assert_verified("logs").await;
}
