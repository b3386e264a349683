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
mod tests {
    use super::*;

    /// Lets a run ask for this many, and gives what it gets.
    fn ask(quota: &WorkerQuota, run: &str, current: u32, wanted: u32) -> u32 {
        quota.decide(run, current, |cap| (wanted.min(cap), wanted.min(cap)))
    }

    #[test]
    fn runs_that_grow_in_the_same_moment_share_what_is_left() {
        let quota = WorkerQuota::new(10, HashMap::new());
        // Neither has told anybody of it yet.
        assert_eq!(
            [
                ask(&quota, "a", 0, 7),
                ask(&quota, "b", 0, 7),
                ask(&quota, "c", 0, 7)
            ],
            [7, 3, 0]
        );
        assert_eq!(ask(&quota, "a", 7, 9), 7, "its own are for it");
        assert_eq!(ask(&quota, "a", 7, 2), 2);
        assert_eq!(ask(&quota, "c", 0, 7), 0, "they are still there");
        quota.settle("a", 2);
        assert_eq!(ask(&quota, "c", 0, 7), 5);
        quota.forget("b");
        assert_eq!(ask(&quota, "d", 0, 7), 3);
        quota.retain(&["d".to_owned()].into());
        assert_eq!(ask(&quota, "e", 0, 9), 7);
    }

    #[test]
    fn what_runs_had_before_the_operator_counts() {
        let quota = WorkerQuota::new(10, [("a".to_owned(), 8), ("b".to_owned(), 9)].into());
        assert_eq!(
            [ask(&quota, "c", 0, 5), ask(&quota, "a", 8, 8)],
            [0, 1],
            "the most was lowered"
        );
        let quota = WorkerQuota::new(10, [("a".to_owned(), u32::MAX), ("b".to_owned(), 9)].into());
        assert_eq!(ask(&quota, "c", 0, 5), 0);
    }

    #[test]
    fn however_many_ask_at_once_the_most_is_never_passed() {
        let quota = WorkerQuota::new(100, HashMap::new());
        let given: u32 = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..16)
                .map(|run| {
                    scope.spawn({
                        let quota = &quota;
                        move || ask(quota, &run.to_string(), 0, 9)
                    })
                })
                .collect();
            asking
                .into_iter()
                .map(|asking| asking.join().expect("no panic"))
                .sum()
        });
        assert_eq!(given, 100);
    }
}
