//! `submit` and `bundle` as processes: what they print, how they exit, what signals do to them. The process is this test
//! program itself with `stand_in` as its only test, in which groups are archived by name only: `quick` at once, `slow`
//! unless told to stop, `deaf` never.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use clap::Parser as _;
use s3bundler::args::{Cli, Command};
use s3bundler::commands::bundle::{Archived, bundle_with};
use s3bundler::commands::submit::submit;
use s3bundler::failure::Failure;
use s3bundler::logging;
use s3bundler::progress::{Progress, ProgressStyle};
use s3bundler::queue::{Disposition, GroupFailure};
use s3bundler::s3::load_config;
use s3bundler::signals::Shutdown;
use s3bundler_contract::message::{self, ManifestRef};
use s3bundler_contract::{ExitCode, GroupName, Receipt};
use s3bundler_testbed::cli::{Program, Signal};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Inventory, Synthetic};
use s3bundler_testbed::servers::{Access, Moto};
use tokio::sync::OnceCell;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const ARGUMENTS: &str = "STAND_IN_ARGUMENTS";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that the other tests start"]
async fn stand_in() {
    let arguments = std::env::var(ARGUMENTS).unwrap();
    let cli = Cli::parse_from(["s3bundler"].into_iter().chain(arguments.split_whitespace()));
    logging::init(&cli.global).unwrap();
    let ended = match cli.command {
        Command::Submit(args) => submit(args, &cli.global).await,
        Command::Bundle(args) => {
            let config = load_config(&cli.global.s3_options()).await.unwrap();
            let shutdown = Shutdown::listen().unwrap();
            let progress = Progress::start(ProgressStyle::Silent);
            bundle_with(&args, cli.global.output, &config, &shutdown, &progress, archive).await
        }
        _ => unreachable!(),
    };
    let code = ended.map_or_else(
        |failure| {
            eprintln!("s3bundler: {failure}");
            failure.exit.code()
        },
        |()| 0,
    );
    std::process::exit(code.into());
}

async fn archive(manifest: ManifestRef, cancel: CancellationToken) -> Result<Archived, GroupFailure<Failure>> {
    eprintln!("begun {} by {}", manifest.key, std::process::id());
    if manifest.key.contains("slow") {
        cancel.cancelled().await;
        return Err(GroupFailure::new(Disposition::GiveBack, Failure::new(ExitCode::Terminated, "cancelled")));
    }
    if manifest.key.contains("deaf") {
        std::future::pending::<()>().await;
    }
    let group: GroupName = "r.000000".parse().unwrap();
    Ok(Archived { receipt: Receipt { archived: 10, archived_bytes: 100, ..Receipt::empty(group) }, here: true })
}

fn s3bundler(access: &Access, arguments: &str) -> Program {
    let program = Program::new(std::env::current_exe().unwrap()).access(access).env(ARGUMENTS, arguments);
    program.args(["--exact", "stand_in", "--ignored", "--nocapture", "--test-threads=1"])
}

/// One server for all tests of this process; it ends with the process.
async fn moto() -> &'static Access {
    static SERVER: OnceCell<Moto> = OnceCell::const_new();
    SERVER.get_or_init(async || Moto::start().await.unwrap()).await.access()
}

/// A new queue with messages for these manifests.
async fn queue(name: &str, keys: &[&str]) -> String {
    let sqs = client::sqs(moto().await);
    let url = client::create_queue(&sqs, name).await.unwrap();
    for key in keys {
        let body = ManifestRef { bucket: "b".into(), key: (*key).into(), etag: None }.to_json();
        sqs.send_message().queue_url(&url).message_body(body).send().await.unwrap();
    }
    url
}

/// The manifests in the visible messages of a queue.
async fn visible(url: &str) -> BTreeMap<String, Option<String>> {
    let sqs = client::sqs(moto().await);
    let mut manifests = BTreeMap::new();
    loop {
        let request = sqs.receive_message().queue_url(url).max_number_of_messages(10).visibility_timeout(60);
        let messages = request.send().await.unwrap().messages.unwrap_or_default();
        if messages.is_empty() {
            return manifests;
        }
        for it in messages.iter().flat_map(|it| message::parse(it.body().unwrap()).unwrap()) {
            assert!(!manifests.contains_key(&it.key), "{} is there twice", it.key);
            manifests.insert(it.key, it.etag);
        }
    }
}

fn keys(manifests: &BTreeMap<String, Option<String>>) -> Vec<&str> {
    manifests.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_worker_that_starts_over_keeps_its_process_and_its_arguments() {
    let url = queue("recycled", &["quick1", "quick2", "quick3", "quick4", "quick5"]).await;
    let arguments = format!("bundle --destination s3://d/p --queue {url} --recycle-after 2 --groups 1 --idle-exit 2");
    let running = s3bundler(moto().await, &arguments).spawn().unwrap();
    let pid = running.pid();
    let done = running.wait().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    let begun: BTreeSet<_> = done.stderr.lines().filter(|line| line.starts_with("begun")).collect();
    let expected: Vec<_> = (1..=5).map(|n| format!("begun quick{n} by {pid}")).collect();
    assert_eq!(begun.into_iter().collect::<Vec<_>>(), expected, "{done}");
    assert_eq!(done.stderr.matches("starting over").count(), 2, "{done}");
    assert!(done.stdout.contains("1 groups archived\n"), "{done}");
    assert!(visible(&url).await.is_empty());
}

#[tokio::test]
async fn a_worker_told_to_end_drains_gives_back_and_exits_0() {
    let url = queue("drained", &["slow"]).await;
    let arguments = format!("--log-format json bundle --destination s3://d/p --queue {url} --drain 1 --output json");
    let running = s3bundler(moto().await, &arguments).spawn().unwrap();
    running.wait_for_output("begun slow").await.unwrap();
    running.signal(Signal::Terminate).unwrap();
    let done = running.wait().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains(r#""groupsStopped": 1"#), "{done}");
    assert_eq!(keys(&visible(&url).await), ["slow"]);
}

#[tokio::test]
async fn a_second_signal_ends_a_worker_at_once() {
    let url = queue("impatient", &["deaf"]).await;
    let arguments = format!("bundle --destination s3://d/p --queue {url} --drain 100");
    let running = s3bundler(moto().await, &arguments).spawn().unwrap();
    running.wait_for_output("begun deaf").await.unwrap();
    let told = Instant::now();
    running.signal(Signal::Interrupt).unwrap();
    sleep(Duration::from_millis(500)).await;
    running.signal(Signal::Terminate).unwrap();
    let done = running.wait().await.unwrap();
    assert_eq!(done.code, Some(143), "{done}");
    assert!(told.elapsed() < Duration::from_secs(5), "{done}");
}

#[tokio::test]
async fn given_manifests_are_archived_without_a_queue_and_broken_off_by_a_signal() {
    let access = moto().await;
    let arguments = "bundle --destination s3://d/p --manifest s3://b/quick1 --manifest s3://b/quick2";
    let done = s3bundler(access, arguments).run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("2 groups archived\n  archived     20 objects, 200 B\n"), "{done}");
    for (signal, code) in [(Signal::Interrupt, 130), (Signal::Terminate, 143)] {
        let running = s3bundler(access, "bundle --destination s3://d/p --manifest s3://b/slow").spawn().unwrap();
        running.wait_for_output("begun slow").await.unwrap();
        running.signal(signal).unwrap();
        let done = running.wait().await.unwrap();
        assert_eq!(done.code, Some(code), "{done}");
    }
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_one_clear_error() {
    let access = moto().await;
    for (command, code) in [
        ("bundle --destination s3://d/p --queue no-such-queue", 6),
        ("bundle --destination s3://d/p --queue http://localhost/123456789012/no-such-queue", 6),
        ("submit --queue no-such-queue s3://b/k", 6),
        ("submit --queue groups.fifo s3://b/k", 6),
    ] {
        let done = s3bundler(access, command).run().await.unwrap();
        assert_eq!(done.code, Some(code), "{command}\n{done}");
        let told = done.stderr.lines().find(|line| line.starts_with("s3bundler: ")).unwrap();
        assert!(told.contains("no-such-queue") || told.contains("groups.fifo"), "{done}");
    }
    let keyless = s3bundler(access, "submit --queue groups s3://b/k");
    let keyless = keyless.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").run().await.unwrap();
    assert_eq!(keyless.code, Some(7), "{keyless}");
}

#[tokio::test]
async fn everything_that_can_be_submitted_is_and_each_that_cannot_is_told() {
    let access = moto().await;
    let s3 = client::s3(access);
    client::create_bucket(&s3, "manifests").await.unwrap();
    let numbered = (0..12).map(|n| (format!("seed/x {n:02}.index"), "b,k,1\n"));
    client::put_objects(&s3, "manifests", numbered).await.unwrap();
    client::put_object(&s3, "manifests", "groups/r/r.000000.index.dlq", "b,k,1,Retry\n").await.unwrap();
    client::put_object(&s3, "manifests", "mine.csv", "b,k,1\n").await.unwrap();
    client::put_object(&s3, "manifests", "empty.csv", "").await.unwrap();
    let url = queue("submitted", &[]).await;
    let listed: Vec<_> = (0..12).map(|n| format!("s3://manifests/seed/x {n:02}.index\n")).collect();
    let listed = listed.concat();
    let input = format!("# from a listing\n\n{listed}nonsense\ns3://manifests/gone.index\n");
    let arguments = format!(
        "submit --output json --queue {url} s3://manifests/groups/r/r.000000.index.dlq - s3://manifests/mine.csv \
         s3://manifests/empty.csv s3://manifests/i/src/all/2026-11-22T01-00Z/manifest.json"
    );
    let done = s3bundler(access, &arguments).input(input).run().await.unwrap();
    // The worst is the inventory that has no destination, and the line that is no address.
    assert_eq!(done.code, Some(6), "{done}");
    assert!(done.stdout.contains(r#""messages": 14"#) && done.stdout.contains(r#""failed": 4"#), "{done}");
    for told in
        ["input, line 15: \"nonsense\"", "gone.index does not exist", "empty.csv is empty", "--destination s3://"]
    {
        assert!(done.stderr.contains(told), "{told}\n{done}");
    }
    let submitted = visible(&url).await;
    assert_eq!(submitted.len(), 14);
    let head = s3.head_object().bucket("manifests").key("mine.csv").send().await.unwrap();
    assert_eq!(submitted["mine.csv"].as_deref(), Some(head.e_tag().unwrap().trim_matches('"')));
}

#[tokio::test]
async fn an_inventory_is_grouped_onto_the_queue_under_a_name_of_its_own() {
    let access = moto().await;
    let s3 = client::s3(access);
    for bucket in ["inventories", "archive"] {
        client::create_bucket(&s3, bucket).await.unwrap();
    }
    let inventory = Inventory::new("source", "inventories").created("2026-11-22T01:00:00Z".parse().unwrap());
    let published = inventory.publish(&s3, Synthetic::rows(100)).await.unwrap();
    let url = queue("inventories", &[]).await;
    let submit = format!("submit --queue {url} --destination s3://archive/p --max-objects 30 {}", published.manifest);
    let done = s3bundler(access, &submit).run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("run source-2026-11-22t01-00z: 4 groups of 100 objects"), "{done}");
    let groups = (0..4).map(|n| format!("p/groups/source-2026-11-22t01-00z/source-2026-11-22t01-00z.{n:06}.index"));
    assert_eq!(keys(&visible(&url).await), groups.collect::<Vec<_>>());

    let named = s3bundler(access, &format!("{submit} --name a {}", published.manifest)).run().await.unwrap();
    assert_eq!(named.code, Some(6), "one name for two inventories\n{named}");
}
