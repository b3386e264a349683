//! HTTP around the service: the weather before it, the meter after it, and the control beside it.

use std::convert::Infallible;
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
use tokio::net::TcpListener;

use super::meter::Meter;
use super::population::Population;
use super::refusal::Refusal;
use super::request::Asked;
use super::service::{Answer, Settings, answer};
use super::store::Store;
use super::weather::{Fate, OutageKind, Sky, Weather};

/// Paths of the control begin with this: no bucket's name may have an underscore.
const CONTROL: &str = "/_simulator/";

/// Everything that requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) sky: Sky,
    pub(super) meter: Meter,
    thaw_seconds: AtomicU64,
    digests_from: u64,
}

/// What is asked of the control.
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
    pub(super) fn with(weather: Weather, thaw: Duration, digests_from: u64) -> Self {
        Self {
            store: Store::default(),
            sky: Sky::with(weather),
            meter: Meter::default(),
            thaw_seconds: AtomicU64::new(thaw.as_secs()),
            digests_from,
        }
    }

    pub(super) fn set_thaw(&self, thaw: Duration) {
        self.thaw_seconds.store(thaw.as_secs(), Ordering::Relaxed);
    }

    fn settings(&self) -> Settings {
        Settings {
            thaw: Duration::from_secs(self.thaw_seconds.load(Ordering::Relaxed)),
            digests_from: self.digests_from,
        }
    }

    /// One request. An error closes the connection without an answer.
    async fn serve(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        if head.uri.path().starts_with(CONTROL) {
            return Ok(self.control(&head.method, head.uri.path(), &body));
        }
        let resource = head.uri.path().to_owned();
        let bytes_in = body.len() as u64;
        let (method, is_head) = (head.method.clone(), head.method == Method::HEAD);
        let asked = match Asked::of(head.method, &head.uri, head.headers, body) {
            Ok(asked) => asked,
            Err(refusal) => return Ok(self.send(Answer::of(&refusal, &resource), 0, is_head)),
        };
        let is_read = matches!(method, Method::GET | Method::HEAD);
        match self.sky.fate(&asked.bucket, &asked.key, is_read) {
            Fate::After(latency) if latency.is_zero() => {}
            Fate::After(latency) => tokio::time::sleep(latency).await,
            Fate::Fails(OutageKind::Drop) => {
                self.meter.refuse();
                return Err(io::Error::other("an outage"));
            }
            Fate::Fails(OutageKind::Hang) => {
                self.meter.refuse();
                std::future::pending::<Infallible>().await;
            }
            Fate::Fails(kind) => {
                self.meter.refuse();
                let refusal = if kind == OutageKind::SlowDown {
                    Refusal::SLOW_DOWN
                } else {
                    Refusal::UNAVAILABLE
                };
                let mut refused = response(Answer::of(&refusal, &resource), is_head);
                refused
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
                return Ok(refused);
            }
        }
        let answered = answer(&self.store, self.settings(), &asked, SystemTime::now())
            .unwrap_or_else(|refusal| Answer::of(&refusal, &resource));
        Ok(self.send(answered, bytes_in, is_head))
    }

    fn send(&self, answer: Answer, bytes_in: u64, is_head: bool) -> Response<Full<Bytes>> {
        let bytes_out = if is_head { 0 } else { answer.body.len() as u64 };
        self.meter.request(answer.usage, bytes_in, bytes_out);
        response(answer, is_head)
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
                    .map_err(|refusal| refusal.message.to_owned())
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

/// Serves until the runtime ends.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| shared.serve(request));
            // A client that goes away in the middle is nothing to tell of.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
