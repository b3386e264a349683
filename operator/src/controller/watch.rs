//! What causes a reconcile: the run itself, its Job, its Deployment and its pods. What a reconcile
//! writes into the status of its own run is none of that.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, join3};
use futures_util::{StreamExt as _, stream};
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::Event;
use kube::runtime::{
    Controller, Predicate as _, PredicateConfig, WatchStreamExt as _, predicates, watcher,
};
use kube::{Api, Client, Resource, ResourceExt as _};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch::Sender;

use super::backoff::FIRST_PAUSE;
use super::cached_run::CachedRun;
use super::context::{Context, Parts, workers_of_runs};
use super::error::ReconcileError;
use super::intervals::GRACE;
use super::reconcile;
use super::workloads::{RunKey, WATCH_SECONDS, Workloads};
use crate::autoscale::worker_quota::Found;
use crate::metrics::Metrics;
use crate::watch_health;

/// Reconciles wait for a slot of their own: the controller must not let those that wait for one
/// namespace keep others from it. 0 is without limit.
const CONCURRENCY: u16 = 0;
/// Runs of an answer to LIST: 10 kB each, as the API server sends them.
const RUNS_OF_A_PAGE: u32 = 250;
/// Between looks for runs that are gone.
const SWEEP_PERIOD: Duration = Duration::from_mins(1);

/// Reconciles the runs of these namespaces, all where there are none, until `shutdown`. Then reads end
/// at once, and writes that are under way within a few seconds.
pub async fn run(
    parts: Parts,
    namespaces: &[String],
    shutdown: impl Future<Output = ()> + Send + Sync + Clone + 'static,
) {
    let scopes: Vec<Option<&str>> = if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces.iter().map(|name| Some(name.as_str())).collect()
    };
    let (client, metrics) = (parts.client.clone(), parts.metrics.clone());
    let workloads = Arc::new(Workloads::new(&scopes));
    workloads.depend(&metrics);
    let (mut controllers, mut followed) = (Vec::new(), Vec::new());
    for scope in scopes {
        let (wake, woken) = unbounded_channel();
        followed.push(follow(&workloads, &client, scope, &metrics, wake));
        let woken = stream::unfold(woken, |mut woken| async {
            let (namespace, name) = woken.recv().await?;
            Some((ObjectRef::new(&name).within(&namespace), woken))
        });
        controllers.push(
            controller(&client, scope, &metrics)
                .reconcile_on(woken)
                .with_config(Config::default().concurrency(CONCURRENCY))
                .graceful_shutdown_on(shutdown.clone()),
        );
    }
    let mut following = pin!(join_all(followed));
    let workers = tokio::select! {
        workers = workers_at_start(&workloads) => workers,
        _ = &mut following => return,
        () = shutdown.clone() => return,
    };
    let runs = controllers.iter().map(Controller::store).collect();
    let context = Context::new(parts, Arc::clone(&workloads), workers, runs);
    let context = Arc::new(context);
    let running = controllers.into_iter().map(|controller| {
        controller
            .run(reconcile, error_policy, Arc::clone(&context))
            .for_each(|reconciled| async {
                // Those of watches and of reconciles are logged where they happen.
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
    let ending = async {
        shutdown.await;
        context.end();
        tokio::time::sleep(GRACE).await;
        tracing::warn!("reconciles that did not end in time are cut off");
    };
    tokio::select! {
        _ = join_all(running) => {}
        _ = following => {}
        () = sweeping => {}
        () = ending => {}
    }
}

/// The workers that runs have as the operator before left them.
async fn workers_at_start(workloads: &Workloads) -> Vec<Found> {
    loop {
        match workloads.deployments.all_known().await {
            Ok(()) => return workers_of_runs(&workloads.deployments.all()),
            Err(error) => tracing::warn!(%error, "the workers of runs are not known, waiting"),
        }
        tokio::time::sleep(FIRST_PAUSE).await;
    }
}

/// The controller of the runs of a scope. Only what a user changes in a run is a reason to reconcile
/// it now: the spec, annotations, labels, finalizers, and that it is deleted.
fn controller(client: &Client, scope: Option<&str>, metrics: &Metrics) -> Controller<CachedRun> {
    let (reader, writer) = reflector::store();
    let (watch, kind) = (Sender::default(), CachedRun::kind(&()));
    metrics.depends_on(&kind, scope, &watch);
    let (metrics, namespace) = (metrics.clone(), scope.map(str::to_owned));
    let changed = predicates::generation
        .combine(predicates::annotations)
        .combine(predicates::labels)
        .combine(predicates::finalizers)
        .combine(|run: &CachedRun| Some(run.meta().deletion_timestamp.is_some().into()));
    let config = watcher::Config::default()
        .page_size(RUNS_OF_A_PAGE)
        .timeout(WATCH_SECONDS);
    let changes = watcher(api::<CachedRun>(client, scope), config)
        .inspect(move |event| match event {
            Ok(Event::Init | Event::InitApply(_)) => {}
            Ok(Event::InitDone) => watch_health::listed(&watch),
            Ok(Event::Apply(_) | Event::Delete(_)) => watch_health::recovered(&watch),
            Err(error) => {
                watch_health::failed(&watch, &kind, namespace.as_deref(), error, &metrics);
            }
        })
        .reflect(writer)
        .applied_objects()
        .predicate_filter(changed, PredicateConfig::default());
    Controller::for_stream(changes, reader)
}

/// Follows what is made for the runs of a scope, for ever.
async fn follow(
    workloads: &Workloads,
    client: &Client,
    scope: Option<&str>,
    metrics: &Metrics,
    wake: UnboundedSender<RunKey>,
) {
    let wake = |run| {
        // Nobody is woken any more at the end.
        let _ = wake.send(run);
    };
    let jobs = api(client, scope);
    let deployments = api(client, scope);
    let pods = api(client, scope);
    join3(
        workloads.jobs.follow(jobs, scope, metrics, wake),
        workloads
            .deployments
            .follow(deployments, scope, metrics, wake),
        workloads.pods.follow(pods, scope, metrics, wake),
    )
    .await;
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn error_policy(run: Arc<CachedRun>, error: &ReconcileError, context: Arc<Context>) -> Action {
    let uid = run.uid().unwrap_or_default();
    let pause = context.backoff.record_failure(&uid);
    context.metrics.liveness.next(&uid, Instant::now() + pause);
    tracing::warn!(namespace = run.namespace(), name = run.name_any(), %error, again_seconds = pause.as_secs(), "reconcile failed");
    Action::requeue(pause)
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}
