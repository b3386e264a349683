//! What sinks receive when runs end, and what the status says of it: the program, with an API server
//! in memory and real HTTP servers as sinks.

use std::path::Path;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use s3bundler_testbed::api_server::ApiServer;
use s3bundler_testbed::cli::{Program, Running, Signal};
use s3bundler_testbed::client;
use s3bundler_testbed::fleet::{self, ARCHIVE, NAMESPACE};
use s3bundler_testbed::idle_queues::IdleQueues;
use s3bundler_testbed::servers::{Certificate, Moto, MotoOptions};
use s3bundler_testbed::simulator::{Simulator, SimulatorOptions};
use s3bundler_testbed::sink::{EventSink, SinkAnswer};
use serde_json::{Value, json};

/// How long anything may take. A sink that failed is tried again after 5, 10 and 20 s.
const PATIENCE: Duration = Duration::from_mins(2);

/// The operator, without AWS: runs that have ended need none.
fn operator(kubernetes: &ApiServer, sinks: &[(&str, &str)]) -> Program {
    let sinks = sinks
        .iter()
        .map(|(name, url)| format!("--notify={name}={url}"));
    Program::new(env!("CARGO_BIN_EXE_s3bundler-operator"))
        .env("KUBECONFIG", kubernetes.kubeconfig())
        .args(["--worker-image=worker:1", "--region=us-east-1"])
        .args(["--listen=127.0.0.1:0", "--cluster-name=production"])
        .args(sinks)
        .timeout(2 * PATIENCE)
}

async fn end(operator: Running) {
    operator.signal(Signal::Terminate).unwrap();
    let outcome = operator.wait().await.unwrap();
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A run that ended this long ago, with notifications that are pending.
fn ended(kubernetes: &ApiServer, name: &str, ago: SignedDuration, sinks: &[&str]) {
    let mut run = fleet::finished_run(name);
    run["status"]["completionTime"] = json!(Timestamp::now() - ago);
    let pending = sinks
        .iter()
        .map(|sink| json!({"sink": sink, "state": "Pending"}));
    run["status"]["notifications"] = pending.collect();
    kubernetes.apply("archiveruns", run);
}

/// What the status of a run says of a sink.
fn shown(kubernetes: &ApiServer, run: &str, sink: &str) -> Value {
    let run = kubernetes.get("archiveruns", NAMESPACE, run).unwrap();
    let notifications = run["status"]["notifications"].as_array().cloned();
    let mut notifications = notifications.unwrap_or_default().into_iter();
    notifications
        .find(|it| it["sink"] == sink)
        .unwrap_or_default()
}

async fn until_shown(kubernetes: &ApiServer, run: &str, sink: &str, state: &str) -> Value {
    until(&format!("{run} is {state}"), || {
        Some(shown(kubernetes, run, sink)).filter(|it| it["state"] == state)
    })
    .await
}

const AN_HOUR: SignedDuration = SignedDuration::from_hours(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_is_announced_once_with_its_counts_and_one_that_had_ended_is_not() {
    const GROUPS: u64 = 5;
    let (kubernetes, sink) = (ApiServer::start().unwrap(), EventSink::start().unwrap());
    let simulator = Simulator::start(SimulatorOptions::default()).unwrap();
    let queues = IdleQueues::start(0).unwrap();
    let s3 = client::s3(simulator.access());
    client::create_bucket(&s3, ARCHIVE).await.unwrap();
    fleet::account(&kubernetes);
    kubernetes.apply("archiveruns", fleet::finished_run("earlier"));
    fleet::put_records(&s3, "live", GROUPS, 0..GROUPS)
        .await
        .unwrap();
    fleet::live_run(&kubernetes, &queues.url("live"), "live", GROUPS);
    let headers = tempfile::tempdir().unwrap();
    std::fs::write(headers.path().join("Authorization"), "Bearer t0ken\n").unwrap();
    let operator = operator(&kubernetes, &[("ops", sink.url())])
        .access(simulator.access())
        .sqs(queues.access())
        .arg(format!("--notify-headers=ops={}", headers.path().display()));
    let running = operator.clone().spawn().unwrap();
    let delivered = until_shown(&kubernetes, "live", "ops", "Delivered").await;
    assert!(delivered["time"].is_string() && delivered["message"].is_null());

    let received = sink.received();
    let [it] = &received[..] else {
        panic!("{received:?}")
    };
    assert_eq!(it.target, "POST /events");
    for (name, value) in [
        (
            "content-type",
            "application/cloudevents+json; charset=utf-8",
        ),
        ("authorization", "Bearer t0ken"),
    ] {
        assert_eq!(it.headers[name], value);
    }
    let run = kubernetes.get("archiveruns", NAMESPACE, "live").unwrap();
    let (status, event) = (&run["status"], &it.body);
    let uid = run["metadata"]["uid"].as_str().unwrap();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(
        event["type"],
        "dev.s3bundler.archive.archiverun.completed.v1"
    );
    assert_eq!(
        event["source"],
        format!("/clusters/production/namespaces/{NAMESPACE}")
    );
    assert_eq!(event["subject"], "live");
    assert_eq!(event["id"], format!("{uid}/Complete"));
    assert_eq!(event["time"], status["completionTime"]);
    for part in ["groups", "objects", "bytes"] {
        assert_eq!(event["data"][part], status[part], "{part}");
    }
    assert_eq!(event["data"]["objects"]["archived"], GROUPS);
    assert_eq!(event["data"]["destination"], format!("s3://{ARCHIVE}"));

    // Another operator, which reconciles both once more.
    until("the run has no finalizer", || {
        let run = kubernetes.get("archiveruns", NAMESPACE, "live").unwrap();
        (run["metadata"]["finalizers"] == json!([])).then_some(())
    })
    .await;
    end(running).await;
    ended(&kubernetes, "last", SignedDuration::ZERO, &["ops"]);
    let running = operator.spawn().unwrap();
    until_shown(&kubernetes, "last", "ops", "Delivered").await;
    let subjects: Vec<_> = sink
        .accepted()
        .into_iter()
        .map(|it| it["subject"].clone())
        .collect();
    assert_eq!(subjects, ["live", "last"]);
    end(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_fails_outlives_the_operator_and_keeps_its_id() {
    let (kubernetes, sink) = (ApiServer::start().unwrap(), EventSink::start().unwrap());
    sink.answer(SinkAnswer::Status(503));
    ended(&kubernetes, "logs", AN_HOUR, &["ops"]);
    let operator = operator(&kubernetes, &[("ops", sink.url())]);
    let first = operator.clone().spawn().unwrap();
    first.wait_for_output("is not delivered").await.unwrap();
    first.signal(Signal::Kill).unwrap();
    first.wait().await.unwrap();
    assert_eq!(shown(&kubernetes, "logs", "ops")["state"], "Pending");

    sink.answer(SinkAnswer::Accept);
    let second = operator.spawn().unwrap();
    until_shown(&kubernetes, "logs", "ops", "Delivered").await;
    let received = sink.received();
    assert!(received.len() > 1);
    assert!(
        received
            .iter()
            .all(|it| it.body["id"] == received[0].body["id"])
    );
    assert_eq!(sink.accepted().len(), 1);
    end(second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_sink_holds_up_no_other_one_and_says_why() {
    let kubernetes = ApiServer::start().unwrap();
    let [hanging, redirecting, refusing, well] =
        std::array::from_fn(|_| EventSink::start().unwrap());
    hanging.answer(SinkAnswer::Hang);
    redirecting.answer(SinkAnswer::Redirect(well.url().to_owned()));
    refusing.answer(SinkAnswer::Status(400));
    let names = ["hanging", "redirecting", "refusing", "well"];
    for n in 0..3 {
        ended(&kubernetes, &format!("run-{n}"), AN_HOUR, &names);
    }
    let operator = operator(
        &kubernetes,
        &[
            ("hanging", hanging.url()),
            ("redirecting", redirecting.url()),
            ("refusing", refusing.url()),
            ("well", well.url()),
        ],
    );
    let operator = operator.spawn().unwrap();
    for n in 0..3 {
        until_shown(&kubernetes, &format!("run-{n}"), "well", "Delivered").await;
    }
    assert_eq!(well.received().len(), 3, "none of them through a redirect");
    // Each in its turn, and none twice before the others.
    let subjects = until("each was refused", || {
        let received = refusing.received();
        (received.len() >= 3).then(|| {
            received
                .iter()
                .map(|it| it.body["subject"].clone())
                .collect::<Vec<_>>()
        })
    })
    .await;
    let distinct: std::collections::BTreeSet<_> =
        subjects[..3].iter().map(Value::to_string).collect();
    assert_eq!(distinct.len(), 3, "{subjects:?}");
    for n in 0..3 {
        for sink in ["hanging", "redirecting", "refusing"] {
            assert_eq!(
                shown(&kubernetes, &format!("run-{n}"), sink)["state"],
                "Pending"
            );
        }
    }
    end(operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_is_shown_and_after_a_day_a_notification_is_given_up() {
    let kubernetes = ApiServer::start().unwrap();
    let [down, redirecting] = std::array::from_fn(|_| EventSink::start().unwrap());
    down.answer(SinkAnswer::Status(500));
    redirecting.answer(SinkAnswer::Redirect(down.url().to_owned()));
    ended(&kubernetes, "new", AN_HOUR, &["redirecting"]);
    ended(&kubernetes, "old", 25 * AN_HOUR, &["down", "removed"]);
    let operator = operator(
        &kubernetes,
        &[("down", down.url()), ("redirecting", redirecting.url())],
    );
    let operator = operator.spawn().unwrap();
    let removed = until_shown(&kubernetes, "old", "removed", "GivenUp").await;
    assert_eq!(
        removed["message"],
        "the operator has no sink of this name any more"
    );
    let given_up = until_shown(&kubernetes, "old", "down", "GivenUp").await;
    assert_eq!(given_up["message"], "HTTP 500");
    assert_eq!(down.received().len(), 1, "it was tried");
    let event = |reason: &str| {
        let events = kubernetes.all("events");
        events.into_iter().find(|it| it["reason"] == reason)
    };
    assert_eq!(event("NotificationGivenUp").unwrap()["type"], "Warning");

    let failing = until("the reason is shown", || {
        Some(shown(&kubernetes, "new", "redirecting")).filter(|it| it["message"].is_string())
    })
    .await;
    assert_eq!(failing["state"], "Pending");
    assert_eq!(failing["message"], "HTTP 307 (redirects are not followed)");
    assert!(event("NotificationFailed").is_some());
    end(operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deletion_of_a_finished_run_waits_for_its_notification_but_not_for_more_than_a_day() {
    let (kubernetes, sink) = (ApiServer::start().unwrap(), EventSink::start().unwrap());
    sink.answer(SinkAnswer::Status(503));
    ended(&kubernetes, "new", AN_HOUR, &["ops"]);
    ended(&kubernetes, "old", 25 * AN_HOUR, &["ops"]);
    for run in ["new", "old"] {
        kubernetes.change("archiveruns", NAMESPACE, run, |run| {
            run["spec"]["ttlSecondsAfterFinished"] = json!(1);
        });
    }
    let exists = |run: &str| kubernetes.get("archiveruns", NAMESPACE, run).is_some();
    let operator = operator(&kubernetes, &[("ops", sink.url())])
        .spawn()
        .unwrap();
    until("the old one is deleted", || (!exists("old")).then_some(())).await;
    until("it was tried", || {
        let received = sink.received();
        received
            .iter()
            .any(|it| it.body["subject"] == "new")
            .then_some(())
    })
    .await;
    assert!(exists("new"));
    sink.answer(SinkAnswer::Accept);
    until("the new one is deleted", || (!exists("new")).then_some(())).await;
    assert_eq!(sink.accepted()[0]["subject"], "new");
    end(operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_over_https_needs_a_certificate_that_the_operator_trusts() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::generate(folder.path(), &["127.0.0.1"]).unwrap();
    let options = MotoOptions {
        certificate: Some(certificate),
        ..MotoOptions::default()
    };
    // No sink, but a server that answers over TLS.
    let moto = Moto::start_with(options).await.unwrap();
    let authority = moto.access().certificate_authority.clone().unwrap();
    let kubernetes = ApiServer::start().unwrap();
    ended(&kubernetes, "logs", AN_HOUR, &["ops"]);
    let said = async |authority: Option<&Path>, words: &str| {
        let url = format!("{}/events", moto.endpoint());
        let mut operator = operator(&kubernetes, &[("ops", &url)]);
        if let Some(authority) = authority {
            operator = operator.env("AWS_CA_BUNDLE", authority);
        }
        let operator = operator.spawn().unwrap();
        operator.wait_for_output(words).await.unwrap();
        end(operator).await;
    };
    said(None, "invalid peer certificate").await;
    said(Some(&authority), "error=HTTP ").await;
}

#[tokio::test]
async fn sinks_that_cannot_be_used_are_a_matter_of_usage() {
    let kubernetes = ApiServer::start().unwrap();
    for (argument, words) in [
        ("--notify=https://events.example", "--notify"),
        ("--notify=ops=events.example", "the URL of ops"),
        ("--notify-headers=ops=/tmp", "there is no sink ops"),
    ] {
        let ended = operator(&kubernetes, &[])
            .arg(argument)
            .run()
            .await
            .unwrap();
        assert_eq!(ended.code, Some(6), "{ended}");
        assert!(ended.stderr.contains(words), "{ended}");
    }
}
