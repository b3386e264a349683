//! Workers of all runs together: who holds how many of those that the operator may give
//! (docs/decisions/workers-of-all-runs.md).

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The workers that runs hold, by the runs' UIDs. A run grows only by what no other holds, so the
/// sum never passes the most; one that was lowered is come down to as groups end.
#[derive(Debug)]
pub(crate) struct WorkerQuota {
    most: u32,
    held: Mutex<HashMap<String, u32>>,
}

impl WorkerQuota {
    /// Grants of `most` workers, of which these are held already.
    pub(crate) fn new(most: u32, held: HashMap<String, u32>) -> Self {
        Self {
            most,
            held: Mutex::new(held),
        }
    }

    /// Decides how many workers a run holds, which has `current`: `decide` is told how many there
    /// are for it, and gives what it decided and how many that makes. Nobody else decides
    /// meanwhile. Those that it gives back stay its own until they are [settled](Self::settle).
    pub(crate) fn decide<T>(
        &self,
        run: &str,
        current: u32,
        decide: impl FnOnce(u32) -> (T, u32),
    ) -> T {
        let mut held = self.lock();
        let others = held
            .iter()
            .filter(|(uid, _)| *uid != run)
            .map(|(_, held)| *held);
        let (decided, wanted) = decide(
            self.most
                .saturating_sub(others.fold(0, u32::saturating_add)),
        );
        held.insert(run.to_owned(), wanted.max(current));
        decided
    }

    /// What was decided is carried out: the run has no more than these.
    pub(crate) fn settle(&self, run: &str, holds: u32) {
        self.lock().insert(run.to_owned(), holds);
    }

    /// Forgets a run that has no workers any more.
    pub(crate) fn forget(&self, run: &str) {
        self.lock().remove(run);
    }

    /// Forgets all runs but these.
    pub(crate) fn retain(&self, runs: &HashSet<String>) {
        self.lock().retain(|uid, _| runs.contains(uid));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
