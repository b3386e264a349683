#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use s3bundler_contract::{InventoryRef, S3Address};
use serde_json::json;

use super::*;
use crate::aws::{AwsError, AwsErrorKind};
use crate::controller::fixtures::{decide, denied, run, seen};
use crate::controller::observed::{InventoryCheck, Observed};
use crate::crd::ArchiveRunStatus;
use crate::records::{InventoryState, RecordsError};

fn inventory() -> InventoryRef {
    let manifest = S3Address::new("inv", "src/daily/2026-11-22T01-00Z/manifest.json");
    InventoryRef {
        manifest,
        etag: "e".to_owned(),
        creation_timestamp: None,
    }
}

#[test]
fn a_run_begins_with_a_finished_inventory_and_a_claim_before_its_queue() {
    let found = InventoryCheck::State(InventoryState::Finished(inventory()));
    let decision = decide(
        &run(json!({})),
        &ArchiveRunStatus::default(),
        &Observed {
            inventory: Some(found),
            ..seen()
        },
    );
    assert!(
        matches!(
            &decision.writes[..],
            [Write::ClaimName(_), Write::MakeQueues(_)]
        ),
        "{decision:?}"
    );
    assert_eq!(decision.requeue_after, Some(Duration::ZERO));
    let existing = json!({"queue": {"type": "Existing", "existing": {"url": "https://sqs.eu-west-1.amazonaws.com/1/q"}}});
    let found = InventoryCheck::State(InventoryState::Finished(inventory()));
    let decision = decide(
        &run(existing),
        &ArchiveRunStatus::default(),
        &Observed {
            inventory: Some(found),
            ..seen()
        },
    );
    assert!(
        matches!(
            &decision.writes[..],
            [Write::ClaimName(_), Write::UseQueues(_)]
        ),
        "{decision:?}"
    );
}

#[test]
fn an_inventory_that_cannot_be_read_yet_is_waited_for_and_makes_nothing() {
    let failed = |error| InventoryCheck::Failed(RecordsError::Aws(error));
    for (look, stalled, words) in [
        (
            InventoryCheck::State(InventoryState::Missing),
            Some("InventoryMissing"),
            "there is no s3://inv/",
        ),
        (
            InventoryCheck::State(InventoryState::Unfinished),
            None,
            "manifest.checksum",
        ),
        (
            InventoryCheck::NoManifests,
            Some("InventoryMissing"),
            ".index",
        ),
        (InventoryCheck::NoneFinished, None, "no finished inventory"),
        (
            InventoryCheck::TooOld {
                age: Duration::from_hours(50),
            },
            None,
            "50 hours old",
        ),
        (failed(denied()), Some("AccessDenied"), "GetObject"),
        (
            failed(AwsError {
                kind: AwsErrorKind::NotFound,
                ..denied()
            }),
            Some("InventoryMissing"),
            "GetObject",
        ),
        (
            failed(AwsError {
                kind: AwsErrorKind::Transient,
                ..denied()
            }),
            None,
            "GetObject",
        ),
    ] {
        let seen = Observed {
            inventory: Some(look),
            ..seen()
        };
        let decision = decide(&run(json!({})), &ArchiveRunStatus::default(), &seen);
        assert_eq!(decision.phase, Phase::InventoryPending);
        assert_eq!(
            decision.stalled.as_ref().map(|it| it.reason),
            stalled,
            "{decision:?}"
        );
        assert!(
            decision.message.contains(words) && decision.writes.is_empty(),
            "{decision:?}"
        );
        assert!(decision.requeue_after.is_some());
    }
}

#[test]
fn a_bucket_of_another_region_is_for_the_spec_to_name() {
    let elsewhere = || {
        RecordsError::Aws(AwsError {
            kind: AwsErrorKind::OtherRegion,
            ..denied()
        })
    };
    for (look, field) in [
        (InventoryCheck::Failed(elsewhere()), "spec.source.region"),
        (
            InventoryCheck::ClaimFailed(elsewhere()),
            "spec.destination.region",
        ),
    ] {
        let seen = Observed {
            inventory: Some(look),
            ..seen()
        };
        let decision = decide(&run(json!({})), &ArchiveRunStatus::default(), &seen);
        let explanation = decision.refused.unwrap();
        assert_eq!((explanation.reason, decision.writes.len()), ("Invalid", 0));
        assert!(
            explanation
                .message
                .ends_with(&format!("name the bucket's region in {field}")),
            "{explanation:?}"
        );
    }
}
