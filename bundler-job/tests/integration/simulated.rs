//! The program on the simulated S3: limits and outages of a store that holds more objects than a
//! real server here could, and addresses that have the bucket in the host.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::ops::Range;

use crate::world::{self, namespace};
use s3bundler_testbed::cli::{Outcome, Program};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Column, Inventory, Row};
use s3bundler_testbed::servers::Access;
use s3bundler_testbed::simulator::{
    HOST, Latency, Limits, Outage, OutageKind, Population, Simulator, SimulatorOptions, Weather,
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

/// The program or what starts it, with a command on the run.
fn of_run(program: Program, command: &str) -> Program {
    program.args([command, "--name", "r", "--destination", "s3://archives/p"])
}

fn program(simulator: &Simulator, command: &str) -> Program {
    of_run(world::s3bundler().access(simulator.access()), command)
}

#[track_caller]
fn expect_archived(verified: &Outcome) {
    assert_eq!(verified.code, Some(0), "{verified}");
    let report: serde_json::Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(report["objects"]["archived"], LISTED, "{verified}");
}

/// A simulator with the population and an inventory of some of it.
async fn scene(options: SimulatorOptions) -> (Simulator, String) {
    let simulator = Simulator::start(options).unwrap();
    let population = Population {
        prefix: "logs/".to_owned(),
        suffix: ".json".to_owned(),
        objects: POPULATION,
        is_flat: false,
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
    let (simulator, manifest) = scene(SimulatorOptions::default()).await;
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
    expect_archived(&verify.run().await.unwrap());
}

#[tokio::test]
async fn a_run_works_over_https_with_buckets_in_the_host_and_no_way_by_path() {
    let (simulator, manifest) = scene(SimulatorOptions {
        https: Some((Ipv4Addr::LOCALHOST, 0).into()),
        ..SimulatorOptions::default()
    })
    .await;
    // Path style would ask for the host itself, which has no address.
    let mut hosts = "127.0.0.1 localhost\n".to_owned();
    for bucket in ["objects", "inventories", "archives"] {
        let _ = writeln!(hosts, "127.0.0.1 {bucket}.{HOST}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hosts");
    std::fs::write(&file, hosts).unwrap();
    let secure = simulator.https().unwrap();
    let secure = secure.at(secure.endpoint.replace("127.0.0.1", HOST));
    let inside = |access: &Access, command: &str, path_style: &str| {
        let mount = r#"mount --bind "$1" /etc/hosts; shift"#;
        let program = namespace::program(&["--mount"], mount)
            .arg(&file)
            .arg(env!("CARGO_BIN_EXE_s3bundler"))
            .access(access);
        of_run(program, command).args(["--path-style", path_style])
    };

    let run = inside(&secure, "run", "never").args(["--inventory", &manifest]);
    let done = run.run().await.unwrap();
    namespace::expect_ready(&done);
    assert_eq!(done.code, Some(0), "{done}");
    let verify = inside(&secure, "verify", "never").args(["--full", "--output", "json"]);
    expect_archived(&verify.run().await.unwrap());

    let by_path = inside(&secure, "group", "always").args(["--inventory", &manifest]);
    let by_path = by_path.args(["--outage-budget", "0"]).run().await.unwrap();
    assert_eq!(by_path.code, Some(4), "{by_path}");
    let cause = "check the host of the endpoint URL";
    assert!(by_path.stderr.contains(cause), "{by_path}");
}
