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
pub mod decide;
mod dereference;
mod events;
pub mod failure;
pub mod observed;
pub mod own;
pub mod problem;
pub mod status;
#[cfg(test)]
pub(crate) mod testing;
pub mod track;
pub mod validate;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config};
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store as Reflected};
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use self::apply::Applied;
use self::decide::{Decision, Told};
use self::status::Outcome;
use self::track::{Track, Tracks};
use self::validate::{Defaults, ORPHAN_ANNOTATION, Stage, accept, read};
use crate::aws::{Aws, AwsError, AwsErrorKind};
use crate::crd::{ArchiveRun, ArchiveRunStatus};
use crate::metrics::Metrics;
use crate::queues::Queues;
use crate::store::StoreError;

/// The field manager of everything that is applied.
pub const MANAGER: &str = "s3bundler-operator";
/// Keeps a resource until its queues are deleted.
pub const FINALIZER: &str = "archive.s3bundler.dev/queues";
/// Runs that are reconciled at a time.
const CONCURRENCY: u16 = 16;
/// Between looks for runs that are gone.
const SWEEP_PERIOD: Duration = Duration::from_mins(1);
/// Between looks at a run that is refused: what refuses it is not watched.
const REFUSED_PERIOD: Duration = Duration::from_mins(1);
/// After an error: 5 s, 10 s, … 5 min.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Why a reconcile did not come to its end. The class is the metric's label.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Kubernetes could not be read.
    #[error("cannot read from Kubernetes: {0}")]
    Read(#[source] Box<kube::Error>),
    /// Kubernetes did not take what was written.
    #[error("cannot write to Kubernetes: {0}")]
    Write(#[source] Box<kube::Error>),
    /// What was to be written belongs to another object of the same name: it was made again meanwhile.
    #[error("an object was made again, or by somebody else, while it was looked at")]
    Changed,
    /// AWS did not do as asked.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// A record in S3 cannot be used.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for ReconcileError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Aws(error) => Self::Aws(error),
            other => Self::Store(other),
        }
    }
}

impl ReconcileError {
    /// The metric's label.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Read(_) => "kubernetes_read",
            Self::Write(_) => "kubernetes_write",
            Self::Changed => "changed",
            Self::Aws(_) => "aws",
            Self::Store(_) => "record",
        }
    }
}

/// What every reconcile needs.
pub struct Context {
    /// The cluster.
    pub client: Client,
    /// S3 and SQS.
    pub aws: Aws,
    /// The operator's own settings.
    pub defaults: Defaults,
    /// Workers of all runs together, at most.
    pub max_workers: u32,
    /// What was seen last.
    pub tracks: Tracks,
    /// Figures for Prometheus.
    pub metrics: Metrics,
    recorder: Recorder,
    runs: Vec<Reflected<DeserializeGuard<ArchiveRun>>>,
    failures: std::sync::Mutex<std::collections::HashMap<String, u32>>,
}

impl Context {
    /// Workers that are left for a run when the others have what they asked for.
    pub fn worker_cap(&self, uid: &str) -> u32 {
        let others = self.runs.iter().flat_map(Reflected::state).filter_map(|run| {
            let run = run.0.as_ref().ok()?;
            let asked = run.status.as_ref()?.workers?.desired;
            (run.uid().as_deref() != Some(uid)).then_some(asked.unsigned_abs())
        });
        self.max_workers.saturating_sub(others.fold(0, u32::saturating_add))
    }

    /// Forgets the runs that no store has any more. Those without finalizer go without a word.
    fn sweep(&self) {
        let runs: Vec<_> = self.runs.iter().flat_map(Reflected::state).collect();
        let uids: HashSet<String> = runs.iter().filter_map(|run| run.uid()).collect();
        let names: HashSet<_> = runs.iter().map(|run| (run.namespace().unwrap_or_default(), run.name_any())).collect();
        self.tracks.retain(&uids);
        self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner).retain(|uid, _| uids.contains(uid));
        self.metrics.retain(&names);
    }

    fn failed(&self, uid: &str) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let times = failures.entry(uid.to_owned()).or_default();
        *times = times.saturating_add(1);
        FIRST_PAUSE.saturating_mul(1 << (*times - 1).min(10)).min(LONGEST_PAUSE)
    }

    /// Failures in a row, so far.
    fn failures(&self, uid: &str) -> u32 {
        self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(uid).copied().unwrap_or(0)
    }

    fn succeeded(&self, uid: &str) {
        self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(uid);
    }
}

/// What a controller is made of.
pub struct Parts {
    /// The cluster.
    pub client: Client,
    /// S3 and SQS.
    pub aws: Aws,
    /// The operator's own settings.
    pub defaults: Defaults,
    /// Workers of all runs together, at most.
    pub max_workers: u32,
    /// Figures for Prometheus.
    pub metrics: Metrics,
    /// Who writes events.
    pub recorder: Recorder,
}

/// Reconciles the runs of these namespaces, all where there are none, until `shutdown`; reconciles under way are finished.
pub async fn run(
    parts: Parts,
    namespaces: &[String],
    shutdown: impl Future<Output = ()> + Send + Sync + Clone + 'static,
) {
    let Parts { client, aws, defaults, max_workers, metrics, recorder } = parts;
    let scopes: Vec<Option<&String>> =
        if namespaces.is_empty() { vec![None] } else { namespaces.iter().map(Some).collect() };
    let labelled = watcher::Config::default().labels(build::RUN_LABEL);
    let mut controllers = Vec::new();
    for scope in scopes {
        let runs = api::<DeserializeGuard<ArchiveRun>>(&client, scope);
        controllers.push(
            Controller::new(runs, watcher::Config::default())
                .owns(api::<Job>(&client, scope), labelled.clone())
                .owns(api::<Deployment>(&client, scope), labelled.clone())
                .watches(api::<Pod>(&client, scope), labelled.clone(), |pod| {
                    let run = pod.labels().get(build::RUN_LABEL)?.clone();
                    Some(ObjectRef::new(&run).within(&pod.namespace()?))
                })
                .with_config(Config::default().concurrency(CONCURRENCY).debounce(Duration::from_millis(200)))
                .graceful_shutdown_on(shutdown.clone()),
        );
    }
    let context = Arc::new(Context {
        runs: controllers.iter().map(Controller::store).collect(),
        client,
        aws,
        defaults,
        max_workers,
        tracks: Tracks::default(),
        metrics,
        recorder,
        failures: std::sync::Mutex::default(),
    });
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
            return Ok(Action::await_change());
        }
    };
    let uid = resource.uid().unwrap_or_default();
    let started = std::time::Instant::now();
    let reconciled = Box::pin(one(resource, &context)).await;
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
        Err(error) => Err(error),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn error_policy(run: Arc<DeserializeGuard<ArchiveRun>>, error: &ReconcileError, context: Arc<Context>) -> Action {
    let pause = context.failed(&run.uid().unwrap_or_default());
    tracing::warn!(namespace = run.namespace(), name = run.name_any(), %error, again_seconds = pause.as_secs(), "reconcile failed");
    Action::requeue(pause)
}

async fn one(resource: &ArchiveRun, context: &Context) -> Result<Action, ReconcileError> {
    let prior = resource.status.clone().unwrap_or_default();
    let generation = resource.metadata.generation.unwrap_or(0);
    if resource.metadata.deletion_timestamp.is_some() {
        return clean_up(resource, &prior, context).await;
    }
    let has_ended = decide::finished(&prior).is_some();
    if has_ended && decide::queues_are_gone(&prior) && has_finalizer(resource) {
        // Nothing outside of Kubernetes is left: the namespace may go without an operator.
        return let_go(resource, context).await;
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
            let decision = Decision::refused(Told::new(refusal.reason(), refusal.to_string()));
            let applied = Applied::default();
            let now = Timestamp::now();
            let outcome = Outcome { run: None, seen: None, decision: &decision, applied: &applied, generation, now };
            return tell(resource, &prior, &outcome, context).await;
        }
        // It was read once, by another release.
        Err(_) => return Ok(Action::await_change()),
    };
    let track = context.tracks.of(&run.uid, &run.name);
    let track: &mut Track = &mut *track.lock().await;
    let seen = Box::pin(dereference::dereference(context, &run, &prior, track)).await?;
    let now = Timestamp::now();
    let mut decision = match &seen.in_the_way {
        Some(it) if !has_ended => it.decision(),
        _ => decide::decide(&run, &prior, &seen, now),
    };
    if let Some(refusal) = refusal {
        decision.refused = Some(Told::new(refusal.reason(), refusal.to_string()));
        decision.look_again.get_or_insert(REFUSED_PERIOD);
    }
    let applied = apply::apply(context, &run, &prior, &decision.writes, track, context.failures(&run.uid)).await;
    if let Some((error, None)) = applied.failed {
        return Err(error);
    }
    let outcome =
        Outcome { run: Some(&run), seen: Some(&seen), decision: &decision, applied: &applied, generation, now };
    let action = tell(resource, &prior, &outcome, context).await?;
    match applied.failed {
        Some((error, _)) if !is_mended_outside(&error) => Err(error),
        _ => Ok(action),
    }
}

/// What somebody mends in AWS is looked at again soon, not after an ever longer pause.
fn is_mended_outside(error: &ReconcileError) -> bool {
    matches!(error, ReconcileError::Aws(error) if matches!(error.kind, AwsErrorKind::Denied | AwsErrorKind::NotFound))
}

/// Writes the status where it changed, and events of what changed.
async fn tell(
    resource: &ArchiveRun,
    prior: &ArchiveRunStatus,
    outcome: &Outcome<'_>,
    context: &Context,
) -> Result<Action, ReconcileError> {
    let next = status::next(prior, outcome);
    let deleted = outcome.decision.writes.contains(&decide::Write::DeleteRun);
    if !deleted {
        write_status(resource, prior, &next, context).await?;
    }
    if let Some(run) = outcome.run {
        context.metrics.observe(run, &next);
    }
    let mut look_again = outcome.decision.look_again;
    if outcome.applied.failed.is_some() || matches!(outcome.applied.claim, Some(crate::store::ClaimState::Taken { .. }))
    {
        look_again = Some(REFUSED_PERIOD);
    }
    Ok(look_again.map_or_else(Action::await_change, |pause| Action::requeue(pause.max(Duration::from_millis(10)))))
}

async fn write_status(
    resource: &ArchiveRun,
    prior: &ArchiveRunStatus,
    next: &ArchiveRunStatus,
    context: &Context,
) -> Result<(), ReconcileError> {
    if next == prior {
        return Ok(());
    }
    let runs: Api<ArchiveRun> = Api::namespaced(context.client.clone(), &resource.namespace().unwrap_or_default());
    let name = resource.name_any();
    // By its version: the API server minds no uid in a write of a status.
    let found = runs.get_metadata_opt(&name).await.map_err(|cause| ReconcileError::Read(Box::new(cause)))?;
    let version = match found.map(|found| found.metadata) {
        // Deleted meanwhile, which its watch tells.
        None => return Ok(()),
        Some(found) if found.uid != resource.metadata.uid => return Err(ReconcileError::Changed),
        Some(found) => found.resource_version,
    };
    let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "status": merge(prior, next)}));
    match runs.patch_status(&name, &PatchParams::default(), &patch).await {
        Ok(_) => events::publish(&context.recorder, resource, prior, next).await,
        // Deleted meanwhile, which its watch tells.
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(cause) if is_of_another(&cause) => return Err(ReconcileError::Changed),
        Err(cause) => return Err(ReconcileError::Write(Box::new(cause))),
    }
    Ok(())
}

/// A merge patch: what is gone has to be named.
fn merge(prior: &ArchiveRunStatus, next: &ArchiveRunStatus) -> serde_json::Value {
    let value = |status: &ArchiveRunStatus| serde_json::to_value(status).expect("a status is plain JSON");
    let (before, mut after) = (value(prior), value(next));
    if let (Some(before), Some(after)) = (before.as_object(), after.as_object_mut()) {
        for key in before.keys() {
            after.entry(key).or_insert(serde_json::Value::Null);
        }
    }
    after
}

/// Whether a write named another object, or another state of it, than the one that is there: 409, and of a uid 422 too,
/// because it cannot be changed.
fn is_of_another(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 409 || (status.code == 422 && causes.into_iter().any(|cause| cause.field == "metadata.uid"))
}

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
    write_status(resource, prior, &next, context).await
}

/// The resource is being deleted: pods first, then the queues that they hang on, then it may go.
async fn clean_up(
    resource: &ArchiveRun,
    prior: &ArchiveRunStatus,
    context: &Context,
) -> Result<Action, ReconcileError> {
    context.tracks.forget(&resource.uid().unwrap_or_default());
    context.metrics.forget(resource);
    if !has_finalizer(resource) {
        return Ok(Action::await_change());
    }
    // One that cannot even be read has never had anything made for it.
    if let Ok(run) = read(resource, &context.defaults) {
        apply::delete_workloads(context, &run).await?;
        let deleted = apply::delete_queues(&Queues::new(&context.aws, None), &run, prior).await;
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

fn has_finalizer(resource: &ArchiveRun) -> bool {
    resource.finalizers().iter().any(|known| known == FINALIZER)
}

/// Takes the finalizer away.
async fn let_go(resource: &ArchiveRun, context: &Context) -> Result<Action, ReconcileError> {
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
