//! The fifth step, and the only writer: carries out what was decided, in order, and tells what came
//! of it. Objects of Kubernetes are applied by the server, under one field manager; replicas are
//! scaled apart from them, because they may belong to somebody else.

use std::collections::HashMap;
use std::time::Instant;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, Preconditions,
};
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::build::{self, SCALED_OBJECT, WORKER, grouper_name, verifier_name, workers_name};
use super::cache::{AppliedWorkers, RunCache, WorkersShown};
use super::context::Context;
use super::decide::Write;
use super::dereference::has_finished;
use super::error::{ReconcileError, is_of_another};
use super::failure::{self, Failure};
use super::finalizer;
use super::ownership::{Owner, owner};
use super::roll_outs::{is_rolled_out, replaces_pods};
use super::run::{QueuePlan, Run};
use super::workloads::{Pod, RunKey, has_component};
use crate::autoscale::plan::Bounds;
use crate::aws::{AwsError, AwsErrorKind};
use crate::crd::{ArchiveRun, ScalingMode};
use crate::queues::{QueuePair, Queues};

/// The field manager of everything that is applied.
const MANAGER: &str = "s3bundler-operator";

/// What came of it, as far as the status has to say so.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// The queues, where they were made now.
    pub(crate) queues: Option<QueuePair>,
    /// Whether the queues were deleted now.
    pub(crate) queues_deleted: bool,
    /// The request for a redrive that was carried out now, or why it was not.
    pub(crate) redriven: Option<Result<String, AwsError>>,
    /// The resource's version, where something was written into it.
    pub(crate) version: Option<String>,
    /// What ended it early, with what the status says of it.
    pub(crate) failed: Option<(ReconcileError, Failure)>,
}

/// Carries out what was decided, up to the first failure; so many were before it, in a row. Fails
/// with one that the status does not show, because it may pass by itself.
pub(crate) async fn apply(
    context: &Context,
    resource: &ArchiveRun,
    run: &Run,
    writes: &[Write],
    cache: &mut RunCache,
    failures: u32,
) -> Result<Applied, ReconcileError> {
    let mut applied = Applied::default();
    for write in writes {
        if let Err(error) = Box::pin(carry_out(
            context,
            resource,
            run,
            write,
            cache,
            &mut applied,
        ))
        .await
        {
            match failure::of_write(&error, write, failures.saturating_add(1)) {
                Some(failure) => applied.failed = Some((error, failure)),
                None => return Err(error),
            }
            break;
        }
    }
    Ok(applied)
}

async fn carry_out(
    context: &Context,
    resource: &ArchiveRun,
    run: &Run,
    write: &Write,
    cache: &mut RunCache,
    applied: &mut Applied,
) -> Result<(), ReconcileError> {
    let prior = resource.status.clone().unwrap_or_default();
    let queue = prior
        .queue
        .as_ref()
        .and_then(|queue| queue.url.clone())
        .unwrap_or_default();
    let queues = Queues::of(&context.aws, &queue, &run.region);
    tracing::debug!(?write, "applying");
    match write {
        Write::MakeQueues(name) => {
            applied.version = finalizer::add(resource, context).await?;
            let made = queues.ensure(name, &tags(context, run)).await;
            if applied.version.is_some() && finalizer::came_too_late(resource, context).await? {
                let known = made.ok().or_else(|| QueuePair::of(&prior));
                delete_queues_of_gone(&queues, run, known).await?;
                return Err(ReconcileError::Changed);
            }
            applied.queues = Some(made?);
            cache.depths = None;
        }
        Write::UseQueues(pair) => applied.queues = Some(pair.clone()),
        Write::ApplyGrouper(pass) => {
            let inventory = prior
                .inventory
                .as_ref()
                .map(|inventory| inventory.manifest.as_str());
            let sends = build::sends(
                run,
                cache
                    .summaries
                    .contains_key(&s3bundler_contract::Stage::Pass(*pass)),
            );
            let queue = sends.then_some(queue.as_str());
            let job = build::grouper(run, &context.defaults, *pass, inventory, queue);
            Box::pin(apply_job(context, run, job)).await?;
        }
        Write::DeleteGrouper(pass) => {
            delete::<Job>(context, run, &grouper_name(run, *pass)).await?;
        }
        Write::SendAgain(pass) => {
            delete::<Job>(context, run, &grouper_name(run, *pass)).await?;
            cache.sent_again = Some(*pass);
        }
        Write::ApplyVerifier => {
            let job = build::verifier(run, &context.defaults);
            Box::pin(apply_job(context, run, job)).await?;
        }
        Write::DeleteVerifier => {
            delete::<Job>(context, run, &verifier_name(run)).await?;
        }
        Write::ApplyWorkers => apply_workers(context, run, &queue, cache).await?,
        Write::Scale(replicas) => {
            let deployments: Api<Deployment> =
                Api::namespaced(context.client.clone(), &run.namespace);
            if let Some(own) = found(run, &deployments, &workers_name(run)).await?.of_run() {
                let patch = Patch::Merge(
                    json!({"metadata": {"uid": own.uid}, "spec": {"replicas": replicas}}),
                );
                let scaled = deployments
                    .patch_scale(&workers_name(run), &PatchParams::default(), &patch)
                    .await;
                not_found_is_fine(scaled)?;
                let asked = WorkersShown {
                    uid: own.uid,
                    generation: own.generation,
                    replicas: *replicas,
                };
                cache.scaled(asked, Instant::now());
            }
        }
        Write::ApplyScaledObject(bounds) => {
            let api = scaled_objects(context, run);
            if *bounds == Bounds::NONE && !may_scale(context, run, &api).await? {
                return Ok(());
            }
            apply_own(run, &api, build::scaled_object(run, &queue, *bounds)).await?;
        }
        Write::PauseWorkers(pods) => pause(context, run, pods, true).await?,
        Write::ResumeWorkers(pods) => pause(context, run, pods, false).await?,
        Write::Redrive(asked) => {
            if let Some(dead) = prior
                .queue
                .as_ref()
                .and_then(|queue| queue.dead_letter_url.as_ref())
            {
                // Nothing else waits for it: where it fails it is asked for with the next look.
                applied.redriven = Some(queues.redrive(dead).await.map(|()| asked.clone()));
                cache.dead_letters_at = None;
                cache.expect_groups();
            }
        }
        Write::DeleteWorkloads => delete_workloads(context, run).await?,
        Write::DeleteQueues => {
            // The watches may be late, and nobody looks for workloads after this.
            delete_workloads(context, run).await?;
            if pods_left(context, run).await? > 0 {
                return Err(ReconcileError::Changed);
            }
            delete_queues(&queues, run, QueuePair::of(&prior)).await?;
            applied.queues_deleted = true;
        }
        Write::DeleteRun => {
            delete_run(
                context,
                &run.namespace,
                run.name.as_str(),
                run.uid.to_string(),
            )
            .await?;
        }
    }
    Ok(())
}

/// Creates a Job, unless it exists and the watch does not show it yet: its template cannot be changed
/// any more.
async fn apply_job(context: &Context, run: &Run, job: Job) -> Result<(), ReconcileError> {
    let jobs: Api<Job> = Api::namespaced(context.client.clone(), &run.namespace);
    if found(run, &jobs, &job.name_any()).await?.of_run().is_some() {
        return Ok(());
    }
    server_side(context, run, job).await.map(|_| ())
}

/// Applies the Deployment of the workers. If that replaces pods while enough other runs replace
/// theirs, it is left for a later reconcile.
async fn apply_workers(
    context: &Context,
    run: &Run,
    queue: &str,
    cache: &mut RunCache,
) -> Result<(), ReconcileError> {
    let wanted = build::workers(run, &context.defaults, queue);
    let now = Instant::now();
    let applied = cache.workers.as_ref();
    if applied.is_some_and(|applied| applied.is_current(&wanted, now)) {
        return Ok(());
    }
    let key = (run.namespace.clone(), run.name.to_string());
    let replaces = deployment(context, &key).is_some_and(|shown| replaces_pods(&shown, &wanted));
    let is_done = |key: &RunKey, generation| {
        deployment(context, key).is_none_or(|shown| is_rolled_out(&shown, generation))
    };
    if replaces && !context.roll_outs.begin(&key, now, is_done) {
        return Ok(());
    }
    if applied.is_none() {
        delete_budget(context, run).await?;
    }
    let made = server_side(context, run, wanted.clone()).await;
    let generation = made.as_ref().ok().and_then(|made| made.metadata.generation);
    if replaces {
        context.roll_outs.applied(&key, generation);
    }
    made?;
    cache.workers = generation.map(|generation| AppliedWorkers {
        deployment: wanted,
        generation,
        scaled: None,
        at: now,
    });
    Ok(())
}

/// The Deployment of a run's workers, as the watch shows it.
fn deployment(context: &Context, (namespace, run): &RunKey) -> Option<Deployment> {
    let deployments = context.workloads.deployments.of_run(namespace, run);
    deployments
        .into_iter()
        .find(|it| has_component(&it.metadata, WORKER))
}

/// Asks workers to take no other group, or to take groups again. The kubelet tells them.
async fn pause(
    context: &Context,
    run: &Run,
    names: &[String],
    is_paused: bool,
) -> Result<(), ReconcileError> {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &run.namespace);
    let value = is_paused.then_some(build::PAUSED);
    let patch =
        Patch::Merge(json!({"metadata": {"annotations": {build::PAUSE_ANNOTATION: value}}}));
    for name in names {
        // One that has left meanwhile takes no group either.
        not_found_is_fine(
            pods.patch_metadata(name, &PatchParams::default(), &patch)
                .await,
        )?;
    }
    Ok(())
}

/// Deletes a run itself, and not one that was made again under its name.
pub(crate) async fn delete_run(
    context: &Context,
    namespace: &str,
    name: &str,
    uid: String,
) -> Result<(), ReconcileError> {
    let runs: Api<ArchiveRun> = Api::namespaced(context.client.clone(), namespace);
    not_found_is_fine(runs.delete(name, &only(uid)).await)
}

/// Deletes what was made for a run in Kubernetes.
pub(crate) async fn delete_workloads(context: &Context, run: &Run) -> Result<(), ReconcileError> {
    if run.mode == ScalingMode::Keda {
        match delete_own(run, &scaled_objects(context, run), &workers_name(run)).await {
            // Without leave to write ScaledObjects there has never been one.
            Err(ReconcileError::Read(error)) if is_forbidden(&error) && !context.defaults.keda => {}
            deleted => deleted?,
        }
    }
    delete_budget(context, run).await?;
    delete::<Deployment>(context, run, &workers_name(run)).await?;
    let jobs: Api<Job> = Api::namespaced(context.client.clone(), &run.namespace);
    let listed = kube::api::ListParams::default().labels(&build::run_selector(run));
    for job in jobs.list(&listed).await.map_err(read_error)? {
        if let (Owner::Run, Some(uid)) = (owner(run, &job.metadata), job.uid()) {
            not_found_is_fine(jobs.delete(&job.name_any(), &only(uid)).await)?;
        }
    }
    Ok(())
}

/// Pods of a run that have not ended.
pub(crate) async fn pods_left(context: &Context, run: &Run) -> Result<usize, ReconcileError> {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &run.namespace);
    let listed = kube::api::ListParams::default().labels(&build::run_selector(run));
    let pods = pods.list(&listed).await.map_err(read_error)?;
    Ok(pods.iter().filter(|pod| !has_finished(pod)).count())
}

/// Deletes the PodDisruptionBudget that earlier releases created for a run's workers
/// (docs/decisions/workers-without-a-budget.md).
async fn delete_budget(context: &Context, run: &Run) -> Result<(), ReconcileError> {
    delete::<PodDisruptionBudget>(context, run, &workers_name(run)).await
}

/// Deletes the queues that were made for a run, by their names too: one may have been made and not
/// be known yet, by an earlier release at that.
pub(crate) async fn delete_queues(
    queues: &Queues,
    run: &Run,
    known: Option<QueuePair>,
) -> Result<(), ReconcileError> {
    let QueuePlan::Managed(queue) = &run.queue else {
        return Ok(());
    };
    let mut urls = queues.find(&queue.name).await?;
    for name in &queue.others {
        match queues.find(name).await {
            Ok(found) => urls.extend(found),
            // The operator's role need not know the names of earlier releases any more.
            Err(error) if error.kind == AwsErrorKind::Denied => {
                tracing::warn!(queue = name, %error, "a queue with a name of an earlier release \
                    stays, if there is one: it cannot be looked for");
            }
            Err(error) => return Err(error.into()),
        }
    }
    let known = known
        .into_iter()
        .flat_map(|pair| [Some(pair.url), pair.dead_letter_url])
        .flatten();
    urls.extend(known.filter(|url| queue.has(url)));
    urls.sort_unstable();
    urls.dedup();
    for url in urls {
        queues.delete(&url).await?;
    }
    Ok(())
}

/// Deletes the queues that were made now if the run is gone after all, in spite of its finalizer: a
/// deletion that was under way when that was put on may take until after the queues were made.
pub(crate) async fn release_queues_of_gone(
    resource: &ArchiveRun,
    run: &Run,
    applied: &Applied,
    context: &Context,
) -> Result<(), ReconcileError> {
    let Some(made) = applied
        .queues
        .as_ref()
        .filter(|_| applied.version.is_some())
    else {
        return Ok(());
    };
    if finalizer::came_too_late(resource, context).await? {
        let queues = Queues::of(&context.aws, &made.url, &run.region);
        delete_queues_of_gone(&queues, run, Some(made.clone())).await?;
    }
    Ok(())
}

async fn delete_queues_of_gone(
    queues: &Queues,
    run: &Run,
    known: Option<QueuePair>,
) -> Result<(), ReconcileError> {
    tracing::info!("the run was deleted while its queues were made: they are deleted, too");
    delete_queues(queues, run, known).await
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

/// KEDA's objects in the run's namespace.
pub(crate) fn scaled_objects(context: &Context, run: &Run) -> Api<DynamicObject> {
    let (group, version, kind, plural) = SCALED_OBJECT;
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    Api::namespaced_with(context.client.clone(), &run.namespace, &resource)
}

/// Whether KEDA may be scaling the run's workers: there is nothing to hold without a ScaledObject,
/// or without KEDA.
async fn may_scale(
    context: &Context,
    run: &Run,
    api: &Api<DynamicObject>,
) -> Result<bool, ReconcileError> {
    match found(run, api, &workers_name(run)).await {
        Ok(Found::Own(_)) => Ok(true),
        Ok(Found::Nothing | Found::NotOwn) => Ok(false),
        Err(ReconcileError::Read(error)) if is_forbidden(&error) && !context.defaults.keda => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// What has a name of the run's.
enum Found {
    Nothing,
    Own(Own),
    NotOwn,
}

/// An object of the run.
struct Own {
    uid: String,
    /// 0 where its kind has none.
    generation: i64,
}

impl Found {
    fn of_run(self) -> Option<Own> {
        match self {
            Self::Own(own) => Some(own),
            Self::Nothing | Self::NotOwn => None,
        }
    }
}

async fn found<K>(run: &Run, api: &Api<K>, name: &str) -> Result<Found, ReconcileError>
where
    K: DeserializeOwned + Clone + std::fmt::Debug,
{
    Ok(
        match api.get_metadata_opt(name).await.map_err(read_error)? {
            None => Found::Nothing,
            Some(object) if owner(run, &object.metadata) == Owner::Run => Found::Own(Own {
                uid: object.metadata.uid.unwrap_or_default(),
                generation: object.metadata.generation.unwrap_or_default(),
            }),
            Some(_) => Found::NotOwn,
        },
    )
}

/// Deletes this very object, not one that was made again under its name.
fn only(uid: String) -> DeleteParams {
    DeleteParams::background().preconditions(Preconditions {
        uid: Some(uid),
        resource_version: None,
    })
}

async fn server_side<K>(context: &Context, run: &Run, object: K) -> Result<K, ReconcileError>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(
        context.client.clone(),
        &object.namespace().unwrap_or_default(),
    );
    apply_own(run, &api, object).await
}

/// Makes an object, or makes it newer if it is the run's. With its uid, so that it is that one or
/// none.
async fn apply_own<K>(run: &Run, api: &Api<K>, mut object: K) -> Result<K, ReconcileError>
where
    K: Resource + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
{
    let name = object.name_any();
    object.meta_mut().uid = match found(run, api, &name).await? {
        Found::Nothing => None,
        Found::Own(own) => Some(own.uid),
        Found::NotOwn => return Err(ReconcileError::Changed),
    };
    let params = PatchParams::apply(MANAGER).force();
    api.patch(&name, &params, &Patch::Apply(&object))
        .await
        .map_err(write_error)
}

async fn delete_own<K>(run: &Run, api: &Api<K>, name: &str) -> Result<(), ReconcileError>
where
    K: DeserializeOwned + Clone + std::fmt::Debug,
{
    match found(run, api, name).await?.of_run() {
        Some(own) => not_found_is_fine(api.delete(name, &only(own.uid)).await),
        None => Ok(()),
    }
}

async fn delete<K>(context: &Context, run: &Run, name: &str) -> Result<(), ReconcileError>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), &run.namespace);
    delete_own(run, &api, name).await
}

fn not_found_is_fine<T>(result: Result<T, kube::Error>) -> Result<(), ReconcileError> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(write_error(error)),
    }
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

fn read_error(cause: kube::Error) -> ReconcileError {
    ReconcileError::Read(Box::new(cause))
}

fn write_error(cause: kube::Error) -> ReconcileError {
    if is_of_another(&cause) {
        ReconcileError::Changed
    } else {
        ReconcileError::Write(Box::new(cause))
    }
}
