//! The program on the simulated S3: limits and outages of a store that holds more objects than a
//! real server here could.

use std::ops::Range;

use crate::world;
use s3bundler_testbed::cli::Program;
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Column, Inventory, Row};
use s3bundler_testbed::simulator::{
    Latency, Limits, Outage, OutageKind, Population, Simulator, SimulatorOptions, Weather,
};

/// Objects of the bucket, by rule.
const POPULATION: u64 = 1_000_000_000;
/// Objects that the inventory lists.
const LISTED: u64 = 2_000;
const SIZES: Range<u64> = 1_000..30_000;

/// At most 400 GETs and 50 PUTs a second, some of them slow.
fn busy() -> Weather {
    Weather {
        latency: Latency {
            least_ms: 1.0,
            mean_ms: 3.0,
            slow_one_in: 200,
            slow_ms: 500.0,
        },
        limits: Limits {
            reads: 400,
            writes: 50,
            depth: 0,
        },
        ..Weather::default()
    }
}

fn program(simulator: &Simulator, command: &str) -> Program {
    let program = world::s3bundler().access(simulator.access());
    program.args([command, "--name", "r", "--destination", "s3://archives/p"])
}

/// A simulator with the population and an inventory of some of it.
async fn scene() -> (Simulator, String) {
    let simulator = Simulator::start(SimulatorOptions::default()).unwrap();
    let population = Population {
        prefix: "logs/".to_owned(),
        suffix: ".json".to_owned(),
        objects: POPULATION,
        sizes: SIZES,
        seed: 7,
        with_metadata: 3,
        with_tags: 5,
        storage_class: "STANDARD".to_owned(),
    };
    let numbers = (0..LISTED).map(|n| n * (POPULATION / LISTED));
    // Only GET tells the size, so that the inventory's is not believed.
    let rows: Vec<_> = numbers
        .map(|number| Row::new(population.key(number), SIZES.start))
        .collect();
    simulator.populate("objects", population);
    let s3 = client::s3(simulator.access());
    for bucket in ["inventories", "archives"] {
        client::create_bucket(&s3, bucket).await.unwrap();
    }
    let inventory = Inventory::new("objects", "inventories").columns(Column::SEED);
    let published = inventory.publish(&s3, rows).await.unwrap();
    (simulator, published.manifest)
}

#[tokio::test]
async fn every_object_of_a_busy_store_is_archived_through_an_outage() {
    let (simulator, manifest) = scene().await;
    simulator.set_weather(busy());
    let run = program(&simulator, "run").args(["--inventory", &manifest, "--max-objects", "500"]);
    let running = run.spawn().unwrap();
    // In the middle of the groups, however fast they are.
    world::until(async || simulator.meter().requests["Requests-Tier2"] > LISTED / 4).await;
    simulator.set_weather(Weather {
        outages: vec![Outage {
            from_seconds: 0.0,
            to_seconds: 3.0,
            kind: OutageKind::Unavailable,
        }],
        ..busy()
    });
    let done = running.wait().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(simulator.meter().refused > 0);

    simulator.set_weather(Weather::default());
    let verify = program(&simulator, "verify").args(["--full", "--output", "json"]);
    let verified = verify.run().await.unwrap();
    assert_eq!(verified.code, Some(0), "{verified}");
    let report: serde_json::Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(report["objects"]["archived"], LISTED, "{verified}");
}
