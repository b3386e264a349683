//! How the watches do that the operator depends on. What a watch showed may be wrong once it fails,
//! and before its first list nothing is known.
//!
//! ```text
//! watch ──► event, error ──► Health ──► reconcile: waits, or fails
//!                              └──────► /readyz
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::runtime::watcher;
use tokio::sync::watch::{Receiver, Sender};

use crate::metrics::Metrics;

/// Failures in a row after which a watch is lost: what it showed may be wrong by now.
pub(crate) const FAILURES: u32 = 3;
/// A watch that has not failed for so long is not lost: it may have nothing to show. The pauses
/// between its attempts are shorter.
pub(crate) const FORGIVEN: Duration = Duration::from_mins(1);

/// How a watch does.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Whether it has shown everything that there is.
    pub(crate) is_listed: bool,
    /// Failures in a row, and when the last one was.
    pub(crate) failures: u32,
    pub(crate) failed_at: Option<Instant>,
    /// What it failed with, and whether that is a denial.
    pub(crate) error: String,
    pub(crate) is_denied: bool,
}

impl Health {
    pub(crate) fn is_lost(&self, now: Instant) -> bool {
        let recently = |at| now.saturating_duration_since(at) < FORGIVEN;
        self.failures >= FAILURES && self.failed_at.is_some_and(recently)
    }

    pub(crate) fn record_failure(&mut self, error: &watcher::Error, now: Instant) {
        if self
            .failed_at
            .is_some_and(|at| now.saturating_duration_since(at) >= FORGIVEN)
        {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.failed_at = Some(now);
        let code = code(error);
        self.is_denied = code == Some(403);
        self.error = match code {
            Some(404) => format!("{error} (is the CustomResourceDefinition installed?)"),
            _ => error.to_string(),
        };
    }

    /// Why the operator cannot work with what the watch shows.
    fn objection(&self, now: Instant) -> Option<&str> {
        if self.is_lost(now) {
            Some(&self.error)
        } else if self.is_listed {
            None
        } else {
            Some("not listed yet")
        }
    }
}

/// The HTTP status of an answer that a watch failed with.
fn code(error: &watcher::Error) -> Option<u16> {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status))
        | WatchError(status) => Some(status.code),
        _ => None,
    }
}

/// Records that a watch of `kind` failed: in its health, its count, and the log.
pub(crate) fn failed(
    watch: &Sender<Health>,
    kind: &str,
    namespace: Option<&str>,
    error: &watcher::Error,
    metrics: &Metrics,
) {
    metrics.watch_failed();
    watch.send_modify(|health| health.record_failure(error, Instant::now()));
    let error = watch.borrow().error.clone();
    tracing::warn!(kind, namespace, error, "a watch failed, trying again");
}

/// Records that a watch has shown everything.
pub(crate) fn listed(watch: &Sender<Health>) {
    watch.send_modify(|health| (health.failures, health.is_listed) = (0, true));
}

/// Records that a watch shows something.
pub(crate) fn recovered(watch: &Sender<Health>) {
    watch.send_if_modified(|health| {
        let had_failed = health.failures > 0;
        health.failures = 0;
        had_failed
    });
}

/// All watches, for `/readyz`. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watches(Arc<Mutex<Vec<Watch>>>);

#[derive(Debug)]
struct Watch {
    /// Its kind and namespace.
    name: String,
    health: Receiver<Health>,
}

impl Watches {
    /// From now on the operator depends on the watch of a kind.
    pub(crate) fn add(&self, kind: &str, namespace: Option<&str>, watch: &Sender<Health>) {
        let name = match namespace {
            Some(namespace) => format!("{kind} in namespace {namespace}"),
            None => kind.to_owned(),
        };
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let health = watch.subscribe();
        watches.push(Watch { name, health });
    }

    /// Which watches the operator cannot work with, and why. A line for each.
    pub(crate) fn objections(&self, now: Instant) -> String {
        let watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let objections = watches.iter().filter_map(|Watch { name, health }| {
            let health = health.borrow();
            let objection = health.objection(now)?;
            Some(format!("watch of {name}: {objection}\n"))
        });
        objections.collect()
    }
}

#[cfg(test)]
mod tests;
