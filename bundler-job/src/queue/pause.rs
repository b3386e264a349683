//! A worker that is asked to take no other group, by a file: on Kubernetes the operator annotates a
//! pod whose run has more workers than its share, and the kubelet writes the annotation into the
//! pod (docs/decisions/workers-of-all-runs.md).

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

/// What the file says if no other group is to be taken.
const PAUSED: &str = "true";
/// Between two looks at the file. The kubelet writes it once a minute at most.
const PERIOD: Duration = Duration::from_secs(2);

/// A file that says whether groups may be taken.
#[derive(Debug, Clone)]
pub struct PauseFile(PathBuf);

impl PauseFile {
    /// The file at this path, which need not be there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Waits until groups may be taken.
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

    /// A file that is not there or cannot be read asks for nothing.
    async fn is_paused(&self) -> bool {
        tokio::fs::read_to_string(&self.0)
            .await
            .is_ok_and(|text| text.trim() == PAUSED)
    }
}
