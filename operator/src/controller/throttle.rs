//! When a run may be looked at again. Whatever happens to its pods asks for a look, hundreds of
//! times a second in a large run, and a cache that is behind shows a run as it was before its last
//! write.
//!
//! ```text
//! trigger ──► the version that was looked at last? ──► a second later ──► look ──► write ──► the version is replaced
//!    └──────► a version that was replaced? ──────────► a tenth of a second later, when its watch has told
//! ```
//!
//! docs/decisions/reconcile-interval.md says why.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks at a run that nobody changed.
const SHORTEST: Duration = Duration::from_secs(1);
/// Until the watch is asked once more for the version that replaced another. A write of the status
/// causes no look when the watch tells of it.
const BEHIND: Duration = Duration::from_millis(100);
/// Versions that are remembered: a look makes two at most, and a watch that begins anew may be
/// behind by some.
const REPLACED: usize = 8;

/// A run, as far as looks at it go.
#[derive(Debug, Default)]
struct Throttled {
    /// The version that was looked at last, and when.
    last: Option<(String, Instant)>,
    /// Versions that were written over.
    replaced: VecDeque<String>,
}

/// The looks at all runs, by UID.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<HashMap<String, Throttled>>);

impl Throttle {
    /// How long a look at this version of a run has to wait; `None`: it is to be looked at now, and
    /// that is taken in.
    pub(crate) fn delay(&self, uid: &str, version: &str, now: Instant) -> Option<Duration> {
        let mut looks = self.lock();
        let looked = looks.entry(uid.to_owned()).or_default();
        if looked.replaced.iter().any(|replaced| replaced == version) {
            return Some(BEHIND);
        }
        if let Some((last, at)) = &looked.last
            && last == version
        {
            let left = SHORTEST.saturating_sub(now.saturating_duration_since(*at));
            if !left.is_zero() {
                return Some(left);
            }
        }
        looked.last = Some((version.to_owned(), now));
        None
    }

    /// Takes in that this look has made a version of a run, which is no reason to look at once.
    pub(crate) fn wrote(&self, uid: &str, version: String, now: Instant) {
        self.lock().entry(uid.to_owned()).or_default().last = Some((version, now));
    }

    /// Takes in that a version of a run was written over.
    pub(crate) fn replaced(&self, uid: &str, version: String) {
        let mut looks = self.lock();
        let replaced = &mut looks.entry(uid.to_owned()).or_default().replaced;
        replaced.push_back(version);
        if replaced.len() > REPLACED {
            replaced.pop_front();
        }
    }

    /// Forgets a run.
    pub(crate) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Forgets all runs but these.
    pub(crate) fn retain(&self, uids: &HashSet<String>) {
        self.lock().retain(|uid, _| uids.contains(uid));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Throttled>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
