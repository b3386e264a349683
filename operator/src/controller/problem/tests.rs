#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use serde_json::{Value, json};

use super::*;

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn pod(status: &Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "w-1"}, "status": status})).unwrap()
}

fn container(fields: &Value) -> Value {
    let mut container = json!({"name": "s3bundler", "image": "worker:1", "imageID": "", "ready": false, "restartCount": 0});
    container
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    json!({"containerStatuses": [container]})
}

#[test]
fn a_pod_says_what_is_wrong_with_it() {
    let ended = |code, message: &str| json!({"terminated": {"exitCode": code, "reason": "Error", "message": message}});
    let cases = [
        (json!({}), None),
        (container(&json!({"state": {"running": {}}})), None),
        (
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}),
            Some(Problem::Unschedulable("w-1: 0/3 nodes".to_owned())),
        ),
        (
            container(
                &json!({"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}),
            ),
            Some(Problem::ImagePull(
                "w-1: ImagePullBackOff of image worker:1: not found".to_owned(),
            )),
        ),
        (
            container(
                &json!({"restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": ended(2, "log\ns3bundler: the disk is full\n")}),
            ),
            Some(Problem::CrashLooping(
                "w-1 exited with 2: s3bundler: the disk is full".to_owned(),
            )),
        ),
        (
            container(
                &json!({"restartCount": 1, "lastState": ended(1, ""), "state": {"running": {}}}),
            ),
            None,
        ),
        (
            container(
                &json!({"restartCount": 3, "lastState": ended(0, ""), "state": {"running": {}}}),
            ),
            None,
        ),
        (
            container(&json!({"state": ended(7, "s3bundler: \
                    denied\n  failed       1\n  took         0.5 s\n")})),
            Some(Problem::Denied(
                "w-1 exited with 7: s3bundler: denied".to_owned(),
            )),
        ),
        (
            container(
                &json!({"restartCount": 2, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}),
            ),
            Some(Problem::CrashLooping(
                "w-1 exited with 137: OOMKilled".to_owned(),
            )),
        ),
    ];
    for (status, expected) in cases {
        assert_eq!(of_pod(&pod(&status), now()), expected, "{status}");
    }
}

#[test]
fn a_pod_may_wait_for_a_node_to_boot() {
    let problem = |since: &str| {
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "lastTransitionTime": since});
        of_pod(&pod(&json!({"conditions": [condition]})), now()).map(|problem| problem.reason())
    };
    for (since, expected) in [
        ("2026-11-23T12:00:05Z", None),
        ("2026-11-23T11:55:01Z", None),
        ("2026-11-23T11:55:00Z", Some("Unschedulable")),
        ("2026-11-23T09:00:00Z", Some("Unschedulable")),
    ] {
        assert_eq!(problem(since), expected, "{since}");
    }
}

#[test]
fn the_reason_of_a_grouper_is_told_as_its_message() {
    let ended = |message: &str| {
        pod(&container(
            &json!({"state": {"terminated": {"exitCode": 3, "reason": "Error", "message": message}}}),
        ))
    };
    let told = ended("{\"reason\":\"NoInventory\",\"message\":\"there is \\u001bnone\"}\n");
    assert_eq!(
        exit_of_pod(&told),
        Some((3, ": there is \\u{1b}none".to_owned()))
    );
    let end = termination_of_pod(&told).unwrap();
    assert_eq!(
        end.reason,
        s3bundler_contract::termination::Reason::NoInventory
    );
    let other = ended("log\ns3bundler: the disk is full\n");
    assert_eq!(termination_of_pod(&other), None);
    assert_eq!(
        exit_of_pod(&other),
        Some((3, ": s3bundler: the disk is full".to_owned()))
    );
}

#[test]
fn a_container_that_goes_on_is_not_blamed_for_its_past_for_ever() {
    let problem = |code: u8, since: &str| {
        let ended = json!({"terminated": {"exitCode": code, "reason": "Error"}});
        let running = json!({"running": {"startedAt": since}});
        let status = container(&json!({"restartCount": 9, "lastState": ended, "state": running}));
        of_pod(&pod(&status), now()).map(|problem| problem.reason())
    };
    for (code, since, expected) in [
        (7, "2026-11-23T11:59:30Z", Some("AccessDenied")),
        (7, "2026-11-23T11:58:30Z", None),
        (2, "2026-11-23T11:58:30Z", Some("CrashLooping")),
        (2, "2026-11-23T11:49:30Z", None),
    ] {
        assert_eq!(problem(code, since), expected, "{code} {since}");
    }
}

#[test]
fn a_job_whose_pods_are_refused_says_so_with_its_last_event() {
    let event = |time: &str, message: &str| -> Event {
        serde_json::from_value(
                json!({"involvedObject": {}, "metadata": {}, "lastTimestamp": time, "message": message}),
            )
            .unwrap()
    };
    assert_eq!(of_events(&[], None), None);
    let events = [
        event("2026-11-23T11:00:01Z", "exceeded quota"),
        event("2026-11-23T11:00:00Z", "something else"),
    ];
    let problem = Some(Problem::FailedCreate("exceeded quota".to_owned()));
    assert_eq!(of_events(&events, None), problem);
    assert_eq!(
        of_events(&events, Some("2026-11-23T11:00:00Z".parse().unwrap())),
        problem
    );
    let let_in = Some("2026-11-23T11:00:01Z".parse().unwrap());
    assert_eq!(
        of_events(&events, let_in),
        None,
        "a pod was let in after it"
    );
}

#[test]
fn a_job_that_somebody_holds_says_so_until_it_goes() {
    let job = |metadata: Value, suspend: bool| -> Job {
        let template = json!({"spec": {"containers": []}});
        serde_json::from_value(
            json!({"metadata": metadata, "spec": {"suspend": suspend, "template": template}}),
        )
        .unwrap()
    };
    assert_eq!(of_job(&job(json!({"name": "logs-grouper"}), false)), None);
    let problem = of_job(&job(json!({"name": "logs-grouper"}), true)).unwrap();
    assert_eq!(
        (problem.reason(), problem.stalls(0)),
        ("GrouperSuspended", false)
    );
    assert!(
        problem
            .message()
            .starts_with("Job logs-grouper is suspended"),
        "{problem:?}"
    );
    let labels = json!({"app.kubernetes.io/component": "verifier"});
    let problem = of_job(&job(json!({"name": "logs-verify", "labels": labels}), true)).unwrap();
    assert_eq!(problem.reason(), "VerifierSuspended");
    let goes = json!({"name": "logs-grouper", "deletionTimestamp": "2026-11-23T12:00:00Z"});
    assert_eq!(of_job(&job(goes, true)), None);
}

#[test]
fn a_deployment_whose_pods_are_refused_says_so() {
    let deployment: Deployment = serde_json::from_value(json!({"status": {"conditions": [
            {"type": "Available", "status": "False"},
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}]}}))
        .unwrap();
    assert_eq!(
        of_deployment(&deployment),
        Some(Problem::FailedCreate("exceeded quota".to_owned()))
    );
}
