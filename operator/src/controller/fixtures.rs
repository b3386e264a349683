//! What unit tests share: a run, the operator's settings, and what may be observed of a run.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use s3bundler_contract::{Accounts, RunSummary};
use serde_json::{Value, json};

use super::decide::{self, Decision};
use super::observed::{JobState, Observed, WorkersState};
use super::run::Run;
use super::validate::validate;
use crate::aws::{AwsError, AwsErrorKind};
use crate::crd::{ArchiveRun, ArchiveRunStatus, InventoryStatus, QueueStatus};
use crate::defaults::Defaults;
use crate::queues::{Depth, Depths};
use crate::receipts::{Count, Counted};

/// The time of every decision.
pub(crate) const NOW: &str = "2026-11-23T12:00:00Z";

/// A small run; `spec` is merged over it.
pub(crate) fn archive_run(spec: Value) -> ArchiveRun {
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
pub(crate) fn merge(into: &mut Value, from: Value) {
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
pub(crate) fn defaults() -> Defaults {
    let resources =
        || serde_json::from_value(json!({"requests": {"cpu": "1"}})).expect("resources");
    Defaults {
        image: "worker:1".to_owned(),
        image_pull_policy: "IfNotPresent".to_owned(),
        service_account: "s3bundler-worker".to_owned(),
        region: "eu-west-1".to_owned(),
        env: vec![("AWS_REGION".to_owned(), "eu-west-1".to_owned())],
        worker_resources: resources(),
        grouper_resources: resources(),
        worker_fs_group: Some(65532),
        cluster: "test".parse().expect("a name"),
        policy: None,
        keda: true,
        ca_bundle: None,
        queue_hosts: Vec::new(),
    }
}

/// Nothing is wrong, nothing is there.
pub(crate) fn seen() -> Observed {
    Observed {
        service_account: true,
        counted: Some(Counted::default()),
        ..Observed::default()
    }
}

/// The receipts of these names.
pub(crate) fn counted(names: &[&str]) -> Counted {
    counted_by(Accounts::default(), names)
}

/// The receipts of these names, by these summaries.
pub(crate) fn counted_by(accounts: Accounts, names: &[&str]) -> Counted {
    let mut count = Count::by("logs".parse().expect("a name"), accounts);
    count.begin();
    count
        .page(names.iter().copied(), true)
        .expect("these are all")
}

/// [`NOW`], as a time.
pub(crate) fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

/// A small run as it can be carried out; `spec` is merged over it.
pub(crate) fn run(spec: Value) -> Run {
    validate(&archive_run(spec), &defaults()).expect("a run")
}

/// The depths of a queue and of its dead-letter queue.
pub(crate) fn depths(visible: u64, in_flight: u64, dead_lettered: u64) -> Depths {
    Depths {
        groups: Ok(Depth { visible, in_flight }),
        dead_lettered: Ok(dead_lettered),
    }
}

/// A run that has its queue, with the grouper done and this many groups of ten objects.
pub(crate) fn working(groups: u64) -> Observed {
    let (objects, run) = (10 * groups, "logs".parse().expect("a name"));
    let summary = RunSummary {
        groups,
        objects,
        rows: objects,
        ..RunSummary::empty(run)
    };
    Observed {
        grouper: JobState::Succeeded,
        workers: Some(WorkersState { replicas: 2 }),
        depths: Some(depths(0, 2, 0)),
        recent_groups: Some(2),
        replicas_then: 1000,
        summary: Some(summary.clone()),
        pass_summary: Some(summary),
        ..seen()
    }
}

/// The status of a run that has its queue, and is acknowledged, since an hour.
pub(crate) fn claimed() -> ArchiveRunStatus {
    ArchiveRunStatus {
        queue: Some(QueueStatus {
            url: Some("https://sqs/q".to_owned()),
            ..QueueStatus::default()
        }),
        start_time: Some(Time("2026-11-23T11:00:00Z".parse().expect("a time"))),
        acknowledged_at: Some(Time("2026-11-23T11:00:00Z".parse().expect("a time"))),
        inventory: Some(InventoryStatus {
            manifest: "s3://inv/m.json".to_owned(),
            etag: None,
            created_at: None,
        }),
        ..ArchiveRunStatus::default()
    }
}

/// A condition that has been true since a time.
pub(crate) fn condition(name: &str, reason: &str, since: &str) -> Condition {
    Condition {
        type_: name.to_owned(),
        status: "True".to_owned(),
        reason: reason.to_owned(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: Time(since.parse().expect("a time")),
    }
}

/// A request to S3 that was denied.
pub(crate) fn denied() -> AwsError {
    AwsError {
        action: "GetObject",
        target: "s3://inv/x".to_owned(),
        kind: AwsErrorKind::Denied,
        detail: "no".to_owned(),
    }
}

/// The decision at [`NOW`], with workers enough for every run.
pub(crate) fn decide(run: &Run, prior: &ArchiveRunStatus, seen: &Observed) -> Decision {
    decide_at(run, prior, seen, now())
}

/// The decision at another time.
pub(crate) fn decide_at(
    run: &Run,
    prior: &ArchiveRunStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    decide::decide(run, prior, seen, 1000, now)
}

/// The decision where other runs leave no more workers than `cap`.
pub(crate) fn decide_with_cap(
    run: &Run,
    prior: &ArchiveRunStatus,
    seen: &Observed,
    cap: u32,
) -> Decision {
    decide::decide(run, prior, seen, cap, now())
}
