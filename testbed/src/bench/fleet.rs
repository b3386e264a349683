//! The operator with more runs than a cluster on this machine can carry, beside an API server in
//! memory: its memory, its CPU time, and its requests to the API server.
//!
//! ```text
//! API server in memory: finished runs, live runs with pods that become ready and not ready ──┐
//! simulator: summaries and receipts of the live runs                                        ├──► operator ──► measured
//! queues whose depth never changes ──────────────────────────────────────────────────────────┘
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::process::{cpu, end, mib, resident};
use super::{BenchError, as_f64};
use crate::api_server::ApiServer;
use crate::cli::{Program, Running};
use crate::client;
use crate::fleet::{
    ARCHIVE, NAMESPACE, account, finished_run, live_run, pod, put_records, workers,
};
use crate::idle_queues::IdleQueues;
use crate::servers::Access;
use crate::simulator::{Simulator, SimulatorOptions};

/// Groups of a live run, and how many of them are archived.
const GROUPS: u64 = 30;
const COMMITTED: u64 = 20;
/// How long the operator may take to come to know everything, and to live.
const PATIENCE: Duration = Duration::from_mins(10);
const LIFE: Duration = Duration::from_hours(1);
/// Between the first look at everything and the measurement.
const SETTLE: Duration = Duration::from_secs(30);

/// What there is.
#[derive(Debug, Clone, Copy)]
struct Fleet {
    name: &'static str,
    finished: usize,
    live: usize,
    /// Of each live run.
    pods: usize,
    /// How often each pod becomes ready, or not ready.
    changes: Duration,
}

const FLEETS: [Fleet; 3] = [
    Fleet {
        name: "5,000 finished, 100 live with a pod each",
        finished: 5_000,
        live: 100,
        pods: 1,
        changes: Duration::from_secs(20),
    },
    Fleet {
        name: "500 live with 20 pods each",
        finished: 0,
        live: 500,
        pods: 20,
        changes: Duration::from_secs(20),
    },
    Fleet {
        name: "20 live with 50 pods each",
        finished: 0,
        live: 20,
        pods: 50,
        changes: Duration::from_secs(5),
    },
];

/// What the operator took.
struct Measurement {
    memory: u64,
    peak_memory: u64,
    /// Of one processor.
    cpu: f64,
    /// Until it knew everything.
    at_start: BTreeMap<String, u64>,
    /// A second, later.
    rates: BTreeMap<String, f64>,
}

/// Measures each fleet for so long, and prints a table.
pub(super) async fn fleets(operator: &Path, time: Duration) -> Result<(), BenchError> {
    println!(
        "\nThe operator and fleets of runs, for {} s each",
        time.as_secs()
    );
    for fleet in FLEETS {
        let measured = Scene::of(fleet).await?.measure(operator, time).await?;
        print(fleet, &measured);
    }
    Ok(())
}

fn print(fleet: Fleet, measured: &Measurement) {
    let all: f64 = measured.rates.values().sum();
    println!("\n| {} | |\n|---|---|", fleet.name);
    println!("| RSS | {:.1} MiB |", mib(measured.memory));
    println!(
        "| peak RSS since its start | {:.1} MiB |",
        mib(measured.peak_memory)
    );
    println!("| CPU of one core | {:.1} % |", measured.cpu * 100.0);
    println!("| requests to the API server | {all:.1} a second |");
    for (name, rate) in &measured.rates {
        println!("| {name} | {rate:.2} a second |");
    }
    for (name, count) in &measured.at_start {
        println!("| {name}, at its start | {count} |");
    }
}

struct Scene {
    fleet: Fleet,
    api: ApiServer,
    simulator: Simulator,
    queues: IdleQueues,
}

impl Scene {
    async fn of(fleet: Fleet) -> Result<Self, BenchError> {
        let api = ApiServer::start().map_err(failed)?;
        let simulator = Simulator::start(SimulatorOptions::default()).map_err(failed)?;
        let queues = IdleQueues::start(fleet.pods as u64).map_err(failed)?;
        let s3 = client::s3(simulator.access());
        client::create_bucket(&s3, ARCHIVE).await?;
        account(&api);
        for n in 0..fleet.finished {
            api.apply("archiveruns", finished_run(&format!("finished-{n:04}")));
        }
        for n in 0..fleet.live {
            let run = format!("live-{n:04}");
            put_records(&s3, &run, GROUPS, 0..COMMITTED).await?;
            live_run(&api, &queues.url(&run), &run, GROUPS);
            for n in 0..fleet.pods {
                api.apply("pods", pod(&run, n));
            }
            workers(&api, &run, fleet.pods);
        }
        Ok(Self {
            fleet,
            api,
            simulator,
            queues,
        })
    }

    async fn measure(&self, operator: &Path, time: Duration) -> Result<Measurement, BenchError> {
        self.api.forget_requests();
        let operator = start(operator, &self.api, self.simulator.access(), &self.queues)?;
        let begun = Instant::now();
        let is_counted = |run: &Value| run["status"]["groups"]["committed"] == COMMITTED;
        let is_finished = |run: &Value| run["status"]["completionTime"].is_string();
        while !self
            .api
            .all("archiveruns")
            .iter()
            .all(|run| is_counted(run) || is_finished(run))
        {
            if begun.elapsed() > PATIENCE {
                return Err(BenchError::Program(
                    "receipts were not counted in time".to_owned(),
                ));
            }
            sleep(Duration::from_secs(1)).await;
        }
        let at_start = self.api.requests();
        let changing = self.change_pods();
        tokio::pin!(changing);
        let measuring = async {
            sleep(SETTLE).await;
            self.api.forget_requests();
            let (before, begun) = (cpu(operator.pid())?, Instant::now());
            let (mut memory, mut looks) = (0, 0);
            while begun.elapsed() < time {
                memory += resident(operator.pid())?;
                looks += 1;
                sleep(Duration::from_secs(1)).await;
            }
            let seconds = begun.elapsed().as_secs_f64();
            let rates = self.api.requests().into_iter();
            Ok::<_, BenchError>(Measurement {
                memory: memory / looks,
                peak_memory: operator.peak_memory(),
                cpu: (cpu(operator.pid())? - before) / seconds,
                at_start,
                rates: rates
                    .map(|(name, count)| (name, as_f64(count) / seconds))
                    .collect(),
            })
        };
        let measured = tokio::select! {
            measured = measuring => measured?,
            () = &mut changing => unreachable!("pods change for ever"),
        };
        end(operator).await?;
        Ok(measured)
    }

    /// Makes one pod after another ready, or not ready, for ever.
    async fn change_pods(&self) {
        let Fleet {
            live,
            pods,
            changes,
            ..
        } = self.fleet;
        let all = u32::try_from(live * pods).unwrap_or(u32::MAX);
        let mut ticks = interval(changes / all.max(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        loop {
            for pod in 0..pods {
                for run in 0..live {
                    ticks.tick().await;
                    let name = format!("live-{run:04}-worker-{pod:03}");
                    self.api.change("pods", NAMESPACE, &name, |pod| {
                        let ready = &mut pod["status"]["conditions"][2]["status"];
                        *ready = json!(if *ready == "True" { "False" } else { "True" });
                    });
                }
            }
        }
    }
}

/// The operator as a process of this machine, as the chart would start it.
pub(super) fn start(
    operator: &Path,
    api: &ApiServer,
    s3: &Access,
    queues: &IdleQueues,
) -> Result<Running, BenchError> {
    let program = Program::new(operator)
        .access(s3)
        .sqs(queues.access())
        .env("KUBECONFIG", api.kubeconfig())
        .timeout(LIFE);
    let program = program.args([
        "--worker-image=worker:bench".to_owned(),
        "--worker-env=AWS_REGION=us-east-1".to_owned(),
        "--max-workers=100000".to_owned(),
        "--listen=127.0.0.1:0".to_owned(),
        format!("--lease-namespace={NAMESPACE}"),
    ]);
    Ok(program.spawn()?)
}

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::Program(error.to_string())
}
