//! A cluster with the operator in it, and namespaces with runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{InteropError, say, with_path, wrong};
use crate::client;
use crate::install::{Recipe, installed};
use crate::inventory::{Inventory, inventory_of_bucket};
use crate::kube::{Cluster, HOST_ADDRESS, Image};
use crate::proxy::{Fault, Operation, Proxy, Seen};

/// Where the operator is installed.
pub(super) const RELEASE: &str = "s3bundler-system";
/// The operator's Deployment, as the chart names it in a release `s3bundler`.
pub(super) const OPERATOR: &str = "s3bundler-operator";
/// Buckets that runs may write to have names that begin with this.
pub(super) const ARCHIVES: &str = "archive-";
/// Images are tagged with this. The node has them already and pulls nothing.
const TAG: &str = "interop";
/// How often Prometheus scrapes, by the monitors of the chart. Workers live for seconds here.
pub(super) const SCRAPE_INTERVAL: &str = "2s";
const RUNBOOK: &str = "https://docs.example/runbook.md";
/// The longest wait for anything: it ends a trial that hangs.
pub(super) const PATIENCE: Duration = Duration::from_mins(8);
const POLL: Duration = Duration::from_millis(500);
const DEFINITIONS: [&str; 2] = [
    "podmonitors.monitoring.coreos.com",
    "prometheusrules.monitoring.coreos.com",
];

type Rule = Box<dyn Fn(&Seen) -> Fault + Send + Sync>;

pub(super) struct Scene {
    pub(super) cluster: Cluster,
    pub(super) s3: Client,
    s3bundler: PathBuf,
    /// Groupers and workers reach S3 through it.
    proxy: Proxy,
    /// What it does to requests, by their bucket.
    rules: Arc<Mutex<BTreeMap<String, Rule>>>,
}

impl Scene {
    /// Boots a cluster and installs the chart with everything that other projects use of it.
    pub(super) async fn start(s3bundler: &Path, operator: &Path) -> Result<Self, InteropError> {
        say("Booting a Kubernetes of one node with S3 and SQS");
        let cluster = Cluster::start().await?;
        let proxy = Proxy::start_at(cluster.access(), (HOST_ADDRESS, 0).into())?;
        let rules: Arc<Mutex<BTreeMap<String, Rule>>> = Arc::default();
        let known = Arc::clone(&rules);
        proxy.rule(move |seen| {
            let rules = known.lock().unwrap_or_else(PoisonError::into_inner);
            rules
                .get(seen.bucket())
                .map_or(Fault::Forward, |rule| rule(seen))
        });
        let scene = Self {
            s3: client::s3(cluster.access()),
            cluster,
            s3bundler: s3bundler.to_owned(),
            proxy,
            rules,
        };
        scene.define().await?;
        scene.install(operator).await?;
        Ok(scene)
    }

    pub(super) async fn stop(self) -> Result<(), InteropError> {
        say("Stopping the cluster");
        Ok(self.cluster.stop().await?)
    }

    /// Makes the API server accept the monitors and the alerts of the chart.
    async fn define(&self) -> Result<(), InteropError> {
        let folder = install(Recipe::Crds).await?;
        for definition in DEFINITIONS {
            let (plural, group) = definition.split_once('.').unwrap_or_default();
            let file = folder.join(format!("{group}_{plural}.yaml"));
            let file = file.display().to_string();
            // Too long for the annotation of an apply on the client's side.
            self.kubectl(&["apply", "--server-side", "--filename", &file])
                .await?;
            self.cluster.established(definition).await?;
        }
        Ok(())
    }

    async fn install(&self, operator: &Path) -> Result<(), InteropError> {
        for (image, program) in [("operator", operator), ("worker", &self.s3bundler)] {
            let name = format!("localhost/s3bundler/{image}:{TAG}");
            self.cluster
                .load(&Image::of_program(name, program)?)
                .await?;
        }
        self.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RELEASE}},
            self.secret(RELEASE),
        ]}))
        .await?;
        let values = self.cluster.folder().join("values.json");
        std::fs::write(&values, self.values().to_string()).map_err(with_path(&values))?;
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/s3bundler");
        let (values, chart) = (values.display().to_string(), chart.display().to_string());
        self.cluster
            .helm([
                "install",
                "s3bundler",
                &chart,
                "--namespace",
                RELEASE,
                "--values",
                &values,
                "--wait",
                "--timeout",
                "300s",
            ])
            .await?;
        Ok(())
    }

    fn values(&self) -> Value {
        let access = self.cluster.access();
        let env = json!({
            "AWS_ENDPOINT_URL": access.endpoint,
            "AWS_REGION": access.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        });
        let mut of_runs = env.clone();
        of_runs["AWS_ENDPOINT_URL_S3"] = json!(self.proxy.endpoint());
        let small = json!({
            "requests": {"cpu": "20m", "memory": "32Mi", "ephemeral-storage": "64Mi"},
            "limits": {"memory": "512Mi"},
        });
        let scraped = json!({"enabled": true, "interval": SCRAPE_INTERVAL});
        json!({
            "global": {"imageRegistry": "localhost"},
            "operator": {
                "image": {"tag": TAG},
                "env": env,
                "credentialsSecretName": "aws",
                "clusterName": "interop",
            },
            "worker": {"image": {"tag": TAG}, "env": of_runs, "resources": small},
            "grouper": {"resources": small},
            "policy": {"rules": [{"destinations": [format!("{ARCHIVES}*")]}]},
            "keda": {"enabled": true},
            "metrics": {
                "podMonitor": {"operator": scraped, "workers": scraped},
                "prometheusRule": {"enabled": true, "runbookUrl": RUNBOOK},
                "dashboard": {"enabled": true},
            },
        })
    }

    /// Creates a namespace with what runs need: keys, a service account without permissions, and
    /// three buckets.
    pub(super) async fn team(&self, name: &str) -> Result<(), InteropError> {
        let restricted = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        self.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": restricted}},
            self.secret(name),
            {"apiVersion": "v1", "kind": "ServiceAccount",
             "metadata": {"name": "s3bundler-worker", "namespace": name}},
        ]}))
        .await?;
        for bucket in [source(name), inventories(name), archives(name)] {
            client::create_bucket(&self.s3, &bucket).await?;
        }
        Ok(())
    }

    /// The keys for S3 and SQS.
    fn secret(&self, namespace: &str) -> Value {
        let access = self.cluster.access();
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "aws", "namespace": namespace},
            "stringData": {
                "AWS_ACCESS_KEY_ID": access.access_key,
                "AWS_SECRET_ACCESS_KEY": access.secret_key,
            },
        })
    }

    /// Writes this many small objects to the team's source; returns the manifest of their inventory.
    pub(super) async fn inventory(
        &self,
        team: &str,
        objects: usize,
    ) -> Result<String, InteropError> {
        let all = (0..objects).map(|n| (key(n), format!("{n:0>1000}")));
        client::put_objects(&self.s3, &source(team), all).await?;
        let inventory = Inventory::new(source(team), inventories(team));
        Ok(inventory_of_bucket(&self.s3, &inventory).await?.manifest)
    }

    /// From now on this decides what happens to the requests of groupers and workers to a bucket.
    pub(super) fn rule(
        &self,
        bucket: String,
        rule: impl Fn(&Seen) -> Fault + Send + Sync + 'static,
    ) {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.insert(bucket, Box::new(rule));
    }

    pub(super) async fn kubectl(&self, arguments: &[&str]) -> Result<String, InteropError> {
        Ok(self.cluster.kubectl(arguments).await?)
    }

    /// `kubectl get` of objects, as JSON.
    pub(super) async fn get(&self, arguments: &[&str]) -> Result<Value, InteropError> {
        let all = [&["get", "--output=json"], arguments].concat();
        let text = self.kubectl(&all).await?;
        // Nothing is printed for objects that may be missing and are.
        let text = if text.trim().is_empty() {
            "null"
        } else {
            &text
        };
        serde_json::from_str(text).map_err(|source| InteropError::Json {
            what: format!("kubectl {}", all.join(" ")),
            source,
        })
    }

    pub(super) async fn apply(&self, object: &Value) -> Result<(), InteropError> {
        self.cluster.apply(&object.to_string()).await?;
        Ok(())
    }

    /// Changes fields of an ArchiveRun.
    pub(super) async fn patch(
        &self,
        team: &str,
        run: &str,
        patch: &Value,
    ) -> Result<(), InteropError> {
        let patch = patch.to_string();
        let arguments = ["patch", "archiverun", run, "--namespace", team];
        self.kubectl(&[&arguments[..], &["--type=merge", "--patch", &patch]].concat())
            .await?;
        Ok(())
    }

    /// Waits until a run has a condition with this status, and returns the condition.
    pub(super) async fn condition(
        &self,
        team: &str,
        run: &str,
        kind: &str,
        status: &str,
    ) -> Result<Value, InteropError> {
        let what = format!("{team}/{run} is {kind}={status}");
        until(&what, async || {
            let run = self.get(&["archiverun", run, "--namespace", team]).await?;
            let found = condition(&run, kind);
            Ok(found.filter(|it| it["status"] == status).cloned())
        })
        .await
    }

    /// Proves a run from S3 alone, every member read.
    pub(super) async fn verify(&self, team: &str, run: &str) -> Result<(), InteropError> {
        let destination = format!("s3://{}/arch", archives(team));
        let arguments = ["verify", "--full", "--destination", &destination];
        let verify = self.cluster.program(&self.s3bundler);
        let outcome = verify.args(arguments).args(["--name", run]).run().await?;
        if outcome.code != Some(0) {
            return Err(wrong(format!(
                "s3bundler verify of {team}/{run}: {outcome}"
            )));
        }
        let verdict = outcome.stdout.lines().last().unwrap_or_default().trim();
        println!("    {team}/{run} verified: {verdict}");
        Ok(())
    }

    /// Prints the state of the cluster, after a trial that failed.
    pub(super) async fn print_state(&self) {
        let logs = format!("deployment/{OPERATOR}");
        for arguments in [
            &[
                "get",
                "archiveruns,pods",
                "--all-namespaces",
                "--output=wide",
            ][..],
            &[
                "get",
                "events",
                "--all-namespaces",
                "--field-selector=type=Warning",
            ],
            &["logs", "--namespace", RELEASE, &logs, "--tail=60"],
        ] {
            let output = self.kubectl(arguments).await;
            let output = output.unwrap_or_else(|error| error.to_string());
            eprintln!("$ kubectl {}\n{output}", arguments.join(" "));
        }
    }
}

/// The bucket of a team's objects.
pub(super) fn source(team: &str) -> String {
    format!("source-{team}")
}

/// The bucket of a team's inventories.
pub(super) fn inventories(team: &str) -> String {
    format!("inventories-{team}")
}

/// The bucket of a team's archives.
pub(super) fn archives(team: &str) -> String {
    format!("{ARCHIVES}{team}")
}

/// The key of an object of [`Scene::inventory`].
pub(super) fn key(n: usize) -> String {
    format!("logs/{n:05}.json")
}

/// An ArchiveRun; `spec` is merged over its own.
pub(super) fn archive_run(team: &str, run: &str, manifest: &str, spec: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "archive.s3bundler.dev/v1alpha1", "kind": "ArchiveRun",
        "metadata": {"name": run, "namespace": team},
        "spec": {
            "source": {"inventory": {"manifest": manifest}},
            "destination": {"bucket": archives(team), "prefix": "arch"},
            "group": {"maxObjects": 4},
            "credentialsSecretRef": {"name": "aws"},
            "workers": {"scaling": {"maxReplicas": 2}, "drainSeconds": 5},
        },
    });
    merge(&mut object["spec"], spec);
    object
}

/// S3 denies the objects of a bucket.
pub(super) fn denied(seen: &Seen) -> Fault {
    match seen.operation {
        Operation::GetObject | Operation::HeadObject => Fault::FailBefore {
            status: 403,
            code: "AccessDenied",
        },
        _ => Fault::Forward,
    }
}

/// Merges as RFC 7396 says, but without the removal of fields.
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(target.entry(name).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

/// A condition of an object's status.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
}

/// Waits until there is something.
pub(super) async fn until<T>(
    what: &str,
    there: impl AsyncFn() -> Result<Option<T>, InteropError>,
) -> Result<T, InteropError> {
    let begun = Instant::now();
    loop {
        if let Some(found) = there().await? {
            return Ok(found);
        }
        if begun.elapsed() > PATIENCE {
            let (what, waited) = (what.to_owned(), PATIENCE);
            return Err(InteropError::NotInTime { what, waited });
        }
        sleep(POLL).await;
    }
}

/// Installs what is missing, on a thread for what blocks.
pub(super) async fn install(recipe: Recipe) -> Result<PathBuf, InteropError> {
    let installing = tokio::task::spawn_blocking(move || installed(recipe));
    let folder = installing.await.map_err(|error| wrong(error.to_string()))?;
    Ok(folder?)
}
