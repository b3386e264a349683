//! How fast a run archives, by its receipts of the last minutes.

use std::collections::VecDeque;
use std::ops::Sub;
use std::time::{Duration, Instant};

use super::intervals::POLL_PERIOD;

/// Receipts of the last so many minutes count. Groups end in bursts, so a shorter time would say more
/// of the bursts than of the run.
const WINDOW: Duration = Duration::from_mins(10);
/// Nothing is said of a shorter time.
const SHORTEST: Duration = Duration::from_secs(30);

/// Objects that a run has done with, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
}

impl Sub for Amount {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            objects: self.objects.saturating_sub(other.objects),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

/// What was done in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) done: Amount,
    pub(crate) within: Duration,
}

impl Rate {
    /// Objects and bytes of a second.
    pub(crate) fn per_second(&self) -> Amount {
        let per_second = |done: u64| {
            let (done, millis) = (u128::from(done), self.within.as_millis().max(1));
            u64::try_from(done * 1000 / millis).unwrap_or(u64::MAX)
        };
        Amount {
            objects: per_second(self.done.objects),
            bytes: per_second(self.done.bytes),
        }
    }

    /// Time that the rest takes, by whichever of objects and bytes takes longer; `None` if nothing
    /// was done.
    pub(crate) fn time_for(&self, rest: Amount) -> Option<Duration> {
        let time = |rest: u64, done: u64| match (rest, done) {
            (0, _) => Some(Duration::ZERO),
            (_, 0) => None,
            (rest, done) => {
                let seconds = u128::from(rest) * self.within.as_millis() / u128::from(done) / 1000;
                Some(Duration::from_secs(
                    u64::try_from(seconds).unwrap_or(u64::MAX),
                ))
            }
        };
        let objects = time(rest.objects, self.done.objects)?;
        // Empty objects have no bytes.
        let bytes = time(rest.bytes, self.done.bytes).unwrap_or_default();
        Some(objects.max(bytes))
    }
}

/// What a run had done by its last polls, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Throughput(VecDeque<(Instant, Amount)>);

impl Throughput {
    /// Records what is done by now. Returns what was done within the window, once that is long enough
    /// to say something.
    pub(crate) fn observe(&mut self, done: Amount, now: Instant) -> Option<Rate> {
        let age = |at: Instant| now.saturating_duration_since(at);
        while self.0.get(1).is_some_and(|(at, _)| age(*at) >= WINDOW) {
            self.0.pop_front();
        }
        let (first, before) = *self.0.front().unwrap_or(&(now, done));
        if self.0.back().is_none_or(|(at, _)| age(*at) >= POLL_PERIOD) {
            self.0.push_back((now, done));
        }
        let within = age(first);
        (within >= SHORTEST).then(|| Rate {
            done: done - before,
            within,
        })
    }

    /// Forgets everything: the run was suspended.
    pub(crate) fn reset(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests;
