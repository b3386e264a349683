//! What every reconcile needs, and what the operator remembers from one to the next.

use std::collections::HashSet;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::Store as Reflected;
use kube::{Api, Client, ResourceExt as _};

use super::backoff::Backoff;
use super::build::{COMPONENT_LABEL, RUN_LABEL, WORKER};
use super::cache::RunCaches;
use super::ownership::controlling_run;
use super::throttle::Throttle;
use crate::autoscale::worker_quota::{Found, WorkerQuota};
use crate::aws::Aws;
use crate::crd::ArchiveRun;
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
    /// How long to wait after failures.
    pub(crate) backoff: Backoff,
    pub(crate) metrics: Metrics,
    pub(crate) recorder: Recorder,
    runs: Vec<Reflected<DeserializeGuard<ArchiveRun>>>,
}

impl Context {
    /// Of these parts, where runs have these workers already and are listed in these stores.
    pub(crate) fn new(
        parts: Parts,
        workers: Vec<Found>,
        runs: Vec<Reflected<DeserializeGuard<ArchiveRun>>>,
    ) -> Self {
        let Parts {
            client,
            aws,
            defaults,
            max_workers,
            metrics,
            recorder,
        } = parts;
        metrics.limit_workers(max_workers);
        Self {
            client,
            aws,
            defaults,
            worker_quota: WorkerQuota::new(max_workers, workers),
            caches: RunCaches::default(),
            throttle: Throttle::default(),
            backoff: Backoff::default(),
            metrics,
            recorder,
            runs,
        }
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
        self.metrics.retain(&names);
    }
}

/// The workers that runs have, as the operator before left them.
pub(crate) async fn workers_of_runs(
    deployments: &[Api<Deployment>],
) -> Result<Vec<Found>, kube::Error> {
    let listed = ListParams::default().labels(&format!("{RUN_LABEL},{COMPONENT_LABEL}={WORKER}"));
    let mut workers = Vec::new();
    for api in deployments {
        for deployment in api.list(&listed).await? {
            let replicas = deployment
                .spec
                .as_ref()
                .and_then(|spec| spec.replicas)
                .unwrap_or(1)
                .unsigned_abs();
            if let Some(run) = controlling_run(&deployment.metadata) {
                workers.push(Found {
                    uid: run.uid.clone(),
                    namespace: deployment.namespace().unwrap_or_default(),
                    workers: replicas,
                });
            }
        }
    }
    Ok(workers)
}
