//! What every reconcile needs, and what the operator remembers from one to the next.

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::Store as Reflected;
use kube::{Client, ResourceExt as _};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::build::WORKER;
use super::cache::RunCaches;
use super::cached_run::CachedRun;
use super::namespaces::Namespaces;
use super::notifications::Notifier;
use super::ownership::controlling_run;
use super::roll_outs::RollOuts;
use super::slots::{Slot, Slots};
use super::throttle::Throttle;
use super::workloads::{Workloads, has_component, replicas};
use crate::autoscale::worker_quota::{Found, WorkerQuota};
use crate::aws::Aws;
use crate::defaults::Defaults;
use crate::metrics::Metrics;

/// What a controller is made of.
pub struct Parts {
    pub client: Client,
    pub aws: Aws,
    pub defaults: Defaults,
    /// Workers of all runs together, at most.
    pub max_workers: u32,
    pub metrics: Metrics,
    pub recorder: Recorder,
    /// Who tells of runs that end. Whoever starts the controller lets it run, too.
    pub notifier: Notifier,
}

pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) aws: Aws,
    pub(crate) defaults: Defaults,
    /// Workers of all runs together.
    pub(crate) worker_quota: WorkerQuota,
    /// What was seen last.
    pub(crate) caches: RunCaches,
    /// When runs may be looked at again.
    pub(crate) throttle: Throttle,
    /// Which of them may go on.
    pub(crate) slots: Slots,
    /// Which of them replace their workers.
    pub(crate) roll_outs: RollOuts,
    /// How long to wait after failures.
    pub(crate) backoff: Backoff,
    pub(crate) metrics: Metrics,
    pub(crate) recorder: Recorder,
    pub(crate) notifier: Notifier,
    /// What is made for runs.
    pub(crate) workloads: Arc<Workloads>,
    pub(crate) namespaces: Namespaces,
    /// Cancelled once the operator is to end.
    ending: CancellationToken,
    runs: Vec<Reflected<CachedRun>>,
}

impl Context {
    /// Of these parts, where runs have these workers already and are listed in these stores.
    pub(crate) fn new(
        parts: Parts,
        workloads: Arc<Workloads>,
        workers: Vec<Found>,
        runs: Vec<Reflected<CachedRun>>,
    ) -> Self {
        let Parts {
            client,
            aws,
            defaults,
            max_workers,
            metrics,
            recorder,
            notifier,
        } = parts;
        metrics.limit_workers(max_workers);
        Self {
            client,
            aws,
            defaults,
            worker_quota: WorkerQuota::new(max_workers, workers),
            caches: RunCaches::default(),
            throttle: Throttle::default(),
            slots: Slots::default(),
            roll_outs: RollOuts::default(),
            backoff: Backoff::default(),
            metrics,
            recorder,
            notifier,
            workloads,
            namespaces: Namespaces::default(),
            ending: CancellationToken::new(),
            runs,
        }
    }

    /// Ends what can be ended at once.
    pub(crate) fn end(&self) {
        self.ending.cancel();
    }

    /// What it comes to, unless the operator is to end before.
    pub(crate) async fn unless_ending<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.ending.run_until_cancelled(work).await
    }

    /// Waits for a slot of a namespace; `None` if the operator is to end before there is one.
    pub(crate) async fn slot(&self, namespace: &str) -> Option<Slot> {
        self.unless_ending(self.slots.acquire(namespace)).await
    }

    /// Forgets what a run that has ended does not need any more.
    pub(crate) fn forget(&self, uid: &str) {
        self.caches.forget(uid);
        self.worker_quota.forget(uid);
        self.throttle.forget(uid);
        self.backoff.reset(uid);
        self.metrics.liveness.forget(uid);
    }

    /// Forgets the runs that no store has any more. Those without finalizer go without a word.
    pub(crate) fn sweep(&self) {
        let runs: Vec<_> = self.runs.iter().flat_map(Reflected::state).collect();
        let uids: HashSet<String> = runs.iter().filter_map(|run| run.uid()).collect();
        let names: HashSet<_> = runs
            .iter()
            .map(|run| (run.namespace().unwrap_or_default(), run.name_any()))
            .collect();
        self.caches.retain(&uids);
        self.worker_quota.retain(&uids);
        self.throttle.retain(&uids);
        self.backoff.retain(&uids);
        self.metrics.liveness.retain(&uids);
        self.metrics.retain(&names);
        let namespaces = names.into_iter().map(|(namespace, _)| namespace);
        self.namespaces.retain(&namespaces.collect());
    }
}

/// The workers of these Deployments.
pub(crate) fn workers_of_runs(deployments: &[Deployment]) -> Vec<Found> {
    let workers = deployments
        .iter()
        .filter(|deployment| has_component(&deployment.metadata, WORKER));
    let found = workers.filter_map(|deployment| {
        Some(Found {
            uid: controlling_run(&deployment.metadata)?.uid.clone(),
            namespace: deployment.namespace().unwrap_or_default(),
            workers: replicas(deployment),
        })
    });
    found.collect()
}
