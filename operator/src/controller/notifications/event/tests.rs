#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use serde_json::{Value, json};

use super::*;
use crate::controller::fixtures::{NOW, archive_run};

fn status(phase: &str) -> ArchiveRunStatus {
    let is_failed = phase == "Failed";
    let condition = |name: &str, is_true: bool, reason: &str, message: &str| {
        json!({"type": name, "status": if is_true { "True" } else { "False" }, "reason": reason,
            "message": message, "lastTransitionTime": NOW})
    };
    let (reason, message) = if is_failed {
        ("DeadlineExceeded", "it took too long")
    } else {
        (phase, "30 objects in 3 groups are archived")
    };
    serde_json::from_value(json!({
        "conditions": [
            condition("Ready", !is_failed, phase, message),
            condition("Complete", !is_failed, phase, message),
            condition("Failed", is_failed, reason, message),
        ],
        "startTime": "2026-11-23T11:00:00Z", "completionTime": NOW,
        "inventory": {"manifest": "s3://inv/src/daily/2026-11-22T01-00Z/manifest.json"},
        "groups": {"total": 3, "committed": 3, "deadLettered": 0},
        "objects": {"total": 33, "archived": 30, "copied": 1, "failed": 2, "leftOut": 0},
        "bytes": {"total": 3300, "archived": 3000, "copied": 100, "failed": 200},
        "failures": [{"reason": "NoSuchKey", "count": 2}],
    }))
    .unwrap()
}

fn event(status: &ArchiveRunStatus) -> Value {
    let (run, cluster) = (archive_run(json!({})), "production".parse().unwrap());
    serde_json::to_value(CloudEvent::of(&run, status, &cluster)).unwrap()
}

#[test]
fn an_event_has_what_cloudevents_asks_for_and_the_counts_of_the_run() {
    let expected = json!({
        "specversion": "1.0",
        "id": "0a1b2c3d-4e5f-6789-abcd-ef0123456789/CompleteWithFailures",
        "source": "/clusters/production/namespaces/team-a",
        "type": "dev.s3bundler.archive.archiverun.completedwithfailures.v1",
        "subject": "logs",
        "time": NOW,
        "datacontenttype": "application/json",
        "data": {
            "cluster": "production", "namespace": "team-a", "name": "logs",
            "uid": "0a1b2c3d-4e5f-6789-abcd-ef0123456789",
            "phase": "CompleteWithFailures", "reason": "CompleteWithFailures",
            "message": "30 objects in 3 groups are archived",
            "inventory": "s3://inv/src/daily/2026-11-22T01-00Z/manifest.json",
            "destination": "s3://archive/p",
            "startTime": "2026-11-23T11:00:00Z", "completionTime": NOW,
            "groups": {"total": 3, "committed": 3, "deadLettered": 0},
            "objects": {"total": 33, "archived": 30, "copied": 1, "failed": 2, "leftOut": 0},
            "bytes": {"total": 3300, "archived": 3000, "copied": 100, "failed": 200},
            "failures": [{"reason": "NoSuchKey", "count": 2}],
        },
    });
    assert_eq!(event(&status("CompleteWithFailures")), expected);
}

#[test]
fn every_end_has_its_type_and_the_reason_of_its_condition() {
    for (phase, kind, reason) in [
        ("Complete", "completed", "Complete"),
        (
            "CompleteWithFailures",
            "completedwithfailures",
            "CompleteWithFailures",
        ),
        ("Failed", "failed", "DeadlineExceeded"),
    ] {
        let event = event(&status(phase));
        assert_eq!(
            event["type"],
            format!("dev.s3bundler.archive.archiverun.{kind}.v1")
        );
        assert_eq!(event["data"]["phase"], phase);
        assert_eq!(event["data"]["reason"], reason);
    }
    assert_eq!(
        event(&ArchiveRunStatus::default()),
        Value::Null,
        "it goes on"
    );
}
