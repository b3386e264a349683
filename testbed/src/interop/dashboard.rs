//! The panels of the chart's Grafana dashboard, asked of a Prometheus that has scraped a run.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::prometheus::Prometheus;
use super::scene::{RELEASE, Scene};
use super::{InteropError, alerts, say, wrong};

/// Panels that show nothing of a run that has no trouble.
const TROUBLE: [&str; 7] = [
    "Stalled",
    "Not accepted",
    "Degraded",
    "Failed",
    "Conditions that need attention",
    "Failed objects by reason",
    "Throttled share of requests",
];
/// A run is Degraded only after minutes in which pods cannot be scheduled, messages are received
/// again and again, or the like.
const DEGRADED: &str = "Degraded";
/// A query for this finds something only if the operator has errors, which no run here gives it.
const ERRORS: &str = "s3bundler_reconcile_errors_total";
/// The operator has no sink here.
const NOTIFICATIONS: &str = "s3bundler_notifications_";
/// Grafana's own: four times the interval of the scrapes.
const RATE_INTERVAL: &str = "8s";
/// The time range that the dashboard is opened with.
const RANGE: Duration = Duration::from_mins(15);

/// Every panel has data, but for those of trouble.
pub(super) async fn shows_a_good_run(
    scene: &Scene,
    prometheus: &Prometheus,
) -> Result<(), InteropError> {
    say("The queries of the dashboard, for the good run");
    let empty = empty(scene, prometheus, alerts::GOOD).await?;
    let is_wrong = |panel: &str| !TROUBLE.contains(&panel);
    none(empty.into_iter().filter(|(panel, _)| is_wrong(panel)))
}

/// Every panel has data, but that of runs that are Degraded.
pub(super) async fn shows_broken_runs(
    scene: &Scene,
    prometheus: &Prometheus,
) -> Result<(), InteropError> {
    say("The queries of the dashboard, for all runs");
    let empty = empty(scene, prometheus, ".+").await?;
    none(empty.into_iter().filter(|(panel, _)| panel != DEGRADED))
}

/// An error if one of these queries should have found something.
fn none(empty: impl Iterator<Item = (String, String)>) -> Result<(), InteropError> {
    let is_never_there = |query: &str| query.contains(ERRORS) || query.contains(NOTIFICATIONS);
    let empty: Vec<_> = empty.filter(|(_, query)| !is_never_there(query)).collect();
    if empty.is_empty() {
        return Ok(());
    }
    Err(wrong(format!("queries that found nothing: {empty:?}")))
}

/// Asks every query of every panel; returns those that find nothing, with their panel.
async fn empty(
    scene: &Scene,
    prometheus: &Prometheus,
    namespace: &str,
) -> Result<BTreeSet<(String, String)>, InteropError> {
    let map = ["configmaps", "--namespace", RELEASE];
    let selector = ["--selector", "grafana_dashboard=1"];
    let maps = scene.get(&[&map[..], &selector].concat()).await?;
    let text = maps["items"][0]["data"]["s3bundler.json"].as_str();
    let dashboard = serde_json::from_str(text.unwrap_or_default());
    let dashboard: Value = dashboard.map_err(|source| InteropError::Json {
        what: "the dashboard".to_owned(),
        source,
    })?;
    let since = SystemTime::now() - RANGE;
    let (mut queries, mut series, mut empty) = (0, 0, BTreeSet::new());
    for (panel, query) in panels(&dashboard) {
        let asked = substitute(&query, namespace);
        let found = prometheus.query_since(&asked, since).await?;
        queries += 1;
        series += found.len();
        if found.is_empty() {
            empty.insert((panel, query));
        }
    }
    if queries == 0 {
        return Err(wrong("the dashboard has no queries"));
    }
    let titles: BTreeSet<_> = empty.iter().map(|(panel, _)| panel.as_str()).collect();
    let titles = Vec::from_iter(titles).join(", ");
    println!("    {queries} queries, {series} time series; empty: {titles}");
    Ok(empty)
}

/// Titles of panels, with each query.
fn panels(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    panels
        .flat_map(|panel| {
            let targets = panel["targets"].as_array().into_iter().flatten();
            let queries = targets.filter_map(|target| target["expr"].as_str());
            let title = panel["title"].as_str().unwrap_or_default();
            queries.map(|query| (title.to_owned(), query.to_owned()))
        })
        .collect()
}

/// Replaces variables as Grafana does for the runs of a namespace.
fn substitute(query: &str, namespace: &str) -> String {
    query
        .replace("$__rate_interval", RATE_INTERVAL)
        .replace("$namespace", namespace)
        .replace("$run", ".+")
}

#[cfg(test)]
mod tests;
