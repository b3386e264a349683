//! What a worker is doing, for whoever asks over HTTP: Kubernetes' probes and Prometheus.
//!
//! - `/busy` is 200 while at least one group is held, 503 otherwise. As a readiness probe it makes scaling in take idle
//!   workers first: a ReplicaSet removes pods that are not ready before those that are.
//! - `/healthz` is 200.
//! - `/metrics` has what this process has archived.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use s3bundler_contract::{ExitCode, Receipt};
use tokio::net::TcpListener;

use crate::failure::Failure;

/// A request that does not come to its point is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// What a worker is doing and has done. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Activity {
    registry: Arc<Registry>,
    held: Gauge,
    groups: Family<Outcome, Counter>,
    objects: Family<Outcome, Counter>,
    bytes: Family<Outcome, Counter>,
}

impl Default for Activity {
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
        let objects = family("worker_objects", "Objects of groups archived here, by outcome");
        let bytes = family("worker_bytes", "Bytes of groups archived here, by outcome");
        Self { registry: Arc::new(registry), held, groups, objects, bytes }
    }
}

/// A group that is held, for as long as this lives.
#[derive(Debug)]
pub struct Holding(Gauge);

impl Drop for Holding {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Activity {
    /// A group is held from now on.
    pub fn hold(&self) -> Holding {
        self.held.inc();
        Holding(self.held.clone())
    }

    /// A group was archived here.
    pub fn archived(&self, receipt: &Receipt) {
        self.count("archived");
        let figures = [
            ("archived", receipt.archived, receipt.archived_bytes),
            ("copied", receipt.copied, receipt.copied_bytes),
            ("failed", receipt.failed_objects(), receipt.failed_bytes),
        ];
        for (outcome, objects, bytes) in figures {
            self.objects.get_or_create(&Outcome { outcome }).inc_by(objects);
            self.bytes.get_or_create(&Outcome { outcome }).inc_by(bytes);
        }
    }

    /// Something else came of a group: `archived_before`, `failed`, `given_back`.
    pub fn count(&self, outcome: &'static str) {
        self.groups.get_or_create(&Outcome { outcome }).inc();
    }

    /// Answers at this address for as long as the process lives.
    pub async fn listen(&self, address: SocketAddr) -> Result<SocketAddr, Failure> {
        let fail = |error| Failure::new(ExitCode::Local, format!("--listen {address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(fail)?;
        let bound = listener.local_addr().map_err(fail)?;
        let activity = self.clone();
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => drop(tokio::spawn(activity.clone().answer(stream))),
                    // Out of file descriptors, most likely: later there may be some.
                    Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                }
            }
        });
        Ok(bound)
    }

    async fn answer(self, stream: tokio::net::TcpStream) {
        let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
            std::future::ready(Ok::<_, Infallible>(self.page(request.uri().path())))
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        let served = http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
        if let Err(error) = served.serve_connection(TokioIo::new(stream), service).await {
            tracing::debug!(%error, "a request broke off");
        }
    }

    fn page(&self, path: &str) -> Response<Full<Bytes>> {
        let (status, text) = match path {
            "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
            "/busy" if self.held.get() > 0 => (StatusCode::OK, format!("{} groups\n", self.held.get())),
            "/busy" => (StatusCode::SERVICE_UNAVAILABLE, "idle\n".to_owned()),
            "/metrics" => {
                let mut text = String::new();
                match encode(&mut text, &self.registry) {
                    Ok(()) => (StatusCode::OK, text),
                    Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
                }
            }
            _ => (StatusCode::NOT_FOUND, "busy, healthz, metrics\n".to_owned()),
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        let kind = http::HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_for_as_long_as_a_group_is_held() {
        let activity = Activity::default();
        let busy = || activity.page("/busy").status();
        assert_eq!(busy(), StatusCode::SERVICE_UNAVAILABLE);
        let (first, second) = (activity.hold(), activity.hold());
        drop(first);
        assert_eq!(busy(), StatusCode::OK);
        drop(second);
        assert_eq!(busy(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
