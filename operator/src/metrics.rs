//! Figures for Prometheus, and the three pages that they and the probes are read from.
//!
//! ```text
//! status of a run ──► runs: what is shown of each run, in step with its status ──┐
//! clients of AWS and Kubernetes ──► requests: how many, how long, what came of it ├──► /metrics
//! notifications of runs that ended ──► notifications: what became of them ────────┤
//! reconciles, watches, the Lease ──► counters and gauges here ────────────────────┘
//! ```
//!
//! docs/metrics.md lists all of them; a test compares it with what is served here.

mod notifications;
mod requests;
mod runs;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use s3bundler_common::http_pages::{self, Page};
use s3bundler_common::process;
use tokio::sync::watch::Sender;

pub use self::notifications::NotificationMetrics;
pub use self::requests::{AwsRequests, KubernetesRequests};
use self::runs::Runs;
use crate::crd::ArchiveRunStatus;
use crate::liveness::Liveness;
use crate::watch_health::{Health, Watches};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    class: &'static str,
}

/// All figures. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Counter,
    errors: Family<ErrorLabels, Counter>,
    duration: Histogram,
    watch_errors: Counter,
    workers_limit: Gauge,
    runs: Runs,
    aws: AwsRequests,
    kubernetes: KubernetesRequests,
    notifications: NotificationMetrics,
    leader: Gauge,
    is_ready: Arc<AtomicBool>,
    /// Those that readiness depends on.
    watches: Watches,
    /// Whether reconciles are finished.
    pub(crate) liveness: Liveness,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut root = process::registry("s3bundler-operator", env!("CARGO_PKG_VERSION"));
        let registry = root.sub_registry_with_prefix("s3bundler");
        let (reconciles, errors) = (
            Counter::default(),
            Family::<ErrorLabels, Counter>::default(),
        );
        let duration = Histogram::new([0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0]);
        registry.register(
            "reconciles",
            "Reconciles of ArchiveRuns",
            reconciles.clone(),
        );
        registry.register(
            "reconcile_errors",
            "What failed in reconciles, by class of error",
            errors.clone(),
        );
        registry.register_with_unit(
            "reconcile_duration",
            "Time of a reconcile",
            Unit::Seconds,
            duration.clone(),
        );
        let watch_errors = Counter::default();
        registry.register(
            "watch_errors",
            "Watches of ArchiveRuns, Jobs, Deployments and pods that failed and were started again",
            watch_errors.clone(),
        );
        let workers_limit = Gauge::default();
        registry.register(
            "workers_limit",
            "Workers that all runs together may have: --max-workers",
            workers_limit.clone(),
        );
        let leader = Gauge::default();
        registry.register(
            "leader",
            "Whether this replica is the one that works",
            leader.clone(),
        );
        let runs = Runs::default();
        registry.register_collector(Box::new(runs.clone()));
        let (aws, kubernetes) = (
            AwsRequests::registered(registry),
            KubernetesRequests::registered(registry),
        );
        let notifications = NotificationMetrics::registered(registry);
        Self {
            registry: Arc::new(root),
            reconciles,
            errors,
            duration,
            watch_errors,
            workers_limit,
            runs,
            aws,
            kubernetes,
            notifications,
            leader,
            is_ready: Arc::default(),
            watches: Watches::default(),
            liveness: Liveness::default(),
        }
    }
}

impl Metrics {
    pub fn reconciled(&self, took: Duration, error: Option<&'static str>) {
        self.reconciles.inc();
        self.duration.observe(took.as_secs_f64());
        if let Some(class) = error {
            self.failed(class);
        }
    }

    /// Counts a failure that does not end a reconcile: it is told in the status.
    pub fn failed(&self, class: &'static str) {
        self.errors.get_or_create(&ErrorLabels { class }).inc();
    }

    /// Counts a watch that failed. It is started again.
    pub fn watch_failed(&self) {
        self.watch_errors.inc();
    }

    /// From now on this replica is ready only if the watch of a kind is well.
    pub(crate) fn depends_on(&self, kind: &str, namespace: Option<&str>, watch: &Sender<Health>) {
        self.watches.add(kind, namespace, watch);
    }

    /// Takes over what the status of a run says.
    pub fn observe(&self, namespace: &str, run: &str, status: &ArchiveRunStatus) {
        self.runs.observe(namespace, run, status);
    }

    /// Takes over how many of the operator's workers a run in progress holds.
    pub fn granted(&self, namespace: &str, run: &str, workers: u32) {
        self.runs.granted(namespace, run, workers);
    }

    /// Forgets a run that is gone.
    pub fn forget(&self, namespace: &str, run: &str) {
        self.runs.forget(namespace, run);
    }

    /// Forgets all runs but these, by namespace and name.
    pub fn retain(&self, runs: &HashSet<(String, String)>) {
        self.runs.retain(runs);
    }

    /// Takes over how many workers all runs together may have.
    pub fn limit_workers(&self, most: u32) {
        self.workers_limit.set(most.into());
    }

    /// The requests to S3 and SQS.
    pub fn aws(&self) -> &AwsRequests {
        &self.aws
    }

    /// The requests to the Kubernetes API.
    pub fn kubernetes(&self) -> &KubernetesRequests {
        &self.kubernetes
    }

    /// The notifications of runs that ended.
    pub fn notifications(&self) -> &NotificationMetrics {
        &self.notifications
    }

    /// Says that this replica works.
    pub fn leads(&self) {
        self.leader.set(1);
    }

    /// Says that this replica is up, working or waiting for its turn.
    pub fn ready(&self) {
        self.is_ready.store(true, Ordering::Relaxed);
    }

    /// The page `/healthz`.
    fn health(&self, now: Instant) -> Page {
        if self.liveness.is_alive(now) {
            return (StatusCode::OK, "ok\n".to_owned());
        }
        let why = "no reconcile has finished for 5 minutes, although some were due\n";
        (StatusCode::SERVICE_UNAVAILABLE, why.to_owned())
    }

    /// The page `/readyz`. Of a replica that waits for its turn nothing else is expected.
    fn readiness(&self, now: Instant) -> Page {
        if !self.is_ready.load(Ordering::Relaxed) {
            return (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned());
        }
        match self.watches.objections(now) {
            objections if objections.is_empty() => (StatusCode::OK, "ok\n".to_owned()),
            objections => (StatusCode::SERVICE_UNAVAILABLE, objections),
        }
    }

    /// The pages `/metrics`, `/healthz` and `/readyz`.
    pub fn page(&self, path: &str) -> Page {
        match path {
            "/healthz" => self.health(Instant::now()),
            "/readyz" => self.readiness(Instant::now()),
            "/metrics" => http_pages::metrics(&self.registry),
            _ => (
                StatusCode::NOT_FOUND,
                "metrics, healthz, readyz\n".to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests;
