use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::*;
use crate::controller::fixtures::condition;

#[test]
fn what_a_person_has_to_act_on_comes_before_the_phase() {
    let stalled = condition("Stalled", "AccessDenied", "2026-11-23T11:00:00Z");
    let refused = Condition {
        status: "False".to_owned(),
        ..condition("Accepted", "Invalid", "2026-11-23T11:00:00Z")
    };
    let status = |conditions: &[&Condition]| ArchiveRunStatus {
        conditions: conditions.iter().copied().cloned().collect(),
        ..ArchiveRunStatus::default()
    };
    let fine = Condition {
        status: "False".to_owned(),
        ..condition("Stalled", "Progressing", "2026-11-23T11:00:00Z")
    };
    for (status, phase, expected) in [
        (status(&[]), Phase::Pending, "Pending"),
        (status(&[&fine]), Phase::Bundling, "Bundling"),
        (status(&[&stalled]), Phase::Bundling, "AccessDenied"),
        (status(&[&stalled, &refused]), Phase::Pending, "Invalid"),
        (status(&[&stalled]), Phase::Failed, "Failed"),
    ] {
        assert_eq!(state(&status, phase), expected, "{status:?}");
    }
}
