//! Queues that never change: an SQS that only answers GetQueueAttributes.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::servers::Access;

/// What the URLs of dead-letter queues end with.
const DEAD: &str = "-dead";

/// A server, gone when dropped.
#[derive(Debug)]
pub struct IdleQueues {
    access: Access,
    requests: Arc<AtomicU64>,
    runtime: Option<Runtime>,
}

impl IdleQueues {
    /// Starts a server of queues with so many messages in flight, and none that waits.
    pub fn start(in_flight: u64) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("queues")
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let requests = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&requests);
        runtime.spawn(async move {
            let Ok(listener) = TcpListener::from_std(listener) else {
                return;
            };
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let counted = Arc::clone(&counted);
                let service = service_fn(move |request| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    answer(request, in_flight)
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Ok(Self {
            access: Access::new(format!("http://{address}"), "queues", "queues-secret"),
            requests,
            runtime: Some(runtime),
        })
    }

    /// The address and the keys, which are not checked.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The URL of a run's queue; that of its dead-letter queue ends with `-dead`.
    pub fn url(&self, run: &str) -> String {
        format!("{}/111122223333/{run}", self.access.endpoint)
    }

    /// Requests since the start.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for IdleQueues {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    in_flight: u64,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await;
    let body = body.map(Collected::to_bytes).unwrap_or_default();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let is_dead = asked["QueueUrl"]
        .as_str()
        .is_some_and(|url| url.ends_with(DEAD));
    let in_flight = if is_dead { 0 } else { in_flight };
    let attributes = json!({"Attributes": {
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
        "ApproximateNumberOfMessagesNotVisible": in_flight.to_string(),
    }});
    let mut response = Response::new(Full::new(attributes.to_string().into()));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-amz-json-1.0"),
    );
    headers.insert(
        "x-amzn-requestid",
        HeaderValue::from_static("00000000-0000-4000-8000-000000000000"),
    );
    Ok(response)
}
