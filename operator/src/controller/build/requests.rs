//! What goes with the requests of groupers and workers: no part of the run's claim, so both are
//! told.

use crate::controller::run::Run;
use crate::crd::EncryptionType;

/// The arguments of owners, payer, encryption and tags; none where the run says nothing.
pub(super) fn request_args(run: &Run) -> Vec<String> {
    let mut args = Vec::new();
    let mut arg = |name: &str, value: &str| args.push(format!("--{name}={value}"));
    if let Some(encryption) = encryption(run.encryption.kind) {
        arg("encryption", encryption);
    }
    if let Some(key) = &run.encryption.kms_key_id {
        arg("kms-key-id", key);
    }
    for (key, value) in &run.tags {
        arg("tag", &format!("{key}={value}"));
    }
    if let Some(owner) = &run.source_owner {
        arg("source-owner", owner);
    }
    if let Some(owner) = &run.destination_owner {
        arg("destination-owner", owner);
    }
    if run.requester_pays {
        arg("request-payer", "requester");
    }
    args
}

/// What `--encryption` calls it; the bucket's default needs no argument.
fn encryption(kind: EncryptionType) -> Option<&'static str> {
    match kind {
        EncryptionType::BucketDefault => None,
        EncryptionType::SseS3 => Some("sse-s3"),
        EncryptionType::SseKms => Some("sse-kms"),
        EncryptionType::DsseKms => Some("dsse-kms"),
    }
}

#[cfg(test)]
mod tests {
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
}
