//! `s3bundler group` as a user runs it.

use s3bundler_testbed::cli::{Outcome, Program, Signal};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Checksum, Inventory, Published, Synthetic};
use s3bundler_testbed::proxy::{Fault, Operation};
use serde_json::{Value, json};

use super::scene::{INVENTORIES, Scene};
use crate::world;

fn s3bundler(scene: &Scene, inventory: &Published, more: &str) -> Program {
    world::s3bundler()
        .access(scene.proxy.access())
        .args([
            "group",
            "--inventory",
            &inventory.manifest,
            "--destination",
            "s3://archive/logs",
            "--name",
            "run",
        ])
        .args(more.split_whitespace())
}

async fn run(scene: &Scene, inventory: &Published, more: &str) -> Outcome {
    s3bundler(scene, inventory, more).run().await.unwrap()
}

#[tokio::test]
async fn the_command_says_what_it_made() {
    let scene = Scene::on_moto().await;
    let published = Inventory::new("source", INVENTORIES)
        .publish(&scene.client, Synthetic::rows(35))
        .await
        .unwrap();
    let queue = client::create_queue(&client::sqs(scene.proxy.access()), "groups")
        .await
        .unwrap();

    let done = run(
        &scene,
        &published,
        &format!("--max-objects 10 --queue {queue} --output json"),
    )
    .await;
    assert_eq!(done.code, Some(0), "{done}");
    let mut report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(
        report["bytes"]
            .take()
            .as_u64()
            .is_some_and(|bytes| bytes > 0),
        "{done}"
    );
    let wanted = json!({
        "run": "run", "inventory": published.manifest, "destination": "s3://archive/logs/",
        "groups": 4, "objects": 35, "bytes": null, "rows": 35, "leftOut": {},
        "sent": 4, "alreadyArchived": 0, "resumed": false,
    });
    assert_eq!(report, wanted, "{done}");
    assert_eq!(scene.proxy.count(Operation::SendMessageBatch), 1);

    let again = run(&scene, &published, "-c 10").await;
    assert_eq!(again.code, Some(0), "{again}");
    assert!(
        again
            .stdout
            .starts_with("run run is grouped: 4 groups, as before\n"),
        "{again}"
    );
    assert!(
        again
            .stdout
            .contains("  messages     none sent: no --queue was given\n"),
        "{again}"
    );
}

#[tokio::test]
async fn the_command_ends_with_the_code_of_its_error() {
    let scene = Scene::on_moto().await;
    let inventory = Inventory::new("source", INVENTORIES);
    let unfinished = inventory.clone().checksum(Checksum::Missing);
    let unfinished = unfinished
        .publish(&scene.client, Synthetic::rows(3))
        .await
        .unwrap();
    let done = run(&scene, &unfinished, "").await;
    assert_eq!(done.code, Some(3), "{done}");
    assert!(
        done.stderr
            .contains("s3bundler: the inventory s3://inventories/"),
        "{done}"
    );

    let published = inventory
        .configuration("weekly")
        .publish(&scene.client, Synthetic::rows(3))
        .await
        .unwrap();
    let nowhere = run(&scene, &published, "--queue no-such-queue").await;
    assert_eq!(nowhere.code, Some(6), "{nowhere}");
    let date = run(&scene, &published, "--modified-before yesterday").await;
    assert_eq!(date.code, Some(6), "{date}");
    assert!(
        date.stderr.contains("\"yesterday\" is not an instant"),
        "{date}"
    );

    assert_eq!(run(&scene, &published, "").await.code, Some(0));
    let taken = run(&scene, &published, "--max-objects 2").await;
    assert_eq!(taken.code, Some(6), "{taken}");
    assert!(
        taken
            .stderr
            .contains("is the claim of other group limits, made by \"s3bundler group"),
        "{taken}"
    );
}

#[tokio::test]
async fn a_signal_ends_the_command_and_the_next_one_goes_on() {
    let scene = Scene::start().await;
    let published = Inventory::new("source", INVENTORIES)
        .publish(&scene.client, Synthetic::rows(50))
        .await
        .unwrap();
    for (signal, code) in [(Signal::Terminate, 143), (Signal::Interrupt, 130)] {
        scene.proxy.clear_log();
        scene.proxy.rule(|seen| match seen.operation {
            Operation::PutObject if seen.key().ends_with("run.000003.index") => Fault::Hang,
            _ => Fault::Forward,
        });
        let running = s3bundler(&scene, &published, "--max-objects 10 --log debug")
            .spawn()
            .unwrap();
        running.wait_for_output("run.000004").await.unwrap();
        running.signal(signal).unwrap();
        let ended = running.wait().await.unwrap();
        assert_eq!(ended.code, Some(code), "{ended}");
        assert!(
            ended
                .stderr
                .contains("the same command goes on where this one stopped"),
            "{ended}"
        );
    }
    scene.proxy.forward_all();
    let done = run(&scene, &published, "--max-objects 10").await;
    assert_eq!(done.code, Some(0), "{done}");
    assert!(
        done.stdout
            .starts_with("run run is grouped: 5 groups, as before\n"),
        "{done}"
    );
}
