//! What a namespace does not give, and what a run gives itself.

use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::patience::PATIENCE;
use super::scene::Scene;
use super::team::{SHOWN, Team, message, told};

pub async fn pods_that_a_quota_forbids_are_told(scene: &Scene) {
    let team = scene.team("quota").await;
    let manifest = team.inventory(25).await;
    // Room for the grouper, without which there are no workers.
    quota(&team, json!({"requests.memory": "500Mi"})).await;
    let large = json!({"workers": {"resources": {"requests": {"memory": "1Gi", "cpu": "20m"}, "limits": {"memory": "1Gi"}}}});
    team.apply(&team.archive_run("logs", &manifest, large))
        .await;
    refused(&team, "ReplicaSet").await;
    let status = team
        .shows(Instant::now(), "logs", "Stalled", "QuotaExceeded")
        .await;
    assert!(
        message(&status, "Stalled")
            .contains("exceeded quota: small, requested: requests.memory=1Gi"),
        "{status:?}"
    );
    quota(&team, json!({"requests.memory": "9Gi"})).await;
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    assert_eq!(told(&status, "Stalled").unwrap().0, "False", "{status:?}");
}

pub async fn a_grouper_that_a_quota_forbids_is_told(scene: &Scene) {
    let team = scene.team("quota-grouper").await;
    let manifest = team.inventory(25).await;
    quota(&team, json!({"requests.memory": "500Mi"})).await;
    let large = json!({"grouper": {"resources": {"requests": {"memory": "1Gi", "cpu": "20m"}}}});
    team.apply(&team.archive_run("logs", &manifest, large))
        .await;
    refused(&team, "Job").await;
    let status = team
        .shows(Instant::now(), "logs", "Stalled", "QuotaExceeded")
        .await;
    let words = message(&status, "Stalled");
    assert!(
        words.contains("exceeded quota: small, requested: requests.memory=1Gi"),
        "{words}"
    );
    quota(&team, json!({"requests.memory": "2Gi"})).await;
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    assert_eq!(told(&status, "Stalled").unwrap().0, "False", "{status:?}");
}

async fn quota(team: &Team<'_>, hard: Value) {
    let metadata = json!({"name": "small", "namespace": team.name});
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}});
    team.scene.apply(&quota).await;
}

/// Waits until pods of something of this kind were not let in.
async fn refused(team: &Team<'_>, kind: &str) {
    let (begun, selector) = (
        Instant::now(),
        format!("reason=FailedCreate,involvedObject.kind={kind}"),
    );
    let events = [
        "get",
        "events",
        "-n",
        &team.name,
        "--field-selector",
        &selector,
        "-o",
        "name",
    ];
    while team.scene.kubectl(&events).await.unwrap().is_empty() {
        assert!(
            begun.elapsed() < PATIENCE,
            "{}: every pod of a {kind} was let in",
            team.name
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

pub async fn a_run_past_its_deadline_fails_and_time_at_rest_does_not_count(scene: &Scene) {
    let deadline = Duration::from_mins(1);
    let team = scene.team("late").await;
    let manifest = team.inventory(15).await;
    let never = json!({
        "activeDeadlineSeconds": deadline.as_secs(),
        "workers": {"podTemplate": {"spec": {"nodeSelector": {"disk": "nvme"}}}},
    });
    team.apply(&team.archive_run("logs", &manifest, never))
        .await;
    let begun = team
        .until("logs", "begun", |status| status.start_time.is_some())
        .await;
    team.patch("logs", json!({"spec": {"suspend": true}})).await;
    team.condition("logs", "Suspended", "True", "Suspended")
        .await;
    tokio::time::sleep(deadline / 2).await;
    team.patch("logs", json!({"spec": {"suspend": false}}))
        .await;
    let status = team
        .condition("logs", "Failed", "True", "DeadlineExceeded")
        .await;
    // In whole seconds, and by the operator's own times.
    let between = |from: &Option<Time>, to: &Option<Time>| {
        let (from, to) = (from.as_ref().unwrap(), to.as_ref().unwrap());
        Duration::try_from(to.0.duration_since(from.0)).unwrap()
    };
    let rested = between(&begun.start_time, &status.start_time);
    let taken = between(&status.start_time, &status.completion_time);
    println!("late/logs: rested {rested:?}, and failed after {taken:?}");
    assert!(
        rested + Duration::from_secs(1) >= deadline / 2,
        "{rested:?}"
    );
    assert!(taken >= deadline && taken < deadline + SHOWN, "{taken:?}");
    assert!(
        message(&status, "Failed").contains("activeDeadlineSeconds, 60 s"),
        "{status:?}"
    );
    team.cleared(&["deployments", "jobs", "pods"]).await;
    assert_eq!(team.queues().await.len(), 2, "for whoever looks into it");
    team.delete("logs").await;
    team.gone("logs", Duration::from_mins(1)).await;
    assert!(team.queues().await.is_empty());
}
