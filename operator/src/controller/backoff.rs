//! The pauses after failures, and how often the reconciles of runs failed, by their UIDs.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// After an error: 5 s, 10 s, … 5 min.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// How long to wait after so many failures in a row.
pub(crate) fn pause(failures: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(1 << failures.saturating_sub(1).min(10))
        .min(LONGEST_PAUSE)
}

/// How often runs failed in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff(Mutex<HashMap<String, u32>>);

impl Backoff {
    /// Records that a run failed once more; returns how long to wait.
    pub(crate) fn record_failure(&self, uid: &str) -> Duration {
        let mut failures = self.lock();
        let times = failures.entry(uid.to_owned()).or_default();
        *times = times.saturating_add(1);
        pause(*times)
    }

    /// Failures of a run in a row, so far.
    pub(crate) fn failures(&self, uid: &str) -> u32 {
        self.lock().get(uid).copied().unwrap_or(0)
    }

    /// Records that a run did not fail.
    pub(crate) fn reset(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Forgets all runs but these.
    pub(crate) fn retain(&self, uids: &HashSet<String>) {
        self.lock().retain(|uid, _| uids.contains(uid));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
