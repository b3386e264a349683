#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

mod health;

use serde_json::json;

use super::*;
use crate::aws::{AwsError, AwsErrorKind};
use crate::controller::apply::Applied;
use crate::controller::decide::Decision;
use crate::controller::explanation::Explanation;
use crate::controller::failure::Failure;
use crate::controller::fixtures::{merge, seen};
use crate::controller::observed::{Observed, Pods};

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn another_reason_to_be_stalled_begins_anew_and_the_same_does_not() {
    let since =
        |status: &ArchiveRunStatus| status.condition("Stalled").unwrap().last_transition_time.0;
    let (first, later) = (time("2026-11-23T12:00:00Z"), time("2026-11-24T12:00:00Z"));
    let denied = stalled_status(
        &ArchiveRunStatus::default(),
        &Explanation::new("AccessDenied", "one thing"),
        Some(1),
        first,
    );
    assert_eq!(
        since(&stalled_status(
            &denied,
            &Explanation::new("AccessDenied", "another"),
            Some(2),
            later
        )),
        first
    );
    assert_eq!(
        since(&stalled_status(
            &denied,
            &Explanation::new("GroupsDeadLettered", "dead"),
            Some(2),
            later
        )),
        later
    );
}

#[test]
fn a_run_that_cannot_even_be_looked_at_has_all_conditions() {
    let explanation = Explanation::new("AccessDenied", "pods cannot be listed");
    let held = stalled_status(
        &ArchiveRunStatus::default(),
        &explanation,
        Some(3),
        time("2026-11-23T12:00:00Z"),
    );
    assert_eq!(
        (held.conditions.len(), held.observed_generation),
        (9, Some(3))
    );
    for it in &held.conditions {
        let expected = if it.type_ == "Stalled" {
            ("True", "AccessDenied")
        } else {
            ("False", "Pending")
        };
        assert_eq!(
            (it.status.as_str(), it.reason.as_str()),
            expected,
            "{}",
            it.type_
        );
        assert!(
            it.message.contains("pods cannot be listed") && it.observed_generation == Some(3),
            "{it:?}"
        );
    }
}

#[test]
fn a_run_that_is_not_accepted_is_stalled_unless_its_workers_go_on() {
    let explanation = Explanation::new("ServiceAccountNotFound", "there is no account");
    let decision = Decision::refused(explanation);
    for (busy, stalled) in [(0, true), (1, false)] {
        let seen = Observed {
            pods: Pods {
                busy,
                ..Pods::default()
            },
            ..seen()
        };
        let outcome = Outcome {
            run: None,
            seen: Some(&seen),
            decision: &decision,
            applied: &Applied::default(),
            generation: 1,
            now: time("2026-11-23T12:00:00Z"),
        };
        let status = next(&ArchiveRunStatus::default(), &outcome);
        let told = |name| {
            let it = status.condition(name).unwrap();
            (it.status.as_str(), it.reason.as_str(), it.message.as_str())
        };
        let refused = ("ServiceAccountNotFound", "there is no account");
        assert_eq!(told("Accepted"), ("False", refused.0, refused.1));
        assert_eq!(status.is_true("Stalled"), stalled);
        if stalled {
            assert_eq!(told("Stalled"), ("True", refused.0, refused.1));
        }
        assert_eq!(told("Ready").2, refused.1);
        assert_eq!(status.state.as_deref(), Some(refused.0));
    }
}

#[test]
fn a_write_that_failed_is_told_in_its_condition_and_goes_with_its_mending() {
    let decision = Decision::refused(Explanation::new("Invalid", "why"));
    let decision = Decision {
        refused: None,
        ..decision
    };
    let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
    let explanation = || Explanation::new("AnyReason", "what was said");
    let status = |prior: &ArchiveRunStatus, failure: Option<Failure>| {
        let kind = AwsErrorKind::Rejected;
        let error = AwsError {
            action: "CreateQueue",
            target: "q".to_owned(),
            kind,
            detail: "no".to_owned(),
        };
        let failed = failure.map(|failure| (error.into(), failure));
        let applied = Applied {
            failed,
            ..Applied::default()
        };
        let (decision, applied) = (&decision, &applied);
        next(
            prior,
            &Outcome {
                run: None,
                seen: None,
                decision,
                applied,
                generation: 1,
                now,
            },
        )
    };
    for (failure, name, value) in [
        (Failure::Refused(explanation()), "Accepted", "False"),
        (Failure::Stalled(explanation()), "Stalled", "True"),
        (Failure::Degraded(explanation()), "Degraded", "True"),
    ] {
        let failed = status(&ArchiveRunStatus::default(), Some(failure));
        let shown = failed.condition(name).expect("it is there");
        assert_eq!(
            (shown.status.as_str(), shown.message.as_str()),
            (value, "what was said"),
            "{name}"
        );
        let mended = status(&failed, None);
        assert_ne!(
            mended.condition(name).expect("it is there").status,
            value,
            "{name}"
        );
    }
}

#[test]
fn counters_and_messages_are_no_news() {
    let status = |json| serde_json::from_value::<ArchiveRunStatus>(json).expect("a status");
    let prior = json!({
        "conditions": [{"type": "Ready", "status": "False", "reason": "Bundling", "message": "1 of 3 groups",
            "lastTransitionTime": "2026-11-23T12:00:00Z"}],
        "queue": {"url": "https://sqs/q", "visible": 3, "inFlight": 1, "observedAt": "2026-11-23T12:00:00Z"},
        "workers": {"desired": 3, "running": 3, "busy": 2}, "groups": {"committed": 1, "deadLettered": 0},
        "progress": "1/3",
    });
    for (change, expected) in [
        (
            json!({"workers": {"desired": 3, "running": 2, "busy": 1}}),
            true,
        ),
        (
            json!({"groups": {"committed": 2}, "progress": "2/3", "failures": [{"reason": "Retry", "count": 1}]}),
            true,
        ),
        (
            json!({"queue": {"visible": 2, "observedAt": "2026-11-23T12:00:15Z"}}),
            true,
        ),
        (json!({"queue": {"redriveHandled": "now"}}), false),
        (json!({"retryPass": 1}), false),
        (json!({"observedGeneration": 2}), false),
    ] {
        let mut next = prior.clone();
        merge(&mut next, change.clone());
        assert_eq!(
            differ_in_counters(&status(prior.clone()), &status(next)),
            expected,
            "{change}"
        );
    }
    for (field, value, expected) in [
        ("message", "2 of 3 groups", true),
        ("reason", "Draining", false),
        ("status", "True", false),
    ] {
        let mut next = prior.clone();
        next["conditions"][0][field] = json!(value);
        assert_eq!(
            differ_in_counters(&status(prior.clone()), &status(next)),
            expected,
            "{field}"
        );
    }
}

#[test]
fn the_retry_pass_never_falls() {
    let prior = ArchiveRunStatus {
        retry_pass: Some(2),
        ..ArchiveRunStatus::default()
    };
    for (pass, expected) in [(0, 2), (1, 2), (2, 2), (3, 3)] {
        let decision = Decision {
            pass,
            ..Decision::new(Phase::Retrying, "")
        };
        let outcome = Outcome {
            run: None,
            seen: None,
            decision: &decision,
            applied: &Applied::default(),
            generation: 1,
            now: time("2026-11-23T12:00:00Z"),
        };
        assert_eq!(next(&prior, &outcome).retry_pass, Some(expected), "{pass}");
    }
}
