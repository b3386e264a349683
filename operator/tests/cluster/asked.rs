//! Requests of the tests to the API server. On a busy machine a connection may break or hang, and
//! the server, or etcd behind it, may not be able to do what it is asked for: then it is asked
//! again. What the server decides about a request stands. A request may have been carried out
//! although its answer was lost, so it has to be one that can be repeated.

use std::fmt::Display;
use std::time::{Duration, Instant};

use s3bundler_testbed::kube::KubeError;

use super::patience::PATIENCE;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// kubectl has to start first, on the same machine.
const KUBECTL: Duration = Duration::from_secs(30);
/// Between two requests that were not answered.
const PAUSE: Duration = Duration::from_secs(1);

/// Statuses of a server that cannot do anything at the moment: too many requests, a server that
/// starts or is overloaded. 500 is none of them: an apply of unknown fields is answered so.
const UNABLE: [u16; 4] = [429, 502, 503, 504];
/// What the server says if etcd does not answer, and what kubectl prints of that, of the statuses
/// above, and of a server that does not answer.
const UNANSWERED: [&str; 16] = [
    "Unable to connect to the server",
    "The connection to the server",
    "connection refused",
    "connection reset",
    "connection lost",
    "TLS handshake timeout",
    "Client.Timeout",
    "i/o timeout",
    "context deadline exceeded",
    "unexpected EOF",
    "etcdserver: ",
    "Error from server (ServiceUnavailable)",
    "Error from server (Timeout)",
    "Error from server (TooManyRequests)",
    "the server is currently unable to handle the request",
    "could not be completed at this time",
];

/// What the API server answers to a request.
pub async fn api<T, F>(request: impl Fn() -> F) -> kube::Result<T>
where
    F: Future<Output = kube::Result<T>>,
{
    let is_answer = |error: &kube::Error| match error {
        kube::Error::Api(status) => {
            !UNABLE.contains(&status.code) && !is_unanswered(&status.message)
        }
        _ => false,
    };
    answered(ANSWER, request, is_answer).await
}

/// What kubectl prints.
pub async fn kubectl<F>(command: impl Fn() -> F) -> Result<String, KubeError>
where
    F: Future<Output = Result<String, KubeError>>,
{
    let is_answer = |error: &KubeError| match error {
        KubeError::Command { output, .. } => !is_unanswered(output),
        _ => true,
    };
    answered(KUBECTL, command, is_answer).await
}

fn is_unanswered(text: &str) -> bool {
    UNANSWERED.iter().any(|words| text.contains(words))
}

async fn answered<T, E, F>(
    limit: Duration,
    ask: impl Fn() -> F,
    is_answer: impl Fn(&E) -> bool,
) -> Result<T, E>
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    let begun = Instant::now();
    loop {
        let why = match tokio::time::timeout(limit, ask()).await {
            Ok(Err(error)) if !is_answer(&error) => error.to_string(),
            Ok(answer) => return answer,
            Err(_) => format!("no answer in {limit:?}"),
        };
        assert!(
            begun.elapsed() < PATIENCE,
            "asked for {:?}: {why}",
            begun.elapsed()
        );
        tokio::time::sleep(PAUSE).await;
    }
}
