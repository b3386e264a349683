//! CPU, memory and requests of `find` and `compact` over 10 million rows, whose catalogs have keys of
//! the whole range in an order that has nothing to do with theirs: the worst case for statistics.
//! Prints a table in Markdown. `cargo bench -p s3bundler --bench find -- 1000000` has fewer rows.

#![allow(
    clippy::unwrap_used,
    reason = "a bench says what it expects by failing"
)]

use std::process::Command;
use std::time::Instant;

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use s3bundler::catalog::{ArchiveRecord, CatalogWriter, Entry, GroupRecord, Map, Outcome, Place};
use s3bundler_contract::{GroupName, Row, RunName};
use s3bundler_testbed::client;
use s3bundler_testbed::simulator::{Simulator, SimulatorOptions};

const ROWS: u64 = 10_000_000;
const ROWS_OF_GROUP: u64 = 65_000;
/// Keys of a prefix.
const ROWS_OF_PREFIX: u64 = 10_000;
const BUCKET: &str = "archives";
const DESTINATION: &str = "s3://archives/p";

fn main() {
    let rows = std::env::args().find_map(|it| it.parse().ok());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(bench(rows.unwrap_or(ROWS)));
}

async fn bench(rows: u64) {
    let simulator = Simulator::start(SimulatorOptions::default()).unwrap();
    let s3 = client::s3(simulator.access());
    client::create_bucket(&s3, BUCKET).await.unwrap();
    let groups = rows.div_ceil(ROWS_OF_GROUP);
    for number in 0..groups {
        let (key, bytes) = tokio::task::spawn_blocking(move || catalog(number, rows))
            .await
            .unwrap();
        let put = s3.put_object().bucket(BUCKET).key(key);
        put.body(ByteStream::from(bytes)).send().await.unwrap();
    }
    println!("\n{rows} rows in {groups} catalogs, each with keys of the whole range\n");
    println!("| Command | Found | Requests | Read | CPU | Wall time | Peak RSS |");
    println!("|---|---|---|---|---|---|---|");
    let (key, prefix) = (key(rows / 3), format!("{}/", &key(rows / 2)[..PREFIX]));
    let finds = [["--key", &key], ["--prefix", &prefix]];
    for find in finds {
        measure(&simulator, "find", &find);
    }
    measure(&simulator, "compact", &["--run", "r"]);
    for find in finds {
        measure(&simulator, "find", &find);
    }
}

/// Bytes of a key before the slash that ends its prefix.
const PREFIX: usize = "logs/000000".len();

fn key(n: u64) -> String {
    format!("logs/{:06}/{:08}.json.gz", n / ROWS_OF_PREFIX, n)
}

/// The key and the bytes of the catalog of a group.
fn catalog(number: u64, rows: u64) -> (String, Bytes) {
    let run: RunName = "r".parse().unwrap();
    let group = GroupName::numbered(&run, number);
    let archive = format!("p/archives/aa3c23/src/{group}-aaaaaaaa.tar");
    let file = tempfile::tempfile().unwrap();
    let mut writer = CatalogWriter::create(file, &archive).unwrap();
    let of_group = number * ROWS_OF_GROUP..rows.min((number + 1) * ROWS_OF_GROUP);
    for (place, n) in (0..).zip(of_group) {
        // A prime that divides no number of rows: each row once.
        writer.push(&entry(n * 15_485_863 % rows, place)).unwrap();
    }
    let record = GroupRecord {
        manifest_bucket: BUCKET.to_owned(),
        manifest_key: format!("p/groups/r/{group}.index"),
        manifest_etag: "0123".to_owned(),
        attempt: "aaaaaaaa".to_owned(),
        archive: Some(ArchiveRecord {
            key: archive,
            size: ROWS_OF_GROUP * 11_264 + 1024,
            crc64nvme: 1,
        }),
        storage_class: "STANDARD".to_owned(),
        program: "s3bundler".to_owned(),
        redo: false,
    };
    let mut file = writer.finish(&record).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
    (format!("p/catalog/run=r/{group}.parquet"), bytes.into())
}

fn entry(n: u64, place: u64) -> Entry {
    let hash = format!(
        "{:032x}",
        u128::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    );
    Entry {
        row: Row {
            bucket: "src".to_owned(),
            key: key(n),
            size: Some(10_240),
            version_id: None,
            last_modified: Some("2026-11-22T01:00:00.000Z".to_owned()),
            etag: Some(hash.clone()),
            storage_class: Some("STANDARD".to_owned()),
        },
        listed_version: false,
        outcome: Outcome::Archived(Place {
            offset: place * 11_264 + 512,
            length: 10_240,
            skip: 0,
        }),
        md5: Some(hash),
        checksums: Map::new(),
        headers: Map::from([("content-type".to_owned(), "application/json".to_owned())]),
        metadata: Map::new(),
        tags: Map::new(),
        detail: None,
        sha256: None,
    }
}

/// Runs a command and prints what it took. Python's is the getrusage at hand.
fn measure(simulator: &Simulator, command: &str, arguments: &[&str]) {
    const RUSAGE: &str = "import resource, subprocess, sys\n\
        done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE)\n\
        used = resource.getrusage(resource.RUSAGE_CHILDREN)\n\
        print(done.returncode, done.stdout.count(b'\\n'), used.ru_utime + used.ru_stime, used.ru_maxrss // 1024)";
    simulator.reset_meter();
    let started = Instant::now();
    let output = Command::new("python3")
        .args(["-c", RUSAGE, env!("CARGO_BIN_EXE_s3bundler"), command])
        .args(["--destination", DESTINATION, "--output"])
        .arg(if command == "find" { "paths" } else { "table" })
        .args(arguments)
        .envs(simulator.access().environment())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("S3BUNDLER_LOG", "warn")
        .output()
        .unwrap();
    let wall = started.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<_> = text.split_whitespace().collect();
    let [code, lines, cpu, memory] = words[..] else {
        panic!("{text}{}", String::from_utf8_lossy(&output.stderr))
    };
    assert_eq!(code, "0", "{}", String::from_utf8_lossy(&output.stderr));
    let meter = simulator.meter();
    let requests: u64 = meter.operations[BUCKET].values().sum();
    let (found, cpu): (_, f64) = (
        if command == "find" { lines } else { "" },
        cpu.parse().unwrap(),
    );
    println!(
        "| `{command} {}` | {found} | {requests} | {:.1} MiB | {cpu:.2} s | {wall:.1} s | {memory} MiB |",
        arguments[0],
        f64::from(u32::try_from(meter.bytes_out >> 10).unwrap()) / 1024.0,
    );
}
