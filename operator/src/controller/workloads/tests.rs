#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Value, json};

use super::*;
use crate::watch_health::FAILURES;

fn pod(name: &str, status: &Value) -> Pod {
    let labels = json!({RUN_LABEL: "logs", COMPONENT_LABEL: "worker", "pod-template-hash": "5d4f"});
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "team-a", "labels": labels, "annotations": {"a": "b", PAUSE_ANNOTATION: "true"},
            "managedFields": [{"manager": "kubelet"}]},
        "spec": {"nodeName": "n", "containers": [{"name": "s3bundler"}]},
        "status": status,
    }))
    .unwrap()
}

fn running(is_ready: bool) -> Value {
    json!({
        "phase": "Running", "podIP": "10.0.0.1", "startTime": "2026-11-23T12:00:00Z",
        "conditions": [
            {"type": "Initialized", "status": "True"},
            {"type": "Ready", "status": if is_ready { "True" } else { "False" }},
        ],
        "containerStatuses": [{
            "name": "s3bundler", "image": "worker:1", "imageID": "sha256:1", "containerID": "containerd://1",
            "ready": is_ready, "restartCount": 0, "state": {"running": {"startedAt": "2026-11-23T12:00:00Z"}},
        }],
    })
}

fn run() -> RunKey {
    ("team-a".to_owned(), "logs".to_owned())
}

#[test]
fn a_pod_is_kept_without_what_no_decision_needs() {
    let mut objects = ByRun::new();
    add(&mut objects, pod("a", &running(true)));
    let kept = &objects[&run()]["a"];
    let labels: Vec<_> = kept.metadata.labels.as_ref().unwrap().keys().collect();
    assert_eq!(labels, [COMPONENT_LABEL, RUN_LABEL]);
    let annotations: Vec<_> = kept.metadata.annotations.as_ref().unwrap().keys().collect();
    assert_eq!(annotations, [PAUSE_ANNOTATION]);
    assert_eq!(kept.metadata.managed_fields, None);
    let status = kept.status.as_ref().unwrap();
    assert_eq!((&status.pod_ip, &status.start_time), (&None, &None));
    let conditions: Vec<_> = status
        .conditions
        .iter()
        .flatten()
        .map(|it| it.type_.as_str())
        .collect();
    assert_eq!(conditions, ["Ready"]);
    let container = &status.container_statuses.as_ref().unwrap()[0];
    assert_eq!(
        (container.image.as_str(), container.image_id.as_str()),
        ("worker:1", "")
    );
}

#[test]
fn a_deployment_and_a_job_are_kept_without_their_templates() {
    let metadata = json!({"name": "logs", "namespace": "team-a", "labels": {RUN_LABEL: "logs"}});
    let template =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c"}]}});
    let mut deployment: Deployment = serde_json::from_value(json!({
        "metadata": metadata, "spec": {"replicas": 7, "selector": {}, "template": template},
    }))
    .unwrap();
    deployment.trim();
    assert_eq!(replicas(&deployment), 7);
    assert_eq!(
        deployment.spec.unwrap().template,
        PodTemplateSpec::default()
    );
    let mut job: Job = serde_json::from_value(json!({
        "metadata": metadata, "spec": {"suspend": true, "template": template},
    }))
    .unwrap();
    job.trim();
    let spec = job.spec.unwrap();
    assert_eq!(
        (spec.suspend, spec.template),
        (Some(true), PodTemplateSpec::default())
    );
}

#[test]
fn only_news_of_a_pod_cause_a_reconcile() {
    let mut leaving = pod("a", &running(true));
    leaving.metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-11-23T12:00:00Z")).unwrap();
    let mut restarted = running(false);
    restarted["containerStatuses"][0]["state"] = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    for (pod, expected) in [
        (pod("a", &running(true)), None),
        (pod("a", &running(false)), None),
        (pod("b", &running(false)), Some(run())),
        (pod("a", &json!({"phase": "Pending"})), Some(run())),
        (pod("a", &json!({"phase": "Failed"})), Some(run())),
        (pod("a", &restarted), Some(run())),
        (leaving, Some(run())),
    ] {
        let mut objects = ByRun::new();
        add(&mut objects, self::pod("a", &running(false)));
        let status = pod.status.clone();
        assert_eq!(add(&mut objects, pod), expected, "{status:?}");
    }
}

fn deployment(generation: i64, ready: i32) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "w", "namespace": "team-a", "labels": {RUN_LABEL: "logs"}, "generation": generation},
        "status": {"readyReplicas": ready, "observedGeneration": generation},
    }))
    .unwrap()
}

#[test]
fn a_deployment_that_another_changes_is_news_however_late_it_is_shown() {
    let mut objects = ByRun::new();
    for (deployment, expected) in [
        (deployment(1, 0), Some(run())),
        (deployment(1, 1), None),
        (deployment(2, 1), Some(run())),
        (deployment(2, 0), None),
    ] {
        assert_eq!(add(&mut objects, deployment), expected);
    }
}

#[test]
fn a_list_replaces_what_was_known_of_its_namespace_and_wakes_runs_that_differ() {
    let of = |namespace: &str, run: &str, name: &str| {
        let mut pod = pod(name, &running(true));
        pod.metadata.namespace = Some(namespace.to_owned());
        let labels = pod.metadata.labels.as_mut().unwrap();
        labels.insert(RUN_LABEL.to_owned(), run.to_owned());
        pod
    };
    let all = |pods: &[(&str, &str, &str)]| {
        let mut objects = ByRun::new();
        for (namespace, run, name) in pods {
            add(&mut objects, of(namespace, run, name));
        }
        objects
    };
    let known = [
        ("a", "same", "1"),
        ("a", "gone", "2"),
        ("a", "fewer", "3"),
        ("a", "fewer", "4"),
        ("b", "other", "5"),
    ];
    let listed = [("a", "same", "1"), ("a", "fewer", "4"), ("a", "new", "6")];
    for (namespace, others) in [(Some("a"), vec!["other"]), (None, vec![])] {
        let mut objects = all(&known);
        let news = replace(&mut objects, all(&listed), namespace);
        let news: Vec<_> = news.iter().map(|(_, run)| run.as_str()).collect();
        let expected: BTreeSet<_> = ["fewer", "gone", "new"].into_iter().collect();
        let gone: BTreeSet<_> = if namespace.is_none() {
            ["other"].into()
        } else {
            BTreeSet::new()
        };
        assert_eq!(news, expected.union(&gone).copied().collect::<Vec<_>>());
        let mut left: Vec<_> = objects.keys().map(|(_, run)| run.as_str()).collect();
        left.sort_unstable();
        assert_eq!(left, [&["fewer", "new"][..], &others, &["same"]].concat());
        assert_eq!(objects[&("a".to_owned(), "fewer".to_owned())].len(), 1);
    }
}

#[test]
fn an_object_that_is_deleted_is_forgotten_and_is_always_news() {
    let mut objects = ByRun::new();
    for name in ["a", "b"] {
        add(&mut objects, pod(name, &running(true)));
    }
    assert_eq!(remove(&mut objects, &pod("a", &running(true))), Some(run()));
    assert_eq!(objects[&run()].keys().collect::<Vec<_>>(), ["b"]);
    remove(&mut objects, &pod("b", &running(true)));
    assert!(objects.is_empty());
    let mut stranger = pod("c", &running(true));
    stranger.metadata.labels = None;
    assert_eq!(add(&mut objects, stranger), None);
    assert!(objects.is_empty());
}

#[tokio::test]
async fn nothing_is_known_of_a_namespace_before_its_watch_has_listed() {
    let pods = Watched::<Pod>::new(&[Some("a"), Some("b")]);
    let at_once = async |namespace: &str| {
        tokio::select! {
            biased;
            known = pods.known(namespace) => Some(known),
            () = std::future::ready(()) => None,
        }
    };
    let watch = |namespace| pods.watch_of(Some(namespace));
    assert!(at_once("a").await.is_none());
    watch("a").send_modify(|health| health.is_listed = true);
    at_once("a").await.unwrap().unwrap();
    assert!(at_once("b").await.is_none());
    watch("b").send_modify(|health| {
        (health.failures, health.failed_at) = (FAILURES, Some(Instant::now()));
    });
    let lost = at_once("b").await.unwrap().unwrap_err().to_string();
    assert!(lost.contains("kind Pod"), "{lost}");
    at_once("a").await.unwrap().unwrap();
    assert!(pods.all_known().await.is_err());
}

#[tokio::test]
async fn a_watch_of_all_namespaces_is_that_of_each() {
    let pods = Watched::<Pod>::new(&[None]);
    pods.watch_of(None)
        .send_modify(|health| health.is_listed = true);
    pods.known("a").await.unwrap();
    pods.all_known().await.unwrap();
}
