//! Whether the operator does its work, for /healthz: a process that reconciles nothing any more is
//! to be ended, because another one may.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long no reconcile may finish although some are due.
const SILENCE: Duration = Duration::from_mins(5);

/// When reconciles are due and were finished. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Liveness(Arc<Mutex<Reconciles>>);

#[derive(Debug, Default)]
struct Reconciles {
    /// When runs are to be reconciled, by UID; none of those that nothing is due of.
    due: HashMap<String, Instant>,
    /// When the last one was finished, well or with an error.
    finished: Option<Instant>,
}

impl Liveness {
    /// Records that a reconcile of a run is wanted now.
    pub(crate) fn wanted(&self, uid: &str, now: Instant) {
        let mut reconciles = self.lock();
        let due = reconciles.due.entry(uid.to_owned()).or_insert(now);
        *due = now.min(*due);
    }

    /// Records when the next reconcile of a run is due, whatever was due before.
    pub(crate) fn next(&self, uid: &str, at: Instant) {
        self.lock().due.insert(uid.to_owned(), at);
    }

    /// Records that a reconcile of a run was finished. Of what was due before nothing is.
    pub(crate) fn finished(&self, uid: &str, now: Instant) {
        let mut reconciles = self.lock();
        reconciles.finished = Some(now);
        if reconciles.due.get(uid).is_some_and(|due| *due <= now) {
            reconciles.due.remove(uid);
        }
    }

    /// Forgets a run that has ended.
    pub(crate) fn forget(&self, uid: &str) {
        self.lock().due.remove(uid);
    }

    /// Forgets all runs but these.
    pub(crate) fn retain(&self, uids: &HashSet<String>) {
        self.lock().due.retain(|uid, _| uids.contains(uid));
    }

    /// Whether reconciles are finished, or none was due.
    pub(crate) fn is_alive(&self, now: Instant) -> bool {
        let reconciles = self.lock();
        let is_long_ago = |then: &Instant| now.saturating_duration_since(*then) >= SILENCE;
        let is_silent = reconciles.finished.as_ref().is_none_or(is_long_ago);
        !(is_silent && reconciles.due.values().any(is_long_ago))
    }

    fn lock(&self) -> MutexGuard<'_, Reconciles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
