//! The simulated S3: how many GETs it answers, and how the program does on a store as far away and
//! as busy as the real one, or with more rows than a disk here has room for.

use std::convert::Infallible;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::{Bench, BenchError, INVENTORIES, KIB, as_f64};
use crate::inventory::{Column, Inventory, Row};
use crate::simulator::{Latency, Limits, Population, Simulator, SimulatorOptions, Weather};

const SOURCE: &str = "bench-simulated";
const CONNECTIONS: u64 = 16;
/// How long GETs are sent to each server.
const MEASURED: Duration = Duration::from_secs(5);
/// What the thread of the bare server is called; that of the simulator is `simulator`.
const BARE: &str = "bare-hyper";
/// Rows of a data file of a large inventory. Such a file, and the manifest.json of a billion rows,
/// is smaller than [`DIGESTS_FROM`], and the manifest of a group is larger.
pub(super) const ROWS_PER_SHARD: u64 = 60_000;
const DIGESTS_FROM: u64 = 5 << 20;

/// GETs of 10 KiB from the simulator and from a bare HTTP server, on one thread each.
pub(super) async fn gets() -> Result<(), BenchError> {
    let population = population(1_000_000_000);
    let simulator = Simulator::start(SimulatorOptions::default()).map_err(program)?;
    simulator.populate(SOURCE, population.clone());
    let address = simulator.access().endpoint.clone();
    let keys = |n: u64| {
        let number = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % population.objects;
        format!("/{SOURCE}/{}", population.key(number))
    };
    println!("\nGETs of 10 KiB, {CONNECTIONS} connections\n");
    println!("| server | GETs/s of its CPU | GETs/s |\n|---|---|---|");
    row(
        "simulator, objects of a billion",
        "simulator",
        &address,
        &keys,
    )
    .await?;
    let (bare, address) = bare_server()?;
    row("bare hyper, one body", BARE, &address, &keys).await?;
    bare.shutdown_background();
    Ok(())
}

async fn row(
    name: &str,
    thread: &str,
    endpoint: &str,
    key: &(impl Fn(u64) -> String + Sync),
) -> Result<(), BenchError> {
    let before = cpu_of_threads(thread)?;
    let (begun, sent) = (Instant::now(), AtomicU64::new(0));
    let host = endpoint.trim_start_matches("http://");
    let sending = (0..CONNECTIONS).map(|_| get_for_a_while(host, &sent, key));
    try_join_all(sending).await?;
    let (wall, cpu) = (
        begun.elapsed(),
        cpu_of_threads(thread)?.saturating_sub(before),
    );
    let rate = |time: Duration| as_f64(sent.load(Ordering::Relaxed)) / time.as_secs_f64();
    println!("| {name} | {:.0} | {:.0} |", rate(cpu), rate(wall));
    Ok(())
}

/// One connection, one request after another.
async fn get_for_a_while(
    host: &str,
    sent: &AtomicU64,
    key: &impl Fn(u64) -> String,
) -> Result<(), BenchError> {
    let stream = TcpStream::connect(host).await.map_err(program)?;
    stream.set_nodelay(true).map_err(program)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(program)?;
    tokio::spawn(connection);
    let begun = Instant::now();
    while begun.elapsed() < MEASURED {
        let request = Request::get(key(sent.fetch_add(1, Ordering::Relaxed)))
            .header(header::HOST, host)
            .body(Empty::<Bytes>::new())
            .map_err(program)?;
        sender.ready().await.map_err(program)?;
        let answer = sender.send_request(request).await.map_err(program)?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(program)?;
        if !status.is_success() || body.to_bytes().len() != 10 * KIB {
            return Err(BenchError::Program(format!(
                "a GET was answered with {status}"
            )));
        }
    }
    Ok(())
}

/// The ceiling: a server that does nothing but answer.
fn bare_server() -> Result<(Runtime, String), BenchError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(BARE)
        .enable_all()
        .build()
        .map_err(program)?;
    let listener = std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let listener = listener.map_err(program)?;
    listener.set_nonblocking(true).map_err(program)?;
    let address = listener.local_addr().map_err(program)?;
    let body = Bytes::from(vec![7; 10 * KIB]);
    runtime.spawn(async move {
        let Ok(listener) = TcpListener::from_std(listener) else {
            return;
        };
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let body = body.clone();
            let service = service_fn(move |_| {
                let answer = Response::new(Full::new(body.clone()));
                async move { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    Ok((runtime, address.to_string()))
}

/// CPU time of this process's threads of a name.
fn cpu_of_threads(name: &str) -> Result<Duration, BenchError> {
    let mut time = Duration::ZERO;
    for task in fs::read_dir("/proc/self/task").map_err(program)? {
        let folder = task.map_err(program)?.path();
        // A thread may end meanwhile.
        let read = |file| fs::read_to_string(folder.join(file)).unwrap_or_default();
        if read("comm").trim_end() == name {
            // The first field is the time on a CPU in nanoseconds (proc_pid_schedstat(5)).
            let stat = read("schedstat");
            let used = stat.split(' ').next().and_then(|field| field.parse().ok());
            time += Duration::from_nanos(used.unwrap_or_default());
        }
    }
    Ok(time)
}

/// Runs of the program on stores of several kinds.
pub(super) async fn runs(s3bundler: &Path, objects: u64) -> Result<(), BenchError> {
    let simulator = without_large_objects()?;
    let bench = Bench::of(s3bundler, simulator.access()).await?;
    let population = population(objects);
    simulator.populate(SOURCE, population.clone());
    let listed = (0..objects).map(|number| Row::new(population.key(number), 10 * KIB as u64));
    let inventory = Inventory::new(SOURCE, INVENTORIES)
        .columns(Column::SEED)
        .rows_per_shard(ROWS_PER_SHARD)
        .publish(&bench.client, listed)
        .await?;
    println!("\n`s3bundler run` of {objects} objects of 10 KiB on the simulator\n");
    println!("| store | wall | objects/s | client CPU an object | peak RSS | refused |");
    println!("|---|---|---|---|---|---|");
    for (name, run, weather) in [
        ("no latency", "near", Weather::default()),
        ("30 ms, one in 100 a second slower", "far", far()),
        ("the same, 5,500 reads a second", "limited", limited()),
    ] {
        simulator.set_weather(weather);
        simulator.reset_meter();
        let cost = bench.run(&inventory.manifest, run, &[])?;
        let refused = simulator.meter().refused;
        println!("| {name} | {} | {refused} |", cost.of(objects));
    }
    Ok(())
}

/// Groupings of large inventories.
pub(super) async fn grouping(s3bundler: &Path, rows: u64) -> Result<(), BenchError> {
    let simulator = without_large_objects()?;
    let bench = Bench::of(s3bundler, simulator.access()).await?;
    bench
        .grouping(&[(rows / 10, 1), (rows, 1), (rows, 100)])
        .await
}

/// A simulator that keeps only the digests of archives and of group manifests.
fn without_large_objects() -> Result<Simulator, BenchError> {
    let options = SimulatorOptions {
        digests_from: DIGESTS_FROM,
        ..SimulatorOptions::default()
    };
    Simulator::start(options).map_err(program)
}

/// As far as S3 is from an instance in its region, with its slow tail.
fn far() -> Weather {
    Weather {
        latency: Latency {
            least_ms: 10.0,
            mean_ms: 20.0,
            slow_one_in: 100,
            slow_ms: 1_000.0,
        },
        ..Weather::default()
    }
}

fn limited() -> Weather {
    Weather {
        limits: Limits {
            reads: 5_500,
            writes: 3_500,
            depth: 0,
        },
        ..far()
    }
}

fn population(objects: u64) -> Population {
    Population {
        prefix: "p/".to_owned(),
        suffix: String::new(),
        objects,
        is_flat: false,
        sizes: 10 * KIB as u64..10 * KIB as u64 + 1,
        seed: 1,
        with_metadata: 0,
        with_tags: 0,
        storage_class: "STANDARD".to_owned(),
    }
}

fn program(error: impl std::fmt::Display) -> BenchError {
    BenchError::Program(error.to_string())
}
