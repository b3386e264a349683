//! The controller of ArchiveRuns.
//!
//! ```text
//! validate ──► dereference ──► decide ──► apply ──► status
//! spec to a    all reads:      pure:      the only  one write,
//! strict Run   Kubernetes,     what to    writer    and events of
//!              S3, SQS         do next    (build)   what changed
//! ```
//!
//! A reconcile takes one step at most over anything that has to be remembered first: what was claimed or made is in the
//! status before the next step builds on it, so an operator may be killed anywhere. Nothing but the status, and what is in
//! S3, SQS and Kubernetes, decides.

mod apply;
pub mod build;
pub mod cache;
mod context;
pub mod decide;
mod deletion;
mod dereference;
mod error;
mod events;
pub mod failure;
mod finalizer;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod health_tests;
pub mod observed;
pub mod ownership;
pub mod problem;
pub mod run;
pub mod status;
mod throttle;
pub mod validate;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use self::apply::Applied;
use self::cache::RunCache;
use self::context::{Context, workers_of_runs};
use self::decide::{Decision, Explanation};
use self::deletion::{clean_up, release_unreadable};
use self::error::is_of_another;
use self::status::Outcome;
use self::validate::{Stage, accept};
use crate::aws::AwsErrorKind;
use crate::crd::{ArchiveRun, ArchiveRunStatus};

pub use self::context::Parts;
pub use self::error::ReconcileError;
pub use self::finalizer::FINALIZER;

/// The field manager of everything that is applied.
pub const MANAGER: &str = "s3bundler-operator";
/// Runs that are reconciled at a time.
const CONCURRENCY: u16 = 16;
/// Between looks for runs that are gone.
const SWEEP_PERIOD: Duration = Duration::from_mins(1);
/// Between looks at a run that is refused: what refuses it is not watched.
const REFUSED_PERIOD: Duration = Duration::from_mins(1);
/// After an error: 5 s, 10 s, … 5 min.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Reconciles the runs of these namespaces, all where there are none, until `shutdown`; reconciles under way are finished.
pub async fn run(
    parts: Parts,
    namespaces: &[String],
    shutdown: impl Future<Output = ()> + Send + Sync + Clone + 'static,
) {
    let scopes: Vec<Option<&String>> =
        if namespaces.is_empty() { vec![None] } else { namespaces.iter().map(Some).collect() };
    let client = parts.client.clone();
    let deployments: Vec<_> = scopes.iter().map(|scope| api(&client, *scope)).collect();
    let workers = loop {
        match workers_of_runs(&deployments).await {
            Ok(workers) => break workers,
            Err(error) => tracing::warn!(%error, "cannot list the workers of runs, trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(FIRST_PAUSE) => {}
            () = shutdown.clone() => return,
        }
    };
    let labelled = watcher::Config::default().labels(build::RUN_LABEL);
    let mut controllers = Vec::new();
    for scope in scopes {
        let runs = api::<DeserializeGuard<ArchiveRun>>(&client, scope);
        controllers.push(
            Controller::new(runs, watcher::Config::default())
                .owns(api::<Job>(&client, scope), labelled.clone())
                .watches(api::<Deployment>(&client, scope), labelled.clone(), |workers| {
                    if is_changed(&workers) { labelled_run(&workers) } else { None }
                })
                .watches(api::<Pod>(&client, scope), labelled.clone(), |pod| {
                    if dereference::has_news(&pod) { labelled_run(&pod) } else { None }
                })
                .with_config(Config::default().concurrency(CONCURRENCY))
                .graceful_shutdown_on(shutdown.clone()),
        );
    }
    let runs = controllers.iter().map(Controller::store).collect();
    let context = Arc::new(Context::new(parts, workers, runs));
    let running = controllers.into_iter().map(|controller| {
        controller.run(reconcile, error_policy, Arc::clone(&context)).for_each(|reconciled| async move {
            if let Err(error) = reconciled {
                tracing::debug!(%error, "reconcile");
            }
        })
    });
    let sweeping = async {
        loop {
            tokio::time::sleep(SWEEP_PERIOD).await;
            context.sweep();
        }
    };
    tokio::select! {
        _ = futures_util::future::join_all(running) => {}
        () = sweeping => {}
    }
}

/// The run that something with its label belongs to.
fn labelled_run<K>(object: &K) -> Option<ObjectRef<DeserializeGuard<ArchiveRun>>>
where
    K: kube::Resource,
{
    let run = object.labels().get(build::RUN_LABEL)?;
    Some(ObjectRef::new(run).within(&object.namespace()?))
}

/// Whether somebody changed or deletes a Deployment. That its pods come and go is none of that.
fn is_changed(deployment: &Deployment) -> bool {
    let observed = deployment.status.as_ref().and_then(|status| status.observed_generation);
    deployment.metadata.deletion_timestamp.is_some() || observed != deployment.metadata.generation
}

fn api<K>(client: &Client, namespace: Option<&String>) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

async fn reconcile(run: Arc<DeserializeGuard<ArchiveRun>>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let resource = match &run.0 {
        Ok(resource) => resource,
        Err(invalid) => {
            // Of a version that this operator does not know: it must not stop the others.
            tracing::warn!(name = ?invalid.metadata.name, error = invalid.error, "cannot read an ArchiveRun");
            release_unreadable(&invalid.metadata, &context).await?;
            return Ok(Action::await_change());
        }
    };
    let uid = resource.uid().unwrap_or_default();
    let version = resource.resource_version().unwrap_or_default();
    if let Some(wait) = context.throttle.delay(&uid, &version, Instant::now()) {
        return Ok(Action::requeue(wait));
    }
    let started = Instant::now();
    let reconciled = Box::pin(reconcile_run(resource, &context)).await;
    context.metrics.reconciled(started.elapsed(), reconciled.as_ref().err().map(ReconcileError::class));
    match reconciled {
        Ok(action) => {
            context.succeeded(&uid);
            Ok(action)
        }
        Err(ReconcileError::Changed) => {
            tracing::debug!(
                namespace = resource.namespace(),
                name = resource.name_any(),
                "changed meanwhile, looking again"
            );
            Ok(Action::requeue(FIRST_PAUSE))
        }
        Err(error) => {
            report_unreadable(resource, &error, &context).await?;
            Err(error)
        }
    }
}

/// Says that nothing can be said of a run that is under way, where somebody has to act on it.
async fn report_unreadable(
    resource: &ArchiveRun,
    error: &ReconcileError,
    context: &Context,
) -> Result<(), ReconcileError> {
    let prior = resource.status.clone().unwrap_or_default();
    match failure::of_read(error) {
        Some(explanation) if decide::finished(&prior).is_none() => {
            let next = status::stalled_status(&prior, &explanation, resource.metadata.generation, Timestamp::now());
            write_status(resource, None, &prior, &next, context).await.map(|_| ())
        }
        _ => Ok(()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn error_policy(run: Arc<DeserializeGuard<ArchiveRun>>, error: &ReconcileError, context: Arc<Context>) -> Action {
    let pause = context.failed(&run.uid().unwrap_or_default());
    tracing::warn!(namespace = run.namespace(), name = run.name_any(), %error, again_seconds = pause.as_secs(), "reconcile failed");
    Action::requeue(pause)
}

async fn reconcile_run(resource: &ArchiveRun, context: &Context) -> Result<Action, ReconcileError> {
    let prior = resource.status.clone().unwrap_or_default();
    let generation = resource.metadata.generation.unwrap_or(0);
    if resource.metadata.deletion_timestamp.is_some() {
        return clean_up(resource, &prior, context).await;
    }
    let has_ended = decide::finished(&prior).is_some();
    if has_ended && decide::queues_are_gone(&prior) && finalizer::is_present(&resource.metadata) {
        // Nothing outside of Kubernetes is left: the namespace may go without an operator.
        finalizer::remove(&resource.metadata, context).await?;
        return Ok(Action::await_change());
    }
    let policy = context.defaults.policy.as_ref();
    let labels = match policy {
        Some(_) if !has_ended => {
            dereference::namespace_labels(context, &resource.namespace().unwrap_or_default()).await?
        }
        _ => BTreeMap::new(),
    };
    let stage = match (has_ended, &prior.queue) {
        (true, _) => Stage::Ended,
        (false, Some(_)) => Stage::UnderWay,
        (false, None) => Stage::New,
    };
    let (run, refusal) = match accept(resource, &context.defaults, stage, &labels) {
        Ok(accepted) => accepted,
        Err(refusal) if !has_ended => {
            let decision = Decision::refused(Explanation::new(refusal.reason(), refusal.to_string()));
            let applied = Applied::default();
            let now = Timestamp::now();
            let outcome = Outcome { run: None, seen: None, decision: &decision, applied: &applied, generation, now };
            return report(resource, &prior, &outcome, context).await;
        }
        // It was read once, by another release.
        Err(_) => return Ok(Action::await_change()),
    };
    let cache = context.caches.of(&run.uid, &run.name);
    let cache: &mut RunCache = &mut *cache.lock().await;
    let seen = Box::pin(dereference::dereference(context, &run, &prior, cache)).await?;
    let now = Timestamp::now();
    let current = seen.workers.map_or(0, |workers| workers.replicas);
    let mut decision = match &seen.name_conflict {
        Some(it) if !has_ended => decide::name_conflict(it),
        _ => context.worker_quota.decide(&run.uid, current, |left| {
            let decision = decide::decide(&run, &prior, &seen, left, now);
            let holds = decision.holds(current);
            (decision, holds)
        }),
    };
    if let Some(refusal) = refusal {
        decision.refused = Some(Explanation::new(refusal.reason(), refusal.to_string()));
    }
    if decision.refused.is_some() {
        decision.requeue_after.get_or_insert(REFUSED_PERIOD);
    }
    let applied = apply::apply(context, resource, &run, &decision.writes, cache, context.failures(&run.uid)).await;
    if let Some((error, None)) = applied.failed {
        return Err(error);
    }
    if applied.failed.is_none() {
        context.worker_quota.settle(&run.uid, decision.holds(current));
    }
    let outcome =
        Outcome { run: Some(&run), seen: Some(&seen), decision: &decision, applied: &applied, generation, now };
    let action = report(resource, &prior, &outcome, context).await?;
    match applied.failed {
        Some((error, _)) if !is_mended_outside(&error) => Err(error),
        Some((error, _)) => {
            context.metrics.failed(error.class());
            Ok(action)
        }
        None => Ok(action),
    }
}

/// What somebody mends in AWS is looked at again soon, not after an ever longer pause.
fn is_mended_outside(error: &ReconcileError) -> bool {
    matches!(error, ReconcileError::Aws(error) if matches!(error.kind, AwsErrorKind::Denied | AwsErrorKind::NotFound))
}

/// Writes the status where it changed, and events of what changed.
async fn report(
    resource: &ArchiveRun,
    prior: &ArchiveRunStatus,
    outcome: &Outcome<'_>,
    context: &Context,
) -> Result<Action, ReconcileError> {
    let next = status::next(prior, outcome);
    let deleted = outcome.decision.writes.contains(&decide::Write::DeleteRun);
    if !deleted {
        let made = write_status(resource, outcome.applied.version.as_deref(), prior, &next, context).await?;
        // The next step of a run is not waited for.
        let goes_on = outcome.decision.requeue_after.is_some_and(|pause| pause.is_zero());
        if let Some(version) = made.filter(|_| !goes_on) {
            context.throttle.wrote(&resource.uid().unwrap_or_default(), version, Instant::now());
        }
    }
    if let Some(run) = outcome.run {
        context.metrics.observe(&run.namespace, run.name.as_str(), &next);
    }
    let mut requeue_after = outcome.decision.requeue_after;
    if outcome.applied.failed.is_some() || matches!(outcome.applied.claim, Some(crate::store::ClaimState::Taken { .. }))
    {
        requeue_after = Some(REFUSED_PERIOD);
    }
    Ok(requeue_after.map_or_else(Action::await_change, |pause| Action::requeue(pause.max(Duration::from_millis(10)))))
}

/// Writes a status over the one that was looked at, and no other: where somebody wrote meanwhile it is looked at again.
/// `version` is the resource's where this look has written into it. Gives the version that it made.
async fn write_status(
    resource: &ArchiveRun,
    version: Option<&str>,
    prior: &ArchiveRunStatus,
    next: &ArchiveRunStatus,
    context: &Context,
) -> Result<Option<String>, ReconcileError> {
    if next == prior {
        return Ok(None);
    }
    let runs: Api<ArchiveRun> = Api::namespaced(context.client.clone(), &resource.namespace().unwrap_or_default());
    let name = resource.name_any();
    let version = version.map(str::to_owned).or_else(|| resource.resource_version());
    let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "status": merge_patch(prior, next)}));
    match runs.patch_status(&name, &PatchParams::default(), &patch).await {
        Ok(written) => {
            let made = written.resource_version();
            if let Some(version) = version.filter(|version| made.as_ref() != Some(version)) {
                context.throttle.replaced(&resource.uid().unwrap_or_default(), version);
            }
            events::publish(&context.recorder, resource, prior, next).await;
            Ok(made)
        }
        // Deleted meanwhile, which its watch tells.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(cause) if is_of_another(&cause) => Err(ReconcileError::Changed),
        Err(cause) => Err(ReconcileError::Write(Box::new(cause))),
    }
}

/// A merge patch: what is gone has to be named.
fn merge_patch(prior: &ArchiveRunStatus, next: &ArchiveRunStatus) -> serde_json::Value {
    let value = |status: &ArchiveRunStatus| serde_json::to_value(status).expect("a status is plain JSON");
    let (before, mut after) = (value(prior), value(next));
    if let (Some(before), Some(after)) = (before.as_object(), after.as_object_mut()) {
        for key in before.keys() {
            after.entry(key).or_insert(serde_json::Value::Null);
        }
    }
    after
}
