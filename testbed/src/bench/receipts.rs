//! The operator and a run of a million groups, of which a hundred have no receipt, on the simulator.

use std::path::Path;
use std::time::{Duration, Instant};

use rand::seq::index::sample;
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;

use super::fleet::start;
use super::process::{cpu, end, mib};
use super::{BenchError, as_f64};
use crate::api_server::ApiServer;
use crate::client;
use crate::fleet::{ARCHIVE, account, live_run, put_records, workers};
use crate::idle_queues::IdleQueues;
use crate::proxy::{Operation, Proxy};
use crate::simulator::{Latency, Population, Simulator, SimulatorOptions, Weather};

const RECEIPTS: u64 = 1_000_000;
const HOLES: usize = 100;
const RUN: &str = "large";
const SEED: u64 = 8;
/// How long the first sweep may take.
const PATIENCE: Duration = Duration::from_mins(15);

/// Measures the first sweep and then all sweeps of so long, and prints a table.
pub(super) async fn receipts(operator: &Path, time: Duration) -> Result<(), BenchError> {
    let simulator = Simulator::start(SimulatorOptions::default()).map_err(failed)?;
    // LISTs take as long as those of S3.
    simulator.set_weather(Weather {
        latency: Latency {
            least_ms: 50.0,
            mean_ms: 30.0,
            slow_one_in: 100,
            slow_ms: 1_000.0,
        },
        ..Weather::default()
    });
    simulator.populate(
        ARCHIVE,
        Population {
            prefix: format!("receipts/{RUN}/{RUN}."),
            suffix: "~a1~c0~f0~b1".to_owned(),
            objects: RECEIPTS,
            is_flat: true,
            sizes: 0..1,
            seed: 0,
            with_metadata: 0,
            with_tags: 0,
            storage_class: "STANDARD".to_owned(),
        },
    );
    let s3 = client::s3(simulator.access());
    let mut random = StdRng::seed_from_u64(SEED);
    let all = usize::try_from(RECEIPTS).map_err(failed)?;
    for hole in sample(&mut random, all, HOLES) {
        let key = format!("receipts/{RUN}/{RUN}.{hole:06}~a1~c0~f0~b1");
        let deleted = s3.delete_object().bucket(ARCHIVE).key(&key).send().await;
        deleted.map_err(|error| BenchError::Program(format!("deleting {key}: {error:?}")))?;
    }
    put_records(&s3, RUN, RECEIPTS, 0..0).await?;
    let api = ApiServer::start().map_err(failed)?;
    let queues = IdleQueues::start(HOLES as u64).map_err(failed)?;
    account(&api);
    live_run(&api, &queues.url(RUN), RUN, RECEIPTS);
    workers(&api, RUN, HOLES);

    let proxy = Proxy::start(simulator.access())?;
    let operator = start(operator, &api, proxy.access(), &queues)?;
    let begun = Instant::now();
    let committed = RECEIPTS - HOLES as u64;
    while api.all("archiveruns")[0]["status"]["groups"]["committed"] != committed {
        if begun.elapsed() > PATIENCE {
            return Err(BenchError::Program(
                "receipts were not counted in time".to_owned(),
            ));
        }
        sleep(Duration::from_millis(200)).await;
    }
    let (first, first_lists) = (begun.elapsed(), proxy.count(Operation::ListObjectsV2));
    proxy.clear_log();
    let (polls, before, begun) = (queues.requests(), cpu(operator.pid())?, Instant::now());
    sleep(time).await;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = (cpu(operator.pid())? - before) / seconds;
    let starts: Vec<_> = proxy
        .log()
        .into_iter()
        .map(|record| start_after(&record.request.query))
        .collect();
    let mut sweeps: Vec<u64> = Vec::new();
    for pair in starts.windows(2) {
        match sweeps.last_mut() {
            // A sweep goes on as long as it comes further.
            Some(lists) if pair[0] < pair[1] => *lists += 1,
            _ => sweeps.push(1),
        }
    }
    // The queue is polled every 15 s, the dead-letter queue every 30 s.
    let polls = as_f64(queues.requests() - polls) / 1.5;
    println!("\nThe operator and a run of {RECEIPTS} groups, of which {HOLES} have no receipt\n");
    println!("| | |\n|---|---|");
    println!(
        "| first sweep | {first_lists} LISTs in {:.0} s |",
        first.as_secs_f64()
    );
    println!("| LISTs of the sweeps after it, in {seconds:.0} s | {sweeps:?} |");
    println!(
        "| polls of the queue | one every {:.1} s |",
        seconds / polls
    );
    println!(
        "| peak RSS since its start | {:.1} MiB |",
        mib(operator.peak_memory())
    );
    println!("| CPU of one core | {:.1} % |", cpu * 100.0);
    end(operator).await
}

fn start_after(query: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find_map(|(name, value)| (name == "start-after").then(|| value.into_owned()))
}

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::Program(error.to_string())
}
