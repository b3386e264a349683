#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use serde_json::json;

use super::*;
use crate::controller::fixtures::{archive_run, defaults};
use crate::crd::{ArchiveRunStatus, QueueStatus};

#[test]
fn a_minimal_run_gets_the_operators_defaults() {
    let run = validate(&archive_run(json!({})), &defaults()).unwrap();
    assert_eq!(
        (run.name.as_str(), run.namespace.as_str()),
        ("logs", "team-a")
    );
    assert_eq!(
        (run.service_account.as_str(), run.image.as_str()),
        ("s3bundler-worker", "worker:1")
    );
    let QueuePlan::Managed(queue) = &run.queue else {
        panic!("{:?}", run.queue)
    };
    assert_eq!(queue.name, "s3bundler_test_team-a_logs_0a1b2c3d");
    assert_eq!(
        (run.min_replicas, run.max_replicas, run.max_passes),
        (0, 20, 2)
    );
}

#[test]
fn all_workers_together_stay_below_the_requests_a_second() {
    for (requests, replicas, expected) in [
        (None, 20, (20, None)),
        (Some(1000), 20, (20, Some(50))),
        (Some(39), 20, (20, Some(1))),
        (Some(5), 20, (5, Some(1))),
        (Some(1), 20, (1, Some(1))),
        (Some(5), 1, (1, Some(5))),
    ] {
        let scaling = json!({"minReplicas": replicas, "maxReplicas": replicas});
        let spec =
            json!({"source": {"maxRequestsPerSecond": requests}, "workers": {"scaling": scaling}});
        let run = validate(&archive_run(spec), &defaults()).unwrap();
        assert_eq!(
            (run.max_replicas, run.requests_per_second),
            expected,
            "{requests:?} {replicas}"
        );
        assert!(
            run.min_replicas <= run.max_replicas,
            "{requests:?} {replicas}"
        );
    }
}

#[test]
fn a_run_keeps_the_defaults_it_began_with() {
    let kept_of = |run: &Run| {
        let regions = [&run.region, &run.source_region, &run.destination_region].map(Clone::clone);
        (run.image.clone(), run.service_account.clone(), regions)
    };
    let region = |name: &str| name.to_owned();
    let mut resource = archive_run(json!({"destination": {"region": "us-west-2"}}));
    let (here, there) = (region("eu-west-1"), region("us-west-2"));
    let now = validate(&resource, &defaults()).unwrap();
    let regions = [here.clone(), here, there.clone()];
    assert_eq!(
        kept_of(&now),
        (
            "worker:1".to_owned(),
            "s3bundler-worker".to_owned(),
            regions
        )
    );
    resource.status = Some(ArchiveRunStatus {
        worker_image: Some("worker:0".to_owned()),
        pod_revision: Some(0),
        queue: Some(QueueStatus::default()),
        service_account_name: Some("archiver".to_owned()),
        region: Some(region("eu-north-1")),
        ..ArchiveRunStatus::default()
    });
    let (then, kept) = (
        region("eu-north-1"),
        validate(&resource, &defaults()).unwrap(),
    );
    let regions = [then.clone(), then, there];
    assert_eq!(
        kept_of(&kept),
        ("worker:0".to_owned(), "archiver".to_owned(), regions)
    );
    // As an earlier release named it.
    let name = "s3bundler-team-a-logs-0a1b2c3d4e5f";
    resource.status.get_or_insert_default().queue = Some(QueueStatus {
        url: Some(format!("https://sqs.eu-north-1.amazonaws.com/1/{name}")),
        ..QueueStatus::default()
    });
    let kept = validate(&resource, &defaults()).unwrap();
    assert!(
        matches!(&kept.queue, QueuePlan::Managed(queue) if queue.name == name),
        "{:?}",
        kept.queue
    );
}

#[test]
fn pods_are_made_with_the_image_of_the_operator_until_a_run_has_some_and_again_when_it_is_asked_for()
 {
    let latest = ("worker:1", PodRevision::LATEST);
    let original = ("worker:0", PodRevision::Original);
    let inventory = json!({"manifest": "s3://inv/src/manifest.json"});
    let waiting = json!({"workerImage": "worker:0", "podRevision": 0});
    let later = json!({"workerImage": "worker:0", "podRevision": 99, "inventory": inventory});
    let unrecorded = json!({"workerImage": "worker:0", "inventory": inventory});
    let handled = json!({"workerImage": "worker:0", "podRevision": 0, "queue": {}, "upgradeHandled": "monday"});
    for (status, asked, expected) in [
        (json!({}), None, latest),
        (json!({"workerImage": "worker:0"}), None, latest),
        (waiting, None, latest),
        (unrecorded.clone(), None, original),
        (unrecorded, Some("monday"), latest),
        (later, None, ("worker:0", PodRevision::LATEST)),
        (handled.clone(), Some("monday"), original),
        (handled.clone(), None, original),
        (handled, Some("tuesday"), latest),
    ] {
        let mut resource = archive_run(json!({}));
        resource.status = serde_json::from_value(status.clone()).unwrap();
        let annotation = asked.map(|asked| (UPGRADE_ANNOTATION.to_owned(), asked.to_owned()));
        resource.metadata.annotations = Some(annotation.into_iter().collect());
        let run = validate(&resource, &defaults()).unwrap();
        let made_with = (run.image.as_str(), run.pod_revision);
        assert_eq!(made_with, expected, "{status} {asked:?}");
    }
}

#[test]
fn what_the_spec_names_is_no_default() {
    let spec = json!({"serviceAccountName": "own", "source": {"region": "eu-south-1"}});
    let mut resource = archive_run(spec);
    resource.status.get_or_insert_default().region = Some("eu-north-1".to_owned());
    let run = validate(&resource, &defaults()).unwrap();
    assert_eq!(
        (run.service_account.as_str(), run.source_region.as_str()),
        ("own", "eu-south-1")
    );
}

#[test]
fn a_policy_that_came_later_refuses_what_is_new_rests_what_is_under_way_and_leaves_what_has_ended()
{
    let policy = serde_json::from_value(json!({"rules": [{"sourceBuckets": ["others"]}]})).unwrap();
    let strict = Defaults {
        policy: Some(policy),
        ..defaults()
    };
    let resource = archive_run(json!({}));
    let accept = |stage| accept(&resource, &strict, stage, &BTreeMap::new());
    assert_eq!(accept(Stage::New).unwrap_err().reason(), "NotAllowed");
    let (resting, refusal) = accept(Stage::UnderWay).unwrap();
    assert_eq!(
        (resting.suspend, refusal.unwrap().reason()),
        (true, "NotAllowed")
    );
    let (ended, refusal) = accept(Stage::Ended).unwrap();
    assert!(!ended.suspend && refusal.is_none());
}

#[test]
fn the_policy_is_asked_about_the_directory_of_the_node() {
    let rule = json!({"scratchTypes": ["HostPath"], "hostPaths": ["/data"]});
    let policy = serde_json::from_value(json!({"rules": [rule]})).unwrap();
    let strict = Defaults {
        policy: Some(policy),
        ..defaults()
    };
    let accepted = |path: &str| {
        let scratch = json!({"type": "HostPath", "hostPath": {"path": path}});
        let resource = archive_run(json!({"workers": {"scratch": scratch}}));
        accept(&resource, &strict, Stage::New, &BTreeMap::new()).map(drop)
    };
    assert_eq!(accepted("/data/nvme"), Ok(()));
    let refused = accepted("/database").unwrap_err().to_string();
    assert!(refused.starts_with("scratch at /database"), "{refused}");
}

#[test]
fn resources_that_a_run_does_not_speak_of_are_the_defaults() {
    let all = json!({"requests": {"cpu": "2", "memory": "2Gi"}, "limits": {"memory": "2Gi"}});
    let defaults = serde_json::from_value(all.clone()).unwrap();
    for (asked, expected) in [
        (json!(null), all.clone()),
        (json!({}), all),
        (
            json!({"requests": {"cpu": "4"}}),
            json!({"requests": {"cpu": "4", "memory": "2Gi"}, "limits": {"memory": "2Gi"}}),
        ),
        // Kubernetes asks for as much as the limit.
        (
            json!({"limits": {"memory": "1Gi"}}),
            json!({"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}}),
        ),
        (
            json!({"requests": {"memory": "4Gi"}}),
            json!({"requests": {"cpu": "2", "memory": "4Gi"}}),
        ),
    ] {
        let wanted = serde_json::from_value::<Option<_>>(asked.clone()).unwrap();
        assert_eq!(
            json!(resources(wanted.as_ref(), &defaults)),
            expected,
            "{asked}"
        );
    }
}

#[test]
fn a_run_does_not_read_the_manifests_that_it_writes() {
    let given = |prefix: &str| {
        let source = json!({"source": {"inventory": null, "manifests": {"prefix": prefix}}});
        validate(&archive_run(source), &defaults())
    };
    let bucket = archive_run(json!({})).spec.destination.bucket;
    assert_eq!(
        given(&format!("s3://{bucket}/seed/"))
            .unwrap()
            .name
            .as_str(),
        "logs"
    );
    let refused = given(&format!("s3://{bucket}/")).unwrap_err();
    assert_eq!(refused.reason(), "Invalid");
    assert!(
        refused.to_string().contains("spec.source.manifests.prefix"),
        "{refused}"
    );
}

#[test]
fn a_run_that_keda_scales_needs_an_operator_with_keda() {
    let run = archive_run(json!({"workers": {"scaling": {"mode": "Keda"}}}));
    assert!(validate(&run, &defaults()).is_ok());
    let refused = validate(
        &run,
        &Defaults {
            keda: false,
            ..defaults()
        },
    )
    .unwrap_err();
    assert_eq!(refused.reason(), "NotAllowed");
    assert!(refused.to_string().contains("keda.enabled"), "{refused}");
}

#[test]
fn given_queues_are_neither_another_runs_nor_beyond_the_policy() {
    let both = |url: &str, dead: &str| {
        let existing = json!({"url": url, "deadLetterURL": dead});
        validate(
            &archive_run(json!({"queue": {"type": "Existing", "existing": existing}})),
            &defaults(),
        )
    };
    let own = "https://sqs.eu-west-1.amazonaws.com/1/q";
    let given = |dead: &str| both(own, dead);
    for name in [
        "s3bundler-team-b-logs-0a1b2c3d4e5f",
        "s3bundler_test_team-b_logs_0a1b2c3d",
    ] {
        let theirs = format!("https://sqs.eu-west-1.amazonaws.com/1/{name}");
        for managed in [both(own, &format!("{theirs}-dlq")), both(&theirs, own)] {
            assert_eq!(managed.unwrap_err().reason(), "NotAllowed");
        }
    }

    let rules = json!({"rules": [{"queues": ["arn:aws:sqs:eu-west-1:1:q*"]}]});
    let policy: PolicyFile = serde_json::from_value(rules).unwrap();
    for (name, allowed) in [
        ("q-dead", true),
        ("theirs", false),
        ("q/", true),
        ("q/dead", false),
    ] {
        let run = given(&format!("https://sqs.eu-west-1.amazonaws.com/1/{name}")).unwrap();
        assert_eq!(
            authorize(&run, Some(&policy), &BTreeMap::new()).is_ok(),
            allowed,
            "{name}"
        );
    }
}

#[test]
fn queues_are_on_sqs_or_on_an_endpoint_of_the_operator() {
    let hosts = ["10.88.0.1:5000".to_owned()];
    for (url, allowed) in [
        ("https://sqs.eu-west-1.amazonaws.com/111122223333/q", true),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", true),
        ("https://eu-west-1.queue.amazonaws.com/1/q", true),
        ("https://queue.amazonaws.com/1/q", true),
        (
            "https://vpce-0a-b.sqs.eu-west-1.vpce.amazonaws.com/1/q",
            true,
        ),
        ("http://sqs.eu-west-1.amazonaws.com/1/q", false),
        ("https://s3.eu-west-1.amazonaws.com/1/q", false),
        ("https://sqs.evil.example/1/q", false),
        ("https://sqs.x.amazonaws.com@evil.example/1/q", false),
        ("http://10.88.0.1:5000/1/q", true),
        ("http://169.254.169.254/latest/meta-data", false),
        ("nonsense", false),
    ] {
        assert_eq!(check_queue_host(url, &hosts).is_ok(), allowed, "{url}");
    }
}
