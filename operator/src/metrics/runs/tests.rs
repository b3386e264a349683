use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use super::*;

/// The lines that are shown of runs, without comments.
fn lines(runs: &Runs) -> Vec<String> {
    let mut registry = Registry::with_prefix("s3bundler");
    registry.register_collector(Box::new(runs.clone()));
    let mut page = String::new();
    encode(&mut page, &registry).expect("a page");
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

fn status(json: Value) -> ArchiveRunStatus {
    serde_json::from_value(json).expect("a status")
}

fn condition(name: &str, status: &str, reason: &str) -> Value {
    json!({
        "type": name, "status": status, "reason": reason, "message": "",
        "lastTransitionTime": "2026-11-23T12:00:00Z",
    })
}

fn in_progress() -> Value {
    json!({
        "conditions": [condition("Ready", "False", "Bundling"), condition("Stalled", "True", "AccessDenied")],
        "startTime": "2026-11-23T11:00:00Z",
        "lastProgressTime": "2026-11-23T12:00:00Z",
        "queue": {"url": "q", "visible": 3, "inFlight": 1},
        "workers": {"desired": 2, "running": 2, "busy": 1},
        "groups": {"total": 10, "committed": 6, "deadLettered": 2},
        "objects": {"total": 100, "archived": 50, "copied": 1, "failed": 4, "leftOut": 5},
        "bytes": {"total": 1000, "archived": 500, "copied": 10, "failed": 40},
        "failures": [{"reason": "NoSuchKey", "count": 4}],
    })
}

#[test]
fn a_run_in_progress_shows_all_of_its_status() {
    let runs = Runs::default();
    runs.observe("team-a", "logs", &status(in_progress()));
    runs.granted("team-a", "logs", 7);
    let run = r#"namespace="team-a",run="logs""#;
    let mut expected: Vec<String> = [
        ("run_phase", r#",phase="Bundling""#, 1),
        (
            "run_condition",
            r#",condition="Ready",reason="Bundling""#,
            0,
        ),
        (
            "run_condition",
            r#",condition="Stalled",reason="AccessDenied""#,
            1,
        ),
        ("run_listed_objects", "", 100),
        ("run_objects", r#",outcome="archived""#, 50),
        ("run_objects", r#",outcome="copied""#, 1),
        ("run_objects", r#",outcome="failed""#, 4),
        ("run_objects", r#",outcome="left_out""#, 5),
        ("run_listed_bytes", "", 1000),
        ("run_bytes", r#",outcome="archived""#, 500),
        ("run_bytes", r#",outcome="copied""#, 10),
        ("run_bytes", r#",outcome="failed""#, 40),
        ("run_failed_objects", r#",reason="NoSuchKey""#, 4),
        ("groups", "", 10),
        ("groups_committed", "", 6),
        ("groups_dead_lettered", "", 2),
        ("run_last_progress_timestamp_seconds", "", 1_795_435_200),
        ("queue_visible", "", 3),
        ("queue_in_flight", "", 1),
        ("workers_desired", "", 2),
        ("workers_ready", "", 1),
        ("workers_granted", "", 7),
    ]
    .into_iter()
    .map(|(name, more, value)| format!("s3bundler_{name}{{{run}{more}}} {value}"))
    .collect();
    let mut shown = lines(&runs);
    shown.sort();
    expected.sort();
    assert_eq!(shown, expected);
}

#[test]
fn a_run_that_has_ended_shows_how_and_what_is_still_wrong() {
    let runs = Runs::default();
    runs.observe("team-a", "logs", &status(in_progress()));
    runs.granted("team-a", "logs", 7);
    let mut ended = in_progress();
    ended["conditions"] = json!([
        condition("Ready", "True", "CompleteWithFailures"),
        condition("Complete", "True", "CompleteWithFailures"),
        condition("Stalled", "True", "AccessDenied"),
        condition("Degraded", "False", "AsExpected"),
    ]);
    ended["completionTime"] = json!("2026-11-23T13:00:00Z");
    runs.observe("team-a", "logs", &status(ended));
    runs.granted("team-a", "logs", 0);
    assert_eq!(
        lines(&runs),
        [
            r#"s3bundler_run_phase{namespace="team-a",run="logs",phase="CompleteWithFailures"} 1"#,
            r#"s3bundler_run_condition{namespace="team-a",run="logs",condition="Stalled",reason="AccessDenied"} 1"#,
            r#"s3bundler_run_failed_objects{namespace="team-a",run="logs",reason="NoSuchKey"} 4"#,
            r#"s3bundler_groups{namespace="team-a",run="logs"} 10"#,
            r#"s3bundler_groups_committed{namespace="team-a",run="logs"} 6"#,
        ]
    );
}

#[test]
fn a_run_that_is_suspended_or_verified_is_not_waited_for() {
    for phase in ["Suspended", "Verifying"] {
        let runs = Runs::default();
        let mut run = in_progress();
        run["conditions"] = json!([condition("Ready", "False", phase)]);
        runs.observe("team-a", "logs", &status(run));
        assert!(!lines(&runs).iter().any(|line| line.contains("progress")));
    }
}

#[test]
fn a_phase_replaces_the_one_before() {
    let runs = Runs::default();
    for phase in ["Grouping", "Bundling"] {
        let conditions = json!({"conditions": [condition("Ready", "False", phase)]});
        runs.observe("team-a", "logs", &status(conditions));
    }
    let phases = lines(&runs)
        .into_iter()
        .filter(|line| line.contains("run_phase"));
    assert_eq!(
        phases.collect::<Vec<_>>(),
        [r#"s3bundler_run_phase{namespace="team-a",run="logs",phase="Bundling"} 1"#]
    );
}

#[test]
fn runs_that_are_gone_leave_no_figures() {
    let runs = Runs::default();
    for name in ["logs", "photos"] {
        runs.observe("team-a", name, &status(in_progress()));
    }
    runs.forget("team-a", "photos");
    assert!(!lines(&runs).iter().any(|line| line.contains("photos")));
    runs.retain(&[("team-a".to_owned(), "logs".to_owned())].into());
    assert!(!lines(&runs).is_empty());
    runs.retain(&[("team-b".to_owned(), "logs".to_owned())].into());
    assert!(lines(&runs).is_empty());
}
