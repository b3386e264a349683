//! What a grouper does for the operator that started it: it finds the newest inventory, claims the
//! name for its resource, acknowledges the run, and says what it waits for.

use s3bundler::group::GroupError;
use s3bundler_contract::termination::Reason;
use s3bundler_contract::{Acknowledgement, RunClaim, Termination};
use s3bundler_testbed::cli::{Outcome, Program};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Checksum, Inventory, Published, Synthetic};
use s3bundler_testbed::proxy::{Fault, Operation};
use serde_json::Value;

use super::scene::{ARCHIVE, INVENTORIES, Scene, request};
use crate::world;

const UID: &str = "0a1b2c3d-4e5f-6789-abcd-ef0123456789";
const ACKNOWLEDGEMENT: &str = "logs/runs/run.ack.0a1b2c3d-4e5f-6789-abcd-ef0123456789.json";
const CLAIM: &str = "logs/runs/run.json";
const OWNER: &str = "ArchiveRun team-a/run in cluster test";
/// The address above the dates of [`deliver`].
const PREFIX: &str = "s3://inventories/inventory/source/daily/";

/// An inventory of a day of November 2026, `inventory/source/daily/2026-11-<day>T01-00Z/`.
async fn deliver(scene: &Scene, day: u32, checksum: Checksum) -> Published {
    let created = format!("2026-11-{day:02}T01:00:00Z").parse().unwrap();
    let inventory = Inventory::new("source", INVENTORIES)
        .created(created)
        .checksum(checksum);
    inventory
        .publish(&scene.client, Synthetic::rows(35))
        .await
        .unwrap()
}

fn grouper(scene: &Scene, more: &[&str]) -> Program {
    grouper_to("s3://archive/logs", scene, more)
}

fn grouper_to(destination: &str, scene: &Scene, more: &[&str]) -> Program {
    let program = world::s3bundler().access(scene.proxy.access());
    program
        .args(["group", "--destination", destination])
        .args(["--name", "run", "--output", "json"])
        .args(more)
}

async fn grouped(program: Program) -> Value {
    let done = program.run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    serde_json::from_str(&done.stdout).unwrap()
}

async fn acknowledgement(scene: &Scene) -> Acknowledgement {
    let bytes = client::get_bytes(&scene.client, ARCHIVE, ACKNOWLEDGEMENT)
        .await
        .unwrap();
    Acknowledgement::parse(&bytes).unwrap()
}

/// Keys of the PUTs, in their order.
fn puts(scene: &Scene) -> Vec<String> {
    let log = scene.proxy.log();
    let puts = log
        .iter()
        .filter(|it| it.request.operation == Operation::PutObject);
    puts.map(|it| it.request.key()).collect()
}

#[tokio::test]
async fn a_run_is_acknowledged_with_its_claim_and_before_its_first_group() {
    let scene = Scene::start().await;
    let published = deliver(&scene, 22, Checksum::Right).await;
    let request = |uid: &str| {
        let mut request = request(&published);
        request.acknowledge = Some(uid.parse().unwrap());
        request
    };
    scene.group(&request(UID)).await.unwrap();
    let put = puts(&scene);
    assert_eq!(put[..2], [CLAIM, ACKNOWLEDGEMENT], "{put:?}");
    let claim = client::get_bytes(&scene.client, ARCHIVE, CLAIM)
        .await
        .unwrap();
    let claim = RunClaim::parse(&claim).unwrap();
    let written = acknowledgement(&scene).await;
    assert_eq!(written, Acknowledgement::of(&claim, UID.parse().unwrap()));

    // Another pod of the same resource, and a resource that was created again.
    scene.proxy.clear_log();
    scene.group(&request(UID)).await.unwrap();
    let refused = scene.proxy.log();
    let refused: Vec<_> = refused
        .iter()
        .filter(|it| it.request.operation == Operation::PutObject)
        .map(|it| it.status)
        .collect();
    assert_eq!(refused, [Some(412)], "it is there");
    scene.proxy.clear_log();
    scene.group(&request("another")).await.unwrap();
    assert_eq!(puts(&scene), ["logs/runs/run.ack.another.json"]);

    // The claim was deleted, and written for another inventory.
    let newer = deliver(&scene, 23, Checksum::Right).await;
    for key in [CLAIM, "logs/runs/run.done.json"] {
        let delete = scene.client.delete_object().bucket(ARCHIVE).key(key);
        delete.send().await.unwrap();
    }
    let replaced = s3bundler::group::GroupRequest {
        origin: s3bundler::group::Origin::Inventory(newer.manifest.parse().unwrap()),
        ..request(UID)
    };
    let error = scene.refuse(&replaced).await;
    assert!(
        matches!(error, GroupError::ForeignAcknowledgement(_)),
        "{error}"
    );
}

#[tokio::test]
async fn a_grouper_that_stopped_before_the_acknowledgement_writes_it_when_it_starts_again() {
    let scene = Scene::start().await;
    let published = deliver(&scene, 22, Checksum::Right).await;
    let grouper = || {
        let arguments = ["--inventory", &published.manifest, "--acknowledge", UID];
        grouper(&scene, &arguments)
    };
    scene.proxy.rule(|seen| match seen.operation {
        Operation::PutObject if seen.key() == ACKNOWLEDGEMENT => Fault::FailBefore {
            status: 403,
            code: "AccessDenied",
        },
        _ => Fault::Forward,
    });
    let denied = grouper().run().await.unwrap();
    assert_eq!(denied.code, Some(7), "{denied}");
    assert_eq!(scene.manifests(ARCHIVE, "logs/").await, [""; 0]);
    scene.proxy.forward_all();
    assert_eq!(grouped(grouper()).await["resumed"], true);
    let manifest = acknowledgement(&scene).await.inventory.manifest;
    assert_eq!(manifest.to_string(), published.manifest);
}

#[tokio::test]
async fn the_newest_finished_inventory_is_taken_and_kept() {
    let scene = Scene::start().await;
    let first = deliver(&scene, 20, Checksum::Right).await;
    deliver(&scene, 21, Checksum::Missing).await;
    for key in ["source/daily/data/x", "source/daily/2026-11-30T01-00Z"] {
        client::put_object(&scene.client, INVENTORIES, key, "")
            .await
            .unwrap();
    }
    let newest = || {
        let arguments = ["--inventory-latest", PREFIX, "--acknowledge", UID];
        grouper(&scene, &arguments)
    };
    assert_eq!(grouped(newest()).await["inventory"], first.manifest);
    let inventory = acknowledgement(&scene).await.inventory;
    assert_eq!(inventory.manifest.to_string(), first.manifest);

    // However many came since, and however old it is by now.
    let second = deliver(&scene, 22, Checksum::Right).await;
    let again = grouped(newest().args(["--max-inventory-age", "1"])).await;
    assert_eq!(
        (&again["inventory"], &again["resumed"]),
        (&Value::from(first.manifest), &Value::from(true))
    );
    let other = grouper_to(
        "s3://archive/other",
        &scene,
        &["--inventory-latest", PREFIX],
    );
    let other = grouped(other).await;
    assert_eq!(other["inventory"], second.manifest);
    // The command of one process knows it, too.
    let run = world::s3bundler().access(scene.proxy.access()).args([
        "run",
        "--inventory-latest",
        PREFIX.trim_end_matches('/'),
        "--destination",
        "s3://archive/run",
        "--name",
        "run",
        "--include",
        "nothing/",
        "--output",
        "json",
    ]);
    assert_eq!(grouped(run).await["inventory"], second.manifest);
}

/// Runs a grouper that waits for something, and returns what its container says.
async fn waits(scene: &Scene, more: &[&str], code: i32) -> Termination {
    says(grouper(scene, more), code).await
}

async fn says(grouper: Program, code: i32) -> Termination {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("termination-log");
    std::fs::write(&file, "what was there before it".repeat(99)).unwrap();
    let ended = grouper
        .arg("--termination-log")
        .arg(&file)
        .run()
        .await
        .unwrap();
    assert_eq!(ended.code, Some(code), "{ended}");
    let said = std::fs::read_to_string(&file).unwrap();
    let end = Termination::parse(&said).unwrap_or_else(|| panic!("{said}"));
    assert!(ended.stderr.contains(&end.message), "{end:?} {ended}");
    end
}

#[tokio::test]
async fn a_grouper_says_what_it_waits_for() {
    let scene = Scene::start().await;
    let latest = ["--inventory-latest", PREFIX];
    let nowhere = ["--inventory", "s3://nowhere/a/manifest.json"];
    assert_eq!(waits(&scene, &latest, 3).await.reason, Reason::NoInventory);
    let unfinished = deliver(&scene, 20, Checksum::Missing).await;
    assert_eq!(waits(&scene, &latest, 3).await.reason, Reason::NoInventory);
    let named = ["--inventory", unfinished.manifest.as_str()];
    assert_eq!(
        waits(&scene, &named, 3).await.reason,
        Reason::InventoryUnfinished
    );
    assert_eq!(
        waits(&scene, &nowhere, 3).await.reason,
        Reason::InventoryMissing
    );
    let nowhere = ["--inventory-latest", "s3://nowhere/a/"];
    assert_eq!(
        waits(&scene, &nowhere, 3).await.reason,
        Reason::InventoryMissing
    );
    let manifests = ["--manifests", "s3://inventories/none/"];
    assert_eq!(
        waits(&scene, &manifests, 3).await.reason,
        Reason::NoManifests
    );

    let published = deliver(&scene, 21, Checksum::Right).await;
    let young = [&latest[..], &["--max-inventory-age", "1"]].concat();
    let end = waits(&scene, &young, 3).await;
    assert!(
        matches!(end.reason, Reason::InventoryTooOld { .. }) && end.message.contains("hours old"),
        "{end:?}"
    );
    let named = ["--inventory", published.manifest.as_str()];
    let homeless = grouper_to("s3://nowhere/a", &scene, &named);
    assert_eq!(says(homeless, 4).await.reason, Reason::NoDestination);

    grouped(grouper(&scene, &named)).await;
    let other = [&named[..], &["--max-objects", "2"]].concat();
    assert_eq!(
        waits(&scene, &other, 6).await.reason,
        Reason::RunNameTaken {
            difference: "other group limits".to_owned(),
            owner: "s3bundler group".to_owned(),
        }
    );
}

#[tokio::test]
async fn a_denial_is_told_with_the_bucket_that_it_comes_from() {
    let scene = Scene::start().await;
    let published = deliver(&scene, 20, Checksum::Right).await;
    let named = ["--inventory", published.manifest.as_str()];
    for (bucket, told) in [
        (INVENTORIES, r#""bucket":"Source""#),
        (ARCHIVE, r#""bucket":"Destination""#),
    ] {
        scene.proxy.rule(move |seen| {
            let is_denied = seen.bucket() == bucket && seen.operation != Operation::HeadBucket;
            if is_denied {
                Fault::FailBefore {
                    status: 403,
                    code: "AccessDenied",
                }
            } else {
                Fault::Forward
            }
        });
        let end = waits(&scene, &named, 7).await;
        assert!(end.to_line().contains(told), "{end:?}");
    }
}

#[tokio::test]
async fn a_termination_message_that_nobody_reads_is_not_written_and_others_leave_the_log() {
    let scene = Scene::start().await;
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("termination-log");
    let ended = |more: [&str; 2], file: &std::path::Path| {
        let program = grouper(&scene, &more).arg("--termination-log").arg(file);
        async move { program.run().await.unwrap() }
    };
    let nothing = ["--inventory-latest", PREFIX];
    let done: Outcome = ended(nothing, &missing).await;
    assert_eq!(done.code, Some(3), "{done}");
    assert!(!missing.exists());
    let done = ended(nothing, folder.path()).await;
    assert_eq!(done.code, Some(3), "{done}");
    assert!(
        done.stderr
            .contains("the termination message was not written"),
        "{done}"
    );
    // What no other try can change.
    let file = folder.path().join("empty");
    std::fs::write(&file, "").unwrap();
    let nothing_else = ["--inventory", "s3://inventories/manifest.csv"];
    let done = ended(nothing_else, &file).await;
    assert_eq!(done.code, Some(6), "{done}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
}

#[tokio::test]
async fn a_resource_takes_no_run_of_another_resource() {
    let scene = Scene::start().await;
    let published = deliver(&scene, 20, Checksum::Right).await;
    let of = |owner: &str| {
        let arguments = ["--inventory", &published.manifest, "--owner", owner];
        grouper(&scene, &arguments)
    };
    grouped(of(OWNER)).await;
    assert_eq!(grouped(of(OWNER)).await["resumed"], true);
    assert_eq!(grouped(of("a person")).await["resumed"], true);
    let named = ["--inventory", published.manifest.as_str()];
    let other = "ArchiveRun team-b/run in cluster test";
    let other = [&named[..], &["--owner", other, "--acknowledge", UID]].concat();
    assert_eq!(
        waits(&scene, &other, 6).await.reason,
        Reason::RunNameTaken {
            difference: "another resource".to_owned(),
            owner: OWNER.to_owned(),
        }
    );
    let runs = client::list_keys(&scene.client, ARCHIVE, "logs/runs/")
        .await
        .unwrap();
    assert_eq!(
        runs,
        ["logs/runs/run.done.json", CLAIM],
        "it is not acknowledged"
    );
}

/// A store that ignores prefixes or delimiters, or whose answer is cut off.
#[tokio::test]
async fn a_listing_of_deliveries_that_cannot_be_counted_on_is_an_error() {
    let scene = Scene::start().await;
    deliver(&scene, 20, Checksum::Right).await;
    for (inside, words) in [
        (
            "<IsTruncated>true</IsTruncated>",
            "no NextContinuationToken to go on with",
        ),
        (
            "<CommonPrefixes><Prefix>other/2026-11-22T01-00Z/</Prefix></CommonPrefixes>",
            "keys that do not begin with the prefix",
        ),
    ] {
        let body = format!("<?xml version=\"1.0\"?><ListBucketResult>{inside}</ListBucketResult>");
        scene.proxy.rule(move |seen| match seen.operation {
            Operation::ListObjectsV2 => Fault::Respond {
                status: 200,
                headers: vec![("content-type".to_owned(), "application/xml".to_owned())],
                body: body.clone().into(),
            },
            _ => Fault::Forward,
        });
        let done = grouper(&scene, &["--inventory-latest", PREFIX])
            .run()
            .await
            .unwrap();
        assert_eq!(done.code, Some(5), "{done}");
        assert!(done.stderr.contains(words), "{done}");
    }
}
