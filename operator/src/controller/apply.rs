//! The fifth step, and the only writer: carries out what was decided, in order, and tells what came of it. Objects of
//! Kubernetes are applied by the server, under one field manager; replicas are scaled apart from them, because they may
//! belong to somebody else.

use std::collections::HashMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::build::{self, SCALED_OBJECT, grouper_name, workers_name};
use super::decide::Write;
use super::failure::{self, Failure};
use super::track::Track;
use super::validate::{QueuePlan, Run};
use super::{Context, MANAGER, ReconcileError};
use crate::aws::AwsError;
use crate::crd::{ArchiveRun, ArchiveRunStatus, Origin, ScalingMode};
use crate::queues::{QueuePair, Queues, region_of};
use crate::store::{ClaimState, Store};

/// What came of it, as far as the status has to say so.
#[derive(Debug, Default)]
pub struct Applied {
    /// Whose claim the name has, where it was claimed now.
    pub claim: Option<ClaimState>,
    /// The queues, where they were made now.
    pub queues: Option<QueuePair>,
    /// Whether the queues were deleted now.
    pub queues_deleted: bool,
    /// The request for a redrive that was carried out now, or why it was not.
    pub redriven: Option<Result<String, AwsError>>,
    /// What ended it early, with what the status says of it.
    pub failed: Option<(ReconcileError, Option<Failure>)>,
}

/// Carries out what was decided, up to the first failure; so many were before it, in a row.
pub async fn apply(
    context: &Context,
    run: &Run,
    prior: &ArchiveRunStatus,
    writes: &[Write],
    track: &mut Track,
    failures: u32,
) -> Applied {
    let mut applied = Applied::default();
    for write in writes {
        if let Err(error) = one(context, run, prior, write, track, &mut applied).await {
            let told = failure::of_write(&error, write, failures.saturating_add(1));
            applied.failed = Some((error, told));
            break;
        }
        if matches!(applied.claim, Some(ClaimState::Taken { .. })) {
            // Nothing of what follows is ours to do.
            break;
        }
    }
    applied
}

async fn one(
    context: &Context,
    run: &Run,
    prior: &ArchiveRunStatus,
    write: &Write,
    track: &mut Track,
    applied: &mut Applied,
) -> Result<(), ReconcileError> {
    let queue = prior.queue.as_ref().and_then(|queue| queue.url.clone()).unwrap_or_default();
    let queues = Queues::new(&context.aws, region_of(&queue));
    tracing::debug!(?write, "applying");
    match write {
        Write::ClaimName(inventory) => {
            let store = Store::new(&context.aws, run.destination_region.as_deref(), run.destination_owner.clone());
            let claim = run.claim(inventory, &context.defaults.cluster);
            let latest = match &run.origin {
                Origin::Latest { prefix, .. } => Some(prefix),
                Origin::Inventory(_) | Origin::Manifests(_) => None,
            };
            let claimed = store.claim(&run.bucket, &run.layout, &claim, &run.encryption, latest).await?;
            applied.claim = Some(claimed);
        }
        Write::MakeQueues(name) => {
            add_finalizer(context, run).await?;
            applied.queues = Some(queues.ensure(name, &tags(context, run)).await?);
        }
        Write::UseQueues(pair) => applied.queues = Some(pair.clone()),
        Write::ApplyGrouper(pass) => {
            let inventory = prior.inventory.as_ref().map(|inventory| inventory.manifest.as_str());
            let sends = build::sends(run, track.summaries.contains_key(pass));
            let queue = sends.then_some(queue.as_str());
            server_side(context, &build::grouper(run, &context.defaults, *pass, inventory, queue)).await?;
        }
        Write::DeleteGrouper(pass) => {
            track.empty_since = None;
            delete::<Job>(context, run, &grouper_name(run, *pass)).await?;
        }
        Write::SuspendGrouper(pass, suspend) => {
            let jobs: Api<Job> = Api::namespaced(context.client.clone(), &run.namespace);
            let name = grouper_name(run, *pass);
            // Only where it differs, and never against kueue, which owns the field of a Job that it has queued.
            let job = jobs.get_opt(&name).await.map_err(read)?;
            let is_suspended = job.as_ref().and_then(|job| job.spec.as_ref()?.suspend).unwrap_or(false);
            if job.is_some() && is_suspended != *suspend && (*suspend || run.kueue_labels.is_empty()) {
                let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
                jobs.patch(&name, &PatchParams::default(), &patch).await.map_err(written)?;
            }
        }
        Write::ApplyWorkers => {
            server_side(context, &build::workers(run, &context.defaults, &queue)).await?;
            server_side(context, &build::disruption_budget(run)).await?;
        }
        Write::Scale(replicas) => {
            let deployments: Api<Deployment> = Api::namespaced(context.client.clone(), &run.namespace);
            let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
            let scaled = deployments.patch_scale(&workers_name(run), &PatchParams::default(), &patch).await;
            not_found_is_fine(scaled)?;
        }
        Write::ApplyScaledObject { paused } => {
            let api = scaled_objects(context, run);
            let object = build::scaled_object(run, &queue, *paused);
            let params = PatchParams::apply(MANAGER).force();
            api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await.map_err(written)?;
        }
        Write::Redrive(asked) => {
            if let Some(dead) = prior.queue.as_ref().and_then(|queue| queue.dead_letter_url.as_ref()) {
                // Nothing else waits for it: where it fails it is asked for with the next look.
                applied.redriven = Some(queues.redrive(dead).await.map(|()| asked.clone()));
                track.dead_letters_at = None;
            }
        }
        Write::DeleteWorkloads => delete_workloads(context, run).await?,
        Write::DeleteQueues => {
            delete_queues(&queues, run, prior).await?;
            applied.queues_deleted = true;
        }
        Write::DeleteRun => delete::<ArchiveRun>(context, run, run.name.as_str()).await?,
    }
    Ok(())
}

/// Deletes what was made for a run in Kubernetes.
pub async fn delete_workloads(context: &Context, run: &Run) -> Result<(), ReconcileError> {
    if run.mode == ScalingMode::Keda {
        let deleted = scaled_objects(context, run).delete(&workers_name(run), &DeleteParams::background()).await;
        match deleted {
            // Without leave to write ScaledObjects there has never been one.
            Err(kube::Error::Api(status)) if status.code == 403 && !context.defaults.keda => {}
            deleted => not_found_is_fine(deleted)?,
        }
    }
    delete::<Deployment>(context, run, &workers_name(run)).await?;
    delete::<PodDisruptionBudget>(context, run, &workers_name(run)).await?;
    let jobs: Api<Job> = Api::namespaced(context.client.clone(), &run.namespace);
    let listed = kube::api::ListParams::default().labels(&build::run_selector(run));
    for job in jobs.list(&listed).await.map_err(read)? {
        delete::<Job>(context, run, &job.name_any()).await?;
    }
    Ok(())
}

/// Deletes the queues that were made for a run, by their names too: one may have been made and not yet told.
pub async fn delete_queues(queues: &Queues, run: &Run, prior: &ArchiveRunStatus) -> Result<(), ReconcileError> {
    let QueuePlan::Managed(name) = &run.queue else { return Ok(()) };
    let mut urls = queues.find(name).await?;
    let told = prior.queue.iter().flat_map(|queue| [queue.url.clone(), queue.dead_letter_url.clone()]);
    urls.extend(told.flatten().filter(|url| url.contains(name.as_str())));
    urls.sort_unstable();
    urls.dedup();
    for url in urls {
        queues.delete(&url).await?;
    }
    Ok(())
}

fn tags(context: &Context, run: &Run) -> HashMap<String, String> {
    [
        ("s3bundler-run", run.name.as_str()),
        ("s3bundler-namespace", run.namespace.as_str()),
        ("s3bundler-cluster", context.defaults.cluster.as_str()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// Before there is anything outside of Kubernetes: so that nobody deletes the resource and leaves that behind.
async fn add_finalizer(context: &Context, run: &Run) -> Result<(), ReconcileError> {
    let runs: Api<ArchiveRun> = Api::namespaced(context.client.clone(), &run.namespace);
    let found = runs.get(run.name.as_str()).await.map_err(read)?;
    if found.finalizers().iter().any(|known| known == super::FINALIZER) {
        return Ok(());
    }
    let finalizers: Vec<_> = found.finalizers().iter().map(String::as_str).chain([super::FINALIZER]).collect();
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": found.resource_version()}});
    runs.patch(run.name.as_str(), &PatchParams::default(), &Patch::Merge(patch)).await.map_err(written)?;
    Ok(())
}

fn scaled_objects(context: &Context, run: &Run) -> Api<DynamicObject> {
    let (group, version, kind, plural) = SCALED_OBJECT;
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    Api::namespaced_with(context.client.clone(), &run.namespace, &resource)
}

async fn server_side<K>(context: &Context, object: &K) -> Result<(), ReconcileError>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), &object.namespace().unwrap_or_default());
    let params = PatchParams::apply(MANAGER).force();
    api.patch(&object.name_any(), &params, &Patch::Apply(object)).await.map(|_| ()).map_err(written)
}

async fn delete<K>(context: &Context, run: &Run, name: &str) -> Result<(), ReconcileError>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), &run.namespace);
    not_found_is_fine(api.delete(name, &DeleteParams::background()).await)
}

fn not_found_is_fine<T>(result: Result<T, kube::Error>) -> Result<(), ReconcileError> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(written(error)),
    }
}

fn read(cause: kube::Error) -> ReconcileError {
    ReconcileError::Read(Box::new(cause))
}

fn written(cause: kube::Error) -> ReconcileError {
    ReconcileError::Write(Box::new(cause))
}
