use http::{Method, Uri};
use s3bundler_common::outcome::Outcome;
use s3bundler_testbed::metrics::{documented, exposed};
use serde_json::json;

use super::requests::Call;
use super::*;

#[test]
fn a_failed_reconcile_counts_with_its_class() {
    let metrics = Metrics::default();
    metrics.reconciled(Duration::from_millis(3), Some("aws"));
    metrics.reconciled(Duration::from_millis(3), None);
    metrics.watch_failed();
    metrics.limit_workers(40);
    metrics.leads();
    let page = metrics.page("/metrics").1;
    for line in [
        "s3bundler_reconciles_total 2",
        r#"s3bundler_reconcile_errors_total{class="aws"} 1"#,
        "s3bundler_reconcile_duration_seconds_count 2",
        "s3bundler_watch_errors_total 1",
        "s3bundler_workers_limit 40",
        "s3bundler_leader 1",
    ] {
        assert!(page.lines().any(|shown| shown == line), "{line}\n{page}");
    }
}

#[test]
fn a_replica_is_ready_once_it_says_so() {
    let metrics = Metrics::default();
    assert_eq!(metrics.page("/readyz").0, StatusCode::SERVICE_UNAVAILABLE);
    metrics.ready();
    assert_eq!(metrics.page("/readyz").0, StatusCode::OK);
}

#[test]
fn a_replica_whose_reconciles_do_not_finish_is_not_healthy() {
    let (metrics, start) = (Metrics::default(), Instant::now());
    let later = |minutes| start + Duration::from_mins(minutes);
    assert_eq!(metrics.health(later(60)).0, StatusCode::OK, "no run");
    metrics.liveness.wanted("a", start);
    assert_eq!(metrics.health(later(4)).0, StatusCode::OK);
    let (status, why) = metrics.health(later(5));
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        why.contains("no reconcile has finished for 5 minutes"),
        "{why}"
    );
    // Well or with an error.
    metrics.liveness.finished("a", later(5));
    assert_eq!(metrics.health(later(60)).0, StatusCode::OK);
}

/// A run that has everything.
fn status() -> ArchiveRunStatus {
    let status = json!({
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "Bundling", "message": "",
            "lastTransitionTime": "2026-11-23T12:00:00Z",
        }],
        "lastProgressTime": "2026-11-23T12:00:00Z",
        "queue": {"visible": 3, "inFlight": 1},
        "workers": {"desired": 2, "running": 2, "busy": 1},
        "groups": {"total": 10, "committed": 6, "deadLettered": 0},
        "objects": {"total": 100, "archived": 50},
        "bytes": {"total": 1000, "archived": 500},
        "failures": [{"reason": "NoSuchKey", "count": 4}],
    });
    serde_json::from_value(status).expect("a status")
}

#[test]
fn the_documentation_lists_what_is_served() {
    let metrics = Metrics::default();
    metrics.reconciled(Duration::from_millis(3), Some("aws"));
    metrics.observe("team-a", "logs", &status());
    metrics.granted("team-a", "logs", 2);
    let took = Duration::from_millis(20);
    metrics
        .aws()
        .answered("sqs", "CreateQueue", Outcome::Ok, took);
    let call = Call::of(&Method::GET, &Uri::from_static("/api/v1/pods"));
    metrics.kubernetes().answered(call, Outcome::Ok, took);
    let notifications = metrics.notifications();
    notifications.sent("ops", Outcome::Ok);
    notifications.pending("ops", 2);
    notifications.gave_up("ops");
    let page = metrics.page("/metrics").1;
    assert_eq!(exposed(&page), documented("operator"), "{page}");
}
