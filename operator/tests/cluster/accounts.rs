//! Receipts that do not add up to the inventory, and groups that are archived again, while the run
//! is under way.

use s3bundler_contract::Receipt;
use s3bundler_operator::crd::ArchiveRunStatus;
use s3bundler_testbed::client;
use serde_json::json;

use super::patience::PATIENCE;
use super::scene::Scene;
use super::team::{Team, message, told};

const RECEIPTS: &str = "arch/receipts/logs/";

pub async fn a_run_that_does_not_add_up_goes_on_with_repaired_receipts_and_redone_groups(
    scene: &Scene,
) {
    let team = scene.team("accounts").await;
    let manifest = team.inventory(25).await;
    let run = team.archive_run("logs", &manifest, json!({}));
    team.apply(&run).await;
    let first = exact(&team.condition("logs", "Complete", "True", "Complete").await);
    assert_eq!(first[..5], [3, 3, 25, 25, 0]);
    team.delete("logs").await;
    team.gone("logs", PATIENCE).await;

    // The run is made again, and two of its groups claim more objects than they have.
    let right = receipt_of(&team, "logs.000000").await;
    let wrong = replace(&team, &right, 100).await;
    replace(&team, &receipt_of(&team, "logs.000001").await, 1000).await;
    team.apply(&run).await;
    let status = team
        .condition("logs", "Stalled", "True", "AccountingMismatch")
        .await;
    let words = message(&status, "Stalled");
    assert!(
        words.contains("25 rows, but 1125 archived + 0 copied + 0 failed + 0 left out are 1125"),
        "{words}"
    );
    assert_eq!(
        (
            told(&status, "Complete").unwrap().0,
            told(&status, "Ready").unwrap().0
        ),
        ("False", "False")
    );
    let queue = status.queue.unwrap().url.unwrap();

    // One receipt is repaired, and the other group is archived again.
    put(&team, &right).await;
    delete(&team, &wrong).await;
    let shown = |status: &ArchiveRunStatus| {
        message(status, "Stalled").contains("25 rows, but 1025 archived")
    };
    let status = team.until("logs", "counted again", shown).await;
    assert_eq!(
        status.objects.unwrap().archived,
        1025,
        "what a repaired receipt took back is taken back"
    );
    team.redo("logs", "logs.000001", &queue).await;
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    assert_eq!(
        exact(&status),
        first,
        "the rows of the redone group count once"
    );
    assert_eq!(told(&status, "Stalled").unwrap().0, "False");
    let redone = client::list_keys(
        &scene.s3,
        &team.bucket("archive"),
        &format!("{RECEIPTS}logs.redo1."),
    )
    .await
    .unwrap();
    assert_eq!(redone.len(), 1, "{redone:?}");
    team.assert_verified("logs").await;
}

/// The groups, objects and bytes of a status.
fn exact(status: &ArchiveRunStatus) -> [i64; 7] {
    let (groups, objects, bytes) = (
        status.groups.unwrap(),
        status.objects.unwrap(),
        status.bytes.unwrap(),
    );
    let (all_groups, all_objects) = (groups.total.unwrap(), objects.total.unwrap());
    [
        all_groups,
        groups.committed,
        all_objects,
        objects.archived,
        objects.failed,
        bytes.archived,
        bytes.failed,
    ]
}

async fn receipt_of(team: &Team<'_>, group: &str) -> Receipt {
    let prefix = format!("{RECEIPTS}{group}~");
    let found = client::list_keys(&team.scene.s3, &team.bucket("archive"), &prefix)
        .await
        .unwrap();
    let [key] = &found[..] else {
        panic!("{group}: {found:?}")
    };
    Receipt::parse(key.strip_prefix(RECEIPTS).unwrap()).unwrap()
}

/// Puts a receipt with so many objects more in the place of another.
async fn replace(team: &Team<'_>, right: &Receipt, objects: u64) -> Receipt {
    let mut wrong = right.clone();
    wrong.figures.archived += objects;
    put(team, &wrong).await;
    delete(team, right).await;
    wrong
}

async fn put(team: &Team<'_>, receipt: &Receipt) {
    let key = format!("{RECEIPTS}{}", receipt.name());
    client::put_object(&team.scene.s3, &team.bucket("archive"), &key, "")
        .await
        .unwrap();
}

async fn delete(team: &Team<'_>, receipt: &Receipt) {
    let key = format!("{RECEIPTS}{}", receipt.name());
    team.scene
        .s3
        .delete_object()
        .bucket(team.bucket("archive"))
        .key(key)
        .send()
        .await
        .unwrap();
}
