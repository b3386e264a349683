use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Value, json};

use super::super::{grouper, workers};
use super::*;
use crate::controller::fixtures::{archive_run, defaults};
use crate::controller::validate::validate;

fn run(spec: Value) -> Run {
    validate(&archive_run(spec), &defaults()).expect("a run")
}

fn args(template: Option<PodTemplateSpec>) -> Vec<String> {
    let pod = template.and_then(|template| template.spec).expect("a pod");
    pod.containers
        .into_iter()
        .flat_map(|container| container.args.unwrap_or_default())
        .collect()
}

#[test]
fn a_run_that_says_nothing_adds_nothing() {
    assert_eq!(request_args(&run(json!({}))), Vec::<String>::new());
    assert_eq!(
        request_args(&run(
            json!({"destination": {"encryption": {"type": "SSES3"}}})
        )),
        ["--encryption=sse-s3"]
    );
}

#[test]
fn groupers_of_every_pass_and_workers_have_them() {
    let run = run(json!({
        "source": {"expectedBucketOwner": "111111111111", "requestPayer": "Requester"},
        "destination": {
            "expectedBucketOwner": "222222222222",
            "encryption": {"type": "DSSEKMS", "kmsKeyID": "alias/a"},
            "tags": {"team": "a=b c", "cost": ""},
        },
    }));
    let expected = [
        "--encryption=dsse-kms",
        "--kms-key-id=alias/a",
        "--tag=cost=",
        "--tag=team=a=b c",
        "--source-owner=111111111111",
        "--destination-owner=222222222222",
        "--request-payer=requester",
    ];
    assert_eq!(request_args(&run), expected);
    let has_all = |args: Vec<String>| {
        args.windows(expected.len())
            .any(|window| window == expected)
    };
    for pass in [0, 1] {
        let grouper = grouper(
            &run,
            &defaults(),
            pass,
            Some("s3://inv/manifest.json"),
            Some("q"),
        );
        assert!(
            has_all(args(grouper.spec.map(|spec| spec.template))),
            "pass {pass}"
        );
    }
    let workers = workers(&run, &defaults(), "q");
    assert!(has_all(args(workers.spec.map(|spec| spec.template))));
}
