//! The operator while nothing happens, beside a real API server: its memory, its CPU time, and what
//! it asks of S3, SQS and Kubernetes.
//!
//! ```text
//! an operator that may have no workers ──► all live runs are grouped, and one more: it gets all its receipts and ends
//!        │                                   │ queues are emptied, receipts put      │ the finished ones: copies of it
//!        ▼                                   ▼                                       ▼
//! another, behind a counting proxy ──► live runs wait with an idle worker each ──► measured
//!                                  └──► the other receipts are put, all end ─────► measured
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::BenchError;
use super::process::{cpu, end, mib, resident};
use crate::cli::Running;
use crate::client;
use crate::inventory::{Inventory, inventory_of_bucket};
use crate::kube::{Cluster, Image};
use crate::proxy::Proxy;
use crate::servers::Access;

const FINISHED: usize = 200;
const LIVE: usize = 20;
/// Groups of a run, of one object each, and how many of them are archived before a live run comes
/// to rest.
const GROUPS: usize = 30;
const COMMITTED: usize = 20;
const NAMESPACE: &str = "bench";
const SOURCE: &str = "bench-source";
const ARCHIVE: &str = "bench-archive";
const WORKER: &str = "localhost/s3bundler/worker:bench";
/// The finished run that the others are copies of.
const MODEL: &str = "finished-000";
/// How long everything together may take to come to rest, and the operator to live.
const PATIENCE: Duration = Duration::from_mins(10);
const LIFE: Duration = Duration::from_hours(1);
/// Between a state and its measurement: pods start, the last events are written.
const SETTLE: Duration = Duration::from_secs(30);
/// Between two looks of the operator at a live run.
const PERIOD: Duration = Duration::from_secs(15);

/// Measures for so long in each state, and prints a table.
pub(super) async fn idle(
    operator: &Path,
    s3bundler: &Path,
    time: Duration,
) -> Result<(), BenchError> {
    let cluster = Cluster::start().await?;
    cluster.load(&Image::of_program(WORKER, s3bundler)?).await?;
    let scene = Scene {
        operator,
        cluster: &cluster,
        s3: client::s3(cluster.access()),
    };
    scene.prepare().await?;

    let grouping = scene.start(cluster.access(), 0)?;
    let manifest = scene.inventory().await?;
    let live: Vec<_> = (0..LIVE).map(|n| format!("live-{n:03}")).collect();
    let first: Vec<_> = live.iter().map(String::as_str).chain([MODEL]).collect();
    scene.create(&first, &manifest).await?;
    scene
        .until("grouped", |run| run["status"]["groups"]["total"] == GROUPS)
        .await?;
    scene.empty_queues().await?;
    for run in &live {
        scene.put_receipts(run, 0..COMMITTED).await?;
    }
    scene.put_receipts(MODEL, 0..GROUPS).await?;
    scene
        .until("at rest", |run| is_live(run) || is_over(run))
        .await?;
    end(grouping).await?;
    scene.copy_finished(&manifest).await?;

    let proxy = Proxy::start(cluster.access())?;
    let measured = scene.start(proxy.access(), 1000)?;
    let has_worker = |run: &Value| is_live(run) && run["status"]["workers"]["running"] == 1;
    scene
        .until("waiting for groups", |run| has_worker(run) || is_over(run))
        .await?;
    let waiting = scene.measure(&measured, &proxy, time).await?;
    for run in &live {
        scene.put_receipts(run, COMMITTED..GROUPS).await?;
    }
    scene.until("over", is_over).await?;
    let over = scene.measure(&measured, &proxy, time).await?;
    end(measured).await?;
    println!("{}", table(&waiting, &over, time));
    cluster.stop().await?;
    Ok(())
}

/// What the operator took and asked for.
#[derive(Debug)]
struct Measurement {
    /// Resident memory in bytes: the mean, and the highest since the operator began.
    memory: u64,
    peak_memory: u64,
    /// Of one processor.
    cpu: f64,
    requests: BTreeMap<String, u64>,
}

struct Scene<'a> {
    operator: &'a Path,
    cluster: &'a Cluster,
    s3: aws_sdk_s3::Client,
}

impl Scene<'_> {
    async fn prepare(&self) -> Result<(), BenchError> {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let definition = chart
            .join("crds/archiveruns.archive.s3bundler.dev.yaml")
            .display()
            .to_string();
        self.cluster
            .kubectl(["create", "--filename", &definition])
            .await?;
        self.cluster
            .established("archiveruns.archive.s3bundler.dev")
            .await?;
        let Access {
            access_key,
            secret_key,
            ..
        } = self.cluster.access();
        let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "s3bundler-worker", "namespace": NAMESPACE}},
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aws", "namespace": NAMESPACE},
             "stringData": {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}},
        ]});
        self.cluster.apply(&objects.to_string()).await?;
        for bucket in [SOURCE, ARCHIVE] {
            client::create_bucket(&self.s3, bucket).await?;
        }
        Ok(())
    }

    async fn inventory(&self) -> Result<String, BenchError> {
        let objects = (0..GROUPS).map(|n| (format!("{n:05}"), "x"));
        client::put_objects(&self.s3, SOURCE, objects).await?;
        Ok(
            inventory_of_bucket(&self.s3, &Inventory::new(SOURCE, ARCHIVE))
                .await?
                .manifest,
        )
    }

    /// The operator as a process of this machine, as the chart would start it.
    fn start(&self, aws: &Access, max_workers: u32) -> Result<Running, BenchError> {
        let Access {
            endpoint, region, ..
        } = self.cluster.access();
        let small = r#"{"requests":{"cpu":"20m","memory":"32Mi","ephemeral-storage":"64Mi"}}"#;
        let program = self
            .cluster
            .program(self.operator)
            .access(aws)
            .timeout(LIFE);
        let program = program.args([
            format!("--worker-image={WORKER}"),
            format!("--worker-env=AWS_ENDPOINT_URL={endpoint}"),
            format!("--worker-env=AWS_REGION={region}"),
            "--worker-env=AWS_EC2_METADATA_DISABLED=true".to_owned(),
            format!("--worker-resources={small}"),
            format!("--grouper-resources={small}"),
            format!("--max-workers={max_workers}"),
            "--listen=127.0.0.1:0".to_owned(),
            format!("--lease-namespace={NAMESPACE}"),
        ]);
        Ok(program.spawn()?)
    }

    async fn create(&self, names: &[&str], manifest: &str) -> Result<(), BenchError> {
        let runs: Vec<_> = names
            .iter()
            .map(|name| archive_run(name, manifest))
            .collect();
        self.cluster
            .apply(&json!({"apiVersion": "v1", "kind": "List", "items": runs}).to_string())
            .await?;
        Ok(())
    }

    async fn runs(&self) -> Result<Vec<Value>, BenchError> {
        let told = self
            .cluster
            .kubectl([
                "get",
                "archiveruns",
                "--namespace",
                NAMESPACE,
                "--output=json",
            ])
            .await?;
        let mut list: Value =
            serde_json::from_str(&told).map_err(|error| BenchError::Program(error.to_string()))?;
        Ok(list["items"]
            .as_array_mut()
            .map(std::mem::take)
            .unwrap_or_default())
    }

    /// Waits until every run is as wanted, and then for what comes after it.
    async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<(), BenchError> {
        let begun = Instant::now();
        loop {
            let runs = self.runs().await?;
            let Some(other) = runs.iter().find(|run| !wanted(run)) else {
                return Ok(());
            };
            if begun.elapsed() > PATIENCE {
                return Err(BenchError::Program(format!(
                    "not {what} in time: {other:#}"
                )));
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// The groups are worked on by nobody, and workers that come have nothing to do.
    async fn empty_queues(&self) -> Result<(), BenchError> {
        let sqs = client::sqs(self.cluster.access());
        for run in self.runs().await? {
            let url = run["status"]["queue"]["url"].as_str().unwrap_or_default();
            let purged = sqs.purge_queue().queue_url(url).send().await;
            purged.map_err(|error| BenchError::Program(format!("PurgeQueue {url}: {error:?}")))?;
        }
        Ok(())
    }

    /// Receipts as workers leave them: from here on these groups are archived, whoever asks.
    async fn put_receipts(
        &self,
        run: &str,
        groups: std::ops::Range<usize>,
    ) -> Result<(), BenchError> {
        let receipts = groups.map(|n| (format!("receipts/{run}/{run}.{n:06}~a1~c0~f0~b1"), ""));
        Ok(client::put_objects(&self.s3, ARCHIVE, receipts).await?)
    }

    /// More finished runs, with the status of the first.
    async fn copy_finished(&self, manifest: &str) -> Result<(), BenchError> {
        let names: Vec<_> = (1..FINISHED).map(|n| format!("finished-{n:03}")).collect();
        self.create(
            &names.iter().map(String::as_str).collect::<Vec<_>>(),
            manifest,
        )
        .await?;
        let mut runs = self.runs().await?;
        let model = runs
            .iter()
            .find(|run| run["metadata"]["name"] == MODEL)
            .map(|run| run["status"].clone());
        let model = model.unwrap_or_default();
        runs.retain(|run| !is_live(run) && run["metadata"]["name"] != MODEL);
        for run in &mut runs {
            run["status"] = model.clone();
        }
        let file = self.cluster.folder().join("finished.json");
        let list = json!({"apiVersion": "v1", "kind": "List", "items": runs});
        std::fs::write(&file, list.to_string())
            .map_err(|error| BenchError::Program(error.to_string()))?;
        let file = file.display().to_string();
        self.cluster
            .kubectl(["replace", "--subresource=status", "--filename", &file])
            .await?;
        Ok(())
    }

    async fn measure(
        &self,
        operator: &Running,
        proxy: &Proxy,
        time: Duration,
    ) -> Result<Measurement, BenchError> {
        sleep(SETTLE).await;
        proxy.clear_log();
        let (api, cpu, begun) = (
            self.api_requests().await?,
            cpu(operator.pid())?,
            Instant::now(),
        );
        let (mut memory, mut looks) = (0, 0);
        while begun.elapsed() < time {
            memory += resident(operator.pid())?;
            looks += 1;
            sleep(Duration::from_secs(1)).await;
        }
        let cpu = (super::process::cpu(operator.pid())? - cpu) / begun.elapsed().as_secs_f64();
        let mut requests = BTreeMap::new();
        for record in proxy.log() {
            *requests
                .entry(format!("AWS {:?}", record.request.operation))
                .or_default() += 1;
        }
        for (name, count) in self.api_requests().await? {
            let more = count - api.get(&name).copied().unwrap_or_default();
            if more > 0 {
                requests.insert(format!("Kubernetes {name}"), more);
            }
        }
        Ok(Measurement {
            memory: memory / looks.max(1),
            peak_memory: operator.peak_memory(),
            cpu,
            requests,
        })
    }

    /// Requests that the API server has answered, of those kinds that nobody but the operator makes
    /// here.
    async fn api_requests(&self) -> Result<BTreeMap<String, u64>, BenchError> {
        let metrics = self.cluster.kubectl(["get", "--raw=/metrics"]).await?;
        let mut counts = BTreeMap::new();
        for line in metrics
            .lines()
            .filter_map(|line| line.strip_prefix("apiserver_request_total{"))
        {
            let Some((labels, count)) = line.rsplit_once("} ") else {
                continue;
            };
            let label = |name: &str| {
                let value = labels
                    .split(&format!("{name}=\""))
                    .nth(1)?
                    .split('"')
                    .next();
                value.filter(|value| !value.is_empty())
            };
            let [verb, resource, scope] =
                ["verb", "resource", "scope"].map(|name| label(name).unwrap_or_default());
            // Watches are counted when they end.
            let is_operators = match (verb, resource) {
                ("WATCH", _) => false,
                ("APPLY", _)
                | (_, "archiveruns")
                | ("GET", "jobs" | "deployments" | "serviceaccounts") => true,
                ("LIST", "pods") => scope == "namespace",
                _ => false,
            };
            if is_operators {
                let subresource = label("subresource")
                    .map(|name| format!("/{name}"))
                    .unwrap_or_default();
                *counts
                    .entry(format!("{verb} {resource}{subresource}"))
                    .or_default() += count.parse::<u64>().unwrap_or(0);
            }
        }
        Ok(counts)
    }
}

fn archive_run(name: &str, manifest: &str) -> Value {
    json!({
        "apiVersion": "archive.s3bundler.dev/v1alpha1",
        "kind": "ArchiveRun",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "source": {"inventory": {"manifest": manifest}},
            "destination": {"bucket": ARCHIVE},
            "group": {"maxObjects": 1},
            "credentialsSecretRef": {"name": "aws"},
        },
    })
}

/// Whether a run is under way and shows the receipts that it has.
fn is_live(run: &Value) -> bool {
    condition(run, "Ready") == Some(("False", "Bundling"))
        && run["status"]["groups"]["committed"] == COMMITTED
}

/// Whether a run has ended and given its queues back.
fn is_over(run: &Value) -> bool {
    condition(run, "Complete") == Some(("True", "Complete"))
        && condition(run, "QueueReady") == Some(("False", "Deleted"))
}

fn condition<'a>(run: &'a Value, name: &str) -> Option<(&'a str, &'a str)> {
    let mut conditions = run["status"]["conditions"].as_array()?.iter();
    let condition = conditions.find(|condition| condition["type"] == name)?;
    Some((condition["status"].as_str()?, condition["reason"].as_str()?))
}

fn table(waiting: &Measurement, over: &Measurement, time: Duration) -> String {
    let seconds = time.as_secs();
    let mut table = format!(
        "\nThe operator at rest, for {seconds} s each\n\n| | {FINISHED} finished, {LIVE} live | \
         {} finished |\n|---|---|---|\n",
        FINISHED + LIVE
    );
    let mut row = |name: &str, waiting: String, over: String| {
        let _ = writeln!(table, "| {name} | {waiting} | {over} |");
    };
    let mut both =
        |name: &str, cell: fn(&Measurement) -> String| row(name, cell(waiting), cell(over));
    both("RSS", |it| format!("{:.1} MiB", mib(it.memory)));
    both("peak RSS since its start", |it| {
        format!("{:.1} MiB", mib(it.peak_memory))
    });
    both("CPU of one core", |it| format!("{:.2} %", it.cpu * 100.0));
    let looks = super::as_f64(LIVE as u64) * time.as_secs_f64() / PERIOD.as_secs_f64();
    let names: BTreeSet<_> = waiting
        .requests
        .keys()
        .chain(over.requests.keys())
        .collect();
    for name in names {
        let [waiting, over] =
            [waiting, over].map(|it| it.requests.get(name).copied().unwrap_or_default());
        let each = super::as_f64(waiting) / looks;
        row(
            name,
            format!("{waiting}: {each:.2} a run in {} s", PERIOD.as_secs()),
            over.to_string(),
        );
    }
    table
}
