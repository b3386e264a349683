//! The start of a queue's worker. A bucket that is down then is waited for as one that fails later:
//! Kubernetes restarts workers in the middle of outages.
//!
//! ```text
//! probe ──► the destination is down: wait for it ──► probe …
//!   ├─────► any other error: the worker ends with it
//!   └─────► ask about the source bucket: the worker receives nothing before it answers
//! ```

use s3bundler_common::failure::Failure;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::bundle::Bundler;
use crate::bundle::probe::{ProbeError, conditional_writes};
use crate::destination::Destination;
use crate::queue::visibility::ABORT_GRACE;
use crate::s3::S3;

/// Returns when the destination can be written, however long that takes; `false` if the process is
/// to end before.
pub(super) async fn is_ready(
    s3: &S3,
    bundler: &Bundler,
    destination: &Destination,
    shutdown: &CancellationToken,
) -> Result<bool, Failure> {
    let ready = async {
        probed(s3, destination).await?;
        if let Some(bucket) = bundler.source_bucket().await {
            s3.ask(&bucket).await;
        }
        Ok::<_, ProbeError>(true)
    };
    tokio::select! {
        biased;
        ready = ready => Ok(ready?),
        () = asked_to_end(s3, shutdown) => Ok(false),
    }
}

/// Returns when given manifests can be archived; `false` if the process is to end before.
pub(super) async fn can_be_written(
    s3: &S3,
    destination: &Destination,
    shutdown: &CancellationToken,
) -> Result<bool, Failure> {
    tokio::select! {
        biased;
        () = asked_to_end(s3, shutdown) => Ok(false),
        probed = conditional_writes(s3, destination) => Ok(probed.map(|()| true)?),
    }
}

/// Probes the destination again and again while it is down.
async fn probed(s3: &S3, destination: &Destination) -> Result<(), ProbeError> {
    loop {
        let begun = Instant::now();
        let probed = conditional_writes(s3, destination).await;
        let was_down =
            !s3.outages().is_clear() || s3.outages().ended_since(&destination.bucket, begun);
        if probed.is_ok() || !was_down {
            return probed;
        }
        s3.outages_over().await;
    }
}

/// Returns when the process is to end. A probe in progress has some time to remove its key, unless
/// it waits.
async fn asked_to_end(s3: &S3, shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    if s3.outages().is_clear() {
        sleep(ABORT_GRACE).await;
    }
}
