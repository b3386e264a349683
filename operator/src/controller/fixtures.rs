//! What the tests of decisions share: a run, and the operator's settings.

use serde_json::{Value, json};

use super::observed::Observed;
use crate::crd::ArchiveRun;
use crate::defaults::Defaults;
use crate::receipts::{Count, Counted};

/// A small run; `spec` is merged over it.
pub fn archive_run(spec: Value) -> ArchiveRun {
    let mut run = json!({
        "apiVersion": "archive.s3bundler.dev/v1alpha1",
        "kind": "ArchiveRun",
        "metadata": {
            "name": "logs", "namespace": "team-a", "uid": "0a1b2c3d-4e5f-6789-abcd-ef0123456789", "generation": 1,
            "creationTimestamp": "2026-11-23T10:00:00Z",
        },
        "spec": {
            "source": {"inventory": {"manifest": "s3://inv/src/daily/2026-11-22T01-00Z/manifest.json"}},
            "destination": {"bucket": "archive", "prefix": "p"},
        },
    });
    merge(&mut run["spec"], spec);
    serde_json::from_value(run).expect("an ArchiveRun")
}

/// Merges JSON into other JSON.
pub fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// An operator's settings.
pub fn defaults() -> Defaults {
    let resources = || serde_json::from_value(json!({"requests": {"cpu": "1"}})).expect("resources");
    Defaults {
        image: "worker:1".to_owned(),
        image_pull_policy: "IfNotPresent".to_owned(),
        service_account: "s3bundler-worker".to_owned(),
        region: "eu-west-1".to_owned(),
        env: vec![("AWS_REGION".to_owned(), "eu-west-1".to_owned())],
        worker_resources: resources(),
        grouper_resources: resources(),
        worker_fs_group: Some(65532),
        cluster: "test".to_owned(),
        policy: None,
        keda: true,
        ca_bundle: None,
        queue_hosts: Vec::new(),
    }
}

/// Nothing is wrong, nothing is there.
pub fn seen() -> Observed {
    Observed { service_account: true, counted: Some(Counted::default()), ..Observed::default() }
}

/// The receipts of these names.
pub fn counted(names: &[&str]) -> Counted {
    let mut count = Count::new("logs".parse().expect("a name"));
    count.begin();
    count.page(names.iter().copied());
    count.counted().clone()
}
