use serde_json::json;

use super::*;
use crate::controller::fixtures::{archive_run, defaults};
use crate::controller::validate::validate;

#[test]
fn the_disk_that_the_grouper_may_fill_is_requested_from_its_node() {
    let directory = |size: &str| json!({"name": "scratch", "emptyDir": {"sizeLimit": size}});
    for (spec, requests, size, bytes) in [
        (
            json!({}),
            json!({"cpu": "1", "ephemeral-storage": "6Gi"}),
            "6Gi",
            (6_u64 << 30) / 10 * 9,
        ),
        (
            json!({"scratch": {"sizeLimit": "20Gi"}, "resources": {"requests": {"cpu": "2"}}}),
            json!({"cpu": "2", "ephemeral-storage": "20Gi"}),
            "20Gi",
            (20 << 30) / 10 * 9,
        ),
        (
            json!({"resources": {"requests": {"ephemeral-storage": "1Gi"}}}),
            json!({"cpu": "1", "ephemeral-storage": "1Gi"}),
            "6Gi",
            (6 << 30) / 10 * 9,
        ),
    ] {
        let run = validate(&archive_run(json!({"grouper": spec})), &defaults()).expect("a run");
        for pass in [0, 1] {
            let job = grouper(
                &run,
                &defaults(),
                pass,
                Some("s3://inv/manifest.json"),
                None,
            );
            let pod = json!(job.spec.and_then(|job| job.template.spec).expect("a pod"));
            assert_eq!(
                pod["containers"][0]["resources"]["requests"], requests,
                "{spec}"
            );
            assert_eq!(pod["volumes"][0], directory(size), "{spec}");
            let args = pod["containers"][0]["args"].as_array().expect("arguments");
            assert!(args.contains(&json!("--scratch=/scratch")), "{args:?}");
            assert!(
                args.contains(&json!(format!("--scratch-size={bytes}"))),
                "{args:?}"
            );
        }
    }
}

#[test]
fn a_run_may_let_the_node_of_its_grouper_be_disrupted() {
    let annotations = json!({"karpenter.sh/do-not-disrupt": "false", "team": "a"});
    let spec =
        json!({"grouper": {"podTemplate": {"metadata": {"annotations": annotations.clone()}}}});
    let run = validate(&archive_run(spec), &defaults()).expect("a run");
    let job = json!(grouper(&run, &defaults(), 0, None, None));
    assert_eq!(
        job.pointer("/spec/template/metadata/annotations"),
        Some(&annotations)
    );
}

#[test]
fn groups_that_events_told_of_once_are_sent_when_they_are_made_again() {
    let existing = json!({"url": "https://sqs.eu-west-1.amazonaws.com/1/q"});
    let run = |delivery: &str| {
        let queue =
            json!({"queue": {"type": "Existing", "delivery": delivery, "existing": existing}});
        validate(&archive_run(queue), &defaults()).expect("a run")
    };
    for (delivery, are_made, expected) in [
        ("Direct", false, true),
        ("Direct", true, true),
        ("S3Event", false, false),
        ("S3Event", true, true),
    ] {
        assert_eq!(
            sends(&run(delivery), are_made),
            expected,
            "{delivery} {are_made}"
        );
    }
    for queue in [None, Some("q")] {
        let args = grouper_args(
            &run("S3Event"),
            &defaults(),
            0,
            Some("s3://inv/manifest.json"),
            queue,
        );
        assert_eq!(
            args.contains(&"--queue=q".to_owned()),
            queue.is_some(),
            "{args:?}"
        );
    }
}
