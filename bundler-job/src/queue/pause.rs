//! A file that pauses a worker: it receives no other group. On Kubernetes the operator annotates a
//! pod if its run has more workers than its share, and the kubelet writes the annotation into the
//! pod (docs/decisions/workers-of-all-runs.md).

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

/// Contents of the file of a paused worker.
const PAUSED: &str = "true";
/// Between two reads of the file. The kubelet updates it within about a minute.
const PERIOD: Duration = Duration::from_secs(2);

/// A file that says whether a worker is paused.
#[derive(Debug, Clone)]
pub struct PauseFile(PathBuf);

impl PauseFile {
    /// The file at this path, which may be missing.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Waits until the worker is not paused.
    pub(super) async fn over(&self) {
        if !self.is_paused().await {
            return;
        }
        tracing::info!(file = %self.0.display(), "asked to take no other group");
        while self.is_paused().await {
            sleep(PERIOD).await;
        }
        tracing::info!("taking groups again");
    }

    /// A missing or unreadable file pauses nothing.
    async fn is_paused(&self) -> bool {
        tokio::fs::read_to_string(&self.0)
            .await
            .is_ok_and(|text| text.trim() == PAUSED)
    }
}
