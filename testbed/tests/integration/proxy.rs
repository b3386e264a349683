//! Every fault of the proxy, in front of a real server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use bytes::Bytes;
use s3bundler_testbed::cli::{Program, kill_and_wait};
use s3bundler_testbed::client;
use s3bundler_testbed::patience::{PATIENCE, until};
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
use s3bundler_testbed::servers::VersityGw;

struct Bench {
    server: VersityGw,
    proxy: Proxy,
    /// Through the proxy, without retries.
    s3: aws_sdk_s3::Client,
    /// Past the proxy.
    direct: aws_sdk_s3::Client,
}

/// A server with the object `bucket/a` behind a proxy.
async fn bench() -> Bench {
    let server = VersityGw::start().await.unwrap();
    let direct = client::s3(server.access());
    client::create_bucket(&direct, "bucket").await.unwrap();
    client::put_object(&direct, "bucket", "a", "0123456789")
        .await
        .unwrap();
    let proxy = Proxy::start(server.access()).unwrap();
    let config = client::s3(proxy.access())
        .config()
        .to_builder()
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_timeout(PATIENCE).build())
        .build();
    Bench {
        server,
        proxy,
        s3: aws_sdk_s3::Client::from_conf(config),
        direct,
    }
}

impl Bench {
    async fn get(&self) -> Result<Bytes, String> {
        client::get_bytes(&self.s3, "bucket", "a")
            .await
            .map_err(|error| error.to_string())
    }

    async fn exists(&self, key: &str) -> bool {
        self.direct
            .head_object()
            .bucket("bucket")
            .key(key)
            .send()
            .await
            .is_ok()
    }

    async fn put(&self, key: &str) -> Result<(), String> {
        client::put_object(&self.s3, "bucket", key, "body")
            .await
            .map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn requests_and_answers_pass_unchanged() {
    let bench = bench().await;
    // Signed with the proxy's own Host, and accepted by the server.
    let body: Vec<u8> = (0..12_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    client::put_object(&bench.s3, "bucket", "large ä+%/b", body.clone())
        .await
        .unwrap();
    assert!(bench.exists("large ä+%/b").await);
    assert_eq!(
        client::get_bytes(&bench.s3, "bucket", "large ä+%/b")
            .await
            .unwrap(),
        body
    );
    let head = bench
        .s3
        .head_object()
        .bucket("bucket")
        .key("large ä+%/b")
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_length(), Some(12_000_000));
    let range = bench
        .s3
        .get_object()
        .bucket("bucket")
        .key("a")
        .range("bytes=3-5")
        .send()
        .await
        .unwrap();
    assert_eq!(range.body.collect().await.unwrap().into_bytes(), "345");
    bench
        .s3
        .delete_object()
        .bucket("bucket")
        .key("large ä+%/b")
        .send()
        .await
        .unwrap();
    let missing = bench
        .s3
        .head_object()
        .bucket("bucket")
        .key("large ä+%/b")
        .send()
        .await
        .unwrap_err();
    assert!(missing.into_service_error().is_not_found());

    assert_eq!(bench.proxy.requests(), 6);
    assert_eq!(bench.proxy.count(Operation::GetObject), 2);
    let log = bench.proxy.log();
    let told: Vec<_> = log
        .iter()
        .map(|record| (record.request.operation, record.status))
        .collect();
    assert_eq!(
        told,
        [
            (Operation::PutObject, Some(200)),
            (Operation::GetObject, Some(200)),
            (Operation::HeadObject, Some(200)),
            (Operation::GetObject, Some(206)),
            (Operation::DeleteObject, Some(204)),
            (Operation::HeadObject, Some(404)),
        ]
    );
    assert_eq!(log[0].request.path, "/bucket/large%20%C3%A4%2B%25/b");
    assert_eq!(
        (log[0].request.bucket(), log[0].request.key().as_str()),
        ("bucket", "large ä+%/b")
    );
    bench.proxy.clear_log();
    assert_eq!((bench.proxy.requests(), bench.proxy.log().len()), (0, 0));
}

#[tokio::test]
async fn a_connection_serves_many_requests_at_a_time_and_one_after_another() {
    let bench = bench().await;
    bench.proxy.fault_every(
        Operation::PutObject,
        Fault::Delay(Duration::from_millis(100)),
    );
    client::put_objects(
        &bench.s3,
        "bucket",
        (0..32).map(|n| (format!("k{n}"), "body")),
    )
    .await
    .unwrap();
    assert_eq!(bench.proxy.count(Operation::PutObject), 32);
    assert!((2..=16).contains(&bench.proxy.peak_in_flight(Operation::PutObject)));
    assert_eq!(
        client::list_keys(&bench.s3, "bucket", "k")
            .await
            .unwrap()
            .len(),
        32
    );
}

#[tokio::test]
async fn fail_before_answers_an_s3_error_and_the_server_sees_nothing() {
    let bench = bench().await;
    bench.proxy.fault_every(
        Operation::PutObject,
        Fault::FailBefore {
            status: 500,
            code: "InternalError",
        },
    );
    assert!(bench.put("b").await.unwrap_err().contains("InternalError"));
    assert!(!bench.exists("b").await);
    assert_eq!(bench.proxy.log()[0].status, Some(500));
}

#[tokio::test]
async fn fail_after_answers_an_s3_error_for_what_was_done() {
    let bench = bench().await;
    bench.proxy.fault_every(
        Operation::PutObject,
        Fault::FailAfter {
            status: 500,
            code: "InternalError",
        },
    );
    assert!(bench.put("b").await.unwrap_err().contains("InternalError"));
    assert!(bench.exists("b").await);
}

#[tokio::test]
async fn throttle_is_slow_down_and_the_sdk_retries_it() {
    let bench = bench().await;
    bench
        .proxy
        .fault_nth(Operation::GetObject, 1, Fault::Throttle);
    assert!(bench.get().await.unwrap_err().contains("SlowDown"));
    bench.proxy.clear_log();
    let patient = client::s3(bench.proxy.access());
    assert_eq!(
        client::get_bytes(&patient, "bucket", "a").await.unwrap(),
        "0123456789"
    );
    let statuses: Vec<_> = bench
        .proxy
        .log()
        .iter()
        .map(|record| record.status)
        .collect();
    assert_eq!(statuses, [Some(503), Some(200)]);
}

#[tokio::test]
async fn drop_before_closes_the_connection_and_the_server_sees_nothing() {
    let bench = bench().await;
    bench
        .proxy
        .fault_nth(Operation::PutObject, 2, Fault::DropBefore);
    bench.put("b").await.unwrap();
    let error = bench.put("c").await.unwrap_err();
    assert!(error.contains("dispatch failure"), "{error}");
    assert!(bench.exists("b").await && !bench.exists("c").await);
    assert_eq!(bench.proxy.log()[1].status, None);
}

#[tokio::test]
async fn drop_after_loses_the_answer_of_what_was_done() {
    let bench = bench().await;
    bench
        .proxy
        .fault_every(Operation::PutObject, Fault::DropAfter);
    let error = bench.put("b").await.unwrap_err();
    assert!(error.contains("dispatch failure"), "{error}");
    assert!(bench.exists("b").await);
}

#[tokio::test]
async fn a_lost_answer_of_a_conditional_put_meets_its_own_success() {
    let bench = bench().await;
    bench
        .proxy
        .fault_nth(Operation::PutObject, 1, Fault::DropAfter);
    let retrying = client::s3(bench.proxy.access());
    let put = retrying
        .put_object()
        .bucket("bucket")
        .key("b")
        .if_none_match("*")
        .body(Bytes::from("body").into());
    let status = put
        .send()
        .await
        .unwrap_err()
        .raw_response()
        .unwrap()
        .status()
        .as_u16();
    assert_eq!(status, 412);
    let statuses: Vec<_> = bench
        .proxy
        .log()
        .iter()
        .map(|record| record.status)
        .collect();
    assert_eq!(statuses, [None, Some(412)]);
}

#[tokio::test]
async fn truncate_body_gives_headers_and_the_first_bytes() {
    let bench = bench().await;
    bench
        .proxy
        .fault_every(Operation::GetObject, Fault::TruncateBody(4));
    let mut object = bench
        .s3
        .get_object()
        .bucket("bucket")
        .key("a")
        .send()
        .await
        .unwrap();
    assert_eq!(object.content_length(), Some(10));
    assert_eq!(object.body.next().await.unwrap().unwrap(), "0123");
    assert!(object.body.next().await.unwrap().is_err());
}

#[tokio::test]
async fn stall_body_gives_the_first_bytes_and_keeps_the_connection() {
    let bench = bench().await;
    bench
        .proxy
        .fault_every(Operation::GetObject, Fault::StallBody(4));
    let mut object = bench
        .s3
        .get_object()
        .bucket("bucket")
        .key("a")
        .send()
        .await
        .unwrap();
    assert_eq!(object.body.next().await.unwrap().unwrap(), "0123");
    assert!(
        tokio::time::timeout(Duration::from_millis(300), object.body.next())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn corrupt_body_changes_one_byte() {
    let bench = bench().await;
    bench
        .proxy
        .fault_every(Operation::GetObject, Fault::CorruptBody(4));
    // A part of the object: for all of it the SDK would find a checksum in the answer and notice.
    let object = bench
        .s3
        .get_object()
        .bucket("bucket")
        .key("a")
        .range("bytes=0-8")
        .send()
        .await
        .unwrap();
    let body = object.body.collect().await.unwrap().into_bytes();
    assert_eq!(
        body.iter()
            .zip(b"012345678")
            .filter(|(a, b)| a != b)
            .count(),
        1
    );
    assert_eq!(body[4], !b'4');
}

#[tokio::test]
async fn delay_waits_and_forwards() {
    let bench = bench().await;
    bench.proxy.fault_every(
        Operation::GetObject,
        Fault::Delay(Duration::from_millis(200)),
    );
    let begun = Instant::now();
    assert_eq!(bench.get().await.unwrap(), "0123456789");
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn hang_never_answers() {
    let bench = bench().await;
    bench.proxy.fault_every(Operation::GetObject, Fault::Hang);
    assert!(
        tokio::time::timeout(Duration::from_millis(300), bench.get())
            .await
            .is_err()
    );
    // The client hung up, and the proxy noticed.
    until(async || !bench.proxy.log().is_empty()).await;
    assert_eq!(bench.proxy.log()[0].status, None);
}

#[tokio::test]
#[should_panic(expected = "a rule or a hook of the proxy panicked: no such letter")]
async fn a_rule_that_panics_fails_the_test_even_if_the_client_tries_again() {
    let bench = bench().await;
    bench.proxy.rule(|seen| {
        assert!(seen.nth > 1, "no such letter");
        Fault::Forward
    });
    let patient = client::s3(bench.proxy.access());
    client::get_bytes(&patient, "bucket", "a").await.unwrap();
    assert_eq!(bench.proxy.count(Operation::GetObject), 2);
}

#[tokio::test]
#[should_panic(expected = "a rule or a hook of the proxy panicked: never 200")]
async fn a_hook_that_panics_fails_a_test_that_reads_the_log() {
    let bench = bench().await;
    bench
        .proxy
        .after_response(|_, status| assert!(status != 200, "never 200"));
    bench.put("b").await.unwrap_err();
    bench.proxy.log();
}

#[tokio::test]
async fn respond_answers_anything() {
    let bench = bench().await;
    let error = "<Error><Code>InternalError</Code><Message>We encountered an internal \
        error.</Message></Error>";
    bench.proxy.fault_every(
        Operation::CompleteMultipartUpload,
        Fault::Respond {
            status: 200,
            headers: vec![("content-type".into(), "application/xml".into())],
            body: Bytes::from_static(error.as_bytes()),
        },
    );
    let upload = bench
        .s3
        .create_multipart_upload()
        .bucket("bucket")
        .key("b")
        .send()
        .await
        .unwrap();
    let complete = bench
        .s3
        .complete_multipart_upload()
        .bucket("bucket")
        .key("b")
        .upload_id(upload.upload_id().unwrap());
    let error = complete.send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 200);
    assert_eq!(
        client::list_open_uploads(&bench.direct, "bucket")
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn hooks_see_each_request_before_the_server_and_each_answer_before_the_client() {
    let bench = bench().await;
    let path = bench.server.endpoint();
    assert_ne!(path, bench.proxy.endpoint());
    let (before, after) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let flag = Arc::clone(&before);
    bench
        .proxy
        .on_request(move |seen| flag.store(seen.key() == "b" && seen.nth == 1, Ordering::SeqCst));
    let flag = Arc::clone(&after);
    bench.proxy.after_response(move |seen, status| {
        flag.store(
            seen.operation == Operation::PutObject && status == 200,
            Ordering::SeqCst,
        );
    });
    bench.put("b").await.unwrap();
    assert!(before.load(Ordering::SeqCst) && after.load(Ordering::SeqCst));
}

/// A client that writes the objects 1, 2, 3, … one after another, each over a connection of its
/// own.
fn writer(proxy: &Proxy) -> Program {
    let script = r#"
        for n in 1 2 3 4 5 6; do
            exec 3<>"/dev/tcp/$0/$1"
            printf 'PUT /bucket/n%s HTTP/1.1\r\nHost: %s\r\nContent-Length: 4\r\n\r\nbody' "$n" "$0:$1" >&3
            read -r status <&3
            exec 3>&-
        done"#;
    let endpoint = proxy.endpoint();
    let (host, port) = endpoint
        .strip_prefix("http://")
        .unwrap()
        .split_once(':')
        .unwrap();
    Program::new("/bin/bash").args(["-c", script, host, port])
}

#[tokio::test]
async fn a_client_can_be_killed_before_the_server_sees_a_request() {
    let bench = bench().await;
    let pid = Arc::new(OnceLock::new());
    let victim = Arc::clone(&pid);
    bench.proxy.rule(move |seen| {
        if seen.number == 3 {
            kill_and_wait(*victim.wait()).unwrap();
            return Fault::DropBefore;
        }
        Fault::Respond {
            status: 200,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    });
    let running = writer(&bench.proxy).spawn().unwrap();
    pid.set(running.pid()).unwrap();
    assert_eq!(running.wait().await.unwrap().signal, Some(9));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.proxy.requests(), 3);
    assert_eq!(bench.proxy.log()[2].status, None);
}

#[tokio::test]
async fn a_client_can_be_killed_after_the_server_answered() {
    let bench = bench().await;
    let pid = Arc::new(OnceLock::new());
    let victim = Arc::clone(&pid);
    bench.proxy.after_response(move |seen, status| {
        assert_eq!(status, 403, "an unsigned request");
        if seen.number == 1 {
            kill_and_wait(*victim.wait()).unwrap();
        }
    });
    let running = writer(&bench.proxy).spawn().unwrap();
    pid.set(running.pid()).unwrap();
    assert_eq!(running.wait().await.unwrap().signal, Some(9));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.proxy.requests(), 1);
}
