//! The program's way to AWS: through the proxy and by the credentials that its environment names.
//! Certificates are in `tls.rs`.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::world::{self, until};
use jiff::Timestamp;
use s3bundler_testbed::cli::{Outcome, Program};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Inventory, Synthetic};
use s3bundler_testbed::proxy::{Fault, Operation, Proxy, Seen};
use s3bundler_testbed::servers::{Access, Certificate, ForwardProxy, Moto, MotoOptions};

/// Two buckets, a queue, and a grouper of an inventory of 20 rows.
struct World {
    grouper: Program,
    queue: String,
}

impl World {
    async fn of(access: &Access) -> Self {
        let (s3, sqs) = (client::s3(access), client::sqs(access));
        for bucket in ["inventories", "archive"] {
            client::create_bucket(&s3, bucket).await.unwrap();
        }
        let queue = client::create_queue(&sqs, "groups").await.unwrap();
        let inventory = Inventory::new("logs", "inventories")
            .publish(&s3, Synthetic::rows(20))
            .await
            .unwrap();
        let grouper = world::s3bundler()
            .access(access)
            .args([
                "group",
                "--inventory",
                &inventory.manifest,
                "--destination",
                "s3://archive/logs",
            ])
            .args(["--max-objects", "5"]);
        Self { grouper, queue }
    }

    /// A grouper of a run of this name.
    fn group(&self, run: &str) -> Program {
        self.group_to(run, &self.queue)
    }

    /// The same with the queue at this URL.
    fn group_to(&self, run: &str, queue: &str) -> Program {
        self.grouper.clone().args(["--name", run, "--queue", queue])
    }
}

fn expect_grouped(outcome: &Outcome) {
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stdout.contains("4 groups"), "{outcome}");
}

#[tokio::test]
async fn s3_and_sqs_are_reached_through_the_proxy_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::generate(folder.path(), &["127.0.0.1"]).unwrap();
    let options = MotoOptions {
        certificate: Some(certificate),
        ..MotoOptions::default()
    };
    let moto = Moto::start_with(options).await.unwrap();
    let world = World::of(moto.access()).await;
    let proxy = ForwardProxy::start().await.unwrap();

    expect_grouped(
        &world
            .group("through")
            .env("HTTPS_PROXY", proxy.url())
            .run()
            .await
            .unwrap(),
    );
    let host = moto.endpoint().trim_start_matches("https://").to_owned();
    until(async || !proxy.tunnels().unwrap().is_empty()).await;
    assert!(
        proxy
            .tunnels()
            .unwrap()
            .iter()
            .all(|tunnel| *tunnel == host),
        "{:?}",
        proxy.tunnels()
    );

    // Nobody listens there, so what arrives went beside it. A proxy's log says that too late to be
    // asked: it tells of a tunnel when that is closed.
    let beside = world
        .group("beside")
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .env("NO_PROXY", "127.0.0.0/8");
    expect_grouped(&beside.run().await.unwrap());
    let unknown = proxy.url().replace("secret", "wrong");
    let refused = world
        .group("refused")
        .env("HTTPS_PROXY", unknown)
        .run()
        .await
        .unwrap();
    assert_ne!(refused.code, Some(0), "{refused}");
    let none = world
        .group("none")
        .env("HTTPS_PROXY", "/etc/proxy:secret")
        .run()
        .await
        .unwrap();
    assert_eq!(none.code, Some(6), "{none}");
    assert!(
        none.stderr
            .contains("HTTPS_PROXY is not the address of an HTTP proxy"),
        "{none}"
    );
    assert!(!none.stderr.contains("secret"), "{none}");
}

/// The name of a VPC endpoint is known in its VPC only. A proxy that is asked for it needs to know no
/// name, and shows it.
#[tokio::test]
async fn a_queue_behind_a_vpc_endpoint_is_asked_at_the_host_of_its_url() {
    const HOST: &str = "vpce-0a-b.sqs.us-east-1.vpce.amazonaws.com";
    let moto = Moto::start().await.unwrap();
    let world = World::of(moto.access()).await;
    let proxy = Proxy::start(moto.access()).unwrap();
    let queue = world
        .queue
        .replace(&moto.endpoint(), &format!("http://{HOST}"));
    let grouped = world
        .group_to("behind", &queue)
        .env_remove("AWS_ENDPOINT_URL")
        .env("AWS_ENDPOINT_URL_S3", moto.endpoint())
        .env("HTTP_PROXY", proxy.endpoint())
        .env("NO_PROXY", "127.0.0.1");
    expect_grouped(&grouped.run().await.unwrap());
    assert!(proxy.count(Operation::SendMessageBatch) > 0);
    for seen in proxy.take_seen() {
        assert_eq!(seen.headers["host"], HOST, "{seen:?}");
    }
}

#[tokio::test]
async fn eks_pod_identity_gives_credentials() {
    let moto = Moto::start().await.unwrap();
    // The agent on the node, at another address, and what S3 and SQS are sent.
    let (agent, aws) = (
        Proxy::start(moto.access()).unwrap(),
        Proxy::start(moto.access()).unwrap(),
    );
    let world = World::of(aws.access()).await;
    aws.clear_log();
    agent.rule(|seen| {
        let known = seen.headers.get("authorization").is_some_and(|token| token == "a.projected.token");
        let keys = r#"{"AccessKeyId": "PODIDENTITY", "SecretAccessKey": "s", "Token": "t", "AccountId": "111122223333",
            "Expiration": "2099-01-01T00:00:00Z"}"#;
        Fault::Respond { status: if known { 200 } else { 401 }, headers: Vec::new(), body: keys.into() }
    });
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    let keyless = |run: &str| {
        let grouper = world
            .group(run)
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY");
        grouper
            .env(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                format!("{}/v1/credentials", agent.endpoint()),
            )
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token)
    };
    std::fs::write(&token, "a.projected.token").unwrap();
    expect_grouped(&keyless("identity").run().await.unwrap());
    for record in aws.log() {
        let headers = &record.request.headers;
        assert!(
            headers["authorization"]
                .to_str()
                .unwrap()
                .contains("Credential=PODIDENTITY/"),
            "{headers:?}"
        );
        assert_eq!(headers["x-amz-security-token"], "t");
    }
    assert!(aws.requests() > 0);
    assert_eq!(agent.requests(), 1, "credentials are asked for once");

    std::fs::write(&token, "another.token").unwrap();
    let refused = keyless("refused").run().await.unwrap();
    assert_eq!(refused.code, Some(7), "{refused}");
}

/// An agent that answers with token 1, 2, … each time that it is asked, or always with the same.
fn agent(moto: &Moto, always_the_same: bool) -> Proxy {
    let (agent, given) = (Proxy::start(moto.access()).unwrap(), AtomicU64::new(0));
    agent.rule(move |_| {
        let token = if always_the_same { 1 } else { given.fetch_add(1, Ordering::SeqCst) + 1 };
        let keys = format!(
            r#"{{"AccessKeyId": "A", "SecretAccessKey": "s", "Token": "t{token}", "AccountId": "1", "Expiration": "2099-01-01T00:00:00Z"}}"#
        );
        Fault::Respond { status: 200, headers: Vec::new(), body: keys.into() }
    });
    agent
}

/// A worker of one group with one object, through this proxy and with credentials of this agent.
async fn worker(moto: &Moto, aws: &Proxy, agent: &Proxy) -> Program {
    let (s3, sqs) = (client::s3(moto.access()), client::sqs(moto.access()));
    for bucket in ["objects", "archive"] {
        client::create_bucket(&s3, bucket).await.unwrap();
    }
    client::put_object(&s3, "objects", "1", "0123456789")
        .await
        .unwrap();
    client::put_object(&s3, "archive", "1.index", "objects,1,10\n")
        .await
        .unwrap();
    let queue = client::create_queue(&sqs, "groups").await.unwrap();
    let message = r#"{"Bucket": "archive", "Key": "1.index"}"#;
    sqs.send_message()
        .queue_url(&queue)
        .message_body(message)
        .send()
        .await
        .unwrap();
    world::s3bundler()
        .access(aws.access())
        .args([
            "bundle",
            "--destination",
            "s3://archive/p",
            "--queue",
            &queue,
            "--idle-exit",
            "1",
        ])
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("{}/v1/credentials", agent.endpoint()),
        )
}

fn token(seen: &Seen) -> String {
    seen.headers["x-amz-security-token"]
        .to_str()
        .unwrap()
        .to_owned()
}

fn expired(seen: &Seen) -> Fault {
    let body = match seen.operation {
        Operation::ReceiveMessage | Operation::DeleteMessage => {
            r#"{"__type": "com.amazonaws.sqs#ExpiredToken", "message": "The security token has expired"}"#
        }
        _ if seen.method == http::Method::HEAD => "",
        _ => {
            "<Error><Code>ExpiredToken</Code><Message>The provided token has \
             expired.</Message></Error>"
        }
    };
    Fault::Respond {
        status: 400,
        headers: Vec::new(),
        body: body.into(),
    }
}

#[tokio::test]
async fn a_token_that_expires_on_its_way_is_renewed_once_for_every_client() {
    const EXPIRES: [Operation; 6] = [
        Operation::PutObject,
        Operation::ReceiveMessage,
        Operation::GetObject,
        Operation::UploadPart,
        Operation::HeadObject,
        Operation::DeleteMessage,
    ];
    let moto = Moto::start().await.unwrap();
    let (aws, agent) = (Proxy::start(moto.access()).unwrap(), agent(&moto, false));
    let worker = worker(&moto, &aws, &agent).await;
    let (old, seen_first) = (Mutex::new(BTreeSet::new()), Mutex::new(BTreeSet::new()));
    aws.rule(move |seen| {
        let mut old = old.lock().unwrap();
        if EXPIRES.contains(&seen.operation) && seen_first.lock().unwrap().insert(seen.operation) {
            old.insert(token(seen));
        }
        if old.contains(&token(seen)) {
            expired(seen)
        } else {
            Fault::Forward
        }
    });
    let done = worker.run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(
        done.stdout.starts_with("1 groups archived\n")
            && done.stdout.contains("failed       0 objects"),
        "{done}"
    );
    let expired = EXPIRES
        .into_iter()
        .filter(|operation| aws.count(*operation) > 0)
        .count();
    assert!(expired >= 4, "{expired}");
    assert_eq!(
        agent.requests(),
        1 + expired as u64,
        "each token is renewed once: {done}"
    );
}

#[tokio::test]
async fn a_token_that_stays_expired_ends_a_worker() {
    let moto = Moto::start().await.unwrap();
    let (aws, agent) = (Proxy::start(moto.access()).unwrap(), agent(&moto, true));
    let worker = worker(&moto, &aws, &agent).await;
    aws.rule(|seen| {
        if seen.operation == Operation::ReceiveMessage {
            expired(seen)
        } else {
            Fault::Forward
        }
    });
    let done = worker.run().await.unwrap();
    assert_eq!(done.code, Some(7), "{done}");
    assert!(done.stderr.contains("ExpiredToken"), "{done}");
    assert!(
        (2..=20).contains(&aws.count(Operation::ReceiveMessage)),
        "{done}"
    );
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_corrected() {
    let moto = Moto::start().await.unwrap();
    let (aws, agent) = (Proxy::start(moto.access()).unwrap(), agent(&moto, false));
    let worker = worker(&moto, &aws, &agent).await;
    // An hour late, as the servers see it.
    let server = || Timestamp::now() + Duration::from_hours(1);
    let date = move || server().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    aws.rule(move |seen| {
        if seen.headers.contains_key("x-amz-target") {
            return Fault::Forward;
        }
        let oldest = (server() - Duration::from_mins(15))
            .strftime("%Y%m%dT%H%M%SZ")
            .to_string();
        if seen.headers["x-amz-date"].to_str().unwrap() < oldest.as_str() {
            let body =
                "<Error><Code>RequestTimeTooSkewed</Code><Message>m</Message></Error>".into();
            return Fault::Respond {
                status: 403,
                headers: vec![("date".to_owned(), date())],
                body,
            };
        }
        Fault::SetHeader {
            name: "date",
            value: date().leak().as_bytes(),
        }
    });
    let done = worker.run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
}
