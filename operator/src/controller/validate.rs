//! The second step: a permissive spec becomes a strict [`Run`], or a [`Refusal`] that says why not.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{Resource as _, ResourceExt as _};
use s3bundler_common::queue_url::QueueUrl;
use s3bundler_contract::layout::RunName;
use s3bundler_contract::{ExistingManifests, S3Address};

use super::explanation::Explanation;
use super::run::{QueuePlan, Run};
use crate::crd::{ArchiveRun, Origin, QueueType, RequestPayer, ScalingMode, SpecError};
use crate::defaults::Defaults;
use crate::policy::{Asked, PolicyFile, check};
use crate::queues::{QueuePair, is_managed, queue_name};

/// While a run is retried, an annotation with this key asks for its dead-lettered groups to be put
/// back on the queue.
pub(crate) const REDRIVE_ANNOTATION: &str = "archive.s3bundler.dev/redrive-requested-at";
/// Characters of its value that count: the status has to hold them.
const REDRIVE_LENGTH: usize = 256;
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
    /// The run would read what it writes.
    #[error(
        "spec.source.manifests.prefix: the group manifests that this run writes itself would be under {0}: give a prefix \
         that has only those to read"
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
            Self::Invalid(_) | Self::Name(_) | Self::OwnManifests(_) => "Invalid",
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
        let why = "workers.scaling.mode Keda: the operator was installed without KEDA (keda.enabled of the chart)";
        return Err(Refusal::NotAllowed(why.to_owned()));
    }
    if let QueuePlan::Existing(pair) = &run.queue {
        for url in [Some(&pair.url), pair.dead_letter_url.as_ref()]
            .into_iter()
            .flatten()
        {
            if is_managed(url) {
                let why = format!(
                    "queue {url}: queues of this name belong to the runs that the operator made them for"
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
    let accepted = accepted
        .and_then(|run| authorize(&run, defaults.policy.as_ref(), namespace_labels).map(|()| run));
    match accepted {
        Ok(run) => Ok((run, None)),
        Err(refusal) if stage == Stage::UnderWay => Ok((
            Run {
                suspend: true,
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
    let asked = Asked {
        namespace: &run.namespace,
        namespace_labels,
        source_bucket: &run.origin.address().bucket,
        destination: &format!("{}/{}", run.bucket, run.layout.root().trim_end_matches('/')),
        queues: queues.each_ref().map(Option::as_deref),
        service_account: &run.service_account,
        max_replicas: run.max_replicas,
        scratch_type: &format!("{:?}", run.scratch.kind),
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
    let uid = run.uid().unwrap_or_default();
    let origin = spec.source.origin()?;
    let layout = spec.destination.layout()?;
    let queue = match (&spec.queue.kind, &spec.queue.existing) {
        (QueueType::Existing, Some(existing)) => {
            let (url, dead_letter_url) = (existing.url.clone(), existing.dead_letter_url.clone());
            QueuePlan::Existing(QueuePair {
                url,
                dead_letter_url,
            })
        }
        _ => QueuePlan::Managed(queue_name(&namespace, &name, &uid)),
    };
    let scaling = &spec.workers.scaling;
    let requests = spec.source.max_requests_per_second.map(i32::unsigned_abs);
    // No worker sends less than one request a second.
    let max_replicas = scaling
        .max_replicas
        .unsigned_abs()
        .min(requests.unwrap_or(u32::MAX));
    // What a run began with it keeps, whatever the operator's settings are by now.
    let status = run.status.as_ref();
    let image = status.and_then(|status| status.worker_image.clone());
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
        queue,
        delivery: spec.queue.delivery,
        service_account: service_account.unwrap_or_else(|| defaults.service_account.clone()),
        secret: spec
            .credentials_secret_ref
            .as_ref()
            .map(|secret| secret.name.clone()),
        image: image.unwrap_or_else(|| defaults.image.clone()),
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
            .and_then(|policy| policy.max_failed_objects)
            .map(i64::unsigned_abs),
        deadline: spec.active_deadline_seconds.map(seconds),
        suspend: spec.suspend,
        ttl: spec
            .ttl_seconds_after_finished
            .map(|ttl| seconds(ttl.into())),
        kueue_labels: super::build::kueue_labels(run.labels()),
        redrive_requested: run
            .annotations()
            .get(REDRIVE_ANNOTATION)
            .map(|asked| asked.chars().take(REDRIVE_LENGTH).collect()),
        name,
        namespace,
        uid,
        region,
        origin,
    })
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
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

    use serde_json::json;

    use super::*;
    use crate::controller::fixtures::{archive_run, defaults};
    use crate::crd::ArchiveRunStatus;

    #[test]
    fn a_minimal_run_gets_the_operators_defaults() {
        let run = validate(&archive_run(json!({})), &defaults()).unwrap();
        assert_eq!(
            (run.name.as_str(), run.namespace.as_str()),
            ("logs", "team-a")
        );
        assert_eq!(
            (run.service_account.as_str(), run.image.as_str()),
            ("s3bundler-worker", "worker:1")
        );
        assert_eq!(
            run.queue,
            QueuePlan::Managed("s3bundler-team-a-logs-0a1b2c3d4e5f".to_owned())
        );
        assert_eq!(
            (run.min_replicas, run.max_replicas, run.max_passes),
            (0, 20, 2)
        );
    }

    #[test]
    fn all_workers_together_stay_below_the_requests_a_second() {
        for (requests, replicas, expected) in [
            (None, 20, (20, None)),
            (Some(1000), 20, (20, Some(50))),
            (Some(39), 20, (20, Some(1))),
            (Some(5), 20, (5, Some(1))),
            (Some(1), 20, (1, Some(1))),
            (Some(5), 1, (1, Some(5))),
        ] {
            let scaling = json!({"minReplicas": replicas, "maxReplicas": replicas});
            let spec = json!({"source": {"maxRequestsPerSecond": requests}, "workers": {"scaling": scaling}});
            let run = validate(&archive_run(spec), &defaults()).unwrap();
            assert_eq!(
                (run.max_replicas, run.requests_per_second),
                expected,
                "{requests:?} {replicas}"
            );
            assert!(
                run.min_replicas <= run.max_replicas,
                "{requests:?} {replicas}"
            );
        }
    }

    #[test]
    fn a_run_keeps_the_defaults_it_began_with() {
        let kept_of = |run: &Run| {
            let regions =
                [&run.region, &run.source_region, &run.destination_region].map(Clone::clone);
            (run.image.clone(), run.service_account.clone(), regions)
        };
        let region = |name: &str| name.to_owned();
        let mut resource = archive_run(json!({"destination": {"region": "us-west-2"}}));
        let (here, there) = (region("eu-west-1"), region("us-west-2"));
        let now = validate(&resource, &defaults()).unwrap();
        let regions = [here.clone(), here, there.clone()];
        assert_eq!(
            kept_of(&now),
            (
                "worker:1".to_owned(),
                "s3bundler-worker".to_owned(),
                regions
            )
        );
        resource.status = Some(ArchiveRunStatus {
            worker_image: Some("worker:0".to_owned()),
            service_account_name: Some("archiver".to_owned()),
            region: Some(region("eu-north-1")),
            ..ArchiveRunStatus::default()
        });
        let (then, kept) = (
            region("eu-north-1"),
            validate(&resource, &defaults()).unwrap(),
        );
        let regions = [then.clone(), then, there];
        assert_eq!(
            kept_of(&kept),
            ("worker:0".to_owned(), "archiver".to_owned(), regions)
        );
    }

    #[test]
    fn what_the_spec_names_is_no_default() {
        let spec = json!({"serviceAccountName": "own", "source": {"region": "eu-south-1"}});
        let mut resource = archive_run(spec);
        resource.status.get_or_insert_default().region = Some("eu-north-1".to_owned());
        let run = validate(&resource, &defaults()).unwrap();
        assert_eq!(
            (run.service_account.as_str(), run.source_region.as_str()),
            ("own", "eu-south-1")
        );
    }

    #[test]
    fn a_policy_that_came_later_refuses_what_is_new_rests_what_is_under_way_and_leaves_what_has_ended()
     {
        let policy =
            serde_json::from_value(json!({"rules": [{"sourceBuckets": ["others"]}]})).unwrap();
        let strict = Defaults {
            policy: Some(policy),
            ..defaults()
        };
        let resource = archive_run(json!({}));
        let accept = |stage| accept(&resource, &strict, stage, &BTreeMap::new());
        assert_eq!(accept(Stage::New).unwrap_err().reason(), "NotAllowed");
        let (resting, refusal) = accept(Stage::UnderWay).unwrap();
        assert_eq!(
            (resting.suspend, refusal.unwrap().reason()),
            (true, "NotAllowed")
        );
        let (ended, refusal) = accept(Stage::Ended).unwrap();
        assert!(!ended.suspend && refusal.is_none());
    }

    #[test]
    fn resources_that_a_run_does_not_speak_of_are_the_defaults() {
        let all = json!({"requests": {"cpu": "2", "memory": "2Gi"}, "limits": {"memory": "2Gi"}});
        let defaults = serde_json::from_value(all.clone()).unwrap();
        for (asked, expected) in [
            (json!(null), all.clone()),
            (json!({}), all),
            (
                json!({"requests": {"cpu": "4"}}),
                json!({"requests": {"cpu": "4", "memory": "2Gi"}, "limits": {"memory": "2Gi"}}),
            ),
            // Kubernetes asks for as much as the limit.
            (
                json!({"limits": {"memory": "1Gi"}}),
                json!({"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}}),
            ),
            (
                json!({"requests": {"memory": "4Gi"}}),
                json!({"requests": {"cpu": "2", "memory": "4Gi"}}),
            ),
        ] {
            let wanted = serde_json::from_value::<Option<_>>(asked.clone()).unwrap();
            assert_eq!(
                json!(resources(wanted.as_ref(), &defaults)),
                expected,
                "{asked}"
            );
        }
    }

    #[test]
    fn a_run_does_not_read_the_manifests_that_it_writes() {
        let given = |prefix: &str| {
            let source = json!({"source": {"inventory": null, "manifests": {"prefix": prefix}}});
            validate(&archive_run(source), &defaults())
        };
        let bucket = archive_run(json!({})).spec.destination.bucket;
        assert_eq!(
            given(&format!("s3://{bucket}/seed/"))
                .unwrap()
                .name
                .as_str(),
            "logs"
        );
        let refused = given(&format!("s3://{bucket}/")).unwrap_err();
        assert_eq!(refused.reason(), "Invalid");
        assert!(
            refused.to_string().contains("spec.source.manifests.prefix"),
            "{refused}"
        );
    }

    #[test]
    fn a_run_that_keda_scales_needs_an_operator_with_keda() {
        let run = archive_run(json!({"workers": {"scaling": {"mode": "Keda"}}}));
        assert!(validate(&run, &defaults()).is_ok());
        let refused = validate(
            &run,
            &Defaults {
                keda: false,
                ..defaults()
            },
        )
        .unwrap_err();
        assert_eq!(refused.reason(), "NotAllowed");
        assert!(refused.to_string().contains("keda.enabled"), "{refused}");
    }

    #[test]
    fn given_queues_are_neither_another_runs_nor_beyond_the_policy() {
        let both = |url: &str, dead: &str| {
            let existing = json!({"url": url, "deadLetterURL": dead});
            validate(
                &archive_run(json!({"queue": {"type": "Existing", "existing": existing}})),
                &defaults(),
            )
        };
        let own = "https://sqs.eu-west-1.amazonaws.com/1/q";
        let given = |dead: &str| both(own, dead);
        let theirs = "https://sqs.eu-west-1.amazonaws.com/1/s3bundler-team-b-logs-0a1b2c3d4e5f";
        for managed in [both(own, &format!("{theirs}-dlq")), both(theirs, own)] {
            assert_eq!(managed.unwrap_err().reason(), "NotAllowed");
        }

        let rules = json!({"rules": [{"queues": ["arn:aws:sqs:eu-west-1:1:q*"]}]});
        let policy: PolicyFile = serde_json::from_value(rules).unwrap();
        for (name, allowed) in [
            ("q-dead", true),
            ("theirs", false),
            ("q/", true),
            ("q/dead", false),
        ] {
            let run = given(&format!("https://sqs.eu-west-1.amazonaws.com/1/{name}")).unwrap();
            assert_eq!(
                authorize(&run, Some(&policy), &BTreeMap::new()).is_ok(),
                allowed,
                "{name}"
            );
        }
    }

    #[test]
    fn queues_are_on_sqs_or_on_an_endpoint_of_the_operator() {
        let hosts = ["10.88.0.1:5000".to_owned()];
        for (url, allowed) in [
            ("https://sqs.eu-west-1.amazonaws.com/111122223333/q", true),
            ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", true),
            ("https://eu-west-1.queue.amazonaws.com/1/q", true),
            ("https://queue.amazonaws.com/1/q", true),
            (
                "https://vpce-0a-b.sqs.eu-west-1.vpce.amazonaws.com/1/q",
                true,
            ),
            ("http://sqs.eu-west-1.amazonaws.com/1/q", false),
            ("https://s3.eu-west-1.amazonaws.com/1/q", false),
            ("https://sqs.evil.example/1/q", false),
            ("https://sqs.x.amazonaws.com@evil.example/1/q", false),
            ("http://10.88.0.1:5000/1/q", true),
            ("http://169.254.169.254/latest/meta-data", false),
            ("nonsense", false),
        ] {
            assert_eq!(check_queue_host(url, &hosts).is_ok(), allowed, "{url}");
        }
    }
}
