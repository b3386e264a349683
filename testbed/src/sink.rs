//! A server that receives events: it keeps what it was sent, and answers as it is told to.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// How a sink answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SinkAnswer {
    /// It accepts everything: 204.
    #[default]
    Accept,
    /// This status.
    Status(u16),
    /// 307, to another URL.
    Redirect(String),
    /// Nothing, ever.
    Hang,
}

/// A request.
#[derive(Debug, Clone)]
pub struct ReceivedEvent {
    /// Method and path, such as `POST /events`.
    pub target: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, null if it is no JSON.
    pub body: Value,
    /// How it was answered.
    pub answer: SinkAnswer,
}

#[derive(Debug, Default)]
struct Shared {
    answer: SinkAnswer,
    received: Vec<ReceivedEvent>,
}

/// A running sink, gone when dropped.
#[derive(Debug)]
pub struct EventSink {
    url: String,
    shared: Arc<Mutex<Shared>>,
    runtime: Option<Runtime>,
}

impl EventSink {
    /// Starts one that accepts everything.
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("sink")
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}/events", listener.local_addr()?);
        let shared = Arc::default();
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        runtime.spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self {
            url,
            shared,
            runtime: Some(runtime),
        })
    }

    /// Where events are sent.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on it answers like this.
    pub fn answer(&self, answer: SinkAnswer) {
        lock(&self.shared).answer = answer;
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<ReceivedEvent> {
        lock(&self.shared).received.clone()
    }

    /// The events that it accepted.
    pub fn accepted(&self) -> Vec<Value> {
        let accepted = self.received().into_iter();
        accepted
            .filter(|it| it.answer == SinkAnswer::Accept)
            .map(|it| it.body)
            .collect()
    }
}

impl Drop for EventSink {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Allowed inside another runtime, which an ordinary drop is not.
            runtime.shutdown_background();
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| receive(request, &shared));
            // A client may close its connection at any time.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn receive(
    request: Request<Incoming>,
    shared: &Mutex<Shared>,
) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let answer = {
        let mut shared = lock(shared);
        let answer = shared.answer.clone();
        shared.received.push(ReceivedEvent {
            target: format!("{} {}", head.method, head.uri),
            headers: head.headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
            answer: answer.clone(),
        });
        answer
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = match answer {
        SinkAnswer::Accept => StatusCode::NO_CONTENT,
        SinkAnswer::Status(status) => {
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        }
        SinkAnswer::Redirect(to) => {
            if let Ok(to) = to.parse() {
                response.headers_mut().insert(header::LOCATION, to);
            }
            StatusCode::TEMPORARY_REDIRECT
        }
        SinkAnswer::Hang => std::future::pending().await,
    };
    Ok(response)
}
