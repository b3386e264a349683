//! Figures for Prometheus, and the three pages that they and the probes are read from.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use s3bundler_common::http_pages::{self, Page};

use crate::crd::ArchiveRunStatus;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    namespace: String,
    run: String,
}

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
    visible: Family<RunLabels, Gauge>,
    in_flight: Family<RunLabels, Gauge>,
    desired: Family<RunLabels, Gauge>,
    ready: Family<RunLabels, Gauge>,
    committed: Family<RunLabels, Gauge>,
    total: Family<RunLabels, Gauge>,
    /// Runs that have figures.
    observed: Arc<Mutex<HashSet<RunLabels>>>,
    leader: Gauge,
    is_ready: Arc<AtomicBool>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("s3bundler");
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
        let mut family = |name: &str, help: &str| {
            let family = Family::<RunLabels, Gauge>::default();
            registry.register(name, help, family.clone());
            family
        };
        let visible = family("queue_visible", "Groups that wait in the queue");
        let in_flight = family("queue_in_flight", "Groups that are worked on");
        let desired = family("workers_desired", "Workers that a run is to have");
        let ready = family("workers_ready", "Workers that hold a group");
        let committed = family(
            "groups_committed",
            "Groups that are archived, by their receipts",
        );
        let total = family("groups", "Groups of a run");
        let leader = Gauge::default();
        registry.register(
            "leader",
            "Whether this replica is the one that works",
            leader.clone(),
        );
        Self {
            registry: Arc::new(registry),
            reconciles,
            errors,
            duration,
            visible,
            in_flight,
            desired,
            ready,
            committed,
            total,
            observed: Arc::default(),
            leader,
            is_ready: Arc::default(),
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

    /// Takes over what the status of a run says.
    pub fn observe(&self, namespace: &str, run: &str, status: &ArchiveRunStatus) {
        let labels = RunLabels {
            namespace: namespace.to_owned(),
            run: run.to_owned(),
        };
        self.observed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(labels.clone());
        let set = |family: &Family<RunLabels, Gauge>, value: Option<i64>| {
            if let Some(value) = value {
                family.get_or_create(&labels).set(value);
            }
        };
        let queue = status.queue.as_ref();
        // The queue of a run that has ended is not read any more.
        let depth = queue.filter(|_| status.completion_time.is_none());
        for (family, value) in [
            (&self.visible, depth.and_then(|queue| queue.visible)),
            (&self.in_flight, depth.and_then(|queue| queue.in_flight)),
        ] {
            if value.is_none() {
                family.remove(&labels);
            }
            set(family, value);
        }
        set(
            &self.desired,
            status.workers.map(|workers| workers.desired.into()),
        );
        set(
            &self.ready,
            status.workers.map(|workers| workers.busy.into()),
        );
        set(
            &self.committed,
            status.groups.map(|groups| groups.committed),
        );
        set(&self.total, status.groups.and_then(|groups| groups.total));
    }

    /// Forgets a run that is gone.
    pub fn forget(&self, namespace: &str, run: &str) {
        let labels = RunLabels {
            namespace: namespace.to_owned(),
            run: run.to_owned(),
        };
        self.observed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&labels);
        self.remove(&labels);
    }

    /// Forgets all runs but these, by namespace and name.
    pub fn retain(&self, runs: &HashSet<(String, String)>) {
        let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        observed.retain(|labels| {
            let stays = runs.contains(&(labels.namespace.clone(), labels.run.clone()));
            if !stays {
                self.remove(labels);
            }
            stays
        });
    }

    fn remove(&self, labels: &RunLabels) {
        for family in [
            &self.visible,
            &self.in_flight,
            &self.desired,
            &self.ready,
            &self.committed,
            &self.total,
        ] {
            family.remove(labels);
        }
    }

    /// Says that this replica works.
    pub fn leads(&self) {
        self.leader.set(1);
    }

    /// Says that this replica is up, working or waiting for its turn.
    pub fn ready(&self) {
        self.is_ready.store(true, Ordering::Relaxed);
    }

    /// The pages `/metrics`, `/healthz` and `/readyz`.
    pub fn page(&self, path: &str) -> Page {
        match path {
            "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
            "/readyz" if self.is_ready.load(Ordering::Relaxed) => {
                (StatusCode::OK, "ok\n".to_owned())
            }
            "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned()),
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
