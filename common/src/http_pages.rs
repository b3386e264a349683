//! Pages of plain text over HTTP, for Kubernetes' probes, for Prometheus and for `helm test`.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};

/// A request that does not come to its point is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a page says.
pub type Page = (StatusCode, String);

/// Listens at an address. `[::]` is IPv6 and IPv4 alike (`net.ipv6.bindv6only` is 0 unless somebody
/// changed it), and IPv4 alone on a machine without IPv6.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    if bound.is_err() && address.ip() == Ipv6Addr::UNSPECIFIED {
        let only_v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
        return TcpListener::bind(only_v4).await.or(bound);
    }
    bound
}

/// Answers every request with the page of its path, for as long as the program lives.
pub async fn serve(
    listener: TcpListener,
    page: impl Fn(&str) -> Page + Clone + Send + Sync + 'static,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(answer(stream, page.clone()))),
            // Out of file descriptors, most likely: later there may be some.
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

/// The page of what a registry holds.
pub fn metrics(registry: &Registry) -> Page {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => (StatusCode::OK, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// The page of a program that serves at `host:port`.
pub async fn get(address: &str, path: &str) -> io::Result<Page> {
    let asked = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(connection);
        let request = Request::get(path)
            .header(http::header::HOST, address)
            .body(Empty::<Bytes>::new())
            .map_err(io::Error::other)?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        let status = answer.status();
        let text = answer.into_body().collect().await;
        let text = text.map_err(io::Error::other)?.to_bytes();
        Ok((status, String::from_utf8_lossy(&text).into_owned()))
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn answer(stream: TcpStream, page: impl Fn(&str) -> Page) {
    let service = service_fn(|request: Request<Incoming>| {
        let (status, text) = page(request.uri().path());
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        let kind =
            HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, kind);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    let served = http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    if let Err(error) = served.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a request broke off");
    }
}

#[cfg(test)]
mod tests;
