//! The fourth step: the Kubernetes objects of a run. Pure: the same run gives the same objects, and
//! nothing here asks anybody.
//!
//! ```text
//! Run ──► grouper: Job of a pass
//!     ├─► workers: Deployment (never its replicas)
//!     ├─► scaled_object: what KEDA is told, in mode Keda
//!     └─► verifier: Job, if the run asks for it
//!
//! requests: the arguments that all pods have, of owners, encryption and tags
//! ```

mod grouper;
mod job;
mod pod;
mod requests;
mod revision;
mod scaled_object;
mod verifier;
mod workers;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource as _;
use s3bundler_contract::S3Address;

pub(crate) use grouper::{grouper, grouper_name, sends};
pub(crate) use revision::PodRevision;
pub(crate) use scaled_object::{SCALED_OBJECT, scaled_object};
pub(crate) use verifier::{VERIFY_ANNOTATION, verifier, verifier_name, verify_mode};
pub(crate) use workers::{
    PAUSE_ANNOTATION, PAUSED, POD_TEMPLATE_ANNOTATION, worker_grace, workers, workers_name,
};

use super::run::Run;
use crate::crd::ArchiveRun;

/// The label with the run's name, on everything that is made for it.
pub(crate) const RUN_LABEL: &str = "archive.s3bundler.dev/run";
/// The label with what a pod is: `grouper`, `worker` or `verifier`.
pub(crate) const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// The label of a pod with the name of its Job, which Kubernetes sets.
pub(crate) const JOB_LABEL: &str = "batch.kubernetes.io/job-name";
/// The same with the UID of its Job: one of the same name may have been there before.
pub(crate) const JOB_UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
/// What groupers are labelled.
pub(crate) const GROUPER: &str = "grouper";
/// What verifiers are labelled.
pub(crate) const VERIFIER: &str = "verifier";
/// What workers are labelled.
pub(crate) const WORKER: &str = "worker";
/// The name of the only container.
pub(crate) const CONTAINER: &str = "s3bundler";

/// Selects everything of a run.
pub(crate) fn run_selector(run: &Run) -> String {
    format!("{RUN_LABEL}={}", run.name)
}

/// Labels that tell the pods of a component of a run from all others. They never change.
fn selector(run: &Run, component: &str) -> BTreeMap<String, String> {
    [(RUN_LABEL, run.name.as_str()), (COMPONENT_LABEL, component)]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn labels(run: &Run, component: &str) -> BTreeMap<String, String> {
    let mut labels = selector(run, component);
    labels.insert("app.kubernetes.io/name".to_owned(), "s3bundler".to_owned());
    labels.insert(
        "app.kubernetes.io/managed-by".to_owned(),
        "s3bundler-operator".to_owned(),
    );
    labels
}

/// Labels that kueue reads, handed on from the run.
const KUEUE_LABELS: [&str; 2] = ["kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class"];

fn metadata(run: &Run, name: String, component: &str) -> ObjectMeta {
    let mut labels = labels(run, component);
    labels.extend(run.kueue_labels.clone());
    ObjectMeta {
        name: Some(name),
        namespace: Some(run.namespace.clone()),
        labels: Some(labels),
        owner_references: Some(vec![owner(run)]),
        ..ObjectMeta::default()
    }
}

/// Of a resource's labels those that kueue reads.
pub(crate) fn kueue_labels(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    KUEUE_LABELS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), labels.get(*name)?.clone())))
        .collect()
}

/// Where the run writes.
pub(crate) fn destination(run: &Run) -> S3Address {
    S3Address::new(&run.bucket, run.layout.root().trim_end_matches('/'))
}

fn owner(run: &Run) -> OwnerReference {
    OwnerReference {
        api_version: ArchiveRun::api_version(&()).into_owned(),
        kind: ArchiveRun::kind(&()).into_owned(),
        name: run.name.to_string(),
        uid: run.uid.to_string(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

#[cfg(test)]
mod tests;
