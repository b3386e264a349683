//! A server that receives events, over HTTP ("HTTP Protocol Binding for CloudEvents", structured
//! content mode). Its address is the operator's owner's alone: a run cannot name one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector as _, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http::{HeaderName, HeaderValue, Uri};
use s3bundler_common::causes::with_causes;
use s3bundler_common::http_client::{self, HttpClientError};
use s3bundler_common::outcome::Outcome;
use s3bundler_contract::{ExitCode, HasExitCode};

use super::event::CloudEvent;

/// An event with its answer. Sinks that do more than to take it down are too slow for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Sinks, at most: as many as the status of a run has room for.
const MOST: usize = 16;
/// Longest name: that of a DNS label.
const MAX_NAME: usize = 63;
const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";
const USER_AGENT: &str = concat!("s3bundler-operator/", env!("CARGO_PKG_VERSION"));

/// What is wrong with the sinks of the command line.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error("--notify: {0} sinks are more than {MOST}")]
    TooMany(usize),
    #[error("--notify: {0:?} is not a DNS label, or the name of two sinks")]
    Name(String),
    /// There may be a password in it, so the URL is not shown.
    #[error("--notify: the URL of {0} is not an http or https URL without user and password")]
    Url(String),
    #[error("--notify-headers: there is no sink {0}")]
    Unknown(String),
    #[error("--notify-headers of {sink}: {cause}")]
    Headers { sink: String, cause: HeadersError },
    #[error(transparent)]
    Client(#[from] HttpClientError),
}

impl HasExitCode for SinkError {
    fn exit_code(&self) -> ExitCode {
        ExitCode::Usage
    }
}

/// Why the headers of a sink cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HeadersError {
    #[error("cannot read {path}: {cause}", path = .path.display())]
    Read { path: PathBuf, cause: io::Error },
    /// The value is not shown.
    #[error("{} is not a header with its value", .0.display())]
    Invalid(PathBuf),
}

/// Where events go.
#[derive(Debug, Clone)]
pub struct Sink {
    name: String,
    url: Uri,
    /// A folder with a file for each header, as the kubelet mounts a Secret. It is read for every
    /// event, because a Secret may change.
    headers: Option<PathBuf>,
    connector: SharedHttpConnector,
}

impl Sink {
    /// The sinks of the command line: names with URLs, and names with folders of headers.
    pub fn all(
        urls: &[(String, String)],
        headers: &[(String, String)],
    ) -> Result<Vec<Self>, SinkError> {
        if urls.len() > MOST {
            return Err(SinkError::TooMany(urls.len()));
        }
        if let Some((name, _)) = headers
            .iter()
            .find(|(name, _)| url_of(urls, name).is_none())
        {
            return Err(SinkError::Unknown(name.clone()));
        }
        let mut sinks: Vec<Self> = Vec::new();
        for (name, url) in urls {
            if !is_label(name) || sinks.iter().any(|sink| sink.name == *name) {
                return Err(SinkError::Name(name.clone()));
            }
            let sink = Self {
                name: name.clone(),
                url: parse(url).ok_or_else(|| SinkError::Url(name.clone()))?,
                headers: url_of(headers, name).map(PathBuf::from),
                connector: http_client::connector()?,
            };
            sink.headers().map_err(|cause| SinkError::Headers {
                sink: name.clone(),
                cause,
            })?;
            sinks.push(sink);
        }
        Ok(sinks)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Sends an event. Only an answer of success counts; a redirect is not followed.
    pub(super) async fn post(&self, event: &CloudEvent<'_>) -> Result<(), Undelivered> {
        let request = self.request(event)?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.connector.call(request));
        let answer = answer
            .await
            .map_err(|_| Undelivered::NoAnswer("it took longer than 10 s".to_owned()))?
            .map_err(|error| Undelivered::NoAnswer(with_causes(&error)))?;
        match answer.status().as_u16() {
            200..=299 => Ok(()),
            status => Err(Undelivered::Status(status)),
        }
    }

    fn request(&self, event: &CloudEvent<'_>) -> Result<HttpRequest, Undelivered> {
        let body = serde_json::to_vec(event).expect("an event is plain JSON");
        let headers = self
            .headers()
            .map_err(|error| Undelivered::Headers(error.to_string()))?;
        let mut request = http::Request::post(self.url.clone())
            .body(SdkBody::from(body))
            .expect("a URL is all that it has");
        let known = [
            (http::header::CONTENT_TYPE, CONTENT_TYPE),
            (http::header::USER_AGENT, USER_AGENT),
        ];
        let known = known.map(|(name, value)| (name, HeaderValue::from_static(value)));
        request
            .headers_mut()
            .extend(headers.into_iter().chain(known));
        HttpRequest::try_from(request)
            .map_err(|_| Undelivered::Headers("a value is not UTF-8".to_owned()))
    }

    fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, HeadersError> {
        self.headers.as_deref().map_or(Ok(Vec::new()), headers_in)
    }
}

/// The headers of a folder: a file is named by its header and has the value in it. Hidden files are
/// the kubelet's.
fn headers_in(folder: &Path) -> Result<Vec<(HeaderName, HeaderValue)>, HeadersError> {
    let read = |path: &Path| {
        let path = path.to_owned();
        |cause| HeadersError::Read { path, cause }
    };
    let mut headers = Vec::new();
    for entry in fs::read_dir(folder).map_err(read(folder))? {
        let path = entry.map_err(read(folder))?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if name.starts_with(b".") {
            continue;
        }
        let value = fs::read(&path).map_err(read(&path))?;
        let header = HeaderName::from_bytes(name).ok().zip(
            HeaderValue::from_bytes(value.trim_ascii_end())
                .ok()
                .filter(|value| value.to_str().is_ok()),
        );
        headers.push(header.ok_or(HeadersError::Invalid(path))?);
    }
    Ok(headers)
}

fn url_of<'a>(urls: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = urls.iter().find(|(known, _)| known == name);
    found.map(|(_, url)| url.as_str())
}

fn is_label(name: &str) -> bool {
    let is_plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.len() <= MAX_NAME
        && ends
            .into_iter()
            .all(|it| it.is_some_and(|it| is_plain(*it)))
        && bytes.iter().all(|it| is_plain(*it) || *it == b'-')
}

fn parse(url: &str) -> Option<Uri> {
    let url: Uri = url.parse().ok()?;
    let is_http = matches!(url.scheme_str(), Some("http" | "https"));
    let is_plain = url
        .authority()
        .is_some_and(|authority| !authority.as_str().contains('@'));
    (is_http && is_plain).then_some(url)
}

/// Why a sink did not get an event. The text is shown to the owner of the run, so it has neither
/// address nor answer in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undelivered {
    #[error("HTTP {0}{hint}", hint = hint(*.0))]
    Status(u16),
    #[error("no answer")]
    NoAnswer(String),
    #[error("its headers cannot be read")]
    Headers(String),
}

const fn hint(status: u16) -> &'static str {
    match status {
        300..=399 => " (redirects are not followed)",
        _ => "",
    }
}

impl Undelivered {
    /// The word for the metrics.
    pub(super) const fn outcome(sent: &Result<(), Self>) -> Outcome {
        match sent {
            Ok(()) => Outcome::Ok,
            Err(Self::Status(status)) => Outcome::of_status(*status),
            Err(Self::NoAnswer(_) | Self::Headers(_)) => Outcome::NoAnswer,
        }
    }

    /// What the log says besides.
    pub(super) fn cause(&self) -> Option<&str> {
        match self {
            Self::Status(_) => None,
            Self::NoAnswer(cause) | Self::Headers(cause) => Some(cause),
        }
    }
}

#[cfg(test)]
mod tests;
