//! What is shown of each run, read from its status.
//!
//! All figures of a run change under one lock, so that no scrape sees half of them: an alert that
//! waits for some minutes would begin anew. A run in progress has about thirty time series. One
//! that has ended has its phase, its groups, its failures by reason and what is still wrong with it,
//! because ended runs stay for long and are many (docs/decisions/metrics-of-runs.md).

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel as _, EncodeLabelSet, EncodeMetric as _, LabelSetEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::crd::ArchiveRunStatus;

/// Conditions that matter once a run has ended, while they are true.
const AFTER_THE_END: [&str; 2] = ["Stalled", "Degraded"];

/// A gauge that every run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Phase,
    Condition,
    ListedObjects,
    Objects,
    ListedBytes,
    Bytes,
    FailedObjects,
    Groups,
    CommittedGroups,
    DeadLetteredGroups,
    LastProgress,
    Visible,
    InFlight,
    Desired,
    Ready,
    Granted,
}

impl Family {
    const ALL: [Self; 16] = [
        Self::Phase,
        Self::Condition,
        Self::ListedObjects,
        Self::Objects,
        Self::ListedBytes,
        Self::Bytes,
        Self::FailedObjects,
        Self::Groups,
        Self::CommittedGroups,
        Self::DeadLetteredGroups,
        Self::LastProgress,
        Self::Visible,
        Self::InFlight,
        Self::Desired,
        Self::Ready,
        Self::Granted,
    ];

    /// Name without prefix and unit, help, and unit.
    const fn describe(self) -> (&'static str, &'static str, Option<Unit>) {
        match self {
            Self::Phase => (
                "run_phase",
                "1 for what a run is doing: the reason of its condition Ready",
                None,
            ),
            Self::Condition => (
                "run_condition",
                "Whether a condition of a run is true, with its reason",
                None,
            ),
            Self::ListedObjects => ("run_listed_objects", "Rows of a run's inventory", None),
            Self::Objects => ("run_objects", "Objects of a run by what came of them", None),
            Self::ListedBytes => (
                "run_listed",
                "Bytes of a run's groups, by its inventory",
                Some(Unit::Bytes),
            ),
            Self::Bytes => (
                "run",
                "Bytes of a run's objects by what came of them",
                Some(Unit::Bytes),
            ),
            Self::FailedObjects => (
                "run_failed_objects",
                "Failed objects of a run by reason",
                None,
            ),
            Self::Groups => ("groups", "Groups of a run", None),
            Self::CommittedGroups => (
                "groups_committed",
                "Groups that are archived, by their receipts",
                None,
            ),
            Self::DeadLetteredGroups => (
                "groups_dead_lettered",
                "Groups whose message is in the dead-letter queue",
                None,
            ),
            Self::LastProgress => (
                "run_last_progress_timestamp",
                "When a run in progress last archived something or changed its phase, since 1970",
                Some(Unit::Seconds),
            ),
            Self::Visible => ("queue_visible", "Groups that wait in the queue", None),
            Self::InFlight => ("queue_in_flight", "Groups that are worked on", None),
            Self::Desired => ("workers_desired", "Workers that a run is to have", None),
            Self::Ready => ("workers_ready", "Workers that hold a group", None),
            Self::Granted => (
                "workers_granted",
                "Workers that a run holds of those that all runs together may have",
                None,
            ),
        }
    }
}

/// One time series of a run: labels beside namespace and run, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Figure {
    family: Family,
    labels: Vec<(&'static str, String)>,
    value: i64,
}

#[derive(Debug, Default)]
struct Shown {
    figures: Vec<Figure>,
    /// Workers that it holds; `None` before it was granted any, and after its end.
    granted: Option<u32>,
    has_ended: bool,
}

/// Namespace and name.
type RunKey = (String, String);

/// What is shown of all runs. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs(Arc<Mutex<BTreeMap<RunKey, Shown>>>);

impl Runs {
    /// Replaces what is shown of a run by what its status says.
    pub(super) fn observe(&self, namespace: &str, run: &str, status: &ArchiveRunStatus) {
        let (figures, has_ended) = (figures(status), status.completion_time.is_some());
        let mut runs = self.lock();
        let shown = runs.entry(key(namespace, run)).or_default();
        let granted = shown.granted.filter(|_| !has_ended);
        *shown = Shown {
            figures,
            granted,
            has_ended,
        };
    }

    pub(super) fn granted(&self, namespace: &str, run: &str, workers: u32) {
        let mut runs = self.lock();
        let shown = runs.entry(key(namespace, run)).or_default();
        shown.granted = (!shown.has_ended).then_some(workers);
    }

    pub(super) fn forget(&self, namespace: &str, run: &str) {
        self.lock().remove(&key(namespace, run));
    }

    /// Forgets all runs but these.
    pub(super) fn retain(&self, runs: &HashSet<RunKey>) {
        self.lock().retain(|run, _| runs.contains(run));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RunKey, Shown>> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(namespace: &str, run: &str) -> RunKey {
    (namespace.to_owned(), run.to_owned())
}

/// What a status comes to.
fn figures(status: &ArchiveRunStatus) -> Vec<Figure> {
    let has_ended = status.completion_time.is_some();
    let mut figures = Figures::default();
    let phase = status.condition("Ready").map(|it| it.reason.as_str());
    if let Some(phase) = phase {
        figures.add(Family::Phase, &[("phase", phase)], 1);
    }
    for it in &status.conditions {
        let is_true = it.status == "True";
        if !has_ended || (is_true && AFTER_THE_END.contains(&it.type_.as_str())) {
            let labels = [("condition", it.type_.as_str()), ("reason", &it.reason)];
            figures.add(Family::Condition, &labels, is_true.into());
        }
    }
    for failure in &status.failures {
        let labels = [("reason", failure.reason.as_str())];
        figures.add(Family::FailedObjects, &labels, failure.count);
    }
    let groups = status.groups.as_ref();
    figures.set(Family::Groups, groups.and_then(|groups| groups.total));
    figures.set(
        Family::CommittedGroups,
        groups.map(|groups| groups.committed),
    );
    if !has_ended {
        in_progress(&mut figures, status, phase);
    }
    figures.0
}

/// What only a run in progress has.
fn in_progress(figures: &mut Figures, status: &ArchiveRunStatus, phase: Option<&str>) {
    if let Some(it) = status.objects {
        let outcomes = [
            ("archived", it.archived),
            ("copied", it.copied),
            ("failed", it.failed),
            ("left_out", it.left_out),
        ];
        figures.set(Family::ListedObjects, it.total);
        figures.by_outcome(Family::Objects, &outcomes);
    }
    if let Some(it) = status.bytes {
        let outcomes = [
            ("archived", it.archived),
            ("copied", it.copied),
            ("failed", it.failed),
        ];
        figures.set(Family::ListedBytes, it.total);
        figures.by_outcome(Family::Bytes, &outcomes);
    }
    if let Some(groups) = status.groups {
        figures.set(Family::DeadLetteredGroups, Some(groups.dead_lettered));
    }
    if let Some(queue) = &status.queue {
        figures.set(Family::Visible, queue.visible);
        figures.set(Family::InFlight, queue.in_flight);
    }
    if let Some(workers) = status.workers {
        figures.set(Family::Desired, Some(workers.desired.into()));
        figures.set(Family::Ready, Some(workers.busy.into()));
    }
    // A run that is suspended is to archive nothing, and one that is verified has archived all.
    if let Some(time) = &status.last_progress_time
        && !matches!(phase, Some("Suspended" | "Verifying"))
    {
        figures.set(Family::LastProgress, Some(time.0.as_second()));
    }
}

#[derive(Debug, Default)]
struct Figures(Vec<Figure>);

impl Figures {
    fn add(&mut self, family: Family, labels: &[(&'static str, &str)], value: i64) {
        let labels = labels
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        self.0.push(Figure {
            family,
            labels: labels.collect(),
            value,
        });
    }

    /// Adds a value that is known.
    fn set(&mut self, family: Family, value: Option<i64>) {
        if let Some(value) = value {
            self.add(family, &[], value);
        }
    }

    fn by_outcome(&mut self, family: Family, values: &[(&str, i64)]) {
        for (outcome, value) in values {
            self.add(family, &[("outcome", outcome)], *value);
        }
    }
}

/// The labels of one time series.
struct Labels<'a> {
    run: &'a RunKey,
    more: &'a [(&'static str, String)],
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let (namespace, run) = self.run;
        ("namespace", namespace.as_str()).encode(encoder.encode_label())?;
        ("run", run.as_str()).encode(encoder.encode_label())?;
        for (name, value) in self.more {
            (*name, value.as_str()).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

impl Collector for Runs {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let runs = self.lock();
        for family in Family::ALL {
            let (name, help, unit) = family.describe();
            let mut metric =
                encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
            for (run, shown) in &*runs {
                let granted = shown
                    .granted
                    .filter(|_| family == Family::Granted)
                    .map(i64::from);
                let values = shown
                    .figures
                    .iter()
                    .filter(|figure| figure.family == family)
                    .map(|figure| (figure.labels.as_slice(), figure.value))
                    .chain(granted.map(|value| (&[][..], value)));
                for (more, value) in values {
                    ConstGauge::new(value).encode(metric.encode_family(&Labels { run, more })?)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
