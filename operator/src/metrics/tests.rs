use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::*;
use crate::crd::{QueueStatus, WorkerStatus};

#[test]
fn everything_that_is_told_of_has_its_name() {
    let metrics = Metrics::default();
    let status = json!({
        "queue": {"url": "q", "visible": 3, "inFlight": 1},
        "workers": {"desired": 2, "running": 2, "busy": 1},
        "groups": {"total": 10, "committed": 6, "deadLettered": 0},
    });
    metrics.observe(
        "team-a",
        "logs",
        &serde_json::from_value(status).expect("a status"),
    );
    metrics.reconciled(Duration::from_millis(3), Some("aws"));
    metrics.leads();
    let page = metrics.page("/metrics").1;
    for line in [
        "s3bundler_reconciles_total 1",
        r#"s3bundler_reconcile_errors_total{class="aws"} 1"#,
        "s3bundler_reconcile_duration_seconds_count 1",
        "s3bundler_leader 1",
        r#"s3bundler_queue_visible{namespace="team-a",run="logs"} 3"#,
        r#"s3bundler_queue_in_flight{namespace="team-a",run="logs"} 1"#,
        r#"s3bundler_workers_desired{namespace="team-a",run="logs"} 2"#,
        r#"s3bundler_workers_ready{namespace="team-a",run="logs"} 1"#,
        r#"s3bundler_groups_committed{namespace="team-a",run="logs"} 6"#,
        r#"s3bundler_groups{namespace="team-a",run="logs"} 10"#,
    ] {
        assert!(page.lines().any(|shown| shown == line), "{line}\n{page}");
    }
}

#[test]
fn the_depth_of_a_run_that_has_ended_is_not_told() {
    let metrics = Metrics::default();
    let shown = || {
        let page = metrics.page("/metrics").1;
        page.lines()
            .filter(|line| line.starts_with("s3bundler_queue_") && line.contains("logs"))
            .count()
    };
    let queue = QueueStatus {
        visible: Some(3),
        in_flight: Some(1),
        ..QueueStatus::default()
    };
    let mut status = ArchiveRunStatus {
        queue: Some(queue),
        ..ArchiveRunStatus::default()
    };
    metrics.observe("team-a", "logs", &status);
    assert_eq!(shown(), 2);
    status.completion_time = Some(Time("2026-11-23T12:00:00Z".parse().expect("a time")));
    metrics.observe("team-a", "logs", &status);
    assert_eq!(shown(), 0);
}

#[test]
fn runs_that_are_gone_leave_no_figures() {
    let metrics = Metrics::default();
    let status = ArchiveRunStatus {
        workers: Some(WorkerStatus::default()),
        ..ArchiveRunStatus::default()
    };
    let is_shown = || metrics.page("/metrics").1.contains(r#"run="logs""#);
    metrics.observe("team-a", "logs", &status);
    metrics.retain(&[("team-a".to_owned(), "logs".to_owned())].into());
    assert!(is_shown());
    metrics.retain(&[("team-b".to_owned(), "logs".to_owned())].into());
    assert!(!is_shown());
}
