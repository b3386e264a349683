//! Runs as an operator leaves them, with their Jobs, Deployments and pods, for an API server in
//! memory. They are as large as real ones: with managed fields, and with the annotation of
//! `kubectl apply`.

use aws_sdk_s3::Client;
use serde_json::{Value, json};

use crate::api_server::ApiServer;
use crate::client::{self, ClientError};

/// The namespace of all runs.
pub const NAMESPACE: &str = "bench";
/// The bucket of their archives.
pub const ARCHIVE: &str = "bench-archive";
const TIME: &str = "2026-11-23T12:00:00Z";

/// The service account of all pods.
pub fn account(api: &ApiServer) {
    api.apply(
        "serviceaccounts",
        json!({"metadata": {"name": "s3bundler-worker", "namespace": NAMESPACE}}),
    );
}

/// The summary of a run whose groups have one object each, and the receipts of some.
pub async fn put_records(
    s3: &Client,
    run: &str,
    groups: u64,
    receipts: std::ops::Range<u64>,
) -> Result<(), ClientError> {
    let summary = json!({"format": 1, "run": run, "groups": groups, "objects": groups, "bytes": groups, "rows": groups,
        "leftOut": {}, "digest": "0".repeat(32)});
    let key = format!("runs/{run}.done.json");
    client::put_object(s3, ARCHIVE, &key, summary.to_string()).await?;
    let receipts = receipts.map(|n| (format!("receipts/{run}/{run}.{n:06}~a1~c0~f0~b1"), ""));
    client::put_objects(s3, ARCHIVE, receipts).await
}

/// A run whose groups are made, with its grouper's Job.
///
/// The dead-letter queue has the URL of the queue, with `-dead` after it.
pub fn live_run(api: &ApiServer, url: &str, run: &str, groups: u64) {
    let mut object = archive_run(run);
    object["metadata"]["finalizers"] = json!(["archive.s3bundler.dev/queues"]);
    object["status"] = json!({
        "observedGeneration": 1, "startTime": TIME, "workerImage": "worker:bench", "region": "us-east-1",
        "serviceAccountName": "s3bundler-worker", "progress": format!("0/{groups}"),
        "inventory": {"manifest": "s3://inventories/manifest.json", "etag": "0123456789abcdef"},
        "queue": {"url": url, "deadLetterURL": format!("{url}-dead"), "visible": 0, "inFlight": 0, "observedAt": TIME},
        "groups": {"total": groups, "committed": 0, "deadLettered": 0},
        "objects": {"total": groups, "archived": 0, "copied": 0, "failed": 0, "leftOut": 0},
        "bytes": {"total": groups, "archived": 0, "copied": 0, "failed": 0},
        "workers": {"desired": 1, "running": 0, "busy": 0},
        "conditions": conditions("Bundling", "False", "Made"),
    });
    api.apply("archiveruns", with_managed_fields(object));
    let job = json!({
        "metadata": owned(api, run, &format!("{run}-grouper"), "grouper"),
        "spec": {"template": {"spec": {"containers": []}}},
        "status": {"succeeded": 1},
    });
    api.apply("jobs", job);
}

/// The Deployment of the workers.
pub fn workers(api: &ApiServer, run: &str, replicas: usize) {
    let deployment = json!({
        "metadata": owned(api, run, &format!("{run}-worker"), "worker"),
        "spec": {"replicas": replicas, "selector": {}, "template": {}},
        "status": {"replicas": replicas},
    });
    api.apply("deployments", deployment);
}

fn archive_run(name: &str) -> Value {
    let spec = json!({
        "source": {"inventory": {"manifest": "s3://inventories/logs/daily/2026-11-22T01-00Z/manifest.json"}},
        "destination": {"bucket": ARCHIVE}, "group": {"maxObjects": 1},
        "workers": {"scaling": {"maxReplicas": 100}}, "suspend": false,
    });
    let applied = json!({"apiVersion": "archive.s3bundler.dev/v1alpha1", "kind": "ArchiveRun",
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec});
    json!({
        "apiVersion": "archive.s3bundler.dev/v1alpha1", "kind": "ArchiveRun",
        "metadata": {
            "name": name, "namespace": NAMESPACE,
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied.to_string()},
        },
        "spec": spec,
    })
}

/// A run that has completed, and whose queues are deleted.
pub fn finished_run(name: &str) -> Value {
    let mut run = archive_run(name);
    run["status"] = json!({
        "observedGeneration": 1, "state": "Complete", "startTime": TIME, "completionTime": TIME, "workerImage": "worker:bench",
        "region": "us-east-1", "serviceAccountName": "s3bundler-worker", "progress": "30/30",
        "inventory": {"manifest": "s3://inventories/manifest.json", "etag": "0123456789abcdef"},
        "queue": {"url": "https://sqs.us-east-1.amazonaws.com/111122223333/q", "visible": 0, "inFlight": 0, "observedAt": TIME},
        "groups": {"total": 30, "committed": 30, "deadLettered": 0},
        "objects": {"total": 30, "archived": 30, "copied": 0, "failed": 0, "leftOut": 0},
        "bytes": {"total": 30, "archived": 30, "copied": 0, "failed": 0},
        "workers": {"desired": 0, "running": 0, "busy": 0},
        "conditions": conditions("Complete", "True", "Deleted"),
    });
    with_managed_fields(run)
}

/// All conditions, of a run with this reason of Ready.
fn conditions(phase: &str, is_complete: &str, queue: &str) -> Value {
    let has_queue = if queue == "Made" { "True" } else { "False" };
    let conditions = [
        (
            "Ready",
            is_complete,
            phase,
            "30 objects in 30 groups are archived",
        ),
        (
            "Stalled",
            "False",
            "Progressing",
            "nothing keeps it from going on",
        ),
        ("Degraded", "False", "AsExpected", "nothing is wrong"),
        ("Accepted", "True", "Valid", "the run can be carried out"),
        (
            "Complete",
            is_complete,
            phase,
            "30 objects in 30 groups are archived",
        ),
        (
            "Failed",
            "False",
            phase,
            "30 objects in 30 groups are archived",
        ),
        (
            "Suspended",
            "False",
            "NotSuspended",
            "the run is not suspended",
        ),
        (
            "Grouped",
            "True",
            "AllGroupsMade",
            "30 objects in 30 groups",
        ),
        ("QueueReady", has_queue, queue, "made for this run"),
    ];
    let condition = |(name, status, reason, message)| {
        json!({"type": name, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": TIME, "observedGeneration": 1})
    };
    conditions.map(condition).to_vec().into()
}

/// Metadata of something that is made for a run.
fn owned(api: &ApiServer, run: &str, name: &str, component: &str) -> Value {
    let owner = api.get("archiveruns", NAMESPACE, run).unwrap_or_default();
    json!({
        "name": name, "namespace": NAMESPACE,
        "labels": {
            "archive.s3bundler.dev/run": run, "app.kubernetes.io/component": component,
            "app.kubernetes.io/name": "s3bundler", "app.kubernetes.io/managed-by": "s3bundler-operator",
        },
        "ownerReferences": [{
            "apiVersion": "archive.s3bundler.dev/v1alpha1", "kind": "ArchiveRun", "name": run,
            "uid": owner["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
        }],
    })
}

/// A worker that runs, as the API server shows it. Every other one is ready.
pub fn pod(run: &str, n: usize) -> Value {
    let (name, is_ready) = (format!("{run}-worker-{n:03}"), n.is_multiple_of(2));
    let (env, tolerations) = (
        (0..12).map(|n| json!({"name": format!("S3BUNDLER_OPTION_{n:02}"), "value": "a value of some length"})),
        ["not-ready", "unreachable"],
    );
    let tolerations = tolerations.map(|key| {
        json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    });
    let condition = |name: &str, is_true: bool| json!({"type": name, "status": if is_true { "True" } else { "False" }, "lastProbeTime": null, "lastTransitionTime": TIME});
    let probe = json!({"httpGet": {"path": "/readyz", "port": "http", "scheme": "HTTP"}, "timeoutSeconds": 1,
        "periodSeconds": 5, "successThreshold": 1, "failureThreshold": 1});
    with_managed_fields(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": NAMESPACE, "generateName": format!("{run}-worker-"),
            "labels": {
                "archive.s3bundler.dev/run": run, "app.kubernetes.io/component": "worker",
                "app.kubernetes.io/name": "s3bundler", "app.kubernetes.io/managed-by": "s3bundler-operator",
                "pod-template-hash": "5d4f8c9b7d",
            },
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{run}-worker-5d4f8c9b7d"),
                "uid": "00000000-0000-4000-8000-000000000000", "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {
            "containers": [{
                "name": "s3bundler", "image": "worker:bench", "imagePullPolicy": "IfNotPresent",
                "args": ["bundle", "--destination", "s3://bench-archive", "--queue", "https://sqs.us-east-1.amazonaws.com/1/q",
                    "--groups", "4", "--drain", "120", "--listen", "[::]:8081", "--log-format", "json"],
                "env": env.collect::<Vec<_>>(), "readinessProbe": probe, "livenessProbe": probe,
                "ports": [{"name": "http", "containerPort": 8081, "protocol": "TCP"}],
                "resources": {"requests": {"cpu": "2", "memory": "2Gi"}, "limits": {"memory": "2Gi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "token", "mountPath": "/var/run/secrets", "readOnly": true}],
            }],
            "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "token", "projected": {"sources": []}}],
            "tolerations": tolerations, "nodeName": "node-1", "serviceAccountName": "s3bundler-worker",
            "terminationGracePeriodSeconds": 150, "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
        },
        "status": {
            "phase": "Running", "podIP": "10.0.0.1", "hostIP": "10.0.0.2", "qosClass": "Burstable", "startTime": TIME,
            "conditions": [condition("PodReadyToStartContainers", true), condition("Initialized", true),
                condition("Ready", is_ready), condition("ContainersReady", is_ready), condition("PodScheduled", true)],
            "containerStatuses": [{
                "name": "s3bundler", "image": "worker:bench", "imageID": "sha256:0123456789abcdef0123456789abcdef",
                "containerID": "containerd://0123456789abcdef0123456789abcdef", "ready": is_ready, "started": true,
                "restartCount": 0, "lastState": {}, "state": {"running": {"startedAt": TIME}},
            }],
        },
    }))
}

/// The same with what the API server writes down of who set which field.
fn with_managed_fields(mut object: Value) -> Value {
    let entry = |manager: &str, subresource: &str, fields: Value| {
        json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "time": TIME, "subresource": subresource,
            "fieldsType": "FieldsV1", "fieldsV1": fields})
    };
    let metadata = json!({"metadata": object["metadata"], "spec": object["spec"]});
    let status = json!({"status": object["status"]});
    object["metadata"]["managedFields"] = json!([
        entry("kubectl-client-side-apply", "", fields_of(&metadata)),
        entry("kube-rs-controller", "status", fields_of(&status)),
    ]);
    object
}

fn fields_of(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (format!("f:{name}"), fields_of(value)))
            .collect(),
        Value::Array(items) if items.iter().all(Value::is_object) => items
            .iter()
            .map(|item| {
                let key = ["type", "name", "key"]
                    .into_iter()
                    .find(|key| item[key].is_string());
                let key = key.map_or_else(|| json!({}), |key| json!({key: item[key]}));
                (format!("k:{key}"), fields_of(item))
            })
            .collect(),
        _ => json!({}),
    }
}
