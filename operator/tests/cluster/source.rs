//! Runs of something else than an inventory.

use s3bundler_testbed::client;
use s3bundler_testbed::inventory::checksum_of;
use serde_json::{Value, json};

use super::patience::PATIENCE;
use super::scene::Scene;
use super::team::{message, told};

/// Rows as awslabs/s3bundler wrote them: no header, no metadata.
fn seed_manifest(bucket: &str, objects: std::ops::Range<usize>) -> String {
    let row = |n| format!("\"{bucket}\",\"logs%2F{n:05}.json\",\"\"\n");
    objects.map(row).collect()
}

pub async fn the_newest_inventory_is_chosen_once_and_kept_however_old_it_becomes(scene: &Scene) {
    let team = scene.team("newest").await;
    let manifest = team.inventory(15).await;
    let folder = manifest
        .strip_suffix("/manifest.json")
        .and_then(|folder| folder.rsplit_once('/'));
    let prefix = format!("{}/", folder.unwrap().0);
    // It is three days old.
    let (bucket, key) = manifest
        .trim_start_matches("s3://")
        .split_once('/')
        .unwrap();
    let written = scene
        .s3
        .get_object()
        .bucket(bucket)
        .key(key)
        .send()
        .await
        .unwrap()
        .body
        .collect()
        .await
        .unwrap();
    let mut aged: Value = serde_json::from_slice(&written.into_bytes()).unwrap();
    let created: u64 = aged["creationTimestamp"].as_str().unwrap().parse().unwrap();
    aged["creationTimestamp"] = json!((created - 72 * 3_600_000).to_string());
    let aged = aged.to_string();
    let checksum = checksum_of(aged.as_bytes());
    let checksum_key = key.replace("manifest.json", "manifest.checksum");
    for (key, text) in [(key, aged), (&checksum_key, checksum)] {
        client::put_object(&scene.s3, bucket, key, text)
            .await
            .unwrap();
    }
    let latest =
        |latest: Value| json!({"source": {"inventory": {"manifest": null, "latest": latest}}});
    let of_any_age = latest(json!({"prefix": prefix}));
    team.apply(&team.archive_run("logs", "", of_any_age)).await;
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    assert_eq!(status.inventory.unwrap().manifest, manifest);
    team.delete("logs").await;
    team.gone("logs", PATIENCE).await;

    let newest = latest(json!({"prefix": prefix, "maxAgeHours": 48}));
    team.apply(&team.archive_run("late", "", newest.clone()))
        .await;
    let status = team
        .condition("late", "Ready", "False", "InventoryPending")
        .await;
    assert!(
        message(&status, "Ready").contains("72 hours old"),
        "{status:?}"
    );
    team.apply(&team.archive_run("logs", "", newest)).await;
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    assert_eq!(
        (
            status.inventory.unwrap().manifest,
            status.objects.unwrap().archived
        ),
        (manifest, 15)
    );
}

pub async fn group_manifests_of_the_original_are_a_source(scene: &Scene) {
    let team = scene.team("seed").await;
    team.inventory(25).await;
    let (bucket, source) = (team.bucket("inventory"), team.bucket("source"));
    for (name, objects) in [("logs-key.0.index", 0..3), ("logs-key.1.index", 3..25)] {
        client::put_object(
            &scene.s3,
            &bucket,
            &format!("seed/{name}"),
            seed_manifest(&source, objects),
        )
        .await
        .unwrap();
    }
    let given = |bucket: &str, prefix: &str| json!({"source": {"inventory": null, "manifests": {"prefix": format!("s3://{bucket}/{prefix}")}}});
    team.apply(&team.archive_run("logs", "", given(&bucket, "seed/")))
        .await;
    team.apply(&team.archive_run("none", "", given(&bucket, "none/")))
        .await;
    team.apply(&team.archive_run("own", "", given(&team.bucket("archive"), "")))
        .await;
    let status = team
        .condition("none", "Stalled", "True", "InventoryMissing")
        .await;
    assert!(
        message(&status, "Stalled").contains("spec.source.manifests"),
        "{status:?}"
    );
    team.condition("own", "Accepted", "False", "Invalid").await;
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    let (groups, objects) = (status.groups.unwrap(), status.objects.unwrap());
    assert_eq!(
        (groups.total, groups.committed),
        (Some(4), 4),
        "3 objects, and 22 in groups of 10"
    );
    assert_eq!((objects.total, objects.archived), (Some(25), 25));
    assert_eq!(told(&status, "Grouped"), Some(("True", "AllGroupsMade")));
    team.assert_verified("logs").await;
}
