//! The HTTP server.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, timeout_at};

use super::asked::Asked;
use super::store::Store;

/// A watch that sets no limit of its own.
const LONGEST_WATCH: u64 = 300;

type Body = UnsyncBoxBody<Bytes, Infallible>;
/// The status and the object of an answer.
type Answer = (StatusCode, Value);

/// What all connections share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    store: Mutex<Store>,
    requests: Mutex<BTreeMap<String, u64>>,
    refused: Mutex<BTreeMap<String, StatusCode>>,
}

impl Shared {
    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn requests(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resources whose requests are refused, with the status.
    pub(super) fn refused(&self) -> MutexGuard<'_, BTreeMap<String, StatusCode>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let Some(asked) = Asked::of(&head.uri, &head.headers) else {
            return Ok(whole(not_found(head.uri.path())));
        };
        *self
            .requests()
            .entry(asked.label(&head.method))
            .or_default() += 1;
        if let Some(status) = self.refused().get(&asked.resource) {
            return Ok(whole(refusal(*status, "Refused", &asked.resource)));
        }
        if asked.is_watch() {
            return Ok(self.watch(asked));
        }
        let is_partial = asked.is_partial;
        let sent = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let (status, object) = self.carry_out(&head.method, &asked, sent);
        Ok(whole(if is_partial && status.is_success() {
            let metadata = &object["metadata"];
            let partial = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata});
            (status, partial)
        } else {
            (status, object)
        }))
    }

    fn carry_out(&self, method: &Method, asked: &Asked, sent: Value) -> Answer {
        let mut store = self.store();
        let resource = asked.resource.as_str();
        let namespace = asked.namespace.as_deref().unwrap_or_default();
        let Some(name) = asked.name.as_deref() else {
            return match *method {
                Method::GET => (StatusCode::OK, store.list(asked)),
                Method::POST => {
                    let mut object = sent;
                    object["metadata"]["namespace"] = json!(namespace);
                    let name = object["metadata"]["name"].as_str().unwrap_or_default();
                    if store.get(resource, namespace, name).is_some() {
                        return refusal(StatusCode::CONFLICT, "AlreadyExists", name);
                    }
                    (StatusCode::CREATED, store.put(resource, object))
                }
                _ => refusal(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", resource),
            };
        };
        let known = store.get(resource, namespace, name).cloned();
        match (method, known) {
            (&Method::GET, Some(object)) => (StatusCode::OK, object),
            (&Method::PUT, Some(_)) => (StatusCode::OK, store.put(resource, sent)),
            (&Method::DELETE, Some(object)) => {
                let preconditions = &sent["preconditions"];
                let is_other = |field| {
                    let wanted = &preconditions[field];
                    wanted.is_string() && *wanted != object["metadata"][field]
                };
                if is_other("uid") || is_other("resourceVersion") {
                    return refusal(StatusCode::CONFLICT, "Conflict", name);
                }
                let deleted = store.delete(resource, namespace, name);
                (StatusCode::OK, deleted.unwrap_or_default())
            }
            (&Method::PATCH, Some(object)) => {
                let version = &sent["metadata"]["resourceVersion"];
                if version.is_string() && *version != object["metadata"]["resourceVersion"] {
                    return refusal(StatusCode::CONFLICT, "Conflict", name);
                }
                let is_scale = asked.subresource.as_deref() == Some("scale");
                let part = match asked.subresource.as_deref() {
                    Some("status") => json!({"status": sent["status"]}),
                    Some("scale") => json!({"spec": {"replicas": sent["spec"]["replicas"]}}),
                    _ => sent,
                };
                let mut changed = object;
                merge(&mut changed, part);
                let changed = store.put(resource, changed);
                (
                    StatusCode::OK,
                    if is_scale { scale(&changed) } else { changed },
                )
            }
            (&Method::PATCH, None) if asked.is_apply && asked.subresource.is_none() => {
                let mut object = sent;
                object["metadata"]["namespace"] = json!(namespace);
                (StatusCode::CREATED, store.put(resource, object))
            }
            _ => not_found(name),
        }
    }

    fn watch(&self, asked: Asked) -> Response<Body> {
        let seconds = asked
            .query("timeoutSeconds")
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or(LONGEST_WATCH);
        let until = Instant::now() + Duration::from_secs(seconds);
        let body = match self.store().watch(asked) {
            Ok(lines) => StreamBody::new(lines_until(lines, until).map(Ok)).boxed_unsync(),
            Err(line) => Full::new(line).boxed_unsync(),
        };
        response(StatusCode::OK, body)
    }
}

/// The subresource that scales an object.
fn scale(object: &Value) -> Value {
    let (metadata, replicas) = (&object["metadata"], &object["spec"]["replicas"]);
    json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata,
        "spec": {"replicas": replicas}, "status": {"replicas": replicas},
    })
}

/// Merges a patch of type `application/merge-patch+json` (RFC 7396).
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                if value.is_null() {
                    into.remove(&key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (into, from @ Value::Object(_)) => {
            *into = json!({});
            merge(into, from);
        }
        (into, from) => *into = from,
    }
}

fn lines_until(
    lines: UnboundedReceiver<Bytes>,
    until: Instant,
) -> impl futures_util::Stream<Item = Frame<Bytes>> {
    stream::unfold(lines, move |mut lines| async move {
        let line = timeout_at(until, lines.recv()).await.ok()??;
        Some((Frame::data(line), lines))
    })
}

fn not_found(name: &str) -> Answer {
    refusal(StatusCode::NOT_FOUND, "NotFound", name)
}

fn refusal(status: StatusCode, reason: &str, name: &str) -> Answer {
    let code = status.as_u16();
    let object = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "code": code,
        "message": format!("{name}: {reason}")});
    (status, object)
}

fn whole((status, object): Answer) -> Response<Body> {
    response(
        status,
        Full::new(Bytes::from(object.to_string())).boxed_unsync(),
    )
}

fn response(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
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
            let service = service_fn(|request| shared.answer(request));
            // A client may close its connection at any time.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
