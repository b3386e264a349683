//! The HTTP server: it applies the weather, calls the service, counts the request, and serves the
//! control requests.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::SimulatorOptions;
use super::meter::Meter;
use super::population::Population;
use super::refusal::Refusal;
use super::request::{Asked, bucket_of_host};
use super::service::{Answer, Settings, answer};
use super::store::Store;
use super::weather::{Fate, OutageKind, Sky, Weather};

/// Paths of the control begin with this: no bucket's name may have an underscore.
const CONTROL: &str = "/_simulator/";

/// State that all requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) sky: Sky,
    pub(super) meter: Meter,
    thaw_ms: AtomicU64,
    digests_from: u64,
    /// Hosts whose subdomains are buckets.
    hosts: Vec<String>,
}

/// Body of a request for a bucket of objects by rule.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewBucket {
    name: String,
    population: Population,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Thaw {
    seconds: u64,
}

impl Shared {
    pub(super) fn with(options: SimulatorOptions) -> Self {
        Self {
            store: Store::default(),
            sky: Sky::with(options.weather),
            meter: Meter::default(),
            thaw_ms: AtomicU64::new(milliseconds(options.thaw)),
            digests_from: options.digests_from,
            hosts: options.hosts,
        }
    }

    pub(super) fn set_thaw(&self, thaw: Duration) {
        self.thaw_ms.store(milliseconds(thaw), Ordering::Relaxed);
    }

    fn settings(&self) -> Settings {
        Settings {
            thaw: Duration::from_millis(self.thaw_ms.load(Ordering::Relaxed)),
            digests_from: self.digests_from,
        }
    }

    /// Answers a request. An error closes the connection without an answer.
    async fn serve(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let host = head.uri.host().or_else(|| {
            let host = head.headers.get(header::HOST)?;
            host.to_str().ok()
        });
        let bucket = host.and_then(|host| bucket_of_host(host, &self.hosts));
        let bucket = bucket.map(str::to_owned);
        if bucket.is_none() && head.uri.path().starts_with(CONTROL) {
            return Ok(self.control(&head.method, head.uri.path(), &body));
        }
        let (bytes_in, is_head) = (body.len() as u64, head.method == Method::HEAD);
        let refused = |refusal: Refusal| Answer::of(&refusal, head.uri.path());
        let asked = Asked::of(
            head.method,
            &head.uri,
            head.headers,
            body,
            bucket.as_deref(),
        );
        let asked = match asked {
            Ok(asked) => asked,
            Err(refusal) => return Ok(response(refused(refusal), is_head)),
        };
        let answered = match self.sky.fate(&asked) {
            Fate::After(latency) => {
                if !latency.is_zero() {
                    tokio::time::sleep(latency).await;
                }
                answer(&self.store, self.settings(), &asked, SystemTime::now())
            }
            Fate::Fails(OutageKind::SlowDown) => Err(Refusal::SLOW_DOWN),
            Fate::Fails(OutageKind::Unavailable) => Err(Refusal::UNAVAILABLE),
            Fate::Fails(OutageKind::Drop) => {
                self.meter.refuse();
                return Err(io::Error::other("an outage"));
            }
            Fate::Fails(OutageKind::Hang) => {
                self.meter.refuse();
                return std::future::pending().await;
            }
        };
        let answer = answered.unwrap_or_else(refused);
        if answer.status.is_server_error() {
            self.meter.refuse();
        } else {
            let bytes_out = if is_head { 0 } else { answer.body.len() as u64 };
            self.meter.request(&asked, bytes_in, bytes_out);
        }
        Ok(response(answer, is_head))
    }

    /// Changes the simulator while it runs.
    fn control(&self, method: &Method, path: &str, body: &[u8]) -> Response<Full<Bytes>> {
        let done = match (method, &path[CONTROL.len()..]) {
            (&Method::GET, "meter") => json(&self.meter.read()),
            (&Method::DELETE, "meter") => {
                self.meter.reset();
                Ok(String::new())
            }
            (&Method::GET, "weather") => json(&self.sky.weather()),
            (&Method::PUT, "weather") => parsed(body).map(|weather: Weather| {
                self.sky.set(weather);
                String::new()
            }),
            (&Method::PUT, "thaw") => parsed(body).map(|thaw: Thaw| {
                self.set_thaw(Duration::from_secs(thaw.seconds));
                String::new()
            }),
            (&Method::POST, "buckets") => parsed(body).and_then(|new: NewBucket| {
                self.store
                    .create(&new.name, Some(new.population), SystemTime::now())
                    .map(|()| String::new())
                    .map_err(|refusal| refusal.message.into_owned())
            }),
            _ => Err(format!("{method} {path} is not known")),
        };
        let (status, text) = match done {
            Ok(text) => (StatusCode::OK, text),
            Err(text) => (StatusCode::BAD_REQUEST, text),
        };
        let mut response = Response::new(Full::new(text.into()));
        *response.status_mut() = status;
        response
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn json(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| error.to_string())
}

fn parsed<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn response(answer: Answer, is_head: bool) -> Response<Full<Bytes>> {
    let length = answer.length.unwrap_or(answer.body.len() as u64);
    let body = if is_head { Bytes::new() } else { answer.body };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    if is_head {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.headers_mut().insert(
        "x-amz-request-id",
        HeaderValue::from_static("SIMULATED0000000"),
    );
    response
}

/// Serves until the runtime ends, over TLS if there is an acceptor.
pub(super) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => converse(stream, &shared).await,
                // A client that does not trust the certificate closes the connection.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        converse(stream, &shared).await;
                    }
                }
            }
        });
    }
}

/// Serves a connection to its end.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) {
    let service = service_fn(|request| shared.serve(request));
    // A client may close its connection at any time.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
