//! The program's way to AWS: through the proxy and by the credentials that its environment names. Certificates are in
//! `tls.rs`.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use std::time::{Duration, Instant};

use s3bundler_testbed::cli::{Outcome, Program};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Inventory, Synthetic};
use s3bundler_testbed::proxy::{Fault, Proxy};
use s3bundler_testbed::servers::{Access, Certificate, ForwardProxy, Moto, MotoOptions};

/// Two buckets, a queue, and a grouper of an inventory of 20 rows.
struct World {
    grouper: Program,
}

impl World {
    async fn of(access: &Access) -> Self {
        let (s3, sqs) = (client::s3(access), client::sqs(access));
        for bucket in ["inventories", "archive"] {
            client::create_bucket(&s3, bucket).await.unwrap();
        }
        let queue = client::create_queue(&sqs, "groups").await.unwrap();
        let inventory = Inventory::new("logs", "inventories").publish(&s3, Synthetic::rows(20)).await.unwrap();
        let grouper = Program::new(env!("CARGO_BIN_EXE_s3bundler"))
            .access(access)
            .args(["group", "--inventory", &inventory.manifest, "--destination", "s3://archive/logs"])
            .args(["--max-objects", "5", "--queue", &queue]);
        Self { grouper }
    }

    /// A grouper of a run of this name.
    fn group(&self, run: &str) -> Program {
        self.grouper.clone().args(["--name", run])
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
    let options = MotoOptions { certificate: Some(certificate), ..MotoOptions::default() };
    let moto = Moto::start_with(options).await.unwrap();
    let world = World::of(moto.access()).await;
    let proxy = ForwardProxy::start().await.unwrap();

    expect_grouped(&world.group("through").env("HTTPS_PROXY", proxy.url()).run().await.unwrap());
    let host = moto.endpoint().trim_start_matches("https://").to_owned();
    let begun = Instant::now();
    while proxy.tunnels().unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "no tunnel");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(proxy.tunnels().unwrap().iter().all(|tunnel| *tunnel == host), "{:?}", proxy.tunnels());

    // Nobody listens there, so what arrives went beside it. A proxy's log says that too late to be asked: it tells of a
    // tunnel when that is closed.
    let beside = world.group("beside").env("HTTPS_PROXY", "http://127.0.0.1:9").env("NO_PROXY", "127.0.0.0/8");
    expect_grouped(&beside.run().await.unwrap());
    let unknown = proxy.url().replace("secret", "wrong");
    let refused = world.group("refused").env("HTTPS_PROXY", unknown).run().await.unwrap();
    assert_ne!(refused.code, Some(0), "{refused}");
    let none = world.group("none").env("HTTPS_PROXY", "/etc/proxy:secret").run().await.unwrap();
    assert_eq!(none.code, Some(6), "{none}");
    assert!(none.stderr.contains("HTTPS_PROXY is not the address of an HTTP proxy"), "{none}");
    assert!(!none.stderr.contains("secret"), "{none}");
}

#[tokio::test]
async fn eks_pod_identity_gives_credentials() {
    let moto = Moto::start().await.unwrap();
    // The agent on the node, at another address, and what S3 and SQS are sent.
    let (agent, aws) = (Proxy::start(moto.access()).unwrap(), Proxy::start(moto.access()).unwrap());
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
        let grouper = world.group(run).env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        grouper
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/v1/credentials", agent.endpoint()))
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token)
    };
    std::fs::write(&token, "a.projected.token").unwrap();
    expect_grouped(&keyless("identity").run().await.unwrap());
    for record in aws.log() {
        let headers = &record.request.headers;
        assert!(headers["authorization"].to_str().unwrap().contains("Credential=PODIDENTITY/"), "{headers:?}");
        assert_eq!(headers["x-amz-security-token"], "t");
    }
    assert!(aws.requests() > 0);
    assert_eq!(agent.requests(), 1, "credentials are asked for once");

    std::fs::write(&token, "another.token").unwrap();
    let refused = keyless("refused").run().await.unwrap();
    assert_eq!(refused.code, Some(7), "{refused}");
}
