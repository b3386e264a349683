use serde_json::{Value, json};

use super::*;

const THEN: &str = "2026-11-23T12:00:00Z";
const NOW: &str = "2026-11-23T13:00:00Z";

fn status(more: &Value) -> ArchiveRunStatus {
    let mut status = json!({
        "startTime": "2026-11-23T11:00:00Z",
        "lastProgressTime": THEN,
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "Bundling", "message": "", "lastTransitionTime": THEN,
        }],
        "groups": {"committed": 6},
        "objects": {"archived": 50},
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        status[name] = value.clone();
    }
    serde_json::from_value(status).expect("a status")
}

fn next(prior: &ArchiveRunStatus, next: &ArchiveRunStatus) -> Option<String> {
    last_progress(prior, next, NOW.parse().expect("a time")).map(|time| time.0.to_string())
}

#[test]
fn a_run_moves_when_it_archives_something_or_changes_its_phase() {
    let before = status(&json!({}));
    let ready = |reason: &str| {
        json!([{
            "type": "Ready", "status": "False", "reason": reason, "message": "another", "lastTransitionTime": NOW,
        }])
    };
    for (after, moved) in [
        (
            json!({"groups": {"committed": 6, "deadLettered": 3}}),
            false,
        ),
        (json!({"workers": {"desired": 3}}), false),
        (json!({"conditions": ready("Bundling")}), false),
        (json!({"conditions": ready("Draining")}), true),
        (json!({"groups": {"committed": 7}}), true),
        (json!({"objects": {"archived": 51}}), true),
        (json!({"objects": {"archived": 50, "copied": 1}}), true),
        (json!({"retryPass": 1}), true),
    ] {
        let expected = if moved { NOW } else { THEN };
        assert_eq!(
            next(&before, &status(&after)).as_deref(),
            Some(expected),
            "{after}"
        );
    }
}

#[test]
fn a_run_that_an_earlier_release_started_begins_to_be_watched() {
    let before = status(&json!({"lastProgressTime": null}));
    assert_eq!(next(&before, &before).as_deref(), Some(NOW));
}

#[test]
fn a_run_that_has_not_started_or_has_ended_does_not_move() {
    let not_started = status(&json!({"startTime": null, "lastProgressTime": null}));
    assert_eq!(next(&not_started, &not_started), None);
    let ended = status(&json!({"completionTime": THEN}));
    let repaired = status(&json!({"completionTime": THEN, "objects": {"archived": 60}}));
    assert_eq!(next(&ended, &repaired).as_deref(), Some(THEN));
    let of_an_earlier_release = status(&json!({"completionTime": THEN, "lastProgressTime": null}));
    assert_eq!(
        next(&of_an_earlier_release, &of_an_earlier_release),
        None,
        "no status is written for it"
    );
}
