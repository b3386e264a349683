//! What a worker is doing, for whoever asks over HTTP: Kubernetes' probes and Prometheus.
//!
//! - `/busy` is 200 while at least one group is held, 503 otherwise. As a readiness probe it makes
//!   scaling in take idle workers first: a ReplicaSet removes pods that are not ready before those
//!   that are.
//! - `/healthz` is 200.
//! - `/metrics` has what this process has archived, and what it is doing. docs/metrics.md lists it; a
//!   test compares the two.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use http::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};
use s3bundler_common::http_pages::{self, Page};
use s3bundler_common::process;
use s3bundler_contract::Receipt;

use crate::bundle::Bundler;
use crate::progress::Progress;
use crate::s3::{S3, side};

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
    watched: Watched,
}

/// The parts of the process that show what they are doing when they are asked.
#[derive(Debug)]
struct Parts {
    s3: S3,
    bundler: Bundler,
    progress: Progress,
}

/// They exist once the command has read its options.
#[derive(Debug, Clone, Default)]
struct Watched(Arc<OnceLock<Parts>>);

impl Default for WorkerStatus {
    fn default() -> Self {
        let mut root = process::registry("s3bundler", env!("CARGO_PKG_VERSION"));
        let registry = root.sub_registry_with_prefix("s3bundler");
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
        let watched = Watched::default();
        registry.register_collector(Box::new(watched.clone()));
        Self {
            registry: Arc::new(root),
            held,
            groups,
            objects,
            bytes,
            watched,
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

    /// Shows what these are doing.
    pub(crate) fn watch(&self, s3: S3, bundler: Bundler, progress: Progress) {
        // Set once for each process.
        let _ = self.watched.0.set(Parts {
            s3,
            bundler,
            progress,
        });
    }

    fn page(&self, path: &str) -> Page {
        match path {
            "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
            "/busy" if self.held.get() > 0 => {
                (StatusCode::OK, format!("{} groups\n", self.held.get()))
            }
            "/busy" => (StatusCode::SERVICE_UNAVAILABLE, "idle\n".to_owned()),
            "/metrics" => http_pages::metrics(&self.registry),
            _ => (StatusCode::NOT_FOUND, "busy, healthz, metrics\n".to_owned()),
        }
    }
}

impl Collector for Watched {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(Parts {
            s3,
            bundler,
            progress,
        }) = self.0.get()
        else {
            return Ok(());
        };
        s3.traffic().encode(&mut encoder)?;
        encode_outages(s3, &mut encoder)?;
        let done = progress.snapshot().done;
        for (name, help, unit, value) in [
            (
                "worker_packed_objects",
                "Objects that were packed or copied, those of groups that failed later included",
                None,
                done.objects,
            ),
            (
                "worker_packed",
                "Bytes of those objects",
                Some(Unit::Bytes),
                done.bytes,
            ),
        ] {
            let counter = ConstCounter::new(value);
            encode_one(&counter, name, help, unit.as_ref(), &mut encoder)?;
        }
        let load = bundler.load();
        for (name, help, unit, value) in [
            (
                "worker_request_slots",
                "Requests to source buckets that may be in flight, as far as the buckets let it",
                None,
                count(load.requests.slots),
            ),
            (
                "worker_request_slots_used",
                "Requests to source buckets that are in flight",
                None,
                count(load.requests.used),
            ),
            (
                "worker_requests_waiting",
                "Objects that wait until a request may be sent for them",
                None,
                count(load.requests.waiting),
            ),
            (
                "worker_memory_budget",
                "Memory for object data: --memory",
                Some(Unit::Bytes),
                load.memory,
            ),
            (
                "worker_memory_used",
                "Memory that objects hold between GET and archive",
                Some(Unit::Bytes),
                load.memory_used,
            ),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            encode_one(&gauge, name, help, unit.as_ref(), &mut encoder)?;
        }
        Ok(())
    }
}

fn encode_one(
    metric: &impl EncodeMetric,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, unit, metric.metric_type())?)
}

fn encode_outages(s3: &S3, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let down = s3.outages().down();
    let outage = Family::<Side, Gauge>::default();
    for is_destination in [false, true] {
        let buckets = down
            .iter()
            .filter(|bucket| s3.is_destination(bucket) == is_destination);
        let side = side(is_destination);
        outage
            .get_or_create(&Side { side })
            .set(i64::try_from(buckets.count()).unwrap_or(i64::MAX));
    }
    let help = "Buckets that do not answer and are waited for, by side";
    encode_one(&outage, "outage", help, None, encoder)
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
