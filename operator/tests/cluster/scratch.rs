//! Where workers keep what is too large for memory: volumes of their own, and directories of the
//! node.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

use s3bundler_contract::ExitCode;
use s3bundler_testbed::client;
use serde_json::json;

use super::patience::eventually;
use super::scene::{NVME, Scene};
use super::team::{Team, message, told};

/// Passes through scratch: half as large would stay in memory.
const LARGE: usize = 9 << 20;

async fn inventory_with_a_large_object(team: &Team<'_>) -> String {
    client::put_object(
        &team.scene.s3,
        &team.bucket("source"),
        "logs/large.bin",
        vec![7; LARGE],
    )
    .await
    .unwrap();
    team.inventory(12).await
}

pub async fn a_volume_for_the_life_of_a_worker_is_scratch(scene: &Scene) {
    let team = scene.team("volumes").await;
    let manifest = inventory_with_a_large_object(&team).await;
    let node = scene
        .kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"])
        .await
        .unwrap();
    let on_node = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [node]});
    for number in 0..3 {
        // As a new disk is: root's, and nobody else may write.
        let disk = scene.cluster.folder().join(format!("disk-{number}"));
        fs::create_dir(&disk).unwrap();
        scene
            .apply(&json!({
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": format!("disk-{number}")},
                "spec": {
                    "storageClassName": "disks", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                    "local": {"path": disk},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
                },
            }))
            .await;
    }
    let scratch = json!({"type": "Ephemeral", "sizeLimit": "1Gi", "ephemeral": {"storageClassName": "disks"}});
    // A worker and its volume go when they have nothing left to do.
    team.fail_from(11);
    team.apply(&team.archive_run("logs", &manifest, json!({"workers": {"scratch": scratch}})))
        .await;
    eventually("workers have no volumes of their own", async || {
        let claims = team.names("persistentvolumeclaims").await;
        (!claims.is_empty()).then_some(())
    })
    .await;
    team.heal();
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    assert_eq!(status.objects.unwrap().archived, 13);
    team.assert_verified("logs").await;
    team.cleared(&["persistentvolumeclaims"]).await;
}

pub async fn a_directory_of_the_node_is_scratch_where_the_policy_says_so(scene: &Scene) {
    let directory = scene.cluster.folder().join(NVME);
    fs::create_dir(&directory).unwrap();
    let at = |path: &Path| json!({"workers": {"scratch": {"type": "HostPath", "hostPath": {"path": path}}}});
    let scratch = at(&directory);
    let team = scene.team("disks").await;
    let manifest = team.inventory(5).await;
    team.apply(&team.archive_run("logs", &manifest, scratch.clone()))
        .await;
    let status = team
        .condition("logs", "Accepted", "False", "NotAllowed")
        .await;
    assert!(
        message(&status, "Accepted").contains("scratch of type HostPath"),
        "{status:?}"
    );

    let team = scene.privileged_team(NVME).await;
    let manifest = inventory_with_a_large_object(&team).await;
    let beside = scene.cluster.folder().join(format!("{NVME}-of-others"));
    team.apply(&team.archive_run("beside", &manifest, at(&beside)))
        .await;
    let status = team
        .condition("beside", "Accepted", "False", "NotAllowed")
        .await;
    let refused = format!("scratch at {}", beside.display());
    assert!(
        message(&status, "Accepted").contains(&refused),
        "{status:?}"
    );

    // Allowed, but root's: a worker ends with its first group, over and over.
    team.apply(&team.archive_run("logs", &manifest, scratch))
        .await;
    team.container_ends(ExitCode::Local.code().into()).await;
    team.waiting(&["CrashLoopBackOff"]).await;
    let status = team
        .shows(Instant::now(), "logs", "Degraded", "CrashLooping")
        .await;
    let words = message(&status, "Degraded");
    assert!(
        words.contains("exited with 2: ") && words.contains("scratch: Permission denied"),
        "{words}"
    );

    writable(&directory);
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    assert_eq!(
        (
            status.objects.unwrap().archived,
            told(&status, "Degraded").unwrap().0
        ),
        (13, "False")
    );
    team.assert_verified("logs").await;
}

/// Lets everybody write into a directory and those in it, which the kubelet makes, one for each
/// worker.
fn writable(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    for entry in fs::read_dir(directory).unwrap() {
        writable(&entry.unwrap().path());
    }
}
