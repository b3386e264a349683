//! Workers of all runs together: who holds how many of those that the operator may give, and who
//! wants how many (docs/decisions/workers-of-all-runs.md).

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fair_shares::{Demand, NamespaceTerms, fair_shares};

/// A run that asks for workers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Applicant<'a> {
    pub(crate) uid: &'a str,
    pub(crate) namespace: &'a str,
    /// What the policy says of its namespace.
    pub(crate) terms: NamespaceTerms,
    /// Replicas that it asks for now.
    pub(crate) current: u32,
}

/// What a run has in the book.
#[derive(Debug)]
struct Entry {
    demand: Demand,
    /// Workers that it may have now.
    holds: u32,
}

/// The workers that runs hold and want, by the runs' UIDs. A run grows only by what no other holds,
/// so the sum never exceeds the limit. A run that holds more than its share falls to it as its groups
/// end, also if the limit was lowered.
#[derive(Debug)]
pub(crate) struct WorkerQuota {
    most: u32,
    book: Mutex<BTreeMap<String, Entry>>,
}

/// Workers that a run has before its first reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) uid: String,
    pub(crate) namespace: String,
    pub(crate) workers: u32,
}

impl WorkerQuota {
    /// Grants of `most` workers, of which these are held already.
    pub(crate) fn new(most: u32, found: impl IntoIterator<Item = Found>) -> Self {
        let entry = |it: Found| {
            let demand = Demand {
                namespace: it.namespace,
                terms: NamespaceTerms::default(),
                workers: it.workers,
            };
            let holds = it.workers;
            (it.uid, Entry { demand, holds })
        };
        Self {
            most,
            book: Mutex::new(found.into_iter().map(entry).collect()),
        }
    }

    /// Decides how many workers a run holds: `decide` gets how many it may have, and returns its
    /// decision and how many workers that makes. It is called twice, first with all workers, to learn
    /// what the run wants. No other run decides meanwhile. Workers that the run releases count as
    /// its own until they are [settled](Self::settle).
    pub(crate) fn decide<T>(&self, run: Applicant<'_>, decide: impl Fn(u32) -> (T, u32)) -> T {
        let mut book = self.lock();
        let (_, workers) = decide(self.most);
        let demand = Demand {
            namespace: run.namespace.to_owned(),
            terms: run.terms,
            workers,
        };
        let holds = book.get(run.uid).map_or(0, |entry| entry.holds);
        book.insert(run.uid.to_owned(), Entry { demand, holds });
        let others = book
            .iter()
            .filter(|(uid, _)| *uid != run.uid)
            .map(|(_, entry)| entry.holds)
            .fold(0, u32::saturating_add);
        let demands = book
            .iter()
            .map(|(uid, entry)| (uid.as_str(), &entry.demand));
        let share = fair_shares(self.most, demands)
            .get(run.uid)
            .copied()
            .unwrap_or(0);
        let (decided, wanted) = decide(share.min(self.most.saturating_sub(others)));
        if let Some(entry) = book.get_mut(run.uid) {
            entry.holds = wanted.max(run.current);
        }
        decided
    }

    /// What was decided is carried out: the run has no more than these.
    pub(crate) fn settle(&self, run: &str, holds: u32) {
        let mut book = self.lock();
        match book.get_mut(run) {
            // As most runs are that have ended.
            Some(entry) if holds == 0 && entry.demand.workers == 0 => {
                book.remove(run);
            }
            Some(entry) => entry.holds = holds,
            None => {}
        }
    }

    /// Workers that a run holds.
    pub(crate) fn held(&self, run: &str) -> u32 {
        self.lock().get(run).map_or(0, |entry| entry.holds)
    }

    /// Forgets a run that has no workers any more.
    pub(crate) fn forget(&self, run: &str) {
        self.lock().remove(run);
    }

    /// Forgets all runs but these.
    pub(crate) fn retain(&self, runs: &HashSet<String>) {
        self.lock().retain(|uid, _| runs.contains(uid));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
