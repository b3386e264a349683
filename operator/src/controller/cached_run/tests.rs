#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use serde_json::json;

use super::*;
use crate::controller::fixtures::{NOW, archive_run, now};

/// A run that ended at noon, with a queue in this state.
fn ended(phase: &str, queue: &str, finalizers: &[&str]) -> Value {
    let condition = |name: &str, status: &str, reason: &str| json!({"type": name, "status": status, "reason": reason, "message": "a long story", "lastTransitionTime": NOW});
    let is_failed = phase == "Failed";
    let mut run =
        serde_json::to_value(archive_run(json!({"ttlSecondsAfterFinished": 60}))).unwrap();
    run["metadata"]["finalizers"] = json!(finalizers);
    run["metadata"]["managedFields"] = json!([{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]);
    run["metadata"]["annotations"] =
        json!({LAST_APPLIED: "{}", "archive.s3bundler.dev/orphan-queues": "true"});
    run["status"] = json!({
        "completionTime": NOW, "state": phase, "queue": {"url": "https://sqs/q"},
        "groups": {"total": 3, "committed": 3, "deadLettered": 0},
        "conditions": [
            condition("Ready", "True", phase),
            condition("Complete", if is_failed { "False" } else { "True" }, phase),
            condition("Failed", if is_failed { "True" } else { "False" }, phase),
            condition("QueueReady", "False", queue),
        ],
    });
    run
}

fn cached(run: Value) -> CachedRun {
    serde_json::from_value(run).unwrap()
}

#[test]
fn a_run_that_has_ended_keeps_what_is_shown_of_it_and_its_time() {
    for phase in ["Complete", "CompleteWithFailures"] {
        let CachedRun::Ended(run) = cached(ended(phase, "Deleted", &[])) else {
            panic!("{phase} is the end")
        };
        assert_eq!(run.status.groups.unwrap().committed, 3);
        assert_eq!(run.status.condition("Ready").unwrap().reason, phase);
        let messages = run.status.conditions.iter().map(|it| it.message.as_str());
        assert_eq!(messages.collect::<String>(), "");
        assert_eq!(run.metadata.name.as_deref(), Some("logs"));
        assert_eq!(
            (&run.metadata.annotations, &run.metadata.managed_fields),
            (&None, &None)
        );
        let minute = Duration::from_mins(1);
        assert_eq!(run.time_left(now()), Some(minute));
        assert_eq!(run.time_left(now() + 2 * minute), Some(Duration::ZERO));
    }
}

#[test]
fn a_run_that_something_is_left_of_is_kept_whole_but_for_bookkeeping() {
    for (phase, queue, finalizers) in [
        ("Complete", "Deleted", &[finalizer::FINALIZER][..]),
        ("Complete", "Existing", &[]),
        ("Failed", "Made", &[finalizer::FINALIZER]),
    ] {
        let CachedRun::Active(run) = cached(ended(phase, queue, finalizers)) else {
            panic!("{phase}, {queue}: its queue has to be deleted, or its pods")
        };
        assert_eq!(run.metadata.managed_fields, None);
        let annotations: Vec<_> = run.metadata.annotations.iter().flatten().collect();
        assert_eq!(annotations.len(), 1, "{annotations:?}");
        let status = run.status.unwrap();
        assert_eq!(status.condition("Ready").unwrap().message, "a long story");
    }
    let mut earlier = ended("Complete", "Deleted", &[]);
    earlier["status"]["state"] = Value::Null;
    assert!(
        matches!(cached(earlier), CachedRun::Active(_)),
        "an earlier release reported no state"
    );
    let mut under_way = ended("Complete", "Made", &[]);
    under_way["status"]["conditions"] = json!([]);
    assert!(matches!(cached(under_way), CachedRun::Active(_)));
}

#[test]
fn a_run_that_cannot_be_read_is_kept_with_the_reason() {
    let mut run = ended("Complete", "Deleted", &[]);
    run["spec"]["destination"] = json!("nowhere");
    let CachedRun::Unreadable(run) = cached(run) else {
        panic!("it is of another version")
    };
    assert_eq!(run.metadata.name.as_deref(), Some("logs"));
    assert!(!run.error.is_empty() && run.metadata.managed_fields.is_none());
}
