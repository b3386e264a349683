//! The operator's way to AWS: through the proxy, with the certificates and by the credentials that
//! its environment names. An environment is a process's own, so the operator's client lives in a
//! second process of this test.

use s3bundler_contract::{KeyLayout, Layout, Stage};
use s3bundler_operator::aws::Aws;
use s3bundler_operator::queues::{QueuePair, Queues};
use s3bundler_operator::records::Records;
use s3bundler_testbed::cli::{Outcome, Program};
use s3bundler_testbed::client;
use s3bundler_testbed::patience::until;
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
use s3bundler_testbed::servers::{Certificate, ElasticMq, ForwardProxy, Moto, MotoOptions};
use serde_json::json;

/// The name of the test that is the second process, and the variable that says so.
const INSIDE: &str = "outbound::what_the_operator_sees";
const ASKED_FOR: &str = "S3BUNDLER_TEST_ASKED_FOR";
const BUCKET: &str = "archive";
/// What it says of a summary that is not there yet, in a bucket that it can reach.
const REACHED: &str = "the operator sees Ok(None)";

/// Not a test of its own: asks S3 as the operator does, with whatever its environment says.
#[tokio::test]
async fn what_the_operator_sees() {
    let Ok(bucket) = std::env::var(ASKED_FOR) else {
        return;
    };
    let (layout, run) = (
        Layout::new("p", KeyLayout::Hashed).unwrap(),
        "logs".parse().unwrap(),
    );
    match Aws::load(None).await {
        Ok(aws) => println!(
            "the operator sees {:?}",
            Records::new(&aws, aws.region(), None)
                .summary(&bucket, &layout, &run, Stage::OWN)
                .await
        ),
        Err(error) => println!("the operator does not start: {error}"),
    }
}

fn operator() -> Program {
    Program::new(std::env::current_exe().unwrap())
        .args(["--exact", INSIDE, "--nocapture"])
        .env(ASKED_FOR, BUCKET)
}

fn expect(outcome: &Outcome, words: &[&str]) {
    for word in words {
        assert!(outcome.stdout.contains(word), "{word}: {outcome}");
    }
}

#[tokio::test]
async fn certificates_and_proxies_are_those_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::generate(folder.path(), &["127.0.0.1"]).unwrap();
    let options = MotoOptions {
        certificate: Some(certificate),
        ..MotoOptions::default()
    };
    let moto = Moto::start_with(options).await.unwrap();
    client::create_bucket(&client::s3(moto.access()), BUCKET)
        .await
        .unwrap();
    let run = |program: Program| async move { program.run().await.unwrap() };
    let operator = || operator().access(moto.access());

    expect(&run(operator()).await, &[REACHED]);
    expect(
        &run(operator().env_remove("AWS_CA_BUNDLE")).await,
        &["GetObject", "invalid peer certificate"],
    );
    let missing = folder.path().join("missing.pem");
    let words = ["does not start", "AWS_CA_BUNDLE", "missing.pem"];
    expect(&run(operator().env("AWS_CA_BUNDLE", missing)).await, &words);

    let proxy = ForwardProxy::start().await.unwrap();
    expect(
        &run(operator().env("HTTPS_PROXY", proxy.url())).await,
        &[REACHED],
    );
    let host = moto.endpoint().trim_start_matches("https://").to_owned();
    // One for each connection.
    until(async || !proxy.tunnels().unwrap().is_empty()).await;
    // Nobody listens there, so nothing goes another way.
    let nowhere = || operator().env("https_proxy", "http://127.0.0.1:9");
    let outcome = run(nowhere()).await;
    assert!(!outcome.stdout.contains(REACHED), "{outcome}");
    expect(&outcome, &["the operator sees Err", "GetObject"]);
    expect(
        &run(nowhere().env("NO_PROXY", "elsewhere.example,127.0.0.1")).await,
        &[REACHED],
    );
    let outcome = run(operator().env("HTTPS_PROXY", "socks5://user:secret@127.0.0.1:1080")).await;
    expect(
        &outcome,
        &[
            "does not start",
            "HTTPS_PROXY is not the address of an HTTP proxy",
        ],
    );
    assert!(!outcome.to_string().contains("secret"), "{outcome}");
    let tunnels = proxy.tunnels().unwrap();
    assert!(tunnels.iter().all(|tunnel| *tunnel == host), "{tunnels:?}");
}

#[tokio::test]
async fn eks_pod_identity_gives_credentials() {
    let moto = Moto::start().await.unwrap();
    client::create_bucket(&client::s3(moto.access()), BUCKET)
        .await
        .unwrap();
    // The agent on the node, at another address, and what S3 is sent.
    let (agent, s3) = (
        Proxy::start(moto.access()).unwrap(),
        Proxy::start(moto.access()).unwrap(),
    );
    agent.rule(|seen| {
        let known = seen.headers.get("authorization").is_some_and(|token| token == "a.projected.token");
        let keys = json!({"AccessKeyId": "PODIDENTITY", "SecretAccessKey": "s", "Token": "t", "AccountId": "111122223333",
            "Expiration": "2099-01-01T00:00:00Z"});
        Fault::Respond { status: if known { 200 } else { 401 }, headers: Vec::new(), body: keys.to_string().into() }
    });
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "a.projected.token").unwrap();
    let outcome = operator()
        .env("AWS_ENDPOINT_URL", s3.endpoint())
        .env("AWS_REGION", "us-east-1")
        .env(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("{}/v1/credentials", agent.endpoint()),
        )
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.path());
    expect(&outcome.run().await.unwrap(), &[REACHED]);
    let asked = s3.log();
    assert!(!asked.is_empty());
    for record in asked {
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
}

/// The variables that hold a queue and its dead-letter queue for [`what_the_operator_sees_of_queues`].
const QUEUE: &str = "S3BUNDLER_TEST_QUEUE";
const DEAD_LETTERS: &str = "S3BUNDLER_TEST_DEAD_LETTERS";

/// Not a test of its own: asks for the depths of two queues as the operator does.
#[tokio::test]
async fn what_the_operator_sees_of_queues() {
    let Ok(url) = std::env::var(QUEUE) else {
        return;
    };
    let pair = QueuePair {
        url,
        dead_letter_url: std::env::var(DEAD_LETTERS).ok(),
    };
    let aws = Aws::load(None).await.unwrap();
    let queues = Queues::of(&aws, &pair.url, aws.region());
    let (groups, dead) = (
        queues.depth(&pair.url).await,
        queues.dead_letters(&pair).await,
    );
    println!("the operator sees {groups:?} and {dead:?}");
}

/// The name of a VPC endpoint is known in its VPC only. A proxy that is asked for it needs to know no
/// name, and shows it.
#[tokio::test]
async fn a_queue_behind_a_vpc_endpoint_is_asked_at_the_host_of_its_url() {
    let server = ElasticMq::start().await.unwrap();
    let (sqs, hosts) = (
        client::sqs(server.access()),
        ["vpce-0a-b", "vpce-0c-d"].map(|id| format!("{id}.sqs.eu-west-1.vpce.amazonaws.com")),
    );
    for name in ["groups", "groups-dead"] {
        client::create_queue(&sqs, name).await.unwrap();
    }
    let proxy = Proxy::start(server.access()).unwrap();
    let [url, dead_letter_url] = [(&hosts[0], "groups"), (&hosts[1], "groups-dead")]
        .map(|(host, name)| format!("http://{host}/000000000000/{name}"));
    let asked = Program::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "outbound::what_the_operator_sees_of_queues",
            "--nocapture",
        ])
        .access(server.access())
        .env_remove("AWS_ENDPOINT_URL")
        .env("HTTP_PROXY", proxy.endpoint())
        .env(QUEUE, url)
        .env(DEAD_LETTERS, dead_letter_url);
    let outcome = asked.run().await.unwrap();
    expect(
        &outcome,
        &["Ok(Depth { visible: 0, in_flight: 0 }) and Ok(0)"],
    );
    let asked: Vec<_> = proxy
        .take_seen()
        .into_iter()
        .map(|seen| (seen.operation, seen.headers["host"].clone()))
        .collect();
    let expected = hosts.map(|host| (Operation::GetQueueAttributes, host.parse().unwrap()));
    assert_eq!(asked, expected);
}
