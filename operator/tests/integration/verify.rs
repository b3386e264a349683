//! The verification of a run, with a Job and a pod that the test plays.

use k8s_openapi::jiff::Timestamp;
use s3bundler_contract::Verification;
use s3bundler_testbed::client;
use s3bundler_testbed::patience::until;
use serde_json::{Value, json};

use crate::process::{Scene, archive_run, condition, told};

const TEAM: &str = "team-a";
const JOB: &str = "logs-verify";
const POD: &str = "logs-verify-x";

/// A run that is verified, and whose only group is archived.
async fn archived(scene: &Scene, mode: &str) {
    let bucket = scene.team(TEAM).await;
    let queue = client::create_queue(&scene.sqs, "groups").await.unwrap();
    scene.put_archived(&bucket).await;
    let mut run = archive_run(TEAM, "logs");
    run["spec"]["verify"] = json!(mode);
    run["status"] = json!({
        "queue": {"url": queue}, "acknowledgedAt": "2026-11-22T02:00:00Z",
        "workerImage": "worker:0",
        "inventory": {"manifest": "s3://inv/a/2026-11-22T01-00Z/manifest.json"},
    });
    scene.kubernetes.apply("archiveruns", run);
}

fn job(scene: &Scene) -> Option<Value> {
    scene.kubernetes.get("jobs", TEAM, JOB)
}

/// The Job once it is another one than this.
async fn job_after(scene: &Scene, before: Option<&Value>) -> Value {
    let is_another =
        |job: &Value| Some(&job["metadata"]["uid"]) != before.map(|it| &it["metadata"]["uid"]);
    until(async || job(scene).is_some_and(|job| is_another(&job))).await;
    job(scene).unwrap()
}

/// Ends the pod of the Job, and then the Job.
fn end(scene: &Scene, exit_code: i32, message: &str) {
    let job = job(scene).unwrap();
    let mut labels = job["spec"]["template"]["metadata"]["labels"].clone();
    labels["batch.kubernetes.io/job-name"] = json!(JOB);
    labels["batch.kubernetes.io/controller-uid"] = job["metadata"]["uid"].clone();
    let metadata = json!({"name": POD, "namespace": TEAM, "labels": labels});
    let container = json!({"name": "s3bundler", "image": "worker:0", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": exit_code, "reason": "Error", "message": message}}});
    let phase = if exit_code == 0 {
        "Succeeded"
    } else {
        "Failed"
    };
    let status = json!({"phase": phase, "containerStatuses": [container]});
    let spec = job["spec"]["template"]["spec"].clone();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status});
    scene.kubernetes.apply("pods", pod);
    let at = Timestamp::now().to_string();
    let failed = json!({"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "lastTransitionTime": at});
    let status = if exit_code == 0 {
        json!({"succeeded": 1})
    } else {
        json!({"failed": 1, "conditions": [failed]})
    };
    assert!(scene.kubernetes.change("jobs", TEAM, JOB, |job| {
        job["status"] = status;
    }));
}

/// Changes the run, and waits until the operator has seen it.
async fn reconciled(scene: &Scene, change: impl FnOnce(&mut Value)) {
    assert!(scene.kubernetes.change("archiveruns", TEAM, "logs", change));
    let generation = scene.run(TEAM, "logs")["metadata"]["generation"].clone();
    let is_seen = |run: &Value| run["status"]["observedGeneration"] == generation;
    scene.until_run(TEAM, "logs", is_seen).await;
}

fn report(findings: &[&str]) -> String {
    let report = Verification {
        full: true,
        groups: 1,
        objects: 5,
        unproven: 0,
        findings: findings.len() as u64,
        leftovers: 0,
        first: findings.iter().map(|&it| it.to_owned()).collect(),
    };
    report.to_line()
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_outlive_operator_and_pod_and_the_run_is_complete_once_there_are_none() {
    let scene = Scene::start().await;
    archived(&scene, "Full").await;
    let (operator, _) = scene.operator();
    let first = job_after(&scene, None).await;
    let pod = &first["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(pod["image"], "worker:0", "that of the run");
    let args: Vec<String> = serde_json::from_value(pod["args"].clone()).unwrap();
    for arg in [
        "verify",
        "--full",
        "--destination=s3://team-a-archive/p",
        "--name=logs",
    ] {
        assert!(args.iter().any(|it| it == arg), "{args:?}");
    }
    let is_verifying = |run: &Value| told(run, "Ready") == ("False", "Verifying");
    scene.until_run(TEAM, "logs", is_verifying).await;
    let run = scene.run(TEAM, "logs");
    assert_eq!(told(&run, "Verified"), ("Unknown", "Verifying"));
    assert_eq!(run["status"]["verify"]["mode"], "Full");
    let workers = scene.kubernetes.get("deployments", TEAM, "logs-worker");
    assert!(workers.is_none_or(|it| it["spec"]["replicas"] == 0));

    end(&scene, 8, &report(&["the archive is gone"]));
    let is_found = |run: &Value| told(run, "Stalled") == ("True", "VerifyFailed");
    scene.until_run(TEAM, "logs", is_found).await;
    let run = scene.run(TEAM, "logs");
    assert_eq!(told(&run, "Verified"), ("False", "VerifyFailed"));
    assert_eq!(told(&run, "Failed").0, "False");
    let message = condition(&run, "Stalled")["message"].as_str().unwrap();
    assert!(
        message.starts_with("1 found: the archive is gone. To see all: s3bundler verify --full "),
        "{message}"
    );
    assert_eq!(run["status"]["verify"]["findings"], 1);
    assert!(run["status"]["verify"]["completionTime"].is_string());

    // Neither another operator nor a node that is gone forgets it.
    drop(operator);
    assert!(scene.kubernetes.remove("pods", TEAM, POD));
    let (operator, _) = scene.operator();
    reconciled(&scene, |run| {
        run["spec"]["ttlSecondsAfterFinished"] = json!(86_400);
    })
    .await;
    assert_eq!(
        job(&scene).unwrap()["metadata"]["uid"],
        first["metadata"]["uid"]
    );
    assert!(is_found(&scene.run(TEAM, "logs")));

    // A user has repaired it, and has it verified again.
    assert!(scene.kubernetes.remove("jobs", TEAM, JOB));
    job_after(&scene, Some(&first)).await;
    let is_unknown = |run: &Value| told(run, "Verified").0 == "Unknown";
    scene.until_run(TEAM, "logs", is_unknown).await;
    end(&scene, 0, &report(&[]));
    let is_complete = |run: &Value| told(run, "Complete") == ("True", "Complete");
    scene.until_run(TEAM, "logs", is_complete).await;
    let run = scene.run(TEAM, "logs");
    assert_eq!(told(&run, "Verified"), ("True", "NothingFound"));
    let message = condition(&run, "Verified")["message"].as_str().unwrap();
    assert_eq!(message, "5 objects in 1 groups are right, byte for byte");
    assert_eq!(run["status"]["verify"]["findings"], 0);
    until(async || job(&scene).is_none()).await;

    // What is asked of a run that has ended has no effect.
    scene
        .until_run(TEAM, "logs", |run| told(run, "QueueReady").1 == "Deleted")
        .await;
    assert!(scene.kubernetes.change("archiveruns", TEAM, "logs", |run| {
        run["spec"]["verify"] = json!("Checksums");
    }));
    scene
        .until_run(TEAM, "logs", |run| {
            run["metadata"]["finalizers"]
                .as_array()
                .is_none_or(Vec::is_empty)
        })
        .await;
    assert_eq!(scene.run(TEAM, "logs")["status"]["verify"]["mode"], "Full");
    assert!(job(&scene).is_none());
    drop(operator);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_a_name_that_the_verifier_needs_says_so_and_leaves_it_alone() {
    let scene = Scene::start().await;
    let metadata = json!({"name": JOB, "namespace": TEAM});
    let other = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {}});
    scene.kubernetes.apply("jobs", other);
    archived(&scene, "Checksums").await;
    let (operator, _) = scene.operator();
    let is_told = |run: &Value| told(run, "Accepted") == ("False", "Invalid");
    scene.until_run(TEAM, "logs", is_told).await;
    let run = scene.run(TEAM, "logs");
    let message = condition(&run, "Accepted")["message"].as_str().unwrap();
    assert!(message.contains("Job logs-verify"), "{message}");
    assert!(scene.kubernetes.remove("jobs", TEAM, JOB));
    // It is no Job of a run, so nothing tells the operator that it is gone.
    reconciled(&scene, |run| {
        run["spec"]["ttlSecondsAfterFinished"] = json!(86_400);
    })
    .await;
    let verifier = job_after(&scene, None).await;
    assert_eq!(verifier["metadata"]["ownerReferences"][0]["name"], "logs");
    drop(operator);
}
