#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

mod arguments;
mod revisions;

use serde_json::{Value, json};

use super::*;
use crate::autoscale::plan::Bounds;
use crate::controller::fixtures::{archive_run, defaults};
use crate::controller::validate::read;

fn run(spec: Value) -> Run {
    let mut resource = archive_run(spec);
    resource.metadata.labels = Some(
        [("kueue.x-k8s.io/queue-name", "small"), ("team", "a")]
            .map(own)
            .into(),
    );
    read(&resource, &defaults()).unwrap()
}

fn own((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Asserts what an object says at these places.
fn assert_says(object: &Value, expected: &[(&str, Value)]) {
    for (place, value) in expected {
        assert_eq!(object.pointer(place), Some(value), "{place} of {object:#}");
    }
}

#[test]
fn the_grouper_is_a_job_that_evictions_do_not_count_against_and_that_ends_where_no_other_try_helps()
{
    let job = json!(grouper(
        &run(json!({})),
        &defaults(),
        0,
        Some("s3://inv/manifest.json"),
        Some("q")
    ));
    assert_says(
        &job,
        &[
            ("/metadata/name", json!("logs-grouper")),
            (
                "/metadata/labels/kueue.x-k8s.io~1queue-name",
                json!("small"),
            ),
            ("/metadata/ownerReferences/0/controller", json!(true)),
            ("/spec/podReplacementPolicy", json!("Failed")),
            ("/spec/backoffLimit", json!(6)),
            // In this order: a pod that was evicted has an exit code too, and the first rule that
            // fits counts.
            (
                "/spec/podFailurePolicy",
                json!({"rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "FailJob", "onExitCodes": {"containerName": "s3bundler", "operator": "In", "values": [2, 3, 6, 7]}},
                ]}),
            ),
            ("/spec/template/spec/restartPolicy", json!("Never")),
            (
                "/spec/template/spec/terminationGracePeriodSeconds",
                json!(30),
            ),
            (
                "/spec/template/metadata/annotations",
                json!({"karpenter.sh/do-not-disrupt": "true"}),
            ),
        ],
    );
    assert_eq!(job.pointer("/metadata/labels/team"), None);
    assert_eq!(job.pointer("/spec/suspend"), None, "kueue owns it");
}

#[test]
fn workers_are_ready_while_busy_and_have_longer_than_their_drain() {
    let run = run(json!({"workers": {"drainSeconds": 100}}));
    let deployment = json!(workers(&run, &defaults(), "q"));
    let labels =
        json!({"archive.s3bundler.dev/run": "logs", "app.kubernetes.io/component": "worker"});
    assert_says(
        &deployment,
        &[
            ("/metadata/name", json!("logs-worker")),
            (
                "/metadata/labels/kueue.x-k8s.io~1queue-name",
                json!("small"),
            ),
            ("/spec/selector/matchLabels", labels),
            (
                "/spec/strategy/rollingUpdate",
                json!({"maxSurge": "25%", "maxUnavailable": "100%"}),
            ),
            (
                "/spec/template/spec/terminationGracePeriodSeconds",
                json!(130),
            ),
            (
                "/spec/template/spec/containers/0/readinessProbe/httpGet",
                json!({"path": "/busy", "port": "http"}),
            ),
            (
                "/spec/template/spec/containers/0/livenessProbe/httpGet",
                json!({"path": "/healthz", "port": "http"}),
            ),
        ],
    );
    assert_eq!(
        deployment.pointer("/spec/replicas"),
        None,
        "they belong to whoever scales"
    );
    assert_eq!(
        deployment.pointer("/spec/template/metadata/annotations"),
        None,
        "their nodes may be drained"
    );
}

#[test]
fn keda_is_held_at_zero_by_an_annotation_that_is_gone_when_it_goes_on() {
    let run =
        run(json!({"workers": {"scaling": {"mode": "Keda", "minReplicas": 5, "maxReplicas": 7}}}));
    let object = |bounds| {
        json!(scaled_object(
            &run,
            "https://sqs.eu-west-2.amazonaws.com/1/q",
            bounds
        ))
    };
    let hold = json!({"autoscaling.keda.sh/paused-replicas": "0"});
    assert_says(
        &object(Bounds::NONE),
        &[
            ("/metadata/annotations", hold),
            ("/spec/maxReplicaCount", json!(7)),
        ],
    );
    let going = object(Bounds { least: 3, most: 3 });
    assert_eq!(going.pointer("/metadata/annotations"), None);
    assert_says(
        &going,
        &[
            ("/spec/scaleTargetRef", json!({"name": "logs-worker"})),
            ("/spec/minReplicaCount", json!(3)),
            ("/spec/maxReplicaCount", json!(3)),
            ("/spec/fallback/replicas", json!(3)),
            ("/spec/triggers/0/metadata/awsRegion", json!("eu-west-2")),
        ],
    );
    assert_eq!(going.pointer("/spec/triggers/0/metadata/awsEndpoint"), None);
    assert_says(
        &going,
        &[("/spec/triggers/0/metadata/identityOwner", json!("operator"))],
    );
    assert_eq!(going.pointer("/spec/triggers/0/authenticationRef"), None);
    // Other servers' URLs name no region, and KEDA asks AWS where it is not told of them.
    let elsewhere = json!(scaled_object(
        &run,
        "http://10.88.0.1:5000/1/q",
        Bounds { least: 0, most: 7 }
    ));
    assert_says(
        &elsewhere,
        &[
            ("/spec/triggers/0/metadata/awsRegion", json!("eu-west-1")),
            (
                "/spec/triggers/0/metadata/awsEndpoint",
                json!("http://10.88.0.1:5000"),
            ),
        ],
    );
}

#[test]
fn keda_signs_in_as_the_run_says() {
    let keda =
        json!({"authenticationRef": {"name": "sqs", "kind": "ClusterTriggerAuthentication"}});
    let run = run(json!({"workers": {"scaling": {"mode": "Keda", "keda": keda}}}));
    let object = json!(scaled_object(
        &run,
        "https://sqs.eu-west-2.amazonaws.com/1/q",
        Bounds { least: 1, most: 3 }
    ));
    let reference = json!({"name": "sqs", "kind": "ClusterTriggerAuthentication"});
    assert_says(
        &object,
        &[("/spec/triggers/0/authenticationRef", reference)],
    );
    assert_eq!(
        object.pointer("/spec/triggers/0/metadata/identityOwner"),
        None
    );
}

#[test]
fn every_name_fits_into_a_label_whatever_the_run_is_called_and_however_often_it_is_retried() {
    let longest = "x".repeat(48);
    let mut resource = archive_run(json!({}));
    resource.metadata.name = Some(longest.clone());
    let run = read(&resource, &defaults()).unwrap();
    let names: std::collections::BTreeSet<_> =
        (0..=10).map(|pass| grouper_name(&run, pass)).collect();
    assert_eq!(names.len(), 11);
    assert!(
        names
            .iter()
            .chain([&workers_name(&run)])
            .all(|name| name.len() <= 63 && name.starts_with(&longest))
    );
    resource.metadata.name = Some(longest + "x");
    assert!(read(&resource, &defaults()).is_err(), "49 is one too many");
}
