//! Outages through the proxy: whole buckets that fail every request for a while, in front of a real
//! server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::world::large::{Large, PARTS};
use crate::world::servers::{self, moto};
use crate::world::{self, page, until};
use s3bundler_contract::S3Address;
use s3bundler_contract::message::ManifestRef;
use s3bundler_testbed::cli::{Outcome, Program, Running, Signal};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Inventory, Synthetic};
use s3bundler_testbed::proxy::{Fault, Operation, Proxy, Seen};
use s3bundler_testbed::servers::{Access, Port};

/// An outage as soon as a request fails so.
const BROKEN: Fault = Fault::FailBefore {
    status: 500,
    code: "InternalError",
};
/// An outage only after ten seconds: S3 refuses requests that are too many, too.
const DOWN: Fault = Fault::FailBefore {
    status: 503,
    code: "ServiceUnavailable",
};
const TOO_MANY: Fault = Fault::FailBefore {
    status: 429,
    code: "TooManyRequests",
};

fn s3bundler(access: &Access, arguments: &str) -> Program {
    world::s3bundler()
        .access(access)
        .args(arguments.split_whitespace())
}

/// Buckets `<name>-objects` with an object of each name, `<name>-archives`, and a queue with a
/// message for each manifest.
async fn scene(name: &str, objects: &[&str]) -> String {
    let s3 = client::s3(moto().await);
    for bucket in ["objects", "archives"] {
        servers::create_bucket(moto().await, &format!("{name}-{bucket}")).await;
    }
    let (bucket, archives) = (format!("{name}-objects"), format!("{name}-archives"));
    client::put_objects(&s3, &bucket, objects.iter().map(|key| (*key, "0123456789")))
        .await
        .unwrap();
    let manifest = |number: usize| format!("p/groups/{name}/{name}.{number:06}.index");
    let rows = objects
        .iter()
        .enumerate()
        .map(|(n, key)| (manifest(n), format!("{bucket},{key},10\n")));
    client::put_objects(&s3, &archives, rows).await.unwrap();
    let sqs = client::sqs(moto().await);
    let url = servers::create_queue(moto().await, name).await;
    for number in 0..objects.len() {
        let message = ManifestRef::new(S3Address::new(&archives, manifest(number)), None).to_json();
        sqs.send_message()
            .queue_url(&url)
            .message_body(message)
            .send()
            .await
            .unwrap();
    }
    url
}

/// Messages that can be received now, and messages that a worker has.
async fn depth(url: &str) -> (u64, u64) {
    use aws_sdk_sqs::types::QueueAttributeName::{
        ApproximateNumberOfMessages as Waiting, ApproximateNumberOfMessagesNotVisible as Held,
    };
    let request = client::sqs(moto().await)
        .get_queue_attributes()
        .queue_url(url);
    let found = request
        .attribute_names(Waiting)
        .attribute_names(Held)
        .send()
        .await
        .unwrap()
        .attributes
        .unwrap();
    (
        found[&Waiting].parse().unwrap(),
        found[&Held].parse().unwrap(),
    )
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

fn is_of(seen: &Seen, bucket: &str) -> bool {
    seen.bucket() == bucket
}

/// A proxy in front of a bucket that is down for as long as the switch is on.
struct Outage {
    proxy: Proxy,
    on: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
}

impl Outage {
    async fn of(bucket: String) -> Self {
        let proxy = Proxy::start(moto().await).unwrap();
        let (on, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let (is_on, asks) = (Arc::clone(&on), Arc::clone(&asked));
        proxy.rule(move |seen| {
            if !is_on.load(Ordering::SeqCst) || !is_of(seen, &bucket) {
                return Fault::Forward;
            }
            if seen.operation == Operation::HeadBucket {
                asks.fetch_add(1, Ordering::SeqCst);
            }
            BROKEN
        });
        Self { proxy, on, asked }
    }

    /// Returns when the bucket was asked about so many times more.
    async fn asked(&self, times: u64) {
        let wanted = self.asked.load(Ordering::SeqCst) + times;
        until(async || self.asked.load(Ordering::SeqCst) >= wanted).await;
    }

    fn end(&self) {
        self.on.store(false, Ordering::SeqCst);
    }
}

fn bundle(name: &str, url: &str, more: &str) -> String {
    format!("bundle --destination s3://{name}-archives/p --name {name} --queue {url} {more}")
}

/// The buckets of a side that a worker waits for, as its metrics have it.
async fn down(port: u16, side: &str) -> Option<String> {
    let (status, text) = page(port, "/metrics").await?;
    assert_eq!(status, "200");
    let line = format!("s3bundler_outage{{side=\"{side}\"}} ");
    text.lines()
        .find_map(|it| it.strip_prefix(&line))
        .map(str::to_owned)
}

fn free_port() -> Port {
    Port::free(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap()
}

/// Fails every request to a bucket in this way from the nth of an operation on, until it was asked
/// twice whether it answers.
fn down_for_a_while(
    bucket: String,
    from: (Operation, u64),
    how: Fault,
) -> impl Fn(&Seen) -> Fault + Send + Sync {
    let (begun, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    move |seen| {
        let is_first = seen.operation == from.0 && seen.nth >= from.1;
        if !is_of(seen, &bucket) || (!is_first && !begun.load(Ordering::SeqCst)) {
            return Fault::Forward;
        }
        begun.store(true, Ordering::SeqCst);
        let asks = u64::from(seen.operation == Operation::HeadBucket);
        if asked.fetch_add(asks, Ordering::SeqCst) < 2 {
            how.clone()
        } else {
            Fault::Forward
        }
    }
}

async fn waited_out(name: &str, side: &str, from: Operation, options: &str) {
    waited_out_with(name, side, from, options, BROKEN).await;
}

async fn waited_out_with(name: &str, side: &str, from: Operation, options: &str, down: Fault) {
    let url = scene(name, &["1"]).await;
    let proxy = Proxy::start(moto().await).unwrap();
    proxy.rule(down_for_a_while(format!("{name}-{side}"), (from, 1), down));
    let done = s3bundler(
        proxy.access(),
        &bundle(name, &url, &format!("--idle-exit 1 {options}")),
    )
    .run()
    .await
    .unwrap();
    assert_eq!(done.code, Some(0), "{name}: {done}");
    assert!(
        done.stderr.contains("waiting for it") && done.stderr.contains("answers again"),
        "{name}: {done}"
    );
    assert!(
        done.stdout.starts_with("1 groups archived\n"),
        "{name}: {done}"
    );
    assert!(
        done.stdout.contains("failed       0 objects"),
        "{name}: {done}"
    );
    assert!(
        proxy.count(Operation::CreateMultipartUpload) <= 1,
        "{name}: {done}"
    );
    assert_eq!(receipts(name).await, 1, "{name}");
    assert_eq!(depth(&url).await, (0, 0), "{name}");
}

#[tokio::test]
async fn an_outage_is_waited_out_and_no_archive_is_uploaded_twice() {
    let copies = "--max-object-size 1";
    tokio::join!(
        waited_out("outage-parts", "archives", Operation::UploadPart, ""),
        waited_out(
            "outage-complete",
            "archives",
            Operation::CompleteMultipartUpload,
            ""
        ),
        waited_out("outage-source", "objects", Operation::GetObject, ""),
        waited_out("outage-copy", "archives", Operation::CopyObject, copies),
        waited_out(
            "outage-sweep",
            "archives",
            Operation::ListMultipartUploads,
            ""
        ),
        waited_out_with("outage-503", "archives", Operation::UploadPart, "", DOWN),
        waited_out_with(
            "outage-busy",
            "archives",
            Operation::UploadPart,
            "",
            TOO_MANY
        ),
        waited_out_with(
            "outage-busy-source",
            "objects",
            Operation::GetObject,
            "",
            TOO_MANY
        ),
    );
}

/// Whether one of so many requests is taken, not periodically: the golden ratio spreads them.
fn is_taken(requests: &AtomicU64, one_of: u64) -> bool {
    let n = requests
        .fetch_add(1, Ordering::SeqCst)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        >> 32;
    n.is_multiple_of(one_of)
}

#[tokio::test]
async fn stores_that_refuse_nine_of_ten_requests_get_every_object_at_the_first_attempt() {
    let archived = async |name: &str, options: &str, fault: Fault| {
        let url = scene(name, &["1", "2"]).await;
        let proxy = Proxy::start(moto().await).unwrap();
        let (requests, buckets) = (AtomicU64::new(0), format!("{name}-"));
        proxy.rule(move |seen| {
            let of_s3 =
                seen.bucket().starts_with(&buckets) && seen.operation != Operation::HeadBucket;
            if !of_s3 || is_taken(&requests, 10) {
                Fault::Forward
            } else {
                fault.clone()
            }
        });
        let options = bundle(name, &url, &format!("--idle-exit 1 {options}"));
        let done = s3bundler(proxy.access(), &options).run().await.unwrap();
        assert_eq!(done.code, Some(0), "{name}: {done}");
        assert!(
            done.stdout.starts_with("2 groups archived\n"),
            "{name}: {done}"
        );
        assert!(
            done.stdout.contains("failed       0 objects"),
            "{name}: {done}"
        );
        assert_eq!(receipts(name).await, 2, "{name}");
    };
    tokio::join!(
        archived("busy", "", Fault::Throttle),
        archived("busy-copies", "--max-object-size 1", Fault::Throttle),
        archived("busy-429", "", TOO_MANY),
    );
}

/// An outage of a bucket in the middle of a copy in parts.
async fn waited_out_between_parts(name: &str, side: &str, from: (Operation, u64), how: Fault) {
    let url = scene(name, &["1"]).await;
    let proxy = Proxy::start(moto().await).unwrap();
    let (large, down) = (
        Large::of(format!("{name}-objects")),
        down_for_a_while(format!("{name}-{side}"), from, how),
    );
    proxy.rule(move |seen| match down(seen) {
        Fault::Forward => large.fault(seen),
        fault => fault,
    });
    let options = "--idle-exit 1 --max-object-size 1";
    let done = s3bundler(proxy.access(), &bundle(name, &url, options))
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(0), "{name}: {done}");
    assert!(
        done.stderr.contains("waiting for it") && done.stderr.contains("answers again"),
        "{name}: {done}"
    );
    assert!(
        done.stdout.contains("copied       1 objects, 5.00 GiB"),
        "{name}: {done}"
    );
    assert!(
        done.stdout.contains("failed       0 objects"),
        "{name}: {done}"
    );
    // The parts that were copied before are not copied again.
    let log = proxy.log();
    let done_of = |operation| {
        log.iter()
            .filter(|it| it.request.operation == operation && it.status == Some(200))
            .count()
    };
    assert_eq!(
        done_of(Operation::CreateMultipartUpload),
        1,
        "{name}: {done}"
    );
    assert_eq!(
        done_of(Operation::UploadPartCopy) as u64,
        PARTS,
        "{name}: {done}"
    );
    assert_eq!(
        (receipts(name).await, depth(&url).await),
        (1, (0, 0)),
        "{name}"
    );
}

#[tokio::test]
async fn an_outage_in_the_middle_of_a_copy_in_parts_is_waited_out() {
    tokio::join!(
        waited_out_between_parts(
            "parts-503",
            "archives",
            (Operation::UploadPartCopy, 3),
            DOWN
        ),
        waited_out_between_parts(
            "parts-refused",
            "archives",
            (Operation::UploadPartCopy, 6),
            Fault::DropBefore
        ),
        waited_out_between_parts(
            "parts-create",
            "archives",
            (Operation::CreateMultipartUpload, 1),
            Fault::DropBefore
        ),
        waited_out_between_parts(
            "parts-complete",
            "archives",
            (Operation::CompleteMultipartUpload, 1),
            BROKEN
        ),
        waited_out_between_parts(
            "parts-source",
            "objects",
            (Operation::GetObject, 1),
            Fault::DropBefore
        ),
    );
}

#[tokio::test]
async fn a_single_failing_request_is_no_outage_while_its_bucket_answers() {
    let url = scene("no-outage", &["bad"]).await;
    let proxy = Proxy::start(moto().await).unwrap();
    let failed = AtomicU64::new(0);
    proxy.rule(move |seen| match seen.operation {
        Operation::GetObject
            if seen.key() == "bad" && failed.fetch_add(1, Ordering::SeqCst) < 4 =>
        {
            Fault::DropBefore
        }
        _ => Fault::Forward,
    });
    let done = s3bundler(proxy.access(), &bundle("no-outage", &url, "--idle-exit 1"))
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(!done.stderr.contains("waiting for it"), "{done}");
    assert!(done.stdout.starts_with("1 groups archived\n"), "{done}");
}

#[tokio::test]
async fn after_the_budget_messages_are_released_and_none_is_received_until_the_bucket_answers() {
    let url = scene("spent", &["1", "2"]).await;
    let outage = Outage::of("spent-objects".to_owned()).await;
    // Not at the start: then nothing would be received at all.
    outage.end();
    let begins = Arc::clone(&outage.on);
    outage.proxy.on_request(move |seen| {
        if seen.operation == Operation::ReceiveMessage && seen.nth == 1 {
            begins.store(true, Ordering::SeqCst);
        }
    });
    let port = free_port();
    let listen = format!(
        "--outage-budget 2 --groups 2 --listen 127.0.0.1:{}",
        port.number()
    );
    let running = s3bundler(outage.proxy.access(), &bundle("spent", &url, &listen))
        .spawn()
        .unwrap();
    until(async || running.stderr().matches("group not archived").count() >= 2).await;
    let released = || {
        let log = outage.proxy.log();
        log.iter()
            .filter(|it| {
                it.request.operation == Operation::ChangeMessageVisibility && it.status == Some(200)
            })
            .count()
    };
    until(async || released() >= 2).await;
    assert_eq!(down(port.number(), "source").await.as_deref(), Some("1"));
    assert_eq!(
        down(port.number(), "destination").await.as_deref(),
        Some("0")
    );
    let received = outage.proxy.count(Operation::ReceiveMessage);
    // The bucket is asked again and again, the queue is not.
    outage.asked(3).await;
    assert_eq!(
        outage.proxy.count(Operation::ReceiveMessage),
        received,
        "{}",
        running.stderr()
    );
    // Each is released once; nothing else changes their visibility so early.
    assert_eq!(released(), 2, "{}", running.stderr());
    let (waiting, held) = depth(&url).await;
    assert_eq!(waiting + held, 2, "{}", running.stderr());
    assert_eq!(page(port.number(), "/healthz").await.unwrap().0, "200");
    assert_eq!(page(port.number(), "/busy").await.unwrap().0, "503");
    assert_eq!(receipts("spent").await, 0);
    outage.end();
    until(async || outage.proxy.count(Operation::ReceiveMessage) > received).await;
    assert_eq!(down(port.number(), "source").await.as_deref(), Some("0"));
    running.signal(Signal::Terminate).unwrap();
    let done = running.wait().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
}

#[tokio::test]
async fn a_worker_that_starts_during_an_outage_of_the_source_receives_nothing_until_it_answers() {
    let url = scene("restarted", &["1"]).await;
    let outage = Outage::of("restarted-objects".to_owned()).await;
    let running = s3bundler(
        outage.proxy.access(),
        &bundle("restarted", &url, "--idle-exit 1"),
    )
    .spawn()
    .unwrap();
    outage.asked(3).await;
    assert_eq!(
        outage.proxy.count(Operation::ReceiveMessage),
        0,
        "{}",
        running.stderr()
    );
    assert_eq!(depth(&url).await, (1, 0));
    outage.end();
    let done = running.wait().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.starts_with("1 groups archived\n"), "{done}");
}

async fn given_back(name: &str, side: &str, from: Operation) {
    let url = scene(name, &["1"]).await;
    let bucket = format!("{name}-{side}");
    let outage = Outage::of(bucket.clone()).await;
    outage.end();
    let begins = Arc::clone(&outage.on);
    outage.proxy.on_request(move |seen| {
        if seen.operation == from && is_of(seen, &bucket) {
            begins.store(true, Ordering::SeqCst);
        }
    });
    let arguments = bundle(name, &url, "--outage-budget 3600 --drain 1");
    let running = s3bundler(outage.proxy.access(), &arguments)
        .spawn()
        .unwrap();
    running.wait_for_output("waiting for it").await.unwrap();
    assert_eq!(depth(&url).await, (0, 1), "{name}");
    running.signal(Signal::Terminate).unwrap();
    let done = running.wait().await.unwrap();
    assert_eq!(done.code, Some(0), "{name}: {done}");
    assert_eq!(depth(&url).await, (1, 0), "{name}: {done}");
    assert_eq!(receipts(name).await, 0, "{name}");
}

#[tokio::test]
async fn a_signal_during_an_outage_drains_and_gives_messages_back() {
    tokio::join!(
        given_back("told-source", "objects", Operation::GetObject),
        given_back("told-destination", "archives", Operation::UploadPart),
    );
}

/// A worker that starts while its destination is down, at its pages and in its queue.
async fn waits_for_the_destination(port: u16, url: &str, running: &Running) {
    running.wait_for_output("waiting for it").await.unwrap();
    assert_eq!(page(port, "/healthz").await.unwrap().0, "200");
    assert_eq!(page(port, "/busy").await.unwrap().0, "503");
    assert_eq!(down(port, "destination").await.as_deref(), Some("1"));
    assert_eq!(down(port, "source").await.as_deref(), Some("0"));
    assert_eq!(depth(url).await, (1, 0));
}

fn went_on(name: &str, done: &Outcome) {
    assert_eq!(done.code, Some(0), "{name}: {done}");
    assert_eq!(
        done.stderr.matches("waiting for it").count(),
        1,
        "{name}: {done}"
    );
    assert_eq!(
        done.stderr.matches("answers again").count(),
        1,
        "{name}: {done}"
    );
    assert!(
        done.stdout.starts_with("1 groups archived\n"),
        "{name}: {done}"
    );
}

async fn begun_during_an_outage(name: &str, options: &str, asked: u64) {
    let url = scene(name, &["1"]).await;
    let (outage, port) = (Outage::of(format!("{name}-archives")).await, free_port());
    let options = format!(
        "--idle-exit 1 --listen 127.0.0.1:{} {options}",
        port.number()
    );
    let running = s3bundler(outage.proxy.access(), &bundle(name, &url, &options))
        .spawn()
        .unwrap();
    waits_for_the_destination(port.number(), &url, &running).await;
    outage.asked(asked).await;
    assert_eq!(
        outage.proxy.count(Operation::ReceiveMessage),
        0,
        "{name}: {}",
        running.stderr()
    );
    outage.end();
    went_on(name, &running.wait().await.unwrap());
    assert_eq!(depth(&url).await, (0, 0), "{name}");
}

async fn begun_without_a_connection(name: &str, options: &str) {
    let url = scene(name, &["1"]).await;
    let (s3, port) = (free_port(), free_port());
    let endpoint = SocketAddr::from((Ipv4Addr::LOCALHOST, s3.number()));
    let options = format!(
        "--idle-exit 1 --listen 127.0.0.1:{} {options}",
        port.number()
    );
    let refusing = s3bundler(
        &moto().await.at(format!("http://{endpoint}")),
        &bundle(name, &url, &options),
    );
    let running = refusing.sqs(moto().await).spawn().unwrap();
    waits_for_the_destination(port.number(), &url, &running).await;
    let _proxy = Proxy::start_at(moto().await, endpoint).unwrap();
    went_on(name, &running.wait().await.unwrap());
}

#[tokio::test]
async fn a_worker_that_starts_during_an_outage_of_the_destination_is_healthy_and_receives_nothing_until_it_answers()
 {
    tokio::join!(
        begun_during_an_outage("begun", "", 2),
        begun_during_an_outage("begun-single", "--single-writer", 2),
        // Long after the budget is spent.
        begun_during_an_outage("begun-spent", "--outage-budget 1", 3),
        begun_without_a_connection("refused", ""),
        begun_without_a_connection("refused-single", "--single-writer"),
    );
}

#[tokio::test]
async fn a_signal_ends_a_worker_that_waits_for_the_destination_at_its_start() {
    let told = async |name: &str, budget: u32| {
        let url = scene(name, &["1"]).await;
        let outage = Outage::of(format!("{name}-archives")).await;
        let options = format!("--outage-budget {budget}");
        let running = s3bundler(outage.proxy.access(), &bundle(name, &url, &options))
            .spawn()
            .unwrap();
        running.wait_for_output("waiting for it").await.unwrap();
        outage.asked(3).await;
        running.signal(Signal::Terminate).unwrap();
        let done = running.wait().await.unwrap();
        assert_eq!(done.code, Some(0), "{done}");
        assert!(done.stdout.starts_with("0 groups archived\n"), "{done}");
        assert_eq!(outage.proxy.count(Operation::ReceiveMessage), 0, "{done}");
        assert_eq!(depth(&url).await, (1, 0));
    };
    tokio::join!(told("told-early", 3600), told("told-spent", 1));
}

#[tokio::test]
async fn a_worker_whose_destination_answers_with_an_error_ends_at_once() {
    let fail = |status, code| Fault::FailBefore { status, code };
    let page = Fault::Respond {
        status: 404,
        headers: vec![],
        body: "<html>no such page</html>".into(),
    };
    let ended = async |(name, options, fault, exit, word): (&str, &str, Fault, i32, &str)| {
        let url = scene(name, &["1"]).await;
        let proxy = Proxy::start(moto().await).unwrap();
        let bucket = format!("{name}-archives");
        proxy.rule(move |seen| {
            if is_of(seen, &bucket) {
                fault.clone()
            } else {
                Fault::Forward
            }
        });
        let done = s3bundler(proxy.access(), &bundle(name, &url, options))
            .run()
            .await
            .unwrap();
        assert_eq!(done.code, Some(exit), "{name}: {done}");
        assert!(
            done.stderr.contains(word) && !done.stderr.contains("waiting for it"),
            "{name}: {done}"
        );
        assert_eq!(proxy.count(Operation::ReceiveMessage), 0, "{name}: {done}");
    };
    let answers = [
        ("denied", "", fail(403, "AccessDenied"), 7, "AccessDenied"),
        (
            "denied-single",
            "--single-writer",
            fail(403, "AccessDenied"),
            7,
            "AccessDenied",
        ),
        ("missing", "", fail(404, "NoSuchBucket"), 4, "NoSuchBucket"),
        (
            "signed",
            "",
            fail(403, "SignatureDoesNotMatch"),
            7,
            "SignatureDoesNotMatch",
        ),
        ("other-store", "", page, 4, "not S3's"),
        (
            "not-at-all",
            "--outage-budget 0",
            BROKEN,
            4,
            "InternalError",
        ),
    ];
    futures_util::future::join_all(answers.map(ended)).await;
}

/// A group manifest that is larger than what is read of it, also compressed.
fn large_manifest(name: &str) -> Vec<u8> {
    let keys = (0_u64..5_000).map(|n| {
        let mixed = [n, n + 1, n + 2]
            .map(|it| (it + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23));
        format!(
            "{name}-objects,{:016x}{:016x}{:016x},10\n",
            mixed[0],
            mixed[1] ^ mixed[0] >> 7,
            mixed[2]
        )
    });
    keys.collect::<String>().into_bytes()
}

#[tokio::test]
async fn a_worker_reads_only_the_first_bytes_of_a_manifest_to_find_its_source() {
    use std::io::Write as _;
    let read = async |name: &str, compressed: bool| {
        let url = scene(name, &["1"]).await;
        let mut manifest = large_manifest(name);
        if compressed {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&manifest).unwrap();
            manifest = gzip.finish().unwrap();
        }
        assert!(manifest.len() > 100_000, "{}", manifest.len());
        let (s3, key) = (
            client::s3(moto().await),
            format!("p/groups/{name}/{name}.000000.index"),
        );
        client::put_objects(&s3, &format!("{name}-archives"), [(key.clone(), manifest)])
            .await
            .unwrap();
        let outage = Outage::of(format!("{name}-objects")).await;
        let running = s3bundler(outage.proxy.access(), &bundle(name, &url, ""))
            .spawn()
            .unwrap();
        // It has found the bucket.
        outage.asked(3).await;
        running.signal(Signal::Terminate).unwrap();
        let done = running.wait().await.unwrap();
        assert_eq!(done.code, Some(0), "{done}");
        let log = outage.proxy.log();
        let reads: Vec<_> = log
            .iter()
            .map(|it| &it.request)
            .filter(|it| it.key() == key)
            .collect();
        let [read] = &reads[..] else {
            panic!("{reads:?}")
        };
        assert_eq!(
            (read.operation, read.headers["range"].to_str().unwrap()),
            (Operation::GetObject, "bytes=0-65535")
        );
    };
    tokio::join!(read("plain", false), read("packed", true));
}

#[tokio::test]
async fn a_grouper_waits_out_outages_of_inventory_and_destination() {
    let s3 = client::s3(moto().await);
    for bucket in [
        "grouper-inventories",
        "grouper-claim",
        "grouper-manifest",
        "grouper-summary",
        "grouper-inventory",
    ] {
        servers::create_bucket(moto().await, bucket).await;
    }
    let inventory = Inventory::new("source", "grouper-inventories")
        .created("2026-11-22T01:00:00Z".parse().unwrap());
    let published = inventory.publish(&s3, Synthetic::rows(100)).await.unwrap();
    let grouped = async |destination: &str, down: &str, from: &'static str| {
        let proxy = Proxy::start(moto().await).unwrap();
        let (begun, asked, bucket) = (AtomicBool::new(false), AtomicU64::new(0), down.to_owned());
        proxy.rule(move |seen| {
            let is_first = seen.key().contains(from) && seen.operation != Operation::HeadObject;
            if !is_of(seen, &bucket) || (!is_first && !begun.load(Ordering::SeqCst)) {
                return Fault::Forward;
            }
            begun.store(true, Ordering::SeqCst);
            let asks = u64::from(seen.operation == Operation::HeadBucket);
            if asked.fetch_add(asks, Ordering::SeqCst) < 2 {
                BROKEN
            } else {
                Fault::Forward
            }
        });
        let arguments = format!(
            "group --destination s3://{destination}/p --name r --max-objects 30 --inventory {}",
            published.manifest
        );
        let done = s3bundler(proxy.access(), &arguments).run().await.unwrap();
        assert_eq!(done.code, Some(0), "{down} {from}: {done}");
        assert!(
            done.stderr.contains("waiting for it") && done.stderr.contains("answers again"),
            "{from}: {done}"
        );
        assert!(
            done.stdout.starts_with("run r is grouped: 4 groups\n"),
            "{from}: {done}"
        );
        let groups = client::list_keys(&s3, destination, "p/groups/")
            .await
            .unwrap();
        assert_eq!(groups.len(), 4, "{from}");
    };
    tokio::join!(
        grouped("grouper-claim", "grouper-claim", "runs/"),
        grouped("grouper-manifest", "grouper-manifest", "groups/"),
        grouped("grouper-summary", "grouper-summary", "done.json"),
        grouped("grouper-inventory", "grouper-inventories", "/data/"),
    );
}
