//! What keeps a resource until its queues are deleted.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::context::Context;
use super::error::{ReconcileError, is_of_another};
use crate::crd::ArchiveRun;

pub(crate) const FINALIZER: &str = "archive.s3bundler.dev/queues";

/// Whether something outside of Kubernetes may be left.
pub(crate) fn is_present(resource: &ObjectMeta) -> bool {
    resource
        .finalizers
        .iter()
        .flatten()
        .any(|known| known == FINALIZER)
}

/// Puts it on before there is anything outside of Kubernetes, so that nobody deletes the resource
/// and leaves that behind. Gives the version that it made.
pub(crate) async fn add(
    resource: &ArchiveRun,
    context: &Context,
) -> Result<Option<String>, ReconcileError> {
    if is_present(&resource.metadata) {
        return Ok(None);
    }
    let finalizers = resource
        .finalizers()
        .iter()
        .map(String::as_str)
        .chain([FINALIZER])
        .collect();
    let made = patch_finalizers(&resource.metadata, finalizers, context).await?;
    context.throttle.replaced(
        &resource.uid().unwrap_or_default(),
        resource.resource_version().unwrap_or_default(),
    );
    Ok(made)
}

/// Whether the resource is gone although it was put on: the API server deletes what had none when
/// it looked, also where one was put on since ("Delete" of its generic registry).
pub(crate) async fn came_too_late(
    resource: &ArchiveRun,
    context: &Context,
) -> Result<bool, ReconcileError> {
    let runs: Api<ArchiveRun> = Api::namespaced(
        context.client.clone(),
        &resource.namespace().unwrap_or_default(),
    );
    let found = runs.get_metadata_opt(&resource.name_any()).await;
    let found = found.map_err(|cause| ReconcileError::Read(Box::new(cause)))?;
    Ok(found.is_none_or(|found| found.metadata.uid != resource.metadata.uid))
}

/// Takes it away, of a resource that cannot be read too.
pub(crate) async fn remove(resource: &ObjectMeta, context: &Context) -> Result<(), ReconcileError> {
    let left = resource
        .finalizers
        .iter()
        .flatten()
        .map(String::as_str)
        .filter(|known| *known != FINALIZER)
        .collect();
    match patch_finalizers(resource, left, context).await {
        // It is gone already.
        Err(ReconcileError::Write(cause)) if matches!(&*cause, kube::Error::Api(status) if status.code == 404) => {
            Ok(())
        }
        put => put.map(drop),
    }
}

/// Writes the finalizers over those that were looked at, and no others; gives the version that it
/// made.
async fn patch_finalizers(
    resource: &ObjectMeta,
    finalizers: Vec<&str>,
    context: &Context,
) -> Result<Option<String>, ReconcileError> {
    let patch = json!({"metadata": {
        "uid": resource.uid, "finalizers": finalizers, "resourceVersion": resource.resource_version,
    }});
    let (name, namespace) = (
        resource.name.as_deref().unwrap_or_default(),
        resource.namespace.as_deref(),
    );
    let runs: Api<ArchiveRun> =
        Api::namespaced(context.client.clone(), namespace.unwrap_or_default());
    match runs
        .patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
    {
        Ok(made) => Ok(made.metadata.resource_version),
        Err(cause) if is_of_another(&cause) => Err(ReconcileError::Changed),
        Err(cause) => Err(ReconcileError::Write(Box::new(cause))),
    }
}
