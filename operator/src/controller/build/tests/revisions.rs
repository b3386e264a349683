//! That the pods of a run in progress stay as they were made, whatever this operator makes for
//! others. What each revision makes is recorded.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use std::path::PathBuf;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::controller::build::{PodRevision, grouper, verifier, workers};
use crate::controller::fixtures::{archive_run, defaults};
use crate::controller::run::Run;
use crate::controller::validate::read;
use crate::crd::{ArchiveRunStatus, Verify};
use crate::defaults::Defaults;

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/111111111111/q";

/// The pods of a run.
#[derive(Serialize, Deserialize)]
struct Recorded {
    spec: Value,
    inventory: String,
    /// Of the first pass, and of a retry pass.
    groupers: [Value; 2],
    workers: Value,
    /// By checksums, and in full. The first release that makes them makes them of every revision.
    #[serde(default)]
    verifiers: [Value; 2],
}

fn path(revision: &str) -> PathBuf {
    let folder = "src/controller/build/tests/recorded";
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join(format!("{revision}.json"))
}

fn recorded(revision: &str) -> Vec<Recorded> {
    let text = std::fs::read_to_string(path(revision)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The same runs as an operator makes them that is newer and has another image, where the status of
/// a run in progress says this.
fn made_again(before: &[Recorded], status: &Value) -> Vec<Recorded> {
    let defaults = Defaults {
        image: "worker:2".to_owned(),
        ..defaults()
    };
    let made = before.iter().map(|before| {
        let mut resource = archive_run(json!({}));
        resource.spec = serde_json::from_value(before.spec.clone()).unwrap();
        let mut status: ArchiveRunStatus = serde_json::from_value(status.clone()).unwrap();
        let inventory = json!({"manifest": before.inventory});
        status.inventory = serde_json::from_value(inventory).unwrap();
        resource.status = Some(status);
        let run = read(&resource, &defaults).unwrap();
        let groupers = [0, 1].map(|pass| {
            let job = grouper(&run, &defaults, pass, Some(&before.inventory), Some(QUEUE));
            template(job.spec.unwrap().template)
        });
        let verifiers = [Verify::Checksums, Verify::Full].map(|verify| {
            let run = Run {
                verify,
                ..run.clone()
            };
            template(verifier(&run, &defaults).spec.unwrap().template)
        });
        let deployment = workers(&run, &defaults, QUEUE);
        Recorded {
            spec: before.spec.clone(),
            inventory: before.inventory.clone(),
            groupers,
            workers: template(deployment.spec.unwrap().template),
            verifiers,
        }
    });
    made.collect()
}

/// Without what is said to Karpenter: it is of the pod's node, not of its program.
fn template(mut template: PodTemplateSpec) -> Value {
    let annotations = template.metadata.as_mut().unwrap();
    annotations.annotations = annotations.annotations.take().and_then(|mut annotations| {
        annotations.remove("karpenter.sh/do-not-disrupt");
        (!annotations.is_empty()).then_some(annotations)
    });
    json!(template)
}

fn assert_same(revision: &str, before: &[Recorded], now: &[Recorded]) {
    for (before, now) in before.iter().zip(now) {
        let differs = format!(
            "the pods of runs in progress with revision {revision} would be replaced, and perhaps \
             get what their image does not know: add a PodRevision; or, if no release has this one, \
             record it again with S3BUNDLER_GENERATE=1"
        );
        assert_eq!(now.workers, before.workers, "{differs}");
        assert_eq!(now.groupers, before.groupers, "{differs}");
        assert_eq!(now.verifiers, before.verifiers, "{differs}");
    }
}

#[test]
fn pods_of_a_release_without_revisions_stay_as_they_are() {
    let mut before = recorded("original");
    for (before, latest) in before.iter_mut().zip(recorded("latest")) {
        before.verifiers = latest.verifiers;
    }
    let status = json!({"workerImage": "worker:1", "queue": {"url": QUEUE}});
    assert_same("original", &before, &made_again(&before, &status));
}

#[test]
fn pods_of_the_latest_revision_stay_as_they_are() {
    let runs = recorded("original");
    let number = PodRevision::LATEST.number();
    let status = json!({"workerImage": "worker:1", "podRevision": number, "queue": {"url": QUEUE}});
    let now = made_again(&runs, &status);
    if std::env::var_os("S3BUNDLER_GENERATE").is_some() {
        let text = serde_json::to_string_pretty(&now).unwrap() + "\n";
        std::fs::write(path("latest"), text).unwrap();
    }
    assert_same("latest", &recorded("latest"), &now);
}

#[test]
fn what_is_asked_of_a_run_in_progress_reaches_its_pods() {
    let before = recorded("original");
    let small = &before[0];
    let inventory = json!({"manifest": small.inventory});
    let status =
        json!({"workerImage": "worker:1", "inventory": inventory, "queue": {"url": QUEUE}});
    let mut resource = archive_run(json!({}));
    resource.spec = serde_json::from_value(small.spec.clone()).unwrap();
    resource.spec.workers.pod_template.spec.priority_class_name = Some("low".to_owned());
    resource.status = serde_json::from_value(status).unwrap();
    let mut settings = defaults();
    settings
        .env
        .push(("AWS_MAX_ATTEMPTS".to_owned(), "9".to_owned()));
    let run = read(&resource, &settings).unwrap();
    let made = json!(workers(&run, &settings, QUEUE));
    let pod = made.pointer("/spec/template/spec").unwrap();
    assert_eq!(pod["priorityClassName"], "low");
    let env = pod.pointer("/containers/0/env/1").unwrap();
    assert_eq!(env, &json!({"name": "AWS_MAX_ATTEMPTS", "value": "9"}));
    let args = small.workers.pointer("/spec/containers/0/args");
    assert_eq!(pod.pointer("/containers/0/args"), args);
}
