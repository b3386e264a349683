//! KEDA, with its operator, its metrics adapter and its webhooks, scales two runs.
//!
//! ```text
//! one-each:  own keys for SQS       1 ─► N workers ─► suspended: 0 ─► resumed: N ─► Complete: 0
//! two-each:  keys of KEDA's own     1 ─► N workers, each busy with one of the two groups that it counts for ─► Complete: 0
//! ```
//!
//! The cluster has neither DNS nor kube-proxy. So the adapter gets the address of KEDA's operator,
//! which has that of the node, in its hosts file. Everything else is as in KEDA's own manifests.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::scene::{Scene, archive_run, install, source, until};
use super::timeline::{Poll, Timeline, ended_while_busy};
use super::watch::Watch;
use super::{InteropError, say, with_path, wrong};
use crate::install::{Recipe, keda_version};
use crate::kube::{Image, NODE_ADDRESS};
use crate::proxy::{Fault, Operation};

const NAMESPACE: &str = "keda";
const IMAGE: &str = "localhost/s3bundler/keda";
const TAG: &str = "interop";
/// What KEDA's manifests start, and what the Go command calls it.
const PROGRAMS: [(&str, &str); 3] = [
    ("/keda", "operator"),
    ("/keda-adapter", "adapter"),
    ("/keda-admission-webhooks", "webhooks"),
];
const RUN: &str = "logs";
/// `maxReplicas` of the runs.
const MOST: u64 = 4;
/// Objects of a group, by the spec of the runs.
const GROUP: usize = 4;
/// More than the time that S3 takes for an object here.
const FIRST_BYTE_TIMEOUT: u32 = 60;

/// A run that KEDA scales.
struct Trial {
    team: &'static str,
    groups: usize,
    groups_per_worker: u64,
    /// Time that S3 takes for each object.
    latency: Duration,
    /// Whether the run has a TriggerAuthentication, and not the keys of KEDA's operator.
    has_own_keys: bool,
    /// Whether it is suspended and resumed in the middle.
    is_suspended: bool,
}

const ONE_EACH: Trial = Trial {
    team: "one-each",
    groups: 40,
    groups_per_worker: 1,
    latency: Duration::from_secs(10),
    has_own_keys: true,
    is_suspended: true,
};

const TWO_EACH: Trial = Trial {
    team: "two-each",
    groups: 28,
    groups_per_worker: 2,
    latency: Duration::from_secs(15),
    has_own_keys: false,
    is_suspended: false,
};

/// Installs KEDA, and runs both trials side by side.
pub(super) async fn scales_runs(scene: &Scene) -> Result<(), InteropError> {
    say(&format!("Installing KEDA {}", keda_version()));
    set_up(scene).await?;
    say("Two runs that KEDA scales");
    println!("    {:<16} AFTER   {}", "NAMESPACE", Poll::TITLES);
    tokio::try_join!(
        Box::pin(ONE_EACH.play(scene)),
        Box::pin(TWO_EACH.play(scene)),
    )?;
    Ok(())
}

async fn set_up(scene: &Scene) -> Result<(), InteropError> {
    let folder = install(Recipe::Keda).await?;
    let begun = Instant::now();
    let mut image = Image::new(format!("{IMAGE}:{TAG}"));
    for (inside, program) in PROGRAMS {
        image = image.file(inside, folder.join(program));
    }
    scene.cluster.load(&image).await?;
    let overlay = write_overlay(scene, &folder)?.display().to_string();
    // The text of its definitions is too long for the annotation of an apply on the client's side.
    scene
        .kubectl(&["apply", "--server-side", "--kustomize", &overlay])
        .await?;
    for resource in [
        "deployment/keda-operator",
        "deployment/keda-metrics-apiserver",
        "deployment/keda-admission",
        "apiservice/v1beta1.external.metrics.k8s.io",
    ] {
        let what = format!("{resource} is available");
        let wait = [
            "wait",
            "--for=condition=Available",
            resource,
            "--timeout=1s",
        ];
        until(&what, async || {
            let wait = [&wait[..], &["--namespace", NAMESPACE]].concat();
            Ok(scene.kubectl(&wait).await.ok())
        })
        .await?;
        println!("    {:>4} s  {what}", begun.elapsed().as_secs());
    }
    Ok(())
}

/// Writes a folder for `kubectl apply --kustomize` beside the cluster's files.
fn write_overlay(scene: &Scene, keda: &Path) -> Result<PathBuf, InteropError> {
    let folder = scene.cluster.folder().join("keda");
    std::fs::create_dir(&folder).map_err(with_path(&folder))?;
    let file = folder.join("kustomization.yaml");
    let access = scene.cluster.access();
    let keys = [
        ("AWS_ACCESS_KEY_ID", &access.access_key),
        ("AWS_SECRET_ACCESS_KEY", &access.secret_key),
    ];
    let overlay = overlay(&relative(&folder, &keda.join("config/default")), &keys);
    std::fs::write(&file, overlay.to_string()).map_err(with_path(&file))?;
    Ok(folder)
}

/// Changes to KEDA's manifests: the images of the node, the address of the operator, and its keys
/// for SQS.
fn overlay(base: &Path, keys: &[(&str, &String)]) -> Value {
    let images = ["keda", "keda-metrics-apiserver", "keda-admission-webhooks"].map(|name| {
        let name = format!("ghcr.io/kedacore/{name}");
        json!({"name": name, "newName": IMAGE, "newTag": TAG})
    });
    let pod = "/spec/template/spec";
    let container = format!("{pod}/containers/0");
    let patch = |name: &str, operations: Value| json!({"target": {"kind": "Deployment", "name": name}, "patch": operations.to_string()});
    let operator = "keda-operator";
    let alias = json!({
        "ip": NODE_ADDRESS,
        "hostnames": [format!("{operator}.{NAMESPACE}.svc.cluster.local")],
    });
    let mut of_operator = vec![
        json!({"op": "add", "path": format!("{pod}/hostNetwork"), "value": true}),
        // Two of them cannot have the node's ports.
        json!({"op": "add", "path": "/spec/strategy", "value": {"type": "Recreate"}}),
    ];
    of_operator.extend(keys.iter().map(|(name, value)| {
        let value = json!({"name": name, "value": value});
        json!({"op": "add", "path": format!("{container}/env/-"), "value": value})
    }));
    let never = json!([
        {"op": "replace", "path": format!("{container}/imagePullPolicy"), "value": "Never"},
    ]);
    let aliases = json!([{"op": "add", "path": format!("{pod}/hostAliases"), "value": [alias]}]);
    json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [base],
        "images": images,
        "patches": [
            patch(".*", never),
            patch(operator, json!(of_operator)),
            patch("keda-metrics-apiserver", aliases),
        ],
    })
}

/// The way from an absolute folder to an absolute path: kustomize takes no other.
fn relative(folder: &Path, path: &Path) -> PathBuf {
    let up = folder.components().skip(1).map(|_| "..");
    up.map(PathBuf::from)
        .chain([path.strip_prefix("/").unwrap_or(path).to_owned()])
        .collect()
}

impl Trial {
    async fn play(&self, scene: &Scene) -> Result<(), InteropError> {
        let team = self.team;
        scene.team(team).await?;
        let latency = self.latency;
        scene.rule(source(team), move |seen| match seen.operation {
            Operation::GetObject => Fault::Delay(latency),
            _ => Fault::Forward,
        });
        let manifest = scene.inventory(team, self.groups * GROUP).await?;
        if self.has_own_keys {
            scene.apply(&trigger_authentication(team)).await?;
        }
        scene
            .apply(&archive_run(team, RUN, &manifest, &self.spec()))
            .await?;
        let mut timeline = Timeline::of(scene, team, RUN);
        if self.is_suspended {
            timeline
                .until("KEDA adds workers", |it| it.hpa.is_some() && it.busy >= 2)
                .await?;
            self.suspend(scene, &mut timeline).await?;
        }
        let pods = ["pods", "--namespace", team];
        let component = ["--selector", "app.kubernetes.io/component=worker"];
        let pods = Watch::start(scene, &[pods.as_slice(), &component].concat())?;
        if self.is_suspended {
            scene
                .patch(team, RUN, &json!({"spec": {"suspend": false}}))
                .await?;
        }
        timeline
            .until("all workers are busy", |it| it.busy == MOST)
            .await?;
        timeline
            .until("the run is over", |it| {
                it.status == "Complete" && it.is_over()
            })
            .await?;
        scene.verify(team, RUN).await?;
        self.judge(scene, &timeline, &pods.objects()?).await
    }

    fn spec(&self) -> Value {
        let mut keda = json!({"pollingIntervalSeconds": 5});
        if self.has_own_keys {
            keda["authenticationRef"] = json!({"name": "sqs"});
        }
        let scaling = json!({
            "mode": "Keda",
            "maxReplicas": MOST,
            "targetGroupsPerWorker": self.groups_per_worker,
            "keda": keda,
        });
        json!({
            "source": {"firstByteTimeoutSeconds": FIRST_BYTE_TIMEOUT},
            "workers": {"scaling": scaling},
        })
    }

    /// Suspends the run, and waits until it has no workers.
    async fn suspend(
        &self,
        scene: &Scene,
        timeline: &mut Timeline<'_>,
    ) -> Result<(), InteropError> {
        let team = self.team;
        scene
            .patch(team, RUN, &json!({"spec": {"suspend": true}}))
            .await?;
        timeline
            .until("a suspended run has no workers", |it| {
                it.status == "Suspended" && !it.has_workers(1)
            })
            .await?;
        until("the workers of a suspended run have ended", async || {
            let component = "app.kubernetes.io/component=worker";
            let pods = ["pods", "--namespace", team, "--selector", component];
            let pods = scene.get(&pods).await?;
            Ok(pods["items"]
                .as_array()
                .is_some_and(Vec::is_empty)
                .then_some(()))
        })
        .await
    }

    async fn judge(
        &self,
        scene: &Scene,
        timeline: &Timeline<'_>,
        pods: &[Value],
    ) -> Result<(), InteropError> {
        let team = self.team;
        let busy = ended_while_busy(pods);
        if !busy.is_empty() {
            return Err(wrong(format!(
                "{team}: pods were asked to end while they held a group: {busy:?}"
            )));
        }
        let field = "--field-selector=involvedObject.kind=ScaledObject";
        let events = scene.get(&["events", "--namespace", team, field]).await?;
        let reasons: Vec<&str> = events["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|event| event["reason"].as_str())
            .collect();
        let activated = "KEDAScaleTargetActivated";
        if self.is_suspended && !reasons.contains(&activated) {
            return Err(wrong(format!(
                "{team}: KEDA did not say that it scaled from zero: {reasons:?}"
            )));
        }
        let polls = timeline.polls.iter();
        let held = polls
            .filter(|it| it.needs_floor(self.groups_per_worker))
            .count();
        if self.groups_per_worker > 1 && held == 0 {
            return Err(wrong(format!(
                "{team}: KEDA's metric never asked for fewer workers than were busy, so nothing was \
                 tried"
            )));
        }
        println!(
            "    {team}: no pod was asked to end while it held a group; the metric alone would have \
             removed busy ones in {held} of {} polls",
            timeline.polls.len()
        );
        Ok(())
    }
}

fn trigger_authentication(team: &str) -> Value {
    let key =
        |parameter: &str, key: &str| json!({"parameter": parameter, "name": "aws", "key": key});
    json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication",
        "metadata": {"name": "sqs", "namespace": team},
        "spec": {"secretTargetRef": [
            key("awsAccessKeyID", "AWS_ACCESS_KEY_ID"),
            key("awsSecretAccessKey", "AWS_SECRET_ACCESS_KEY"),
        ]},
    })
}

#[cfg(test)]
mod tests;
