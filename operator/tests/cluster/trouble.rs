//! Failures show themselves: a condition with a reason, and a message that says what to do.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use s3bundler_testbed::client;
use serde_json::json;

use super::asked;
use super::patience::PATIENCE;
use super::scene::Scene;
use super::team::{SHOWN, Team, message, told};

/// Longer than the time between two reconciles of a run.
const RECONCILED: Duration = Duration::from_secs(20);
/// A pod may wait for a node to boot for so long.
const NODE_BOOTS: SignedDuration = SignedDuration::from_mins(5);

pub async fn an_inventory_that_is_not_there_yet_is_waited_for(scene: &Scene) {
    let team = scene.team("early").await;
    let manifest = team.inventory(15).await;
    let key = manifest
        .strip_prefix(&format!("s3://{}/", team.bucket("inventory")))
        .unwrap()
        .to_owned();
    let checksum = key.replace("manifest.json", "manifest.checksum");
    let bucket = team.bucket("inventory");
    let hidden = client::get_bytes(&scene.s3, &bucket, &checksum)
        .await
        .unwrap();
    scene
        .s3
        .delete_object()
        .bucket(&bucket)
        .key(&checksum)
        .send()
        .await
        .unwrap();

    team.apply(&team.archive_run("unfinished", &manifest, json!({})))
        .await;
    let missing = manifest.replace("manifest.json", "no/manifest.json");
    team.apply(&team.archive_run("missing", &missing, json!({})))
        .await;
    let applied = Instant::now();
    let status = team
        .shows_as(applied, "unfinished", "Ready", "False", "InventoryPending")
        .await;
    assert!(
        message(&status, "Ready").contains("manifest.checksum"),
        "{status:?}"
    );
    assert_eq!(
        told(&status, "Stalled").unwrap().0,
        "False",
        "waiting is no stall"
    );
    let status = team
        .shows(applied, "missing", "Stalled", "InventoryMissing")
        .await;
    assert!(message(&status, "Stalled").contains(&missing), "{status:?}");

    client::put_object(&scene.s3, &bucket, &checksum, hidden)
        .await
        .unwrap();
    team.condition("unfinished", "Complete", "True", "Complete")
        .await;
}

pub async fn a_service_account_that_is_missing_is_named(scene: &Scene) {
    let team = scene.team("nobody").await;
    let manifest = team.inventory(5).await;
    team.apply(&team.archive_run("logs", &manifest, json!({"serviceAccountName": "archiver"})))
        .await;
    let applied = Instant::now();
    let status = team
        .shows_as(
            applied,
            "logs",
            "Accepted",
            "False",
            "ServiceAccountNotFound",
        )
        .await;
    assert!(
        message(&status, "Accepted").contains("archiver"),
        "{status:?}"
    );
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "archiver", "namespace": team.name}});
    scene.apply(&account).await;
    team.condition("logs", "Complete", "True", "Complete").await;
}

pub async fn an_image_that_cannot_be_pulled_stalls_the_run(scene: &Scene) {
    let team = scene.team("pull").await;
    let manifest = team.inventory(5).await;
    // A run that has begun, with its inventory, keeps its image.
    team.create(&team.archive_run("logs", &manifest, json!({"suspend": true})))
        .await;
    team.condition("logs", "Suspended", "True", "Suspended")
        .await;
    let image = "localhost/s3bundler/nothing:none";
    let begun = json!({"workerImage": image, "inventory": {"manifest": manifest}});
    team.patch_status("logs", begun).await;
    team.patch("logs", json!({"spec": {"suspend": false}}))
        .await;
    team.waiting(&["ErrImagePull", "ImagePullBackOff"]).await;
    let status = team
        .shows(Instant::now(), "logs", "Stalled", "ImagePull")
        .await;
    assert!(message(&status, "Stalled").contains(image), "{status:?}");
    // It would never end, and ask for a worker for ever.
    team.delete("logs").await;
    team.gone("logs", Duration::from_mins(1)).await;
}

pub async fn pods_that_fit_nowhere_are_told(scene: &Scene) {
    let team = scene.team("nowhere").await;
    let manifest = team.inventory(5).await;
    let placement =
        json!({"workers": {"podTemplate": {"spec": {"nodeSelector": {"disk": "nvme"}}}}});
    team.apply(&team.archive_run("logs", &manifest, placement))
        .await;
    team.pod("pod that fits nowhere", is_unschedulable).await;
    tokio::time::sleep(RECONCILED).await;
    let status = team.status("logs").await;
    assert_eq!(
        told(&status, "Degraded").unwrap().0,
        "False",
        "a node may be booting: {status:?}"
    );
    waits_since(&team, Timestamp::now() - NODE_BOOTS).await;
    let status = team
        .shows(Instant::now(), "logs", "Degraded", "Unschedulable")
        .await;
    assert!(message(&status, "Degraded").contains("node"), "{status:?}");
    // What a worker may be given can be mended while it runs.
    team.patch(
        "logs",
        json!({"spec": {"workers": {"podTemplate": {"spec": {"nodeSelector": null}}}}}),
    )
    .await;
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    assert_eq!(told(&status, "Degraded").unwrap().0, "False");
}

fn is_unschedulable(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().map(|status| &status.conditions);
    let is_so = |it: &PodCondition| it.reason.as_deref() == Some("Unschedulable");
    conditions.into_iter().flatten().flatten().any(is_so)
}

/// Makes pods that fit nowhere wait since this time. The scheduler keeps it for as long as they do.
async fn waits_since(team: &Team<'_>, since: Timestamp) {
    let pods: Api<Pod> = Api::namespaced(team.scene.client.clone(), &team.name);
    let (all, params) = (ListParams::default(), PatchParams::default());
    let condition = json!({"type": "PodScheduled", "lastTransitionTime": Time(since)});
    let patch = Patch::Strategic(json!({"status": {"conditions": [condition]}}));
    for pod in asked::api(|| pods.list(&all)).await.unwrap() {
        if is_unschedulable(&pod) {
            let name = pod.name_any();
            asked::api(|| pods.patch_status(&name, &params, &patch))
                .await
                .unwrap();
        }
    }
}

pub async fn objects_that_are_gone_are_counted_by_reason(scene: &Scene) {
    let team = scene.team("gone").await;
    let manifest = team.inventory(25).await;
    for n in [3, 14] {
        let key = format!("logs/{n:05}.json");
        scene
            .s3
            .delete_object()
            .bucket(team.bucket("source"))
            .key(key)
            .send()
            .await
            .unwrap();
    }
    // The run is not over until the failures of the other groups are in its status.
    team.fail_from(20);
    team.apply(&team.archive_run("logs", &manifest, json!({})))
        .await;
    let begun = Instant::now();
    let told = |receipts: &[String]| {
        receipts
            .iter()
            .filter(|receipt| receipt.contains("~NoSuchKey"))
            .count()
    };
    while told(
        &client::list_keys(&scene.s3, &team.bucket("archive"), "arch/receipts/logs/")
            .await
            .unwrap(),
    ) < 2
    {
        assert!(
            begun.elapsed() < PATIENCE,
            "no receipts with failed objects"
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let counted = Instant::now();
    let all = "2 objects failed: NoSuchKey 2";
    team.until("logs", "told", |status| {
        message(status, "Ready").contains(all)
    })
    .await;
    assert!(counted.elapsed() < SHOWN, "{:?}", counted.elapsed());
    team.heal();
    let status = team
        .condition("logs", "Complete", "True", "CompleteWithFailures")
        .await;
    for condition in ["Complete", "Ready"] {
        assert!(message(&status, condition).contains(all), "{status:?}");
    }
    let objects = status.objects.unwrap();
    assert_eq!(
        (objects.total, objects.archived, objects.failed),
        (Some(25), 23, 2)
    );
    assert_eq!(
        status
            .failures
            .iter()
            .map(|it| (it.reason.as_str(), it.count))
            .collect::<Vec<_>>(),
        [("NoSuchKey", 2)]
    );
    team.apply(&team.archive_run(
        "strict",
        &manifest,
        json!({"failurePolicy": {"maxFailedObjects": 1}}),
    ))
    .await;
    let status = team
        .condition("strict", "Failed", "True", "TooManyFailedObjects")
        .await;
    assert!(status.completion_time.is_some(), "{status:?}");
}

pub async fn a_destination_that_is_not_there_is_named(scene: &Scene) {
    let team = scene.team("homeless").await;
    let manifest = team.inventory(5).await;
    let elsewhere = json!({"destination": {"bucket": "homeless-elsewhere-archive"}});
    team.apply(&team.archive_run("logs", &manifest, elsewhere))
        .await;
    let applied = Instant::now();
    let status = team
        .shows_as(applied, "logs", "Accepted", "False", "Invalid")
        .await;
    let words = message(&status, "Accepted");
    assert!(
        words.contains("s3://homeless-elsewhere-archive/") && words.contains("NoSuchBucket"),
        "{words}"
    );
    client::create_bucket(&scene.s3, "homeless-elsewhere-archive")
        .await
        .unwrap();
    team.condition("logs", "Complete", "True", "Complete").await;
}
