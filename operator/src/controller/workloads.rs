//! The Jobs, Deployments and pods of all runs, as their watches show them: a reconcile reads them
//! here and not from the API server (docs/decisions/watched-objects.md). Nothing is kept that no
//! decision needs.
//!
//! ```text
//! watch of a kind ──► trim ──► by run ──► dereference
//!                      └────► news? ────► reconcile the run now
//! ```
//!
//! What a watch shows is late by some milliseconds, and by a minute at most: a connection that died
//! without a word is noticed by then (docs/decisions/watched-objects.md).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures_util::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{self, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Resource, ResourceExt as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch::Sender;

use super::build::{
    COMPONENT_LABEL, JOB_LABEL, JOB_UID_LABEL, PAUSE_ANNOTATION, POD_TEMPLATE_ANNOTATION,
    RUN_LABEL, VERIFY_ANNOTATION,
};
use super::error::ReconcileError;
use crate::metrics::Metrics;
use crate::watch_health::{self, Health};

/// Seconds after which the API server ends a watch, and a client that hears nothing from it looks
/// for another connection.
pub(crate) const WATCH_SECONDS: u32 = 60;
/// The labels that decisions go by.
const LABELS: [&str; 4] = [RUN_LABEL, COMPONENT_LABEL, JOB_LABEL, JOB_UID_LABEL];

/// The annotations that decisions go by.
const ANNOTATIONS: [&str; 3] = [PAUSE_ANNOTATION, POD_TEMPLATE_ANNOTATION, VERIFY_ANNOTATION];

/// A pod without its spec.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Pod {
    pub(crate) metadata: ObjectMeta,
    pub(crate) status: Option<PodStatus>,
}

impl Resource for Pod {
    type DynamicType = ();
    type Scope = <v1::Pod as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        v1::Pod::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        v1::Pod::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        v1::Pod::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        v1::Pod::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// A kind of objects that are made for runs.
pub(crate) trait Workload:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static
{
    /// Drops what no decision needs, but for metadata.
    fn trim(&mut self);

    /// Whether it differs from what was known of it in something that the next regular reconcile is
    /// too late for.
    fn has_news(&self, known: &Self) -> bool;
}

impl Workload for Job {
    fn trim(&mut self) {
        if let Some(spec) = &mut self.spec {
            let suspend = spec.suspend;
            *spec = k8s_openapi::api::batch::v1::JobSpec {
                suspend,
                ..Default::default()
            };
        }
    }

    fn has_news(&self, _: &Self) -> bool {
        true
    }
}

impl Workload for Deployment {
    fn trim(&mut self) {
        if let Some(spec) = &mut self.spec {
            let replicas = spec.replicas;
            *spec = k8s_openapi::api::apps::v1::DeploymentSpec {
                replicas,
                ..Default::default()
            };
        }
    }

    /// It was changed, or is being deleted. That its pods come and go is none of that.
    fn has_news(&self, known: &Self) -> bool {
        self.metadata.deletion_timestamp.is_some()
            || self.metadata.generation != known.metadata.generation
    }
}

impl Workload for Pod {
    fn trim(&mut self) {
        let Some(status) = self.status.take() else {
            return;
        };
        let mut conditions = status.conditions;
        if let Some(conditions) = &mut conditions {
            conditions.retain(|it| matches!(it.type_.as_str(), "Ready" | "PodScheduled"));
        }
        let mut container_statuses = status.container_statuses;
        for container in container_statuses.iter_mut().flatten() {
            (container.container_id, container.image_id) = (None, String::new());
        }
        self.status = Some(PodStatus {
            phase: status.phase,
            conditions,
            container_statuses,
            ..PodStatus::default()
        });
    }

    /// Pods that run become ready and not ready with every group, which the next regular reconcile
    /// is early enough for.
    fn has_news(&self, _: &Self) -> bool {
        let phase = self
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        let containers = self
            .status
            .iter()
            .filter_map(|status| status.container_statuses.as_ref())
            .flatten();
        let mut states = containers.map(|container| container.state.as_ref());
        let goes_on = phase == Some("Running")
            && states.all(|state| state.is_some_and(|state| state.running.is_some()));
        self.metadata.deletion_timestamp.is_some() || !goes_on
    }
}

/// Namespace and name of a run.
pub(crate) type RunKey = (String, String);
type ByRun<K> = HashMap<RunKey, BTreeMap<String, K>>;

/// Everything that is made for runs, and watched.
#[derive(Debug)]
pub(crate) struct Workloads {
    pub(crate) jobs: Watched<Job>,
    pub(crate) deployments: Watched<Deployment>,
    pub(crate) pods: Watched<Pod>,
}

impl Workloads {
    /// With a watch of each kind for each of these namespaces, or for all of them where it is
    /// `None`.
    pub(crate) fn new(scopes: &[Option<&str>]) -> Self {
        Self {
            jobs: Watched::new(scopes),
            deployments: Watched::new(scopes),
            pods: Watched::new(scopes),
        }
    }

    /// Makes readiness depend on all watches.
    pub(crate) fn depend(&self, metrics: &Metrics) {
        self.jobs.depend(metrics);
        self.deployments.depend(metrics);
        self.pods.depend(metrics);
    }

    /// Waits until all objects of a namespace are known. Fails if one of its watches is lost.
    pub(crate) async fn known(&self, namespace: &str) -> Result<(), ReconcileError> {
        tokio::try_join!(
            self.jobs.known(namespace),
            self.deployments.known(namespace),
            self.pods.known(namespace),
        )?;
        Ok(())
    }
}

/// The objects of a kind.
#[derive(Debug)]
pub(crate) struct Watched<K> {
    objects: Mutex<ByRun<K>>,
    /// By the namespace that is watched; `None` is all of them. Those of one namespace do not wait
    /// for another's.
    watches: HashMap<Option<String>, Sender<Health>>,
}

impl<K: Workload> Watched<K> {
    fn new(scopes: &[Option<&str>]) -> Self {
        let scopes = scopes.iter().map(|scope| scope.map(str::to_owned));
        Self {
            objects: Mutex::default(),
            watches: scopes.map(|scope| (scope, Sender::default())).collect(),
        }
    }

    fn depend(&self, metrics: &Metrics) {
        for (namespace, watch) in &self.watches {
            metrics.depends_on(&K::kind(&()), namespace.as_deref(), watch);
        }
    }

    /// The objects with the label of a run, in no order that means anything.
    pub(crate) fn of_run(&self, namespace: &str, run: &str) -> Vec<K> {
        let objects = self.lock();
        let found = objects.get(&(namespace.to_owned(), run.to_owned()));
        found
            .into_iter()
            .flat_map(BTreeMap::values)
            .cloned()
            .collect()
    }

    /// The objects of all runs.
    pub(crate) fn all(&self) -> Vec<K> {
        let objects = self.lock();
        objects
            .values()
            .flat_map(BTreeMap::values)
            .cloned()
            .collect()
    }

    /// Waits until all objects of a namespace are known. Fails if its watch is lost.
    pub(crate) async fn known(&self, namespace: &str) -> Result<(), ReconcileError> {
        settled::<K>(self.watch_of(Some(namespace))).await
    }

    /// The same of all namespaces.
    pub(crate) async fn all_known(&self) -> Result<(), ReconcileError> {
        for watch in self.watches.values() {
            settled::<K>(watch).await?;
        }
        Ok(())
    }

    /// The watch that shows the objects of a namespace, or of all.
    fn watch_of(&self, namespace: Option<&str>) -> &Sender<Health> {
        let own = namespace.and_then(|namespace| self.watches.get(&Some(namespace.to_owned())));
        own.or_else(|| self.watches.get(&None))
            .expect("only runs of watched namespaces are known")
    }

    /// Follows the objects of a namespace, or of all, for ever. Calls `wake` with each run that has
    /// news.
    pub(crate) async fn follow(
        &self,
        api: Api<K>,
        namespace: Option<&str>,
        metrics: &Metrics,
        wake: impl Fn(RunKey),
    ) {
        let config = watcher::Config::default()
            .labels(RUN_LABEL)
            .timeout(WATCH_SECONDS);
        let mut events = pin!(watch(api, config).default_backoff());
        let watch = self.watch_of(namespace);
        let mut listed = ByRun::new();
        while let Some(event) = events.next().await {
            match event {
                // The list is still to be asked for.
                Ok(Event::Init) => listed = ByRun::new(),
                Ok(Event::InitApply(object)) => {
                    add(&mut listed, object);
                }
                Ok(Event::InitDone) => {
                    let news = replace(&mut self.lock(), std::mem::take(&mut listed), namespace);
                    watch_health::listed(watch);
                    news.into_iter().for_each(&wake);
                }
                Ok(Event::Apply(object)) => {
                    watch_health::recovered(watch);
                    let changed = add(&mut self.lock(), object);
                    changed.into_iter().for_each(&wake);
                }
                Ok(Event::Delete(object)) => {
                    watch_health::recovered(watch);
                    let deleted = remove(&mut self.lock(), &object);
                    deleted.into_iter().for_each(&wake);
                }
                Err(error) => {
                    watch_health::failed(watch, &K::kind(&()), namespace, &error, metrics);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, ByRun<K>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until a watch has listed. Fails if it is lost.
async fn settled<K: Workload>(watch: &Sender<Health>) -> Result<(), ReconcileError> {
    let mut health = watch.subscribe();
    let is_settled = |it: &Health| it.is_listed || it.is_lost(Instant::now());
    let health = health
        .wait_for(is_settled)
        .await
        .expect("the sender is borrowed");
    if health.is_lost(Instant::now()) {
        return Err(ReconcileError::Unwatched {
            kind: K::kind(&()).into_owned(),
            cause: health.error.clone(),
            is_denied: health.is_denied,
        });
    }
    Ok(())
}

/// Keeps an object. Returns its run if the object is new or has news for it.
fn add<K: Workload>(objects: &mut ByRun<K>, mut object: K) -> Option<RunKey> {
    let run = run_of(&object)?;
    trim_metadata(object.meta_mut());
    object.trim();
    let of_run = objects.entry(run.clone()).or_default();
    let known = of_run.get(&object.name_any());
    let has_news = known.is_none_or(|known| object.has_news(known));
    of_run.insert(object.name_any(), object);
    has_news.then_some(run)
}

/// Replaces the objects of a namespace, or of all, by those that were listed. Returns the runs that
/// have an object less, or that [`add`] would return.
fn replace<K: Workload>(
    objects: &mut ByRun<K>,
    listed: ByRun<K>,
    namespace: Option<&str>,
) -> BTreeSet<RunKey> {
    let is_of = |run: &RunKey| namespace.is_none_or(|namespace| namespace == run.0);
    let before: ByRun<K> = objects.extract_if(|run, _| is_of(run)).collect();
    let none = BTreeMap::new();
    let mut news = BTreeSet::new();
    for (run, known) in &before {
        let now = listed.get(run).unwrap_or(&none);
        if known.keys().any(|name| !now.contains_key(name)) {
            news.insert(run.clone());
        }
    }
    for (run, now) in &listed {
        let known = before.get(run).unwrap_or(&none);
        let is_news = |(name, object): (&String, &K)| {
            known.get(name).is_none_or(|known| object.has_news(known))
        };
        if now.iter().any(is_news) {
            news.insert(run.clone());
        }
    }
    objects.extend(listed);
    news
}

/// Forgets an object. Returns its run.
fn remove<K: Workload>(objects: &mut ByRun<K>, object: &K) -> Option<RunKey> {
    let run = run_of(object)?;
    if let Some(of_run) = objects.get_mut(&run) {
        of_run.remove(&object.name_any());
        if of_run.is_empty() {
            objects.remove(&run);
        }
    }
    Some(run)
}

/// Replicas that a Deployment is asked for.
pub(crate) fn replicas(deployment: &Deployment) -> u32 {
    let spec = deployment.spec.as_ref();
    spec.and_then(|spec| spec.replicas)
        .unwrap_or(1)
        .unsigned_abs()
}

/// Whether something is of a component of its run.
pub(crate) fn has_component(object: &ObjectMeta, component: &str) -> bool {
    let labels = object.labels.as_ref();
    labels
        .and_then(|labels| labels.get(COMPONENT_LABEL))
        .map(String::as_str)
        == Some(component)
}

/// The run that something with its label belongs to.
fn run_of(object: &impl Resource) -> Option<RunKey> {
    let run = object.meta().labels.as_ref()?.get(RUN_LABEL)?;
    Some((object.meta().namespace.clone()?, run.clone()))
}

fn trim_metadata(metadata: &mut ObjectMeta) {
    (metadata.managed_fields, metadata.finalizers) = (None, None);
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|name, _| ANNOTATIONS.contains(&name.as_str()));
    }
    if let Some(labels) = &mut metadata.labels {
        labels.retain(|name, _| LABELS.contains(&name.as_str()));
    }
}

#[cfg(test)]
mod tests;
