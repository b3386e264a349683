//! The way of one request through the proxy. Every request has a connection of its own to the
//! server, so that no fault of an idle connection is ever mistaken for one that was asked for.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version, header,
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::body::{AnswerBody, Damage};
use super::fault::{Fault, error_document};
use super::log::{InFlight, Log, Seen};
use super::operation::Operation;

type Rule = Arc<dyn Fn(&Seen) -> Fault + Send + Sync>;
type OnRequest = Arc<dyn Fn(&Seen) + Send + Sync>;
type AfterResponse = Arc<dyn Fn(&Seen, StatusCode) + Send + Sync>;
type Answer = Response<AnswerBody>;

/// What all requests share: the server's address, the rule, the hooks and the log.
pub(super) struct Exchange {
    /// `host:port`.
    server: String,
    rule: RwLock<Rule>,
    on_request: RwLock<OnRequest>,
    after_response: RwLock<AfterResponse>,
    log: Arc<Log>,
    /// What the first panic of a rule or a hook said.
    panicked: Mutex<Option<String>>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Exchange {
    pub(super) fn with(server: String) -> Self {
        Self {
            server,
            rule: RwLock::new(Arc::new(|_| Fault::Forward)),
            on_request: RwLock::new(Arc::new(|_| ())),
            after_response: RwLock::new(Arc::new(|_, _| ())),
            log: Arc::default(),
            panicked: Mutex::default(),
        }
    }

    pub(super) fn set_rule(&self, rule: Rule) {
        *self.rule.write().unwrap_or_else(PoisonError::into_inner) = rule;
    }

    pub(super) fn set_on_request(&self, hook: OnRequest) {
        *self
            .on_request
            .write()
            .unwrap_or_else(PoisonError::into_inner) = hook;
    }

    pub(super) fn set_after_response(&self, hook: AfterResponse) {
        *self
            .after_response
            .write()
            .unwrap_or_else(PoisonError::into_inner) = hook;
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// What the first panic of a rule or a hook said.
    pub(super) fn panicked(&self) -> Option<String> {
        self.panicked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// One request. A panic of a rule or a hook closes the client's connection and is kept for the
    /// test: the client would only send its request again.
    async fn watched(&self, request: Request<Incoming>) -> io::Result<Answer> {
        let exchange = AssertUnwindSafe(self.exchange(request)).catch_unwind();
        exchange.await.unwrap_or_else(|panic| {
            let message = message_of(&*panic);
            let mut panicked = self.panicked.lock().unwrap_or_else(PoisonError::into_inner);
            Err(io::Error::other(panicked.get_or_insert(message).clone()))
        })
    }

    /// One request. An error closes the client's connection without an answer.
    async fn exchange(&self, request: Request<Incoming>) -> io::Result<Answer> {
        let (seen, mut in_flight) =
            self.log
                .arrive(request.method(), request.uri(), request.headers());
        // Cloned out, so that a hook may set another.
        let on_request = Arc::clone(
            &self
                .on_request
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        );
        on_request(&seen);
        let rule = Arc::clone(&self.rule.read().unwrap_or_else(PoisonError::into_inner));
        match rule(&seen) {
            Fault::Forward => self.forward(request, &seen, Damage::None, in_flight).await,
            Fault::TruncateBody(bytes) => {
                self.forward(request, &seen, Damage::Truncate(bytes), in_flight)
                    .await
            }
            Fault::StallBody(bytes) => {
                self.forward(request, &seen, Damage::Stall(bytes), in_flight)
                    .await
            }
            Fault::CorruptBody(offset) => {
                self.forward(request, &seen, Damage::Corrupt(offset), in_flight)
                    .await
            }
            Fault::Unframed { close, end } => {
                let mut answer = self
                    .forward(request, &seen, Damage::Unframed(end), in_flight)
                    .await?;
                answer.headers_mut().remove(header::CONTENT_LENGTH);
                if close {
                    // The connection ends an answer of this version.
                    *answer.version_mut() = Version::HTTP_10;
                }
                Ok(answer)
            }
            Fault::SetHeader { name, value } => {
                let value = HeaderValue::from_bytes(value).map_err(io::Error::other)?;
                let mut answer = self
                    .forward(request, &seen, Damage::None, in_flight)
                    .await?;
                answer.headers_mut().insert(name, value);
                Ok(answer)
            }
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                self.forward(request, &seen, Damage::None, in_flight).await
            }
            Fault::DropBefore => Err(io::Error::other("dropped before forwarding")),
            Fault::DropAfter => {
                self.forward_and_forget(request, &seen).await?;
                Err(io::Error::other("dropped after forwarding"))
            }
            Fault::Hang => {
                std::future::pending::<()>().await;
                unreachable!("a pending future never ends")
            }
            Fault::FailBefore { status, code } => {
                read_to_end(request.into_body()).await?;
                in_flight.status = Some(status);
                failure(status, code, &seen, in_flight)
            }
            Fault::Throttle => {
                read_to_end(request.into_body()).await?;
                in_flight.status = Some(503);
                failure(503, "SlowDown", &seen, in_flight)
            }
            Fault::FailAfter { status, code } => {
                self.forward_and_forget(request, &seen).await?;
                in_flight.status = Some(status);
                failure(status, code, &seen, in_flight)
            }
            Fault::Respond {
                status,
                headers,
                body,
            } => {
                read_to_end(request.into_body()).await?;
                in_flight.status = Some(status);
                answer(status, &headers, body, in_flight)
            }
        }
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        seen: &Seen,
        damage: Damage,
        mut in_flight: InFlight,
    ) -> io::Result<Answer> {
        let (mut head, body) = self.ask(request).await?.into_parts();
        head.headers.remove(header::CONNECTION);
        in_flight.status = Some(head.status.as_u16());
        // The bodies of objects are streamed; any other is read first, because S3 works on while it
        // already answers.
        let body = if seen.operation == Operation::GetObject {
            self.answered(seen, head.status);
            AnswerBody::streamed(body, damage, in_flight)
        } else if body_is_left_out(seen, head.status) {
            self.answered(seen, head.status);
            AnswerBody::streamed(body, Damage::None, in_flight)
        } else {
            let bytes = read_to_end(body).await?;
            self.answered(seen, head.status);
            AnswerBody::whole(bytes, damage, in_flight)
        };
        Ok(Response::from_parts(head, body))
    }

    async fn forward_and_forget(&self, request: Request<Incoming>, seen: &Seen) -> io::Result<()> {
        let (head, body) = self.ask(request).await?.into_parts();
        read_to_end(body).await?;
        self.answered(seen, head.status);
        Ok(())
    }

    fn answered(&self, seen: &Seen, status: StatusCode) {
        let hook = Arc::clone(
            &self
                .after_response
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        );
        hook(seen, status);
    }

    /// Sends the request on, as it is but for what belongs to the connection.
    async fn ask(&self, request: Request<Incoming>) -> io::Result<Response<Incoming>> {
        let (mut head, body) = request.into_parts();
        head.headers.remove(header::CONNECTION);
        if let Some(target) = head.uri.path_and_query() {
            head.uri = Uri::from(target.clone());
        }
        let stream = TcpStream::connect(&self.server).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .preserve_header_case(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(connection);
        sender
            .send_request(Request::from_parts(head, body))
            .await
            .map_err(io::Error::other)
    }
}

/// Accepts until the runtime ends.
pub(super) async fn serve(listener: TcpListener, exchange: Arc<Exchange>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: let some go.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let exchange = Arc::clone(&exchange);
        let service = service_fn(move |request| {
            let exchange = Arc::clone(&exchange);
            async move { exchange.watched(request).await }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .preserve_header_case(true)
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
        .to_owned()
}

async fn read_to_end(body: Incoming) -> io::Result<Bytes> {
    Ok(body.collect().await.map_err(io::Error::other)?.to_bytes())
}

/// HEAD, 204 and 304 have the headers of a body and no body.
fn body_is_left_out(seen: &Seen, status: StatusCode) -> bool {
    seen.method == http::Method::HEAD
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

fn failure(status: u16, code: &str, seen: &Seen, in_flight: InFlight) -> io::Result<Answer> {
    let body = if seen.method == http::Method::HEAD {
        Bytes::new()
    } else {
        error_document(code, &seen.path)
    };
    answer(
        status,
        &[("content-type".to_owned(), "application/xml".to_owned())],
        body,
        in_flight,
    )
}

fn answer(
    status: u16,
    headers: &[(String, String)],
    body: Bytes,
    in_flight: InFlight,
) -> io::Result<Answer> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().map_err(io::Error::other)?;
        map.append(
            name,
            HeaderValue::from_str(value).map_err(io::Error::other)?,
        );
    }
    let mut response = Response::new(AnswerBody::whole(body, Damage::None, in_flight));
    *response.status_mut() = StatusCode::from_u16(status).map_err(io::Error::other)?;
    *response.headers_mut() = map;
    Ok(response)
}
