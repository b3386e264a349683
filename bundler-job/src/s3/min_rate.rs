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
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_body_below_a_kibibyte_a_second_is_too_slow_and_one_above_is_not() {
        for (bytes, slow) in [(1, true), (1023, true), (1024, false), (1 << 20, false)] {
            let mut rate = MinRate::default();
            for _ in 0..30 {
                assert_eq!(rate.too_slow(), None);
                rate.came(bytes);
                rate.waited(SECOND);
            }
            assert_eq!(rate.too_slow().is_some(), slow, "{bytes} B/s");
            assert_eq!(rate.patience(), WINDOW, "a new window begins");
        }
    }

    #[test]
    fn a_silent_body_is_waited_for_no_longer_than_a_window() {
        let mut rate = MinRate::default();
        rate.came(10 << 20);
        rate.waited(SECOND * 10);
        assert_eq!(rate.patience(), SECOND * 20);
        rate.waited(SECOND * 20);
        assert_eq!(rate.too_slow(), None, "fast before it fell silent");
        rate.waited(WINDOW);
        assert_eq!(rate.too_slow(), Some(0));
    }

    #[test]
    fn only_reading_counts() {
        let mut rate = MinRate::default();
        // However long the reader does something else.
        for _ in 0..1000 {
            rate.came(1);
            rate.waited(Duration::from_millis(1));
        }
        assert_eq!(rate.too_slow(), None);
    }
}
