//! The end of a resource: pods first, then the queues that they hang on, then the finalizer.

use std::time::Instant;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::decide::Told;
use super::error::is_of_another;
use super::validate::{ORPHAN_ANNOTATION, read};
use super::{Context, FINALIZER, ReconcileError, apply, status, write_status};
use crate::aws::AwsErrorKind;
use crate::crd::{ArchiveRun, ArchiveRunStatus};
use crate::queues::Queues;

/// Says why a resource that is being deleted does not go, where a person has to act.
async fn tell_what_holds(
    resource: &ArchiveRun,
    prior: &ArchiveRunStatus,
    error: &ReconcileError,
    context: &Context,
) -> Result<(), ReconcileError> {
    let ReconcileError::Aws(error) = error else { return Ok(()) };
    if error.kind != AwsErrorKind::Denied {
        return Ok(());
    }
    let (name, namespace) = (resource.name_any(), resource.namespace().unwrap_or_default());
    let message = format!(
        "its queues cannot be deleted: {error}. It goes and leaves them behind with: kubectl annotate archiverun {name} \
         -n {namespace} {ORPHAN_ANNOTATION}=true"
    );
    let next = status::held(prior, &Told::new("AccessDenied", message), resource.metadata.generation, Timestamp::now());
    let made = write_status(resource, None, prior, &next, context).await?;
    if let Some(version) = made {
        context.paces.made(&resource.uid().unwrap_or_default(), version, Instant::now());
    }
    Ok(())
}

/// A resource that cannot be read is being deleted. What runs in Kubernetes goes with it; its queues are left behind where
/// the annotation asks for it, for nobody knows their region.
pub async fn let_unreadable_go(metadata: &ObjectMeta, context: &Context) -> Result<(), ReconcileError> {
    let kept = metadata.finalizers.iter().flatten();
    let (ours, left): (Vec<_>, Vec<_>) = kept.partition(|known| *known == FINALIZER);
    let annotations = metadata.annotations.as_ref();
    let orphans = annotations.and_then(|annotations| annotations.get(ORPHAN_ANNOTATION));
    let name = metadata.name.clone().unwrap_or_default();
    if metadata.deletion_timestamp.is_none() || ours.is_empty() {
        return Ok(());
    }
    if orphans.map(String::as_str) != Some("true") {
        tracing::warn!(
            name,
            "an ArchiveRun that cannot be read is not deleted: annotate it with {ORPHAN_ANNOTATION}=true"
        );
        return Ok(());
    }
    let patch = json!({"metadata": {
        "uid": metadata.uid, "finalizers": left, "resourceVersion": metadata.resource_version,
    }});
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let runs: Api<ArchiveRun> = Api::namespaced(context.client.clone(), &namespace);
    match runs.patch_metadata(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => tracing::warn!(namespace, name, "queues are left behind, as the annotation asks"),
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(cause) if is_of_another(&cause) => return Err(ReconcileError::Changed),
        Err(cause) => return Err(ReconcileError::Write(Box::new(cause))),
    }
    Ok(())
}

/// The resource is being deleted: pods first, then the queues that they hang on, then it may go.
pub async fn clean_up(
    resource: &ArchiveRun,
    prior: &ArchiveRunStatus,
    context: &Context,
) -> Result<Action, ReconcileError> {
    let uid = resource.uid().unwrap_or_default();
    context.tracks.forget(&uid);
    context.metrics.forget(resource);
    if !has_finalizer(resource) {
        return Ok(Action::await_change());
    }
    // One that cannot even be read has never had anything made for it.
    if let Ok(run) = read(resource, &context.defaults) {
        apply::delete_workloads(context, &run).await?;
        context.grants.forget(&uid);
        let deleted = apply::delete_queues(&Queues::new(&context.aws, &run.region), &run, prior).await;
        match deleted {
            Ok(()) => {}
            Err(error) if resource.annotations().get(ORPHAN_ANNOTATION).map(String::as_str) == Some("true") => {
                tracing::warn!(%error, run = %run.name, "queues are left behind, as the annotation asks");
            }
            Err(error) => {
                tell_what_holds(resource, prior, &error, context).await?;
                return Err(error);
            }
        }
    }
    let_go(resource, context).await
}

/// Whether something outside of Kubernetes may be left.
pub fn has_finalizer(resource: &ArchiveRun) -> bool {
    resource.finalizers().iter().any(|known| known == FINALIZER)
}

/// Takes the finalizer away.
pub async fn let_go(resource: &ArchiveRun, context: &Context) -> Result<Action, ReconcileError> {
    let left: Vec<_> = resource.finalizers().iter().filter(|known| *known != FINALIZER).collect();
    let patch = json!({"metadata": {
        "uid": resource.uid(), "finalizers": left, "resourceVersion": resource.resource_version(),
    }});
    let runs: Api<ArchiveRun> = Api::namespaced(context.client.clone(), &resource.namespace().unwrap_or_default());
    match runs.patch(&resource.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(Action::await_change()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Action::await_change()),
        Err(cause) if is_of_another(&cause) => Err(ReconcileError::Changed),
        Err(cause) => Err(ReconcileError::Write(Box::new(cause))),
    }
}
