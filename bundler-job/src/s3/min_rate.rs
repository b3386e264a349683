//! Whether a body comes, or goes out, fast enough. Only time that is spent waiting for the server
//! counts: a reader that waits for memory or for the packer makes no body slow.

use std::time::Duration;

/// A body is judged over this much reading.
pub(super) const WINDOW: Duration = Duration::from_secs(30);
/// Bytes of a window, at least: 1 KiB/s.
const LEAST: u64 = 30 * 1024;

/// The rate of one connection.
#[derive(Debug, Default)]
pub(super) struct MinRate {
    waited: Duration,
    came: u64,
    /// Bytes of this connection.
    all: u64,
}

impl MinRate {
    /// How long to wait for the next bytes, at most.
    pub(super) fn patience(&self) -> Duration {
        WINDOW.saturating_sub(self.waited)
    }

    /// So long was waited for bytes.
    pub(super) fn waited(&mut self, time: Duration) {
        self.waited += time;
    }

    /// So many bytes came. Whether the connection has shown by now that it works.
    pub(super) fn came(&mut self, bytes: u64) -> bool {
        self.came += bytes;
        self.all += bytes;
        self.all >= LEAST
    }

    /// The bytes of a window that is over, if they are too few and the connection is to be given
    /// up.
    pub(super) fn too_slow(&mut self) -> Option<u64> {
        if self.waited < WINDOW {
            return None;
        }
        let came = std::mem::take(&mut self.came);
        self.waited = Duration::ZERO;
        (came < LEAST).then_some(came)
    }
}

#[cfg(test)]
mod tests;
