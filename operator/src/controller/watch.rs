//! What causes a reconcile: the run itself, its Job, its Deployment and its pods.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{self, Action, Config};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, ResourceExt as _};

use super::backoff::FIRST_PAUSE;
use super::build::RUN_LABEL;
use super::context::{Context, Parts, workers_of_runs};
use super::error::ReconcileError;
use super::reconcile;
use crate::crd::ArchiveRun;

/// Runs that are reconciled at a time.
const CONCURRENCY: u16 = 16;
/// Between looks for runs that are gone.
const SWEEP_PERIOD: Duration = Duration::from_mins(1);

/// Reconciles the runs of these namespaces, all where there are none, until `shutdown`; reconciles
/// under way are finished.
pub async fn run(
    parts: Parts,
    namespaces: &[String],
    shutdown: impl Future<Output = ()> + Send + Sync + Clone + 'static,
) {
    let scopes: Vec<Option<&String>> = if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces.iter().map(Some).collect()
    };
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
    let labelled = watcher::Config::default().labels(RUN_LABEL);
    let mut controllers = Vec::new();
    for scope in scopes {
        let runs = api::<DeserializeGuard<ArchiveRun>>(&client, scope);
        controllers.push(
            Controller::new(runs, watcher::Config::default())
                .owns(api::<Job>(&client, scope), labelled.clone())
                .watches(
                    api::<Deployment>(&client, scope),
                    labelled.clone(),
                    |workers| {
                        if is_changed(&workers) {
                            labelled_run(&workers)
                        } else {
                            None
                        }
                    },
                )
                .watches(api::<Pod>(&client, scope), labelled.clone(), |pod| {
                    if has_news(&pod) {
                        labelled_run(&pod)
                    } else {
                        None
                    }
                })
                .with_config(Config::default().concurrency(CONCURRENCY))
                .graceful_shutdown_on(shutdown.clone()),
        );
    }
    let runs = controllers.iter().map(Controller::store).collect();
    let context = Arc::new(Context::new(parts, workers, runs));
    let running = controllers.into_iter().map(|controller| {
        controller
            .run(reconcile, error_policy, Arc::clone(&context))
            .for_each(|reconciled| async {
                if let Err(error) = reconciled {
                    if let controller::Error::QueueError(_) = error {
                        context.metrics.watch_failed();
                    }
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

#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn error_policy(
    run: Arc<DeserializeGuard<ArchiveRun>>,
    error: &ReconcileError,
    context: Arc<Context>,
) -> Action {
    let pause = context
        .backoff
        .record_failure(&run.uid().unwrap_or_default());
    tracing::warn!(namespace = run.namespace(), name = run.name_any(), %error, again_seconds = pause.as_secs(), "reconcile failed");
    Action::requeue(pause)
}

/// The run that something with its label belongs to.
fn labelled_run<K>(object: &K) -> Option<ObjectRef<DeserializeGuard<ArchiveRun>>>
where
    K: kube::Resource,
{
    let run = object.labels().get(RUN_LABEL)?;
    Some(ObjectRef::new(run).within(&object.namespace()?))
}

/// Whether somebody changed or deletes a Deployment. That its pods come and go is none of that.
fn is_changed(deployment: &Deployment) -> bool {
    let observed = deployment
        .status
        .as_ref()
        .and_then(|status| status.observed_generation);
    deployment.metadata.deletion_timestamp.is_some() || observed != deployment.metadata.generation
}

/// Whether a pod may change what a run is told of, or waited for. Pods that run become ready and
/// not ready with every group, which the next look is early enough for.
pub(crate) fn has_news(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    let containers = pod
        .status
        .iter()
        .filter_map(|status| status.container_statuses.as_ref())
        .flatten();
    let mut states = containers.map(|container| container.state.as_ref());
    let goes_on = phase == Some("Running")
        && states.all(|state| state.is_some_and(|state| state.running.is_some()));
    pod.metadata.deletion_timestamp.is_some() || !goes_on
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
