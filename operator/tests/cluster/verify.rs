//! What is archived is proved before a run is complete, by a pod of the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation};
use serde_json::json;

use super::patience::eventually;
use super::scene::Scene;
use super::team::{Team, message, told};

pub async fn a_run_is_complete_once_its_checksums_are_verified(scene: &Scene) {
    let team = scene.team("verified").await;
    let manifest = team.inventory(25).await;
    let run = team.archive_run("logs", &manifest, json!({"verify": "Checksums"}));
    team.apply(&run).await;
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    assert_eq!(told(&status, "Verified"), Some(("True", "NothingFound")));
    let proof = message(&status, "Verified");
    assert!(
        proof.starts_with("25 objects in 3 groups are right, by their checksums"),
        "{proof}"
    );
    let verify = status.verify.unwrap();
    assert_eq!(
        (verify.groups, verify.objects, verify.findings),
        (Some(3), Some(25), Some(0))
    );
    assert!(verify.start_time.is_some() && verify.completion_time.is_some());
    assert_eq!(team.event("logs", "NothingFound").await, proof);
    team.cleared(&["jobs", "deployments", "pods"]).await;
}

pub async fn a_damaged_archive_is_found_and_the_run_is_complete_once_its_group_is_redone(
    scene: &Scene,
) {
    let team = scene.team("damaged").await;
    let manifest = team.inventory(25).await;
    // Nothing is verified before each group has its receipt.
    let is_damaged = Arc::new(AtomicBool::new(false));
    let may_go_on = Arc::clone(&is_damaged);
    team.rule("archive", move |seen| {
        let is_receipt =
            seen.operation == Operation::PutObject && seen.key().starts_with("arch/receipts/");
        if is_receipt && !may_go_on.load(Ordering::SeqCst) {
            Fault::Throttle
        } else {
            Fault::Forward
        }
    });
    let run = team.archive_run("logs", &manifest, json!({"verify": "Full"}));
    team.apply(&run).await;
    let archive = damage(&team, "logs.000001").await;
    is_damaged.store(true, Ordering::SeqCst);

    let status = team
        .condition("logs", "Stalled", "True", "VerifyFailed")
        .await;
    let words = message(&status, "Stalled");
    assert!(
        words.contains(&archive) && words.contains("s3bundler verify --full --destination"),
        "{words}"
    );
    assert_eq!(told(&status, "Verified"), Some(("False", "VerifyFailed")));
    assert_eq!(told(&status, "Failed").unwrap().0, "False");
    let verify = status.verify.unwrap();
    assert_eq!((verify.groups, verify.objects), (Some(3), Some(25)));
    assert!(verify.findings > Some(0), "{verify:?}");

    let queue = status.queue.unwrap().url.unwrap();
    team.redo("logs", "logs.000001", &queue).await;
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    assert_eq!(told(&status, "Verified"), Some(("True", "NothingFound")));
    assert_eq!(told(&status, "Stalled").unwrap().0, "False");
    let verify = status.verify.unwrap();
    assert_eq!(
        (verify.objects, verify.findings),
        (Some(25), Some(0)),
        "the rows of the redone group count once"
    );
}

/// Changes a byte of the archive of a group, once it is committed. Returns its key.
async fn damage(team: &Team<'_>, group: &str) -> String {
    let (s3, bucket) = (&team.scene.s3, team.bucket("archive"));
    let find = async |prefix: &'static str, part: String, end: &'static str| {
        let keys = client::list_keys(s3, &bucket, prefix).await.unwrap();
        let mut keys = keys.into_iter();
        keys.find(|key| key.contains(&part) && key.ends_with(end))
    };
    eventually("the group is committed", || {
        find("arch/catalog/", format!("/{group}"), ".parquet")
    })
    .await;
    let archive = find("arch/archives/", format!("/{group}-"), ".tar")
        .await
        .unwrap();
    let mut bytes = client::get_bytes(s3, &bucket, &archive)
        .await
        .unwrap()
        .to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    client::put_object(s3, &bucket, &archive, bytes)
        .await
        .unwrap();
    archive
}
