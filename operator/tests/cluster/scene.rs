//! A cluster with the operator in it, installed as a user does, and runs in namespaces of their
//! own. S3 and SQS enforce IAM: the operator has what deploy/iam/operator.json permits, runs have
//! an administrator's keys unless their scenario says otherwise.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use aws_sdk_s3::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use s3bundler_testbed::client;
use s3bundler_testbed::kube::{Cluster, HOST_ADDRESS, Image, KubeError};
use s3bundler_testbed::proxy::{Fault, Proxy, Seen};
use s3bundler_testbed::servers::{Access, Policy};
use serde_json::{Value, json};

use super::asked;
use super::team::{Team, merge};

/// Where the operator is installed.
pub const RELEASE: &str = "s3bundler-system";
/// What the operator calls the cluster.
pub const CLUSTER: &str = "testbed";
/// What a namespace enforces in which pods may use directories of the node.
const PRIVILEGED: &str = "privileged";
const RESTRICTED: &str = "restricted";
/// The namespace whose runs the operator's policy lets use directories of the node, and nothing
/// else: this one, in the cluster's folder.
pub const NVME: &str = "nvme";

type Rule = Arc<dyn Fn(&Seen) -> Fault + Send + Sync>;

tokio::task_local! {
    /// Namespaces of the scenario that is played.
    static TEAMS: Arc<Mutex<Vec<String>>>;
}

/// The scenario, recording its namespaces.
pub fn recording<F: Future>(
    teams: &Arc<Mutex<Vec<String>>>,
    scenario: F,
) -> impl Future<Output = F::Output> + use<F> {
    TEAMS.scope(Arc::clone(teams), scenario)
}

pub struct Scene {
    pub cluster: Cluster,
    pub client: kube::Client,
    pub s3: Client,
    pub sqs: aws_sdk_sqs::Client,
    /// Groupers and workers see S3 through it.
    proxy: Proxy,
    /// What it does to requests, by their bucket.
    rules: Arc<Mutex<HashMap<String, Rule>>>,
    /// What the release was installed with.
    values: Value,
    /// Namespaces that scenarios have.
    teams: Mutex<HashSet<String>>,
}

/// The program beside the operator's, of the same build.
pub fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_s3bundler-operator")).with_file_name(name)
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Scene {
    /// Boots a cluster and installs the chart.
    pub async fn start() -> Self {
        let mut cluster = Cluster::start().await.unwrap();
        cluster.enforce_iam().await.unwrap();
        let images = [("operator", "s3bundler-operator"), ("worker", "s3bundler")];
        for (image, name) in images {
            let image =
                Image::of_program(format!("localhost/s3bundler/{image}:test"), &program(name))
                    .unwrap();
            cluster.load(&image).await.unwrap();
        }
        let proxy = Proxy::start_at(cluster.access(), (HOST_ADDRESS, 0).into()).unwrap();
        let rules: Arc<Mutex<HashMap<String, Rule>>> = Arc::default();
        let known = Arc::clone(&rules);
        proxy.rule(move |seen| {
            // Let go of before it decides: a rule may hold a request for long.
            let rule = known.lock().unwrap().get(seen.bucket()).cloned();
            rule.map_or(Fault::Forward, |rule| rule(seen))
        });
        let mut scene = Self {
            client: connect(&cluster).await,
            s3: client::s3(cluster.access()),
            sqs: client::sqs(cluster.access()),
            cluster,
            proxy,
            rules,
            values: Value::Null,
            teams: Mutex::default(),
        };
        scene.install().await;
        scene
    }

    async fn install(&mut self) {
        let access = self.cluster.access();
        let words = [
            ("DESTINATION_BUCKET", "*-archive"),
            ("PREFIX", "arch"),
            ("CLUSTER", CLUSTER),
            ("ACCOUNT", "123456789012"),
        ];
        let policies = [
            Policy::of_deployment("operator.json", &words)
                .as_str()
                .to_owned(),
            existing_queues(),
        ];
        let policies = policies.each_ref().map(String::as_str);
        let operator = self
            .cluster
            .moto()
            .unwrap()
            .user_with_policies("operator", &policies)
            .await
            .unwrap();
        let keys = json!({
            "apiVersion": "v1", "kind": "List", "items": [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RELEASE, "labels": enforcing(RESTRICTED)}},
                secret(RELEASE, &operator),
            ],
        });
        self.apply(&keys).await;
        let image = |name: &str| json!({"registry": "localhost", "repository": format!("s3bundler/{name}"), "tag": "test"});
        let small = json!({
            "requests": {"cpu": "20m", "memory": "32Mi", "ephemeral-storage": "64Mi"}, "limits": {"memory": "512Mi"},
        });
        // Every namespace has this ConfigMap. S3 is plain http here, so neither its certificates
        // nor the proxy, where nobody is, are asked anything; that the operator reaches Kubernetes
        // shows that it goes there directly.
        let certificates = json!({"configMapName": "kube-root-ca.crt", "key": "ca.crt"});
        let env = json!({"HTTPS_PROXY": "http://127.0.0.1:9", "AWS_ENDPOINT_URL": access.endpoint, "AWS_REGION": access.region, "AWS_EC2_METADATA_DISABLED": "true"});
        let mut of_runs = env.clone();
        of_runs["AWS_ENDPOINT_URL_S3"] = json!(self.proxy.endpoint());
        let nvme = [self.cluster.folder().join(NVME)];
        let values = json!({
            "caBundle": certificates,
            "operator": {"image": image("operator"), "env": env, "credentialsSecretName": "aws", "clusterName": CLUSTER},
            "worker": {"image": image("worker"), "env": of_runs, "resources": small},
            "grouper": {"resources": small},
            "keda": {"enabled": true},
            "policy": {"rules": [
                {"namespaceSelector": {"matchLabels": enforcing(RESTRICTED)}},
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NVME}}, "scratchTypes": ["HostPath"], "hostPaths": nvme},
            ]},
        });
        let begun = Instant::now();
        self.helm("install", &values).await;
        println!(
            "helm install to ready: {:.1} s",
            begun.elapsed().as_secs_f64()
        );
        self.values = values;
    }

    /// Changes values of the release, and waits for its operator.
    pub async fn upgrade(&self, changes: Value) {
        let mut values = self.values.clone();
        merge(&mut values, changes);
        let operators = [
            "get",
            "pods",
            "-n",
            RELEASE,
            "-l",
            "app.kubernetes.io/component=operator",
            "-o",
            "name",
        ];
        let before = self.kubectl(&operators).await.unwrap();
        self.helm("upgrade", &values).await;
        let gone = ["wait", "-n", RELEASE, "--for=delete", "--timeout=90s"];
        let gone: Vec<_> = gone.into_iter().chain(before.lines()).collect();
        self.kubectl(&gone).await.unwrap();
    }

    /// Takes the release away, and waits for its pods to be gone.
    pub async fn uninstall(&self) {
        self.cluster
            .helm(["uninstall", "s3bundler", "--namespace", RELEASE, "--wait"])
            .await
            .unwrap();
    }

    /// Installs the release anew, beside the definition that the last one left.
    pub async fn install_again(&self) {
        self.helm("install", &self.values).await;
    }

    async fn helm(&self, command: &str, values: &Value) {
        let file = self.cluster.folder().join("values.json");
        std::fs::write(&file, values.to_string()).unwrap();
        let chart = repository().join("charts/s3bundler");
        let (file, chart) = (file.display().to_string(), chart.display().to_string());
        let release = [command, "s3bundler", &chart, "--namespace", RELEASE];
        let how = ["--values", &file, "--wait", "--timeout", "300s"];
        self.cluster
            .helm(release.into_iter().chain(how))
            .await
            .unwrap();
    }

    /// A namespace with what runs need: keys and a service account without permissions.
    pub async fn team(&self, name: &str) -> Team<'_> {
        self.team_under(RESTRICTED, name).await
    }

    /// One in which pods may use directories of the node, as far as the cluster has a say in it.
    pub async fn privileged_team(&self, name: &str) -> Team<'_> {
        self.team_under(PRIVILEGED, name).await
    }

    async fn team_under(&self, level: &str, name: &str) -> Team<'_> {
        assert!(
            self.teams.lock().unwrap().insert(name.to_owned()),
            "another scenario has the namespace {name}"
        );
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "s3bundler-worker", "namespace": name}});
        let documents = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": enforcing(level)}},
            secret(name, self.cluster.access()),
            account,
        ]});
        // A future that no scenario runs has no list.
        let _ = TEAMS.try_with(|teams| teams.lock().unwrap().push(name.to_owned()));
        self.apply(&documents).await;
        for kind in ["source", "inventory", "archive"] {
            client::create_bucket(&self.s3, &format!("{name}-{kind}"))
                .await
                .unwrap();
        }
        Team {
            scene: self,
            name: name.to_owned(),
        }
    }

    /// Runs kubectl, which must succeed, and gives what it printed.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String, KubeError> {
        asked::kubectl(|| self.cluster.kubectl(arguments)).await
    }

    /// `kubectl apply` of an object.
    pub async fn apply(&self, object: &Value) {
        let text = object.to_string();
        asked::kubectl(|| self.cluster.apply(&text)).await.unwrap();
    }

    /// From now on this decides what becomes of the requests of groupers and workers to a bucket.
    pub fn rule(&self, bucket: String, rule: impl Fn(&Seen) -> Fault + Send + Sync + 'static) {
        self.rules.lock().unwrap().insert(bucket, Arc::new(rule));
    }

    /// What the operator tells Prometheus.
    pub async fn operators_metrics(&self) -> String {
        let operators = "app.kubernetes.io/component=operator";
        let pods = [
            "get",
            "pods",
            "-n",
            RELEASE,
            "-l",
            operators,
            "-o",
            "jsonpath={.items[0].metadata.name}",
        ];
        let pod = self.kubectl(&pods).await.unwrap();
        let page = format!("/api/v1/namespaces/{RELEASE}/pods/http:{pod}:8080/proxy/metrics");
        self.kubectl(&["get", "--raw", &page]).await.unwrap()
    }

    /// Asks for the deletion of all runs of a scenario that failed, which otherwise keep workers from
    /// those of others.
    pub async fn delete_runs(&self, teams: &[String]) {
        for team in teams {
            let all = ["delete", "archiveruns", "--all", "--wait=false", "-n", team];
            if let Err(error) = self.kubectl(&all).await {
                eprintln!("the runs of {team} stay: {error}");
            }
        }
    }

    /// What the cluster shows of a scenario's namespaces, and what the operator logged of them.
    pub async fn story(&self, teams: &[String]) -> String {
        let status = "jsonpath={range .items[*]}{.metadata.name}{\" \"}{.status}{\"\\n\"}{end}";
        let of_operator = [
            "logs",
            "-n",
            RELEASE,
            "-l",
            "app.kubernetes.io/component=operator",
            "--tail=2000",
        ];
        let logged = self
            .kubectl(&of_operator)
            .await
            .unwrap_or_else(|error| error.to_string());
        let mut story = String::new();
        for team in teams {
            for arguments in [
                &["get", "archiveruns,jobs,deployments,pods", "-o", "wide"][..],
                &["get", "archiveruns", "-o", status],
                &["get", "events", "--sort-by=.lastTimestamp"],
                &[
                    "logs",
                    "-l",
                    "app.kubernetes.io/name=s3bundler",
                    "--prefix",
                    "--tail=40",
                ],
            ] {
                let arguments = [arguments, &["-n", team]].concat();
                let shown = self
                    .kubectl(&arguments)
                    .await
                    .unwrap_or_else(|error| error.to_string());
                let _ = writeln!(story, "$ kubectl {}\n{shown}", arguments.join(" "));
            }
            let lines: Vec<_> = logged
                .lines()
                .filter(|line| line.contains(team.as_str()))
                .collect();
            let last = lines.len().saturating_sub(60);
            let _ = writeln!(
                story,
                "the operator's log of {team}:\n{}",
                lines[last..].join("\n")
            );
        }
        story
    }
}

async fn connect(cluster: &Cluster) -> kube::Client {
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    kube::Client::try_from(config).unwrap()
}

fn enforcing(level: &str) -> Value {
    json!({"pod-security.kubernetes.io/enforce": level})
}

/// What docs/kubernetes/roles.md adds for queues of `queue.type: Existing`, whatever they are
/// called here.
fn existing_queues() -> String {
    let depth = json!({"Effect": "Allow", "Action": "sqs:GetQueueAttributes", "Resource": "arn:aws:sqs:*:123456789012:*"});
    json!({"Version": "2012-10-17", "Statement": [depth]}).to_string()
}

/// The keys of the pods of a namespace, or of the operator.
pub fn secret(namespace: &str, access: &Access) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aws", "namespace": namespace},
        "stringData": {"AWS_ACCESS_KEY_ID": access.access_key, "AWS_SECRET_ACCESS_KEY": access.secret_key},
    })
}
