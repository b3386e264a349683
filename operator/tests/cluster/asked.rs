//! Requests of the tests to the API server. On a busy machine a connection may break, or hang,
//! without the server having said anything: then it is asked again. What the server itself says
//! stands.

use std::fmt::Display;
use std::time::{Duration, Instant};

use s3bundler_testbed::kube::KubeError;

/// How long anything may take before a test gives it up.
pub const PATIENCE: Duration = Duration::from_mins(3);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// kubectl has to start first, on the same machine.
const KUBECTL: Duration = Duration::from_secs(30);
/// Between two requests that were not answered.
const PAUSE: Duration = Duration::from_secs(1);

/// What kubectl says where the server said nothing.
const UNANSWERED: [&str; 6] = [
    "Unable to connect to the server",
    "The connection to the server",
    "connection refused",
    "TLS handshake timeout",
    "Client.Timeout",
    "unexpected EOF",
];

/// What the API server says to a request.
pub async fn api<T, F>(request: impl Fn() -> F) -> kube::Result<T>
where
    F: Future<Output = kube::Result<T>>,
{
    answered(ANSWER, request, |error| {
        matches!(error, kube::Error::Api(_))
    })
    .await
}

/// What kubectl says.
pub async fn kubectl<F>(command: impl Fn() -> F) -> Result<String, KubeError>
where
    F: Future<Output = Result<String, KubeError>>,
{
    let is_answer = |error: &KubeError| match error {
        KubeError::Command { output, .. } => !UNANSWERED.iter().any(|words| output.contains(words)),
        _ => true,
    };
    answered(KUBECTL, command, is_answer).await
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
