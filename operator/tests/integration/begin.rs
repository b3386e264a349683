//! A run before its pods have shown that they may write to its destination, with a Job and a pod
//! that the test plays.

use k8s_openapi::jiff::Timestamp;
use s3bundler_contract::{
    Acknowledgement, ArchiveOptions, GroupOptions, InventoryRef, KeyLayout, Layout, RunClaim,
    SelectOptions,
};
use s3bundler_testbed::client;
use s3bundler_testbed::patience::until;
use s3bundler_testbed::proxy::Operation;
use serde_json::{Value, json};

use crate::process::{Scene, archive_run, condition, told};

const TEAM: &str = "team-a";
const JOB: &str = "logs-grouper";

fn job(scene: &Scene) -> Option<Value> {
    scene.kubernetes.get("jobs", TEAM, JOB)
}

/// The pod of the Job that is there.
fn pod(scene: &Scene, status: &Value) {
    let job = job(scene).unwrap();
    let mut labels = job["spec"]["template"]["metadata"]["labels"].clone();
    labels["batch.kubernetes.io/job-name"] = json!(JOB);
    labels["batch.kubernetes.io/controller-uid"] = job["metadata"]["uid"].clone();
    let metadata = json!({"name": format!("{JOB}-x"), "namespace": TEAM, "labels": labels});
    let spec = job["spec"]["template"]["spec"].clone();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status});
    scene.kubernetes.apply("pods", pod);
}

/// The Job failed at a time.
fn fail(scene: &Scene, at: Timestamp) {
    let failed = json!({"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "lastTransitionTime": at.to_string()});
    assert!(scene.kubernetes.change("jobs", TEAM, JOB, |job| {
        job["status"] = json!({"failed": 1, "conditions": [failed]});
    }));
}

/// The claim of the run by this owner.
fn claim(owner: &str) -> RunClaim {
    let inventory = InventoryRef {
        manifest: "s3://inv/a/2026-11-22T01-00Z/manifest.json"
            .parse()
            .unwrap(),
        etag: "e".to_owned(),
        creation_timestamp: None,
    };
    RunClaim::new(
        "logs".parse().unwrap(),
        inventory,
        SelectOptions::default(),
        GroupOptions::default(),
        ArchiveOptions::default(),
        owner.to_owned(),
    )
}

async fn queues(scene: &Scene) -> usize {
    let queues = scene.sqs.list_queues().send().await.unwrap();
    queues.queue_urls().len()
}

/// What the operator asked of the destination.
fn asked(scene: &Scene, bucket: &str) -> Vec<(Operation, String)> {
    let log = scene.proxy.log();
    let of_bucket = log.iter().filter(|it| it.request.bucket() == bucket);
    of_bucket
        .map(|it| (it.request.operation, it.request.key()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_for_its_name_and_is_read_once_it_is_acknowledged() {
    let scene = Scene::start().await;
    let bucket = scene.team(TEAM).await;
    scene
        .kubernetes
        .apply("archiveruns", archive_run(TEAM, "logs"));
    let (operator, _) = scene.operator();
    until(async || job(&scene).is_some()).await;
    let run = scene.run(TEAM, "logs");
    let uid = run["metadata"]["uid"].as_str().unwrap().to_owned();
    let first = job(&scene).unwrap();
    let args = first["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    for arg in [
        format!("--acknowledge={uid}"),
        "--owner=ArchiveRun team-a/logs in cluster test".to_owned(),
        "--inventory=s3://inv/a/2026-11-22T01-00Z/manifest.json".to_owned(),
    ] {
        assert!(args.contains(&arg), "{args}");
    }
    assert_eq!(queues(&scene).await, 2);
    pod(&scene, &json!({"phase": "Running"}));

    // Nothing but the acknowledgement is looked for.
    let key = format!("p/runs/logs.ack.{uid}.json");
    until(async || asked(&scene, &bucket).len() > 1).await;
    for (operation, asked) in asked(&scene, &bucket) {
        assert_eq!((operation, &asked), (Operation::GetObject, &key));
    }
    assert_eq!(scene.kubernetes.all("deployments"), Vec::<Value>::new());

    // The name is taken: neither queue nor Job is kept until its time comes.
    let end = r#"{"reason":"RunNameTaken","difference":"another inventory","owner":"laptop","message":"why"}"#;
    let container = json!({"name": "s3bundler", "image": "worker:1", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": 6, "reason": "Error", "message": end}}});
    pod(
        &scene,
        &json!({"phase": "Failed", "containerStatuses": [container]}),
    );
    fail(&scene, Timestamp::now());
    scene
        .until_run(TEAM, "logs", |run| {
            told(run, "Accepted") == ("False", "RunNameTaken") && run["status"]["queue"].is_null()
        })
        .await;
    until(async || job(&scene).is_none()).await;
    let run = scene.run(TEAM, "logs");
    let message = condition(&run, "Accepted")["message"].as_str().unwrap();
    assert!(
        message.contains("belongs to another inventory, claimed by laptop"),
        "{message}"
    );
    assert_eq!(told(&run, "QueueReady"), ("False", "Pending"));
    assert!(run["status"]["startTime"].is_null(), "{run:#}");
    assert_eq!(queues(&scene).await, 0);
    // As before it began, for an operator of an earlier release, too.
    assert!(run["status"]["workerImage"].is_null(), "{run:#}");
    assert_eq!(job(&scene), None);

    assert!(scene.kubernetes.change("archiveruns", TEAM, "logs", |run| {
        run["status"]["waiting"]["since"] = json!("2026-01-01T00:00:00Z");
        run["metadata"]["annotations"] = json!({"changed": "so that it is reconciled"});
    }));
    until(async || job(&scene).is_some()).await;
    assert_eq!(queues(&scene).await, 2);

    // The second grouper gets the name.
    let layout = Layout::new("p", KeyLayout::Hashed).unwrap();
    let claim = claim("ArchiveRun team-a/logs in cluster test");
    let acknowledgement = Acknowledgement::of(&claim, uid.parse().unwrap());
    client::put_object(&scene.s3, &bucket, &key, acknowledgement.to_json())
        .await
        .unwrap();
    pod(&scene, &json!({"phase": "Running"}));
    scene
        .until_run(TEAM, "logs", |run| {
            run["status"]["acknowledgedAt"].is_string()
        })
        .await;
    let run = scene.run(TEAM, "logs");
    assert_eq!(told(&run, "Accepted"), ("True", "Valid"));
    assert!(run["status"]["waiting"].is_null(), "{run:#}");
    assert_eq!(run["status"]["inventory"]["etag"], "e");
    assert!(run["status"]["startTime"].is_string(), "{run:#}");
    let has_listed = |(operation, _): &(Operation, String)| *operation == Operation::ListObjectsV2;
    until(async || asked(&scene, &bucket).iter().any(has_listed)).await;
    until(async || !scene.kubernetes.all("deployments").is_empty()).await;
    let acknowledged = asked(&scene, &bucket)
        .into_iter()
        .rposition(|(_, asked)| asked == key);
    let receipts = asked(&scene, &bucket).iter().position(has_listed);
    assert!(acknowledged < receipts, "it is asked for once");
    let summary = layout.summary(&claim.run);
    assert!(asked(&scene, &bucket).contains(&(Operation::GetObject, summary)));
    drop(operator);
}

/// A run as the release before left it: the operator had claimed its name and recorded the inventory,
/// and the grouper's image knows nothing of acknowledgements.
fn of_an_earlier_release(name: &str, queue: &str, region: &str, grouped: bool) -> Value {
    let condition = |name: &str, status: bool| {
        let status = if status { "True" } else { "False" };
        json!({"type": name, "status": status, "reason": "Earlier", "message": "", "observedGeneration": 1,
            "lastTransitionTime": "2026-11-22T02:00:00Z"})
    };
    let mut run = archive_run(TEAM, name);
    run["status"] = json!({
        "queue": {"url": queue}, "startTime": "2026-11-22T02:00:00Z", "workerImage": "worker:0",
        "serviceAccountName": "s3bundler-worker", "region": region,
        "inventory": {"manifest": "s3://inv/a/2026-11-22T01-00Z/manifest.json", "etag": "e"},
        "conditions": [condition("Grouped", grouped), condition("QueueReady", true)],
    });
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_an_earlier_release_goes_on_by_its_claim_with_the_arguments_of_its_image() {
    let scene = Scene::start().await;
    let bucket = scene.team(TEAM).await;
    let queue = client::create_queue(&scene.sqs, "groups").await.unwrap();
    let layout = Layout::new("p", KeyLayout::Hashed).unwrap();
    let claimed = claim("ArchiveRun team-a/logs in cluster test");
    let key = layout.claim(&claimed.run);
    client::put_object(&scene.s3, &bucket, &key, claimed.to_json())
        .await
        .unwrap();
    let region = scene.proxy.access().region.as_str();
    for (name, grouped) in [("logs", false), ("grouped", true)] {
        let run = of_an_earlier_release(name, &queue, region, grouped);
        scene.kubernetes.apply("archiveruns", run);
    }
    let before = scene.run(TEAM, "logs")["status"].clone();
    let (operator, _) = scene.operator();
    let acknowledged = |run: &Value| run["status"]["acknowledgedAt"].is_string();
    scene.until_run(TEAM, "logs", acknowledged).await;
    until(async || job(&scene).is_some()).await;
    let pod = &job(&scene).unwrap()["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(pod["image"], "worker:0");
    let args: Vec<String> = serde_json::from_value(pod["args"].clone()).unwrap();
    // What that release gave its groupers.
    let (queue_argument, region) = (format!("--queue={queue}"), format!("--region={region}"));
    let expected = [
        "group",
        "--destination=s3://team-a-archive/p",
        "--name=logs",
        &queue_argument,
        &region,
        "--scratch=/scratch",
        "--scratch-size=5798205846",
        "--inventory=s3://inv/a/2026-11-22T01-00Z/manifest.json",
        "--max-objects=65000",
        "--max-size=4294967296",
        "--format=tar",
        "--max-object-size=2147483648",
        "--archive-storage-class=STANDARD",
        "--key-layout=hashed",
        "--versions=current",
        "--glacier=skip",
    ];
    assert_eq!(args, expected);
    // What that release needs to go on, if it comes back.
    let run = scene.run(TEAM, "logs");
    for field in [
        "inventory",
        "startTime",
        "workerImage",
        "serviceAccountName",
        "region",
    ] {
        assert_eq!(run["status"][field], before[field], "{field}");
    }
    assert_eq!(run["status"]["queue"]["url"], queue.as_str());

    // That its inventory was grouped is proof enough: its receipts are read at once.
    let receipts = "p%2Freceipts%2Fgrouped%2F";
    let has_listed = |prefix: &str| {
        let log = scene.proxy.log();
        let mut listed = log
            .iter()
            .filter(|it| it.request.operation == Operation::ListObjectsV2);
        listed.any(|it| it.request.query.contains(&format!("prefix={prefix}")))
    };
    until(async || has_listed(receipts)).await;
    let is_of_grouped = |(_, key): &(Operation, String)| key.starts_with("p/runs/grouped.ack.");
    assert!(!asked(&scene, &bucket).iter().any(is_of_grouped));
    drop(operator);
}
