//! What a worker is doing, for whoever asks over HTTP: Kubernetes' probes and Prometheus.
//!
//! - `/busy` is 200 while at least one group is held, 503 otherwise. As a readiness probe it makes
//!   scaling in take idle workers first: a ReplicaSet removes pods that are not ready before those
//!   that are.
//! - `/healthz` is 200.
//! - `/metrics` has what this process has archived.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use s3bundler_common::http_pages::{self, Page};
use s3bundler_contract::Receipt;

use crate::s3::S3;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Side {
    side: &'static str,
}

/// What a worker is doing and has done. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct WorkerStatus {
    registry: Arc<Registry>,
    held: Gauge,
    groups: Family<Outcome, Counter>,
    objects: Family<Outcome, Counter>,
    bytes: Family<Outcome, Counter>,
    outage: Family<Side, Gauge>,
    s3: Arc<OnceLock<S3>>,
}

impl Default for WorkerStatus {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("s3bundler");
        let held = Gauge::default();
        registry.register("groups_held", "Groups that are worked on", held.clone());
        let mut family = |name: &str, help: &str| {
            let family = Family::<Outcome, Counter>::default();
            registry.register(name, help, family.clone());
            family
        };
        let groups = family("worker_groups", "Groups, by what came of them here");
        let objects = family(
            "worker_objects",
            "Objects of groups archived here, by outcome",
        );
        let bytes = family("worker_bytes", "Bytes of groups archived here, by outcome");
        let outage = Family::<Side, Gauge>::default();
        registry.register(
            "outage",
            "Buckets that do not answer and are waited for, by side",
            outage.clone(),
        );
        Self {
            registry: Arc::new(registry),
            held,
            groups,
            objects,
            bytes,
            outage,
            s3: Arc::default(),
        }
    }
}

/// A group that is held, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Holding(Gauge);

impl Drop for Holding {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl WorkerStatus {
    /// A group is held from now on.
    pub(crate) fn hold(&self) -> Holding {
        self.held.inc();
        Holding(self.held.clone())
    }

    /// A group was archived here.
    pub(crate) fn archived(&self, receipt: &Receipt) {
        self.count("archived");
        let figures = [
            (
                "archived",
                receipt.figures.archived,
                receipt.figures.archived_bytes,
            ),
            (
                "copied",
                receipt.figures.copied,
                receipt.figures.copied_bytes,
            ),
            (
                "failed",
                receipt.figures.failed_objects(),
                receipt.figures.failed_bytes,
            ),
        ];
        for (outcome, objects, bytes) in figures {
            self.objects
                .get_or_create(&Outcome { outcome })
                .inc_by(objects);
            self.bytes.get_or_create(&Outcome { outcome }).inc_by(bytes);
        }
    }

    /// Something else came of a group: `archived_before`, `failed`, `given_back`.
    pub(crate) fn count(&self, outcome: &'static str) {
        self.groups.get_or_create(&Outcome { outcome }).inc();
    }

    /// Answers at this address for as long as the process lives.
    pub(crate) async fn listen(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let listener = http_pages::listen(address).await?;
        let bound = listener.local_addr()?;
        let activity = self.clone();
        tokio::spawn(http_pages::serve(listener, move |path| activity.page(path)));
        Ok(bound)
    }

    /// Shows the outages of this S3.
    pub(crate) fn watch(&self, s3: S3) {
        // Set once for each process.
        let _ = self.s3.set(s3);
    }

    fn count_outages(&self) {
        let down = self.s3.get().map(|s3| (s3, s3.outages().down())).unzip();
        let (Some(s3), Some(down)) = down else { return };
        for (side, is_destination) in [("source", false), ("destination", true)] {
            let count = down
                .iter()
                .filter(|bucket| s3.is_destination(bucket) == is_destination)
                .count();
            self.outage
                .get_or_create(&Side { side })
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    fn page(&self, path: &str) -> Page {
        match path {
            "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
            "/busy" if self.held.get() > 0 => {
                (StatusCode::OK, format!("{} groups\n", self.held.get()))
            }
            "/busy" => (StatusCode::SERVICE_UNAVAILABLE, "idle\n".to_owned()),
            "/metrics" => {
                self.count_outages();
                http_pages::metrics(&self.registry)
            }
            _ => (StatusCode::NOT_FOUND, "busy, healthz, metrics\n".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
