//! Namespaces whose buckets do not answer, or answer without end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use s3bundler_testbed::cli::{Running, Signal};
use s3bundler_testbed::client;
use s3bundler_testbed::patience::until;
use s3bundler_testbed::proxy::{Fault, Operation};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::process::{OWN, Scene, archive_run, condition, told};

/// More than there are slots.
const SLOW: usize = 40;
/// As many as there are slots.
const ENDLESS: u64 = 16;
/// LISTs of each of them before others have their turn: a reconcile makes 10.
const LISTED: u64 = 25;
/// How long the operator may take to end.
const END: Duration = Duration::from_secs(10);

/// A run that is under way: it has its queue, and its destination may be read.
fn under_way(namespace: &str, name: &str, queue: &str) -> Value {
    let mut run = archive_run(namespace, name);
    run["status"] = json!({
        "queue": {"url": queue}, "acknowledgedAt": "2026-11-22T02:00:00Z",
        "inventory": {"manifest": "s3://inv/a/2026-11-22T01-00Z/manifest.json"},
    });
    run
}

/// A page of the operator.
async fn page(port: u16, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: operator\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// A run whose only group has its receipt: all that is left is to see it.
async fn archived(scene: &Scene, namespace: &str, bucket: &str, queue: &str) {
    scene.put_archived(bucket).await;
    scene
        .kubernetes
        .apply("archiveruns", under_way(namespace, "logs", queue));
    scene
        .until_run(namespace, "logs", |run| told(run, "Complete").0 == "True")
        .await;
}

/// Ends the operator while it reads, and checks that another one may begin at once.
async fn ends(scene: &Scene, operator: Running) {
    operator.signal(Signal::Terminate).unwrap();
    let ended = tokio::time::timeout(END, operator.wait()).await;
    let ended = ended.unwrap().unwrap();
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(
        !ended.stderr.contains("are cut off"),
        "reads end at once: {ended}"
    );
    let lease = scene
        .kubernetes
        .get("leases", OWN, "s3bundler-operator")
        .unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "", "{lease:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_does_not_answer_stops_neither_other_namespaces_nor_the_end() {
    let scene = Scene::start().await;
    let (slow, fast) = (scene.team("slow").await, scene.team("fast").await);
    scene.proxy.rule(move |seen| {
        if seen.bucket() == slow {
            Fault::Hang
        } else {
            Fault::Forward
        }
    });
    let queue = client::create_queue(&scene.sqs, "groups").await.unwrap();
    for n in 0..SLOW {
        let run = under_way("slow", &format!("run-{n}"), &queue);
        scene.kubernetes.apply("archiveruns", run);
    }
    let (operator, port) = scene.operator();
    until(async || scene.proxy.count(Operation::GetObject) > 0).await;

    archived(&scene, "fast", &fast, &queue).await;

    // Those that wait are told so, each in its turn.
    let is_told = |n: usize| {
        let run = scene.run("slow", &format!("run-{n}"));
        let message = condition(&run, "Degraded")["message"].as_str();
        message.is_some_and(|it| it.contains("has not answered in time"))
    };
    until(async || (0..SLOW).all(is_told)).await;
    let alive = page(port, "/healthz").await;
    assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");

    ends(&scene, operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_that_list_without_end_stop_neither_other_namespaces_nor_the_end() {
    let scene = Scene::start().await;
    let (endless, fast) = (scene.team("endless").await, scene.team("fast").await);
    let pages = AtomicU64::new(0);
    scene.proxy.rule(move |seen| {
        if seen.bucket() != endless || seen.operation != Operation::ListObjectsV2 {
            return Fault::Forward;
        }
        let page = pages.fetch_add(1, Ordering::Relaxed);
        let prefix = seen
            .query
            .split('&')
            .find_map(|it| it.strip_prefix("prefix="));
        let prefix = prefix.unwrap_or_default().replace("%2F", "/");
        let body = format!(
            "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>true</IsTruncated>\
             <NextContinuationToken>{page}</NextContinuationToken>\
             <Contents><Key>{prefix}{page:012}</Key></Contents></ListBucketResult>"
        );
        Fault::Respond {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/xml".to_owned())],
            body: body.into(),
        }
    });
    let queue = client::create_queue(&scene.sqs, "groups").await.unwrap();
    for n in 0..ENDLESS {
        let run = under_way("endless", &format!("run-{n}"), &queue);
        scene.kubernetes.apply("archiveruns", run);
    }
    let (operator, _) = scene.operator();
    until(async || scene.proxy.count(Operation::ListObjectsV2) > LISTED * ENDLESS).await;
    archived(&scene, "fast", &fast, &queue).await;
    ends(&scene, operator).await;
}
