//! A cluster with the operator in it, installed as a user does, and runs in namespaces of their own.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use kube::Api;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use s3bundler_operator::crd::{ArchiveRun, ArchiveRunStatus};
use s3bundler_testbed::cli::Outcome;
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Inventory, inventory_of_bucket};
use s3bundler_testbed::kube::{Cluster, Image};
use serde_json::{Value, json};

/// Where the operator is installed.
pub const RELEASE: &str = "s3bundler-system";
/// How long anything may take before a test gives it up.
const PATIENCE: Duration = Duration::from_mins(3);

pub struct Scene {
    pub cluster: Cluster,
    pub client: kube::Client,
    pub s3: Client,
    pub sqs: aws_sdk_sqs::Client,
}

/// The program beside the operator's, of the same build.
fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_s3bundler-operator")).with_file_name(name)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Scene {
    /// Boots a cluster and installs the chart.
    pub async fn start() -> Self {
        let cluster = Cluster::start().await.unwrap();
        let images = [("operator", "s3bundler-operator"), ("worker", "s3bundler")];
        for (image, name) in images {
            let image = Image::of_program(format!("localhost/s3bundler/{image}:test"), &program(name)).unwrap();
            cluster.load(&image).await.unwrap();
        }
        let scene = Self {
            client: connect(&cluster).await,
            s3: client::s3(cluster.access()),
            sqs: client::sqs(cluster.access()),
            cluster,
        };
        scene.install().await;
        scene
    }

    async fn install(&self) {
        let access = self.cluster.access();
        let keys = json!({
            "apiVersion": "v1", "kind": "List", "items": [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RELEASE, "labels": restricted()}},
                secret(RELEASE, access),
            ],
        });
        self.cluster.apply(&keys.to_string()).await.unwrap();
        let image =
            |name: &str| json!({"registry": "localhost", "repository": format!("s3bundler/{name}"), "tag": "test"});
        let small = json!({
            "requests": {"cpu": "20m", "memory": "32Mi", "ephemeral-storage": "64Mi"}, "limits": {"memory": "512Mi"},
        });
        let env = json!({"AWS_ENDPOINT_URL": access.endpoint, "AWS_REGION": access.region, "AWS_EC2_METADATA_DISABLED": "true"});
        let values = json!({
            "operator": {"image": image("operator"), "env": env, "credentialsSecretName": "aws", "clusterName": "testbed"},
            "worker": {"image": image("worker"), "env": env, "resources": small},
            "grouper": {"resources": small},
            "keda": {"enabled": true},
            "policy": {"rules": [{"namespaceSelector": {"matchLabels": restricted()}}]},
        });
        let file = self.cluster.folder().join("values.json");
        std::fs::write(&file, values.to_string()).unwrap();
        let chart = repository().join("charts/s3bundler");
        let begun = Instant::now();
        let (file, chart) = (file.display().to_string(), chart.display().to_string());
        self.cluster
            .helm([
                "install",
                "s3bundler",
                &chart,
                "--namespace",
                RELEASE,
                "--values",
                &file,
                "--wait",
                "--timeout",
                "120s",
            ])
            .await
            .unwrap();
        println!("helm install to ready: {:.1} s", begun.elapsed().as_secs_f64());
    }

    /// A namespace with what runs need: keys and a service account without permissions.
    pub async fn team(&self, name: &str) -> Team<'_> {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "s3bundler-worker", "namespace": name}});
        let documents = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": restricted()}},
            secret(name, self.cluster.access()),
            account,
        ]});
        self.cluster.apply(&documents.to_string()).await.unwrap();
        for kind in ["source", "inventory", "archive"] {
            client::create_bucket(&self.s3, &format!("{name}-{kind}")).await.unwrap();
        }
        Team { scene: self, name: name.to_owned() }
    }

    /// Everything that tells why a test failed.
    pub async fn story(&self) -> String {
        let mut story = String::new();
        for arguments in [
            &["get", "archiveruns,jobs,deployments,pods", "-A", "-o", "wide"][..],
            &["get", "events", "-A", "--sort-by=.lastTimestamp"],
            &[
                "get",
                "archiveruns",
                "-A",
                "-o",
                "jsonpath={range .items[*]}{.metadata.name}{\" \"}{.status}{\"\\n\"}{end}",
            ],
            &["logs", "-n", RELEASE, "-l", "app.kubernetes.io/component=operator", "--tail=60"],
        ] {
            let told = self.cluster.kubectl(arguments).await.unwrap_or_else(|error| error.to_string());
            let _ = writeln!(story, "$ kubectl {}\n{told}", arguments.join(" "));
        }
        story
    }
}

async fn connect(cluster: &Cluster) -> kube::Client {
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

fn restricted() -> Value {
    json!({"pod-security.kubernetes.io/enforce": "restricted"})
}

fn secret(namespace: &str, access: &s3bundler_testbed::servers::Access) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aws", "namespace": namespace},
        "stringData": {"AWS_ACCESS_KEY_ID": access.access_key, "AWS_SECRET_ACCESS_KEY": access.secret_key},
    })
}

/// A namespace, and three buckets named after it.
pub struct Team<'a> {
    pub scene: &'a Scene,
    pub name: String,
}

impl Team<'_> {
    pub fn bucket(&self, kind: &str) -> String {
        format!("{}-{kind}", self.name)
    }

    /// Fills the source with this many small objects; gives their inventory's manifest.
    pub async fn inventory(&self, objects: usize) -> String {
        let all = (0..objects)
            .map(|n| (format!("logs/{n:05}.json"), format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat(n % 700))));
        client::put_objects(&self.scene.s3, &self.bucket("source"), all).await.unwrap();
        let inventory = Inventory::new(self.bucket("source"), self.bucket("inventory"));
        inventory_of_bucket(&self.scene.s3, &inventory).await.unwrap().manifest
    }

    /// A run of an inventory, groups of 10; `spec` is merged over it.
    pub fn archive_run(&self, name: &str, manifest: &str, spec: Value) -> Value {
        let mut run = json!({
            "apiVersion": "archive.s3bundler.dev/v1alpha1", "kind": "ArchiveRun",
            "metadata": {"name": name, "namespace": self.name},
            "spec": {
                "source": {"inventory": {"manifest": manifest}},
                "destination": {"bucket": self.bucket("archive"), "prefix": "arch"},
                "group": {"maxObjects": 10},
                "credentialsSecretRef": {"name": "aws"},
                "workers": {"scaling": {"maxReplicas": 3}, "drainSeconds": 5},
            },
        });
        merge(&mut run["spec"], spec);
        run
    }

    pub async fn apply(&self, run: &Value) {
        self.scene.cluster.apply(&run.to_string()).await.unwrap();
    }

    pub fn runs(&self) -> Api<ArchiveRun> {
        Api::namespaced(self.scene.client.clone(), &self.name)
    }

    pub async fn create(&self, run: &Value) {
        let run: ArchiveRun = serde_json::from_value(run.clone()).unwrap();
        self.runs().create(&PostParams::default(), &run).await.unwrap();
    }

    pub async fn status(&self, run: &str) -> ArchiveRunStatus {
        self.runs().get(run).await.unwrap().status.unwrap_or_default()
    }

    /// Waits until the status of a run is as wanted.
    pub async fn until(&self, run: &str, what: &str, wanted: impl Fn(&ArchiveRunStatus) -> bool) -> ArchiveRunStatus {
        let begun = Instant::now();
        loop {
            let status = self.status(run).await;
            if wanted(&status) {
                return status;
            }
            let in_time = begun.elapsed() < PATIENCE;
            assert!(in_time, "{}/{run}: not {what} in time: {status:#?}\n{}", self.name, self.scene.story().await);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Waits for a condition: its status, and its reason.
    pub async fn condition(&self, run: &str, name: &str, status: &str, reason: &str) -> ArchiveRunStatus {
        let what = format!("{name}={status}/{reason}");
        self.until(run, &what, |it| told(it, name) == Some((status, reason))).await
    }

    pub async fn patch(&self, run: &str, patch: Value) {
        let patch = kube::api::Patch::Merge(patch);
        self.runs().patch(run, &kube::api::PatchParams::default(), &patch).await.unwrap();
    }

    /// Names of what there is of a kind.
    pub async fn names(&self, kind: &str) -> Vec<String> {
        let listed = self.scene.cluster.kubectl(["get", kind, "-n", &self.name, "-o", "name"]).await.unwrap();
        listed.lines().map(str::to_owned).collect()
    }

    /// URLs of queues with this team's name.
    pub async fn queues(&self) -> Vec<String> {
        let prefix = format!("s3bundler-{}-", self.name);
        self.scene.sqs.list_queues().queue_name_prefix(prefix).send().await.unwrap().queue_urls.unwrap_or_default()
    }

    /// `s3bundler verify --full` of a run, from here.
    pub async fn verify(&self, run: &str) -> Outcome {
        let destination = format!("s3://{}/arch", self.bucket("archive"));
        let program = self.scene.cluster.program(program("s3bundler"));
        program.args(["verify", "--full", "--destination", &destination, "--name", run]).run().await.unwrap()
    }

    pub async fn assert_verified(&self, run: &str) {
        let verified = self.verify(run).await;
        assert_eq!(verified.code, Some(0), "{verified}");
    }
}

/// Status and reason of a condition.
pub fn told<'a>(status: &'a ArchiveRunStatus, name: &str) -> Option<(&'a str, &'a str)> {
    status.conditions.iter().find(|it| it.type_ == name).map(|it| (it.status.as_str(), it.reason.as_str()))
}

/// The message of a condition.
pub fn message(status: &ArchiveRunStatus, name: &str) -> String {
    status.conditions.iter().find(|it| it.type_ == name).map(|it| it.message.clone()).unwrap_or_default()
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
