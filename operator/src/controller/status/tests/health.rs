//! What Argo CD and Flux make of the statuses that the operator writes, by the expressions of
//! deploy/examples.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use s3bundler_testbed::health;
use serde_json::json;

use crate::controller::apply::Applied;
use crate::controller::decide::{Decision, Phase};
use crate::controller::explanation::Explanation;
use crate::controller::fixtures::{archive_run, defaults, seen};
use crate::controller::status::{Outcome, next};
use crate::controller::validate::validate;
use crate::crd::{ArchiveRun, ArchiveRunStatus};

/// The status and the message that Argo CD shows for a run.
fn argo_cd(run: &ArchiveRun) -> (String, String) {
    let health = health::argo_cd(&json!(run)).unwrap();
    (health.status, health.message)
}

/// The status that Flux gives a run.
fn flux(run: &ArchiveRun) -> &'static str {
    health::flux(&json!(run)).unwrap()
}

#[test]
fn what_others_make_of_a_run_is_what_it_is() {
    let mut run = archive_run(json!({}));
    let plan = validate(&run, &defaults()).unwrap();
    let mut look = |decision: Decision| {
        let (applied, prior, now) = (
            Applied::default(),
            ArchiveRunStatus::default(),
            "2026-11-23T12:00:00Z",
        );
        let (seen, now) = (seen(), now.parse().unwrap());
        let outcome = Outcome {
            run: Some(&plan),
            seen: Some(&seen),
            decision: &decision,
            applied: &applied,
            generation: 1,
            now,
        };
        run.status = Some(next(&prior, &outcome));
        let (health, message) = argo_cd(&run);
        (health, message, flux(&run))
    };
    let explanation = || Explanation::new("AccessDenied", "it is denied");
    let at = |phase| Decision::new(phase, "a sentence");
    for (decision, argo_cd, message, flux) in [
        (
            at(Phase::Bundling),
            "Progressing",
            "Bundling: a sentence",
            "InProgress",
        ),
        (
            Decision {
                degraded: Some(explanation()),
                ..at(Phase::Bundling)
            },
            "Progressing",
            "Bundling: a sentence",
            "InProgress",
        ),
        (
            Decision {
                stalled: Some(explanation()),
                ..at(Phase::Grouping)
            },
            "Degraded",
            "AccessDenied: it is denied",
            "Failed",
        ),
        (
            Decision::refused(explanation()),
            "Degraded",
            "AccessDenied: it is denied",
            "Failed",
        ),
        (
            at(Phase::Suspended),
            "Suspended",
            "a sentence",
            "InProgress",
        ),
        (
            at(Phase::Verifying),
            "Progressing",
            "Verifying: a sentence",
            "InProgress",
        ),
        (
            Decision {
                stalled: Some(Explanation::new("VerifyFailed", "1 found")),
                ..at(Phase::Verifying)
            },
            "Degraded",
            "VerifyFailed: 1 found",
            "Failed",
        ),
        (at(Phase::Complete), "Healthy", "a sentence", "Current"),
        (
            at(Phase::CompleteWithFailures),
            "Healthy",
            "a sentence",
            "Current",
        ),
        (
            Decision {
                failed: Some(explanation()),
                ..at(Phase::Failed)
            },
            "Degraded",
            "AccessDenied: it is denied",
            "Failed",
        ),
    ] {
        let phase = decision.phase;
        assert_eq!(
            look(decision),
            (argo_cd.to_owned(), message.to_owned(), flux),
            "{phase:?}"
        );
    }
    // Before the operator has looked at it, or at what was changed.
    let mut changed = run.clone();
    changed.metadata.generation = Some(2);
    assert_eq!(argo_cd(&changed).0, "Progressing");
    run.status = serde_json::from_value(
        json!({"conditions": [{"type": "Ready", "status": "Unknown", "reason": "Pending",
        "message": "waiting for the operator", "lastTransitionTime": "1970-01-01T00:00:00Z"}]}),
    )
    .unwrap();
    assert_eq!(
        (argo_cd(&run).0.as_str(), flux(&run)),
        ("Progressing", "InProgress")
    );
}
