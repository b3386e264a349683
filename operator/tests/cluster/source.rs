//! Runs of something else than an inventory.

use s3bundler_testbed::client;
use serde_json::json;

use super::scene::{Scene, message, told};

/// Rows as awslabs/s3bundler wrote them: no header, no metadata.
fn seed_manifest(bucket: &str, objects: std::ops::Range<usize>) -> String {
    let row = |n| format!("\"{bucket}\",\"logs%2F{n:05}.json\",\"\"\n");
    objects.map(row).collect()
}

pub async fn group_manifests_of_the_original_are_a_source(scene: &Scene) {
    let team = scene.team("seed").await;
    team.inventory(25).await;
    let (bucket, source) = (team.bucket("inventory"), team.bucket("source"));
    for (name, objects) in [("logs-key.0.index", 0..3), ("logs-key.1.index", 3..25)] {
        client::put_object(&scene.s3, &bucket, &format!("seed/{name}"), seed_manifest(&source, objects)).await.unwrap();
    }
    let given = |bucket: &str, prefix: &str| json!({"source": {"inventory": null, "manifests": {"prefix": format!("s3://{bucket}/{prefix}")}}});
    team.apply(&team.archive_run("logs", "", given(&bucket, "seed/"))).await;
    team.apply(&team.archive_run("none", "", given(&bucket, "none/"))).await;
    team.apply(&team.archive_run("own", "", given(&team.bucket("archive"), ""))).await;
    let status = team.condition("none", "Stalled", "True", "InventoryMissing").await;
    assert!(message(&status, "Stalled").contains("spec.source.manifests"), "{status:?}");
    team.condition("own", "Accepted", "False", "Invalid").await;
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    let (groups, objects) = (status.groups.unwrap(), status.objects.unwrap());
    assert_eq!((groups.total, groups.committed), (Some(4), 4), "3 objects, and 22 in groups of 10");
    assert_eq!((objects.total, objects.archived), (Some(25), 25));
    assert_eq!(told(&status, "Grouped"), Some(("True", "AllGroupsMade")));
    team.assert_verified("logs").await;
}
