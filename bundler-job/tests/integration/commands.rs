//! `submit` and `bundle` as processes: what they print, how they exit, what signals do to them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::world::servers::{self, moto};
use crate::world::{self, page, until};
use s3bundler_contract::S3Address;
use s3bundler_contract::message::{self, ManifestRef};
use s3bundler_testbed::cli::{Program, Signal};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Inventory, Synthetic};
use s3bundler_testbed::metrics::{documented, exposed};
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
use s3bundler_testbed::servers::{Access, Port};

fn s3bundler(access: &Access, arguments: &str) -> Program {
    world::s3bundler()
        .access(access)
        .args(arguments.split_whitespace())
}

/// Buckets of these names: objects, their manifests, and the archives. Every manifest names the one
/// object of its name.
async fn buckets(name: &str, manifests: &[&str]) -> Vec<ManifestRef> {
    let s3 = client::s3(moto().await);
    for bucket in ["objects", "manifests", "archives"] {
        servers::create_bucket(moto().await, &format!("{name}-{bucket}")).await;
    }
    let (objects, bucket) = (format!("{name}-objects"), format!("{name}-manifests"));
    client::put_objects(
        &s3,
        &objects,
        manifests.iter().map(|key| (*key, "0123456789")),
    )
    .await
    .unwrap();
    let rows = manifests
        .iter()
        .map(|key| (*key, format!("{objects},{key},10\n")));
    client::put_objects(&s3, &bucket, rows).await.unwrap();
    manifests
        .iter()
        .map(|key| ManifestRef::new(S3Address::new(&bucket, *key), None))
        .collect()
}

/// A new queue with messages for these manifests.
async fn queue(name: &str, manifests: &[ManifestRef]) -> String {
    let sqs = client::sqs(moto().await);
    let url = servers::create_queue(moto().await, name).await;
    for manifest in manifests {
        sqs.send_message()
            .queue_url(&url)
            .message_body(manifest.to_json())
            .send()
            .await
            .unwrap();
    }
    url
}

/// The manifests in the visible messages of a queue.
async fn visible(url: &str) -> BTreeMap<String, Option<String>> {
    let sqs = client::sqs(moto().await);
    let mut manifests = BTreeMap::new();
    loop {
        let request = sqs
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(10)
            .visibility_timeout(60);
        let messages = request.send().await.unwrap().messages.unwrap_or_default();
        if messages.is_empty() {
            return manifests;
        }
        for it in messages
            .iter()
            .flat_map(|it| message::parse(it.body().unwrap()).unwrap())
        {
            assert!(
                !manifests.contains_key(&it.key),
                "{} is there twice",
                it.key
            );
            manifests.insert(it.key, it.etag);
        }
    }
}

fn keys(manifests: &BTreeMap<String, Option<String>>) -> Vec<&str> {
    manifests.keys().map(String::as_str).collect()
}

async fn receipts(name: &str) -> usize {
    client::list_keys(
        &client::s3(moto().await),
        &format!("{name}-archives"),
        "p/receipts/",
    )
    .await
    .unwrap()
    .len()
}

/// A proxy that never answers a GET of an object `stuck`.
struct Stuck {
    proxy: Proxy,
    asked: Arc<AtomicU64>,
}

impl Stuck {
    async fn start() -> Self {
        let proxy = Proxy::start(moto().await).unwrap();
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        proxy.rule(move |seen| {
            if seen.operation != Operation::GetObject || !seen.path.ends_with("-objects/stuck") {
                return Fault::Forward;
            }
            count.fetch_add(1, Ordering::SeqCst);
            Fault::Hang
        });
        Self { proxy, asked }
    }

    /// Returns when the object was asked for once more, and so its group is being worked on.
    async fn reached(&self) {
        until(async || self.asked.swap(0, Ordering::SeqCst) > 0).await;
    }
}

#[tokio::test]
async fn a_worker_that_starts_over_keeps_its_process_and_its_arguments() {
    let manifests = buckets("recycled", &["1", "2", "3", "4", "5"]).await;
    let url = queue("recycled", &manifests).await;
    let arguments = format!(
        "bundle --destination s3://recycled-archives/p --queue {url} --recycle-after 2 --groups 1 \
         --idle-exit 2"
    );
    // One process to wait for: another one's end would not be its.
    let done = s3bundler(moto().await, &arguments).run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(done.stderr.matches("starting over").count(), 2, "{done}");
    assert!(done.stdout.starts_with("1 groups archived\n"), "{done}");
    assert_eq!(receipts("recycled").await, 5);
    assert!(visible(&url).await.is_empty());
}

#[tokio::test]
async fn a_worker_told_to_end_drains_gives_back_and_exits_0() {
    let manifests = buckets("drained", &["stuck"]).await;
    let url = queue("drained", &manifests).await;
    let stuck = Stuck::start().await;
    let arguments = format!(
        "bundle --destination s3://drained-archives/p --queue {url} --drain 1 --output json"
    );
    let running = s3bundler(stuck.proxy.access(), &arguments).spawn().unwrap();
    stuck.reached().await;
    running.signal(Signal::Terminate).unwrap();
    let done = running.wait().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains(r#""groupsStopped": 1"#), "{done}");
    assert_eq!(keys(&visible(&url).await), ["stuck"]);
    let s3 = client::s3(moto().await);
    assert!(
        client::list_open_uploads(&s3, "drained-archives")
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_worker_says_whether_it_is_busy_and_what_it_has_done() {
    let manifests = buckets("listening", &["1", "stuck"]).await;
    let url = queue("listening", &manifests[..1]).await;
    let stuck = Stuck::start().await;
    let port = Port::free(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    let page = |path: &'static str| page(port.number(), path);
    let arguments = format!(
        "bundle --destination s3://listening-archives/p --queue {url} --drain 0 --listen \
         127.0.0.1:{}",
        port.number()
    );
    let running = s3bundler(stuck.proxy.access(), &arguments).spawn().unwrap();
    until(async || receipts("listening").await > 0).await;
    until(async || page("/busy").await.unwrap().0 == "503").await;
    let sqs = client::sqs(moto().await);
    sqs.send_message()
        .queue_url(&url)
        .message_body(manifests[1].to_json())
        .send()
        .await
        .unwrap();
    stuck.reached().await;
    assert_eq!(
        page("/busy").await.unwrap(),
        ("200".to_owned(), "1 groups\n".to_owned())
    );
    assert_eq!(page("/healthz").await.unwrap().0, "200");
    let (_, metrics) = page("/metrics").await.unwrap();
    for line in [
        r#"s3bundler_worker_groups_total{outcome="archived"} 1"#,
        "s3bundler_groups_held 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    assert_eq!(
        exposed(&metrics),
        documented("worker"),
        "docs/metrics.md lists what is served"
    );
    running.signal(Signal::Terminate).unwrap();
    assert_eq!(running.wait().await.unwrap().code, Some(0));
}

#[tokio::test]
async fn a_worker_whose_first_group_is_in_another_region_ends_and_one_that_has_archived_goes_on() {
    for (name, archived_before, exit, received) in
        [("elsewhere", 0, Some(5), 1), ("mostly-here", 1, Some(0), 2)]
    {
        let manifests = buckets(name, &["1", "away"]).await;
        let url = queue(name, &manifests[1 - archived_before..]).await;
        let proxy = Proxy::start(moto().await).unwrap();
        proxy.rule(|seen| match seen.operation {
            Operation::GetObject if seen.key() == "away" => Fault::Respond {
                status: 301,
                headers: vec![("x-amz-bucket-region".to_owned(), "eu-central-1".to_owned())],
                body: "<Error><Code>PermanentRedirect</Code><Message>Use the \
                    endpoint.</Message></Error>"
                    .into(),
            },
            _ => Fault::Forward,
        });
        let arguments = format!(
            "bundle --destination s3://{name}-archives/p --queue {url} --groups 1 --idle-exit 1"
        );
        let done = s3bundler(proxy.access(), &arguments).run().await.unwrap();
        assert_eq!(done.code, exit, "{done}");
        assert!(done.stderr.contains("set --region eu-central-1"), "{done}");
        assert_eq!(receipts(name).await, archived_before, "{done}");
        assert_eq!(
            done.stderr.matches("group not archived").count(),
            1,
            "{done}"
        );
        // A worker that ends releases the message at once, another one for a while.
        let expected = if archived_before == 0 {
            vec!["away"]
        } else {
            vec![]
        };
        assert_eq!(keys(&visible(&url).await), expected, "{done}");
        assert!(proxy.count(Operation::DeleteMessage) < received, "{done}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_a_worker_at_once() {
    let manifests = buckets("impatient", &["stuck"]).await;
    let url = queue("impatient", &manifests).await;
    let stuck = Stuck::start().await;
    let arguments =
        format!("bundle --destination s3://impatient-archives/p --queue {url} --drain 3600");
    let running = s3bundler(stuck.proxy.access(), &arguments).spawn().unwrap();
    stuck.reached().await;
    running.signal(Signal::Interrupt).unwrap();
    running
        .wait_for_output("once more to end at once")
        .await
        .unwrap();
    running.signal(Signal::Terminate).unwrap();
    // Drained, it would exit 0.
    let done = running.wait().await.unwrap();
    assert_eq!(done.code, Some(143), "{done}");
}

#[tokio::test]
async fn given_manifests_are_archived_without_a_queue_and_broken_off_by_a_signal() {
    buckets("given", &["1", "2", "stuck"]).await;
    let stuck = Stuck::start().await;
    let bundle = "bundle --destination s3://given-archives/p --manifest s3://given-manifests/";
    let done = s3bundler(
        stuck.proxy.access(),
        &format!("{bundle}1 --manifest s3://given-manifests/2"),
    )
    .run()
    .await
    .unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(
        done.stdout
            .starts_with("2 groups archived\n  archived     2 objects, 20 B\n"),
        "{done}"
    );
    assert_eq!(receipts("given").await, 2);
    let again = s3bundler(stuck.proxy.access(), &format!("{bundle}1"))
        .run()
        .await
        .unwrap();
    assert!(
        again
            .stdout
            .starts_with("0 groups archived, 1 archived before\n"),
        "{again}"
    );
    for (signal, code) in [(Signal::Interrupt, 130), (Signal::Terminate, 143)] {
        let running = s3bundler(stuck.proxy.access(), &format!("{bundle}stuck"))
            .spawn()
            .unwrap();
        stuck.reached().await;
        running.signal(signal).unwrap();
        let done = running.wait().await.unwrap();
        assert_eq!(done.code, Some(code), "{done}");
    }
    let gone = s3bundler(
        stuck.proxy.access(),
        &format!("{bundle}gone --manifest s3://given-manifests/2"),
    )
    .run()
    .await
    .unwrap();
    assert_eq!(gone.code, Some(5), "{gone}");
    assert!(
        gone.stderr
            .contains("s3bundler: 1 of 2 groups were not archived"),
        "{gone}"
    );
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_one_clear_error() {
    let access = moto().await;
    servers::create_bucket(access, "reachable").await;
    for (command, code) in [
        (
            "bundle --destination s3://reachable/p --queue no-such-queue",
            6,
        ),
        (
            "bundle --destination s3://reachable/p --queue \
             http://localhost/123456789012/no-such-queue",
            6,
        ),
        ("submit --queue no-such-queue s3://b/k", 6),
        ("submit --queue groups.fifo s3://b/k", 6),
    ] {
        let done = s3bundler(access, command).run().await.unwrap();
        assert_eq!(done.code, Some(code), "{command}\n{done}");
        let told = done
            .stderr
            .lines()
            .find(|line| line.starts_with("s3bundler: "))
            .unwrap();
        assert!(
            told.contains("no-such-queue") || told.contains("groups.fifo"),
            "{done}"
        );
    }
    let keyless = s3bundler(access, "submit --queue groups s3://b/k");
    let keyless = keyless
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .run()
        .await
        .unwrap();
    assert_eq!(keyless.code, Some(7), "{keyless}");
}

#[tokio::test]
async fn everything_that_can_be_submitted_is_and_each_that_cannot_is_told() {
    let access = moto().await;
    let s3 = client::s3(access);
    servers::create_bucket(access, "manifests").await;
    let numbered = (0..12).map(|n| (format!("seed/x {n:02}.index"), "b,k,1\n"));
    client::put_objects(&s3, "manifests", numbered)
        .await
        .unwrap();
    client::put_object(
        &s3,
        "manifests",
        "groups/r/r.000000.index.dlq",
        "b,k,1,Retry\n",
    )
    .await
    .unwrap();
    client::put_object(&s3, "manifests", "mine.csv", "b,k,1\n")
        .await
        .unwrap();
    client::put_object(&s3, "manifests", "empty.csv", "")
        .await
        .unwrap();
    let url = queue("submitted", &[]).await;
    let listed: Vec<_> = (0..12)
        .map(|n| format!("s3://manifests/seed/x {n:02}.index\n"))
        .collect();
    let listed = listed.concat();
    let input = format!("# from a listing\n\n{listed}nonsense\ns3://manifests/gone.index\n");
    let arguments = format!(
        "submit --output json --queue {url} s3://manifests/groups/r/r.000000.index.dlq - \
         s3://manifests/mine.csv s3://manifests/empty.csv \
         s3://manifests/i/src/all/2026-11-22T01-00Z/manifest.json"
    );
    let done = s3bundler(access, &arguments)
        .input(input)
        .run()
        .await
        .unwrap();
    // The worst is the inventory that has no destination, and the line that is no address.
    assert_eq!(done.code, Some(6), "{done}");
    assert!(
        done.stdout.contains(r#""messages": 14"#) && done.stdout.contains(r#""failed": 4"#),
        "{done}"
    );
    for told in [
        "input, line 15: \"nonsense\"",
        "gone.index does not exist",
        "empty.csv is empty",
        "--destination s3://",
    ] {
        assert!(done.stderr.contains(told), "{told}\n{done}");
    }
    let submitted = visible(&url).await;
    assert_eq!(submitted.len(), 14);
    let head = s3
        .head_object()
        .bucket("manifests")
        .key("mine.csv")
        .send()
        .await
        .unwrap();
    assert_eq!(
        submitted["mine.csv"].as_deref(),
        Some(head.e_tag().unwrap().trim_matches('"'))
    );
}

#[tokio::test]
async fn an_inventory_is_grouped_onto_the_queue_under_a_name_of_its_own() {
    let access = moto().await;
    let s3 = client::s3(access);
    for bucket in ["inventories", "archive"] {
        servers::create_bucket(access, bucket).await;
    }
    let inventory =
        Inventory::new("source", "inventories").created("2026-11-22T01:00:00Z".parse().unwrap());
    let published = inventory.publish(&s3, Synthetic::rows(100)).await.unwrap();
    let url = queue("inventories", &[]).await;
    let submit = format!(
        "submit --queue {url} --destination s3://archive/p --max-objects 30 {}",
        published.manifest
    );
    let done = s3bundler(access, &submit).run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(
        done.stdout
            .contains("run source-2026-11-22t01-00z: 4 groups of 100 objects"),
        "{done}"
    );
    let groups = (0..4).map(|n| {
        format!("p/groups/source-2026-11-22t01-00z/source-2026-11-22t01-00z.{n:06}.index")
    });
    assert_eq!(keys(&visible(&url).await), groups.collect::<Vec<_>>());

    let named = s3bundler(access, &format!("{submit} --name a {}", published.manifest))
        .run()
        .await
        .unwrap();
    assert_eq!(named.code, Some(6), "one name for two inventories\n{named}");
}

/// Runs a command whose standard output or standard error is a pipe without a reader.
async fn unread(access: &'static Access, output: bool, args: Vec<String>) -> std::process::Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_s3bundler"));
    command
        .args(args)
        .env("AWS_ENDPOINT_URL", &access.endpoint)
        .env("AWS_REGION", &access.region)
        .env("AWS_ACCESS_KEY_ID", &access.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &access.secret_key)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    if output {
        command.stdout(writer);
    } else {
        command.stderr(writer);
    }
    tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn a_closed_standard_output_or_standard_error_is_no_error() {
    let manifests = buckets("closed", &["1"]).await;
    let access = moto().await;
    let destination = "s3://closed-archives/p";
    let manifest = manifests[0].address().to_string();
    for output in [true, false] {
        let name = if output { "output" } else { "error" };
        let command = |words: &[&str]| {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let to = ["--destination", destination, "--name", name];
        let bundle = command(&[&["bundle", "--manifest", &manifest][..], &to].concat());
        let verify = command(&[&["verify"][..], &to].concat());
        for (args, code) in [
            (bundle, 0),
            (verify.clone(), 0),
            (
                command(&["verify", "--destination", destination, "--name", "none"]),
                6,
            ),
            (command(&["run", "--help"]), 0),
        ] {
            let done = unread(access, output, args.clone()).await;
            assert_eq!(
                done.status.code(),
                Some(code),
                "{args:?} {}",
                String::from_utf8_lossy(&done.stderr)
            );
        }
        let s3 = client::s3(access);
        let receipts = client::list_keys(&s3, "closed-archives", &format!("p/receipts/{name}/"))
            .await
            .unwrap();
        assert_eq!(receipts.len(), 1);
        s3.delete_object()
            .bucket("closed-archives")
            .key(&receipts[0])
            .send()
            .await
            .unwrap();
        let done = unread(access, output, verify).await;
        assert_eq!(
            done.status.code(),
            Some(8),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
}
