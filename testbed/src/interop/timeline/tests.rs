use serde_json::json;

use super::*;

fn pod(name: &str, is_ready: bool, is_deleted: bool) -> Value {
    let ready = if is_ready { "True" } else { "False" };
    json!({
        "metadata": {"name": name, "deletionTimestamp": is_deleted.then_some("2026-11-28T12:00:00Z")},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    })
}

#[test]
fn a_pod_that_is_ready_when_it_is_deleted_was_busy() {
    let pods = [
        pod("busy", true, false),
        pod("idle", true, false),
        pod("idle", false, false),
        pod("idle", false, true),
        pod("busy", true, true),
        pod("busy", false, true),
    ];
    assert_eq!(ended_while_busy(&pods), ["busy"]);
}

#[test]
fn a_pod_that_ends_its_group_after_its_deletion_began_idle() {
    let pods = [pod("late", false, true), pod("late", true, true)];
    assert!(ended_while_busy(&pods).is_empty());
}

#[test]
fn a_poll_is_read_from_the_objects_that_exist() {
    let run = json!({
        "kind": "ArchiveRun",
        "status": {"progress": "3/9", "conditions": [{"type": "Ready", "reason": "Bundling"}]},
    });
    let deployment = json!({
        "kind": "Deployment", "spec": {"replicas": 2}, "status": {"readyReplicas": 1},
    });
    let scaled_object = json!({
        "kind": "ScaledObject", "metadata": {},
        "spec": {"minReplicaCount": 1, "maxReplicaCount": 4},
    });
    let poll = Poll::of(&json!({"items": [run, deployment, scaled_object]}));
    let range = Range { least: 1, most: 4 };
    assert_eq!((poll.replicas, poll.busy), (Some(2), 1));
    assert_eq!(poll.scaled_object, Some((range, false)));
    assert!(poll.has_workers(2) && !poll.has_workers(3) && !poll.is_over());
    assert!(Poll::of(&run).is_over() && Poll::of(&Value::Null).is_over());
}

#[test]
fn a_paused_scaled_object_is_shown_as_paused() {
    let annotations = json!({"autoscaling.keda.sh/paused-replicas": "0"});
    let paused = json!({"kind": "ScaledObject", "metadata": {"annotations": annotations}});
    assert!(Poll::of(&paused).to_string().contains("paused at 0"));
}

#[test]
fn a_floor_is_needed_if_the_metric_wants_fewer_workers_than_are_busy() {
    let poll = |metric: &str, busy| Poll {
        replicas: Some(4),
        busy,
        metric: Some(metric.to_owned()),
        ..Poll::default()
    };
    // 4 groups are 2 workers with 2 groups each.
    assert!(poll("1", 4).needs_floor(2));
    assert!(!poll("1", 2).needs_floor(2));
    assert!(!poll("1", 4).needs_floor(1));
    assert!(poll("500m", 2).needs_floor(2));
    assert!(!Poll::default().needs_floor(1));
}
