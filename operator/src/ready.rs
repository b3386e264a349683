//! `s3bundler-operator ready`: whether an operator is ready. `helm test` runs it in the operator's own
//! image, which has no shell.

use std::time::{Duration, Instant};

use http::StatusCode;
use s3bundler_common::http_pages;

/// Between two questions.
const PERIOD: Duration = Duration::from_secs(1);

/// Asks the operator at `host:port` until it is ready, but no longer than this.
pub async fn ready(address: &str, wait: Duration) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let answer = match http_pages::get(address, "/readyz").await {
            Ok((StatusCode::OK, _)) => return Ok(()),
            Ok((status, text)) => format!("{status}: {}", text.trim()),
            Err(error) => error.to_string(),
        };
        if begun.elapsed() >= wait {
            return Err(format!("the operator at {address} is not ready: {answer}"));
        }
        tokio::time::sleep(PERIOD).await;
    }
}

#[cfg(test)]
mod tests;
