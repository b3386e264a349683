//! The second step: a permissive spec becomes a strict [`Run`], or a [`Refusal`] that says why not.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{Resource as _, ResourceExt as _};
use s3bundler_common::queue_url::QueueUrl;
use s3bundler_contract::acknowledgement::InvalidUid;
use s3bundler_contract::layout::RunName;
use s3bundler_contract::{ExistingManifests, ResourceUid, S3Address};

use super::build::PodRevision;
use super::explanation::Explanation;
use super::run::{QueuePlan, Run};
use crate::autoscale::fair_shares::NamespaceTerms;
use crate::crd::{
    ArchiveRun, ArchiveRunStatus, CountOrPercent, Origin, QueueType, RequestPayer, ScalingMode,
    SpecError,
};
use crate::defaults::Defaults;
use crate::policy::{Asked, PolicyFile, check};
use crate::queues::{QueuePair, RunQueue, is_managed};

/// While a run is retried, an annotation with this key asks for its dead-lettered groups to be put
/// back on the queue.
pub(crate) const REDRIVE_ANNOTATION: &str = "archive.s3bundler.dev/redrive-requested-at";
/// Characters of a request's value that count: the status has to hold them.
const REQUEST_LENGTH: usize = 256;
/// An annotation with this key asks for a run under way to go on with the image of this operator, and
/// with all that goes with it.
pub(crate) const UPGRADE_ANNOTATION: &str = "archive.s3bundler.dev/upgrade-requested-at";
/// An annotation with this key and the value `true` lets a run go whose queues cannot be deleted.
pub(crate) const ORPHAN_ANNOTATION: &str = "archive.s3bundler.dev/orphan-queues";

/// Why a run is not carried out. It is looked at again when it, or the operator's settings, change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The spec says something that cannot be.
    #[error(transparent)]
    Invalid(#[from] SpecError),
    /// The name cannot be a run's.
    #[error("metadata.name: {0}")]
    Name(String),
    /// The UID is not one of Kubernetes.
    #[error("metadata.uid: {0}")]
    Uid(#[from] InvalidUid),
    /// The run would read what it writes.
    #[error(
        "spec.source.manifests.prefix: the group manifests that this run writes itself would be \
         under {0}: give a prefix that has only those to read"
    )]
    OwnManifests(S3Address),
    /// The operator's owner does not want it.
    #[error("{0}")]
    NotAllowed(String),
}

impl Refusal {
    /// The reason in the condition `Accepted`.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) | Self::Name(_) | Self::Uid(_) | Self::OwnManifests(_) => "Invalid",
            Self::NotAllowed(_) => "NotAllowed",
        }
    }
}

impl From<Refusal> for Explanation {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.reason(), refusal.to_string())
    }
}

/// Reads a resource strictly, and refuses what cannot be meant.
pub(crate) fn validate(run: &ArchiveRun, defaults: &Defaults) -> Result<Run, Refusal> {
    let run = read(run, defaults)?;
    if let Origin::Manifests(prefix) = &run.origin
        && ExistingManifests::are_own(prefix, &run.bucket, &run.layout, &run.name)
    {
        return Err(Refusal::OwnManifests(prefix.clone()));
    }
    if run.mode == ScalingMode::Keda && !defaults.keda {
        let why = "workers.scaling.mode Keda: the operator was installed without KEDA \
            (keda.enabled of the chart)";
        return Err(Refusal::NotAllowed(why.to_owned()));
    }
    if let QueuePlan::Existing(pair) = &run.queue {
        for url in [Some(&pair.url), pair.dead_letter_url.as_ref()]
            .into_iter()
            .flatten()
        {
            if is_managed(url) {
                let why = format!(
                    "queue {url}: queues of this name belong to the runs that the operator made \
                     them for"
                );
                return Err(Refusal::NotAllowed(why));
            }
            check_queue_host(url, &defaults.queue_hosts)?;
        }
    }
    Ok(run)
}

/// How far a run has come, as far as a refusal goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing is made for it.
    New,
    /// It has queues and may have pods.
    UnderWay,
    /// It will not change any more.
    Ended,
}

/// A run that may be carried out. What was carried out is not taken back by a policy, or a rule,
/// that came later: a run that has ended is only read, and one under way rests, with the refusal to
/// be told, until it is allowed again.
pub(crate) fn accept(
    resource: &ArchiveRun,
    defaults: &Defaults,
    stage: Stage,
    namespace_labels: &BTreeMap<String, String>,
) -> Result<(Run, Option<Refusal>), Refusal> {
    if stage == Stage::Ended {
        return Ok((read(resource, defaults)?, None));
    }
    let accepted = validate(resource, defaults);
    let policy = defaults.policy.as_ref();
    let accepted = accepted.and_then(|run| authorize(&run, policy, namespace_labels).map(|()| run));
    let terms = policy.map_or_else(NamespaceTerms::default, |it| it.terms(namespace_labels));
    match accepted {
        Ok(run) => Ok((Run { terms, ..run }, None)),
        Err(refusal) if stage == Stage::UnderWay => Ok((
            Run {
                suspend: true,
                terms,
                ..read(resource, defaults)?
            },
            Some(refusal),
        )),
        Err(refusal) => Err(refusal),
    }
}

/// Asks the policy whether a run may be carried out in a namespace with these labels.
pub(crate) fn authorize(
    run: &Run,
    policy: Option<&PolicyFile>,
    namespace_labels: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    // What is no queue's URL matches no pattern of ARNs.
    let arn = |url: &String| {
        QueueUrl::parse(url)
            .and_then(|url| url.arn(&run.region))
            .unwrap_or_else(|| url.clone())
    };
    let queues = match &run.queue {
        QueuePlan::Existing(pair) => [Some(arn(&pair.url)), pair.dead_letter_url.as_ref().map(arn)],
        QueuePlan::Managed(_) => [None, None],
    };
    let host_path = run.scratch.host_path.as_ref();
    let asked = Asked {
        namespace: &run.namespace,
        namespace_labels,
        source_bucket: &run.origin.address().bucket,
        destination: &format!("{}/{}", run.bucket, run.layout.root().trim_end_matches('/')),
        queues: queues.each_ref().map(Option::as_deref),
        service_account: &run.service_account,
        max_replicas: run.max_replicas,
        scratch_type: &format!("{:?}", run.scratch.kind),
        host_path: host_path.map(|directory| directory.path.as_str()),
    };
    check(policy, &asked).map_err(Refusal::NotAllowed)
}

/// Reads a resource strictly, allowed or not: what was made for it has to be found again.
pub(crate) fn read(run: &ArchiveRun, defaults: &Defaults) -> Result<Run, Refusal> {
    let spec = &run.spec;
    let name: RunName =
        run.name_any()
            .parse()
            .map_err(|error: s3bundler_contract::layout::LayoutError| {
                Refusal::Name(error.to_string())
            })?;
    let namespace = run.namespace().unwrap_or_default();
    let uid: ResourceUid = run.uid().unwrap_or_default().parse()?;
    let origin = spec.source.origin()?;
    let layout = spec.destination.layout()?;
    let scaling = &spec.workers.scaling;
    let requests = spec.source.max_requests_per_second.map(i32::unsigned_abs);
    // No worker sends less than one request a second.
    let max_replicas = scaling
        .max_replicas
        .unsigned_abs()
        .min(requests.unwrap_or(u32::MAX));
    // What a run began with it keeps, whatever the operator's settings are by now.
    let status = run.status.as_ref();
    let upgrade_requested = requested(run, UPGRADE_ANNOTATION);
    let (image, pod_revision) = pods(status, upgrade_requested.as_ref(), defaults);
    let service_account = spec.service_account_name.clone();
    let service_account =
        service_account.or_else(|| status.and_then(|status| status.service_account_name.clone()));
    let region = status
        .and_then(|status| status.region.clone())
        .unwrap_or_else(|| defaults.region.clone());
    let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
    Ok(Run {
        generation: run.meta().generation.unwrap_or(0),
        source_region: spec.source.region.clone().unwrap_or_else(|| region.clone()),
        source_owner: spec.source.expected_bucket_owner.clone(),
        bucket: spec.destination.bucket.clone(),
        layout,
        destination_region: spec
            .destination
            .region
            .clone()
            .unwrap_or_else(|| region.clone()),
        destination_owner: spec.destination.expected_bucket_owner.clone(),
        encryption: spec.destination.encryption.clone(),
        tags: spec.destination.tags.clone().into_iter().collect(),
        select: spec.source.select()?,
        group: spec.group.options()?,
        archive: spec.archive.options(&spec.destination)?,
        queue: queue(run, &name, defaults),
        delivery: spec.queue.delivery,
        service_account: service_account.unwrap_or_else(|| defaults.service_account.clone()),
        secret: spec
            .credentials_secret_ref
            .as_ref()
            .map(|secret| secret.name.clone()),
        image,
        pod_revision,
        upgrade_requested,
        grouper_resources: resources(spec.grouper.resources.as_ref(), &defaults.grouper_resources),
        grouper_template: spec.grouper.pod_template.clone(),
        grouper_scratch: spec.grouper.scratch.clone(),
        grouper_scratch_size: spec.grouper.scratch.size()?,
        worker_resources: resources(spec.workers.resources.as_ref(), &defaults.worker_resources),
        worker_template: spec.workers.pod_template.clone(),
        mode: scaling.mode,
        keda: scaling.keda.clone(),
        min_replicas: scaling.min_replicas.unsigned_abs().min(max_replicas),
        max_replicas,
        terms: NamespaceTerms::default(),
        groups_per_worker: scaling.target_groups_per_worker.unsigned_abs(),
        drain: seconds(spec.workers.drain_seconds.into()),
        recycle_after: spec.workers.recycle_after_groups.map(i32::unsigned_abs),
        requester_pays: spec.source.request_payer == Some(RequestPayer::Requester),
        first_byte_timeout: spec
            .source
            .first_byte_timeout_seconds
            .map(i32::unsigned_abs),
        outage_budget: spec.outage_budget_seconds.map(i32::unsigned_abs),
        sha256: spec.archive.sha256,
        requests_per_second: requests.map(|all| (all / max_replicas.max(1)).max(1)),
        scratch: spec.workers.scratch.clone(),
        scratch_size: spec.workers.scratch.size()?,
        max_passes: spec.retry.max_object_passes.unsigned_abs(),
        retry_reasons: spec
            .retry
            .reasons
            .iter()
            .copied()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        max_failed_objects: spec
            .failure_policy
            .as_ref()
            .and_then(|policy| policy.max_failed_objects.as_ref())
            .map(CountOrPercent::limit)
            .transpose()?,
        verify: spec.verify,
        deadline: spec.active_deadline_seconds.map(seconds),
        suspend: spec.suspend,
        ttl: spec.ttl(),
        kueue_labels: super::build::kueue_labels(run.labels()),
        redrive_requested: requested(run, REDRIVE_ANNOTATION),
        name,
        namespace,
        uid,
        region,
        origin,
    })
}

/// What an annotation asks for: each of its values once.
fn requested(run: &ArchiveRun, annotation: &str) -> Option<String> {
    let asked = run.annotations().get(annotation)?;
    Some(asked.chars().take(REQUEST_LENGTH).collect())
}

/// The image of a run's pods and what goes with it: that which it was started with, unless it is to
/// be moved to another.
fn pods(
    status: Option<&ArchiveRunStatus>,
    upgrade_requested: Option<&String>,
    defaults: &Defaults,
) -> (String, PodRevision) {
    let latest = || (defaults.image.clone(), PodRevision::LATEST);
    let Some(status) = status else {
        return latest();
    };
    if upgrade_requested.is_some() && upgrade_requested != status.upgrade_handled.as_ref() {
        return latest();
    }
    // One that waits for an inventory or for its name has neither pods nor a queue, and begins anew.
    let has_begun = status.queue.is_some() || status.inventory.is_some();
    match (&status.worker_image, status.pod_revision) {
        (Some(image), Some(number)) if has_begun => (image.clone(), PodRevision::of(number)),
        // Of a release that recorded none, which claimed the inventory before it made any pod.
        (Some(image), None) if status.inventory.is_some() => (image.clone(), PodRevision::Original),
        (Some(_) | None, _) => latest(),
    }
}

/// The queue that the run brings, or the one that is made for it.
fn queue(run: &ArchiveRun, name: &RunName, defaults: &Defaults) -> QueuePlan {
    let spec = &run.spec.queue;
    if let (QueueType::Existing, Some(existing)) = (&spec.kind, &spec.existing) {
        return QueuePlan::Existing(QueuePair {
            url: existing.url.clone(),
            dead_letter_url: existing.dead_letter_url.clone(),
        });
    }
    let (namespace, uid) = (run.namespace(), run.uid());
    let known = run.status.as_ref().and_then(|status| status.queue.as_ref());
    QueuePlan::Managed(RunQueue::new(
        &defaults.cluster,
        &namespace.unwrap_or_default(),
        name,
        &uid.unwrap_or_default(),
        known.and_then(|queue| queue.url.as_deref()),
    ))
}

/// What is asked for, and the defaults of what is not spoken of: where either a request or a limit
/// is, both are the run's, because half of one and half of the other may be a request over its
/// limit.
fn resources(
    asked: Option<&ResourceRequirements>,
    defaults: &ResourceRequirements,
) -> ResourceRequirements {
    let mut resources = asked.cloned().unwrap_or_default();
    let named: Vec<String> = [&resources.requests, &resources.limits]
        .into_iter()
        .flatten()
        .flat_map(|list| list.keys().cloned())
        .collect();
    let fill = |list: &mut Option<BTreeMap<String, Quantity>>,
                defaults: &Option<BTreeMap<String, Quantity>>| {
        for (name, quantity) in defaults
            .iter()
            .flatten()
            .filter(|(name, _)| !named.contains(name))
        {
            list.get_or_insert_default()
                .insert(name.clone(), quantity.clone());
        }
    };
    fill(&mut resources.requests, &defaults.requests);
    fill(&mut resources.limits, &defaults.limits);
    resources
}

/// The operator signs requests to whatever a queue's URL names: only to SQS, or to an endpoint of
/// its own settings.
fn check_queue_host(url: &str, hosts: &[String]) -> Result<(), Refusal> {
    let is_allowed = |url: &QueueUrl| {
        let is_sqs = url.is_https() && url.region().is_some();
        is_sqs || hosts.iter().any(|known| known == url.authority())
    };
    match QueueUrl::parse(url).filter(is_allowed) {
        Some(_) => Ok(()),
        None => Err(Refusal::NotAllowed(format!(
            "queue {url} is neither on SQS nor on an endpoint of the operator"
        ))),
    }
}

#[cfg(test)]
mod tests;
