//! `s3bundler group` as a user runs it.

use s3bundler_testbed::cli::{Outcome, Program, Signal};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Checksum, Inventory, Published, Synthetic};
use s3bundler_testbed::proxy::{Fault, Operation};
use serde_json::{Value, json};

use crate::world::{INVENTORIES, World};

fn s3bundler(world: &World, inventory: &Published, more: &str) -> Program {
    Program::new(env!("CARGO_BIN_EXE_s3bundler"))
        .access(world.proxy.access())
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

async fn run(world: &World, inventory: &Published, more: &str) -> Outcome {
    s3bundler(world, inventory, more).run().await.unwrap()
}

#[tokio::test]
async fn the_command_says_what_it_made() {
    let world = World::start().await;
    let published = Inventory::new("source", INVENTORIES)
        .publish(&world.client, Synthetic::rows(35))
        .await
        .unwrap();
    let queue = client::create_queue(&client::sqs(world.proxy.access()), "groups")
        .await
        .unwrap();

    let done = run(
        &world,
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
    assert_eq!(world.proxy.count(Operation::SendMessageBatch), 1);

    let again = run(&world, &published, "-c 10").await;
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
    let world = World::start().await;
    let inventory = Inventory::new("source", INVENTORIES);
    let unfinished = inventory.clone().checksum(Checksum::Missing);
    let unfinished = unfinished
        .publish(&world.client, Synthetic::rows(3))
        .await
        .unwrap();
    let done = run(&world, &unfinished, "").await;
    assert_eq!(done.code, Some(3), "{done}");
    assert!(
        done.stderr
            .contains("s3bundler: the inventory s3://inventories/"),
        "{done}"
    );

    let published = inventory
        .configuration("weekly")
        .publish(&world.client, Synthetic::rows(3))
        .await
        .unwrap();
    let nowhere = run(&world, &published, "--queue no-such-queue").await;
    assert_eq!(nowhere.code, Some(6), "{nowhere}");
    let date = run(&world, &published, "--modified-before yesterday").await;
    assert_eq!(date.code, Some(6), "{date}");
    assert!(
        date.stderr.contains("\"yesterday\" is not an instant"),
        "{date}"
    );

    assert_eq!(run(&world, &published, "").await.code, Some(0));
    let taken = run(&world, &published, "--max-objects 2").await;
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
    let world = World::start().await;
    let published = Inventory::new("source", INVENTORIES)
        .publish(&world.client, Synthetic::rows(50))
        .await
        .unwrap();
    for (signal, code) in [(Signal::Terminate, 143), (Signal::Interrupt, 130)] {
        world.proxy.clear_log();
        world.proxy.rule(|seen| match seen.operation {
            Operation::PutObject if seen.key().ends_with("run.000003.index") => Fault::Hang,
            _ => Fault::Forward,
        });
        let running = s3bundler(&world, &published, "--max-objects 10 --log debug")
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
    world.proxy.forward_all();
    let done = run(&world, &published, "--max-objects 10").await;
    assert_eq!(done.code, Some(0), "{done}");
    assert!(
        done.stdout
            .starts_with("run run is grouped: 5 groups, as before\n"),
        "{done}"
    );
}
