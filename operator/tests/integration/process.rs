//! The operator as a process, beside an API server in memory, and S3 and SQS behind a proxy.

use std::net::{IpAddr, Ipv4Addr};

use s3bundler_contract::{KeyLayout, Layout, Receipt, RunName, RunSummary};
use s3bundler_testbed::api_server::ApiServer;
use s3bundler_testbed::cli::{Program, Running};
use s3bundler_testbed::client;
use s3bundler_testbed::patience::until;
use s3bundler_testbed::proxy::Proxy;
use s3bundler_testbed::servers::{Moto, Port};
use serde_json::{Value, json};

/// Where the Lease is.
pub const OWN: &str = "s3bundler-system";

pub struct Scene {
    pub kubernetes: ApiServer,
    _moto: Moto,
    pub proxy: Proxy,
    /// Straight to the server.
    pub s3: aws_sdk_s3::Client,
    pub sqs: aws_sdk_sqs::Client,
}

impl Scene {
    pub async fn start() -> Self {
        let moto = Moto::start().await.unwrap();
        Self {
            kubernetes: ApiServer::start().unwrap(),
            proxy: Proxy::start(moto.access()).unwrap(),
            s3: client::s3(moto.access()),
            sqs: client::sqs(moto.access()),
            _moto: moto,
        }
    }

    /// A namespace with what runs need; gives the bucket of its archives.
    pub async fn team(&self, name: &str) -> String {
        let object = |kind: &str, metadata: Value| json!({"apiVersion": "v1", "kind": kind, "metadata": metadata});
        self.kubernetes
            .apply("namespaces", object("Namespace", json!({"name": name})));
        let account = json!({"name": "s3bundler-worker", "namespace": name});
        self.kubernetes
            .apply("serviceaccounts", object("ServiceAccount", account));
        let bucket = format!("{name}-archive");
        client::create_bucket(&self.s3, &bucket).await.unwrap();
        bucket
    }

    /// Writes the summary of the run `logs`, and the receipt of its only group, to a bucket.
    pub async fn put_archived(&self, bucket: &str) {
        let run: RunName = "logs".parse().unwrap();
        let layout = Layout::new("p", KeyLayout::Hashed).unwrap();
        let summary = RunSummary {
            groups: 1,
            objects: 5,
            rows: 5,
            ..RunSummary::empty(run.clone())
        };
        let mut receipt = Receipt::empty("logs.000000".parse().unwrap());
        receipt.figures.archived = 5;
        for (key, bytes) in [
            (layout.summary(&run), summary.to_json()),
            (receipt.key(&layout, &run), Vec::new()),
        ] {
            client::put_object(&self.s3, bucket, &key, bytes)
                .await
                .unwrap();
        }
    }

    /// Starts the operator. Its pages are at this port.
    pub fn operator(&self) -> (Running, u16) {
        let port = Port::free(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        let program = Program::new(env!("CARGO_BIN_EXE_s3bundler-operator"))
            .access(self.proxy.access())
            .env("KUBECONFIG", self.kubernetes.kubeconfig())
            .args(["--worker-image=worker:1", "--cluster-name=test"])
            .arg(format!("--lease-namespace={OWN}"))
            .arg(format!("--listen=127.0.0.1:{}", port.number()));
        (program.spawn().unwrap(), port.number())
    }

    pub fn run(&self, namespace: &str, name: &str) -> Value {
        self.kubernetes
            .get("archiveruns", namespace, name)
            .unwrap_or_default()
    }

    /// Waits until a run is as wanted.
    pub async fn until_run(&self, namespace: &str, name: &str, wanted: impl Fn(&Value) -> bool) {
        until(async || wanted(&self.run(namespace, name))).await;
    }
}

/// A run of this namespace, whose archives go to its bucket.
pub fn archive_run(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "archive.s3bundler.dev/v1alpha1", "kind": "ArchiveRun",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "source": {"inventory": {"manifest": "s3://inv/a/2026-11-22T01-00Z/manifest.json"}},
            "destination": {"bucket": format!("{namespace}-archive"), "prefix": "p"},
        },
    })
}

/// Status and reason of a condition of a run.
pub fn told<'a>(run: &'a Value, name: &str) -> (&'a str, &'a str) {
    let condition = condition(run, name);
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    (text("status"), text("reason"))
}

/// A condition of a run.
pub fn condition<'a>(run: &'a Value, name: &str) -> &'a Value {
    let conditions = run["status"]["conditions"].as_array();
    let found = conditions
        .into_iter()
        .flatten()
        .find(|it| it["type"] == name);
    found.unwrap_or(&Value::Null)
}
