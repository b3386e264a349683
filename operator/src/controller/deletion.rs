//! The end of a resource: pods first, then the queues that they hang on, then the finalizer.

use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;

use super::build::worker_grace;
use super::context::Context;
use super::error::ReconcileError;
use super::explanation::Explanation;
use super::report::write_status;
use super::run::Run;
use super::validate::{ORPHAN_ANNOTATION, read};
use super::{apply, finalizer, status};
use crate::aws::AwsErrorKind;
use crate::crd::{ArchiveRun, ArchiveRunStatus};
use crate::queues::{QueuePair, Queues};

/// Between two looks for the pods of a run that is deleted.
const PODS_PERIOD: Duration = Duration::from_secs(2);
/// For so long after their grace, pods are waited for: a node that is lost never says that they are
/// gone.
const AFTER_GRACE: Duration = Duration::from_mins(1);

/// Whether the pods of a run that is deleted since a time still have time to end: their queues are
/// there meanwhile, to give groups back to.
fn are_waited_for(run: &Run, since: Timestamp, now: Timestamp) -> bool {
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    passed < worker_grace(run) + AFTER_GRACE
}

/// Says why a resource that is being deleted does not go, where a person has to act.
async fn report_blocked_deletion(
    resource: &ArchiveRun,
    prior: &ArchiveRunStatus,
    error: &ReconcileError,
    context: &Context,
) -> Result<(), ReconcileError> {
    let ReconcileError::Aws(error) = error else {
        return Ok(());
    };
    if error.kind != AwsErrorKind::Denied {
        return Ok(());
    }
    let (name, namespace) = (
        resource.name_any(),
        resource.namespace().unwrap_or_default(),
    );
    let message = format!(
        "its queues cannot be deleted: {error}. It goes and leaves them behind with: kubectl \
         annotate archiverun {name} -n {namespace} {ORPHAN_ANNOTATION}=true"
    );
    let next = status::stalled_status(
        prior,
        &Explanation::new("AccessDenied", message),
        resource.metadata.generation,
        Timestamp::now(),
    );
    let made = write_status(resource, None, prior, &next, context).await?;
    if let Some(version) = made {
        context
            .throttle
            .wrote(&resource.uid().unwrap_or_default(), version, Instant::now());
    }
    Ok(())
}

/// A resource that cannot be read is being deleted. What runs in Kubernetes goes with it; its
/// queues are left behind where the annotation asks for it, for nobody knows their region.
pub(crate) async fn release_unreadable(
    metadata: &ObjectMeta,
    context: &Context,
) -> Result<(), ReconcileError> {
    let annotations = metadata.annotations.as_ref();
    let orphans = annotations.and_then(|annotations| annotations.get(ORPHAN_ANNOTATION));
    let name = metadata.name.clone().unwrap_or_default();
    if metadata.deletion_timestamp.is_none() || !finalizer::is_present(metadata) {
        return Ok(());
    }
    if orphans.map(String::as_str) != Some("true") {
        tracing::warn!(
            name,
            "an ArchiveRun that cannot be read is not deleted: annotate it with \
             {ORPHAN_ANNOTATION}=true"
        );
        return Ok(());
    }
    tracing::warn!(
        namespace = metadata.namespace,
        name,
        "queues are left behind, as the annotation asks"
    );
    finalizer::remove(metadata, context).await
}

/// The resource is being deleted: pods first, then the queues that they hang on, then it may go.
pub(crate) async fn clean_up(
    resource: &ArchiveRun,
    prior: &ArchiveRunStatus,
    context: &Context,
) -> Result<Action, ReconcileError> {
    let uid = resource.uid().unwrap_or_default();
    context.caches.forget(&uid);
    let forget = || {
        context.metrics.forget(
            &resource.namespace().unwrap_or_default(),
            &resource.name_any(),
        );
    };
    if !finalizer::is_present(&resource.metadata) {
        forget();
        return Ok(Action::await_change());
    }
    // One that cannot even be read has never had anything made for it.
    if let Ok(run) = read(resource, &context.defaults) {
        apply::delete_workloads(context, &run).await?;
        context.worker_quota.forget(&uid);
        let pods = apply::pods_left(context, &run).await?;
        let since = resource.metadata.deletion_timestamp.as_ref();
        if pods > 0 && since.is_some_and(|since| are_waited_for(&run, since.0, Timestamp::now())) {
            tracing::debug!(run = %run.name, pods, "its pods are leaving");
            return Ok(Action::requeue(PODS_PERIOD));
        }
        let deleted = apply::delete_queues(
            &Queues::new(&context.aws, &run.region),
            &run,
            QueuePair::of(prior),
        )
        .await;
        match deleted {
            Ok(()) => {}
            Err(error)
                if resource
                    .annotations()
                    .get(ORPHAN_ANNOTATION)
                    .map(String::as_str)
                    == Some("true") =>
            {
                tracing::warn!(%error, run = %run.name, "queues are left behind, as the \
                    annotation asks");
            }
            Err(error) => {
                report_blocked_deletion(resource, prior, &error, context).await?;
                return Err(error);
            }
        }
    }
    finalizer::remove(&resource.metadata, context).await?;
    forget();
    Ok(Action::await_change())
}

#[cfg(test)]
mod tests;
