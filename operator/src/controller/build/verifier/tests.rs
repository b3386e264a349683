#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use serde_json::json;

use super::*;
use crate::controller::fixtures::{archive_run, defaults, run};
use crate::controller::validate::read;

#[test]
fn the_verifier_is_a_job_like_the_groupers_that_findings_end_at_once() {
    let run = run(json!({
        "verify": "Full",
        "grouper": {
            "scratch": {"sizeLimit": "20Gi"},
            "podTemplate": {"spec": {"nodeSelector": {"a": "b"}}},
        },
    }));
    let job = verifier(&run, &defaults());
    assert_eq!(verify_mode(&job), Verify::Full);
    let job = json!(job);
    let at = |place: &str| {
        job.pointer(place)
            .unwrap_or_else(|| panic!("{place}: {job:#}"))
    };
    assert_eq!(at("/metadata/name"), "logs-verify");
    assert_eq!(at("/metadata/ownerReferences/0/controller"), true);
    let label = "labels/app.kubernetes.io~1component";
    assert_eq!(at(&format!("/metadata/{label}")), "verifier");
    assert_eq!(at(&format!("/spec/template/metadata/{label}")), "verifier");
    let codes = json!([2, 3, 6, 7, 8]);
    assert_eq!(
        at("/spec/podFailurePolicy/rules/1/onExitCodes/values"),
        &codes
    );
    let pod = at("/spec/template/spec");
    assert_eq!(pod["nodeSelector"], json!({"a": "b"}));
    assert_eq!(pod["serviceAccountName"], "s3bundler-worker");
    let container = &pod["containers"][0];
    assert_eq!(container["image"], "worker:1");
    assert_eq!(
        container["resources"]["requests"],
        json!({"cpu": "1", "ephemeral-storage": "20Gi"})
    );
    assert_eq!(container["terminationMessagePath"], json!(null));
}

#[test]
fn its_name_fits_into_a_label_whatever_the_run_is_called() {
    let mut resource = archive_run(json!({}));
    resource.metadata.name = Some("x".repeat(48));
    let run = read(&resource, &defaults()).unwrap();
    assert!(verifier_name(&run).len() <= 63);
}

#[test]
fn a_job_without_a_mode_that_is_known_has_none() {
    let mut job = verifier(&run(json!({"verify": "Checksums"})), &defaults());
    assert_eq!(verify_mode(&job), Verify::Checksums);
    let later = [(VERIFY_ANNOTATION.to_owned(), "Later".to_owned())];
    job.metadata.annotations = Some(later.into());
    assert_eq!(verify_mode(&job), Verify::None);
    job.metadata.annotations = None;
    assert_eq!(verify_mode(&job), Verify::None);
}
