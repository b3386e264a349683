//! The first step: all reads. What belongs to the run is read from the watches, S3 and SQS are asked
//! for what hangs on the stage that it is in, and no more often than every [`POLL_PERIOD`]. Nothing of
//! a destination is read before the run's own pods have shown that they may write to it
//! (docs/decisions/acknowledged-destinations.md).

use std::fmt::Debug;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client, Resource as _};
use s3bundler_contract::{Accounts, RunSummary, Stage};
use serde::de::DeserializeOwned;

use super::build::{
    GROUPER, JOB_LABEL, JOB_UID_LABEL, PAUSE_ANNOTATION, PAUSED, VERIFIER, WORKER, grouper_name,
    verifier_name, verify_mode, workers_name,
};
use super::cache::{RunCache, Unwatched, WorkersShown, is_due, sweep_period};
use super::context::Context;
use super::decide::{ACCOUNTING_MISMATCH, ending, finished};
use super::error::ReconcileError;
use super::intervals::{ACKNOWLEDGEMENT_PERIOD, POLL_PERIOD, READ_BUDGET};
use super::observed::{Acknowledged, JobState, Observed, Pods, Verifier, WorkerPod, WorkersState};
use super::ownership::{NameConflict, owned};
use super::problem::Problem;
use super::run::Run;
use super::throughput::Amount;
use super::workloads::{Pod, Workload, has_component, replicas};
use super::{apply, problem};
use crate::crd::{ArchiveRunStatus, ScalingMode, Verify};
use crate::queues::{Depths, QueuePair, Queues};
use crate::receipts::{Counted, MOST_STAGES, MOST_UNEXPECTED, PAGE};
use crate::records::{Records, RecordsError};

/// Time between two polls of a dead-letter queue: every second poll of the run. Nothing is scaled by
/// it. A user has to see it within a minute, and a poll may be late.
const DEAD_LETTERS_PERIOD: Duration = POLL_PERIOD.saturating_mul(2);

/// How long what is not watched is believed.
const UNWATCHED_PERIOD: Duration = Duration::from_mins(5);
/// LISTs of receipts in a reconcile, at most: some are for other runs to wait for.
const LISTS: u32 = 10;

/// Looks at everything that a decision about the run needs.
pub(crate) async fn dereference(
    context: &Context,
    run: &Run,
    prior: &ArchiveRunStatus,
    cache: &mut RunCache,
) -> Result<Observed, ReconcileError> {
    let workloads = &context.workloads;
    workloads.known(&run.namespace).await?;
    let pass = prior.pass();
    let now = Instant::now();
    let (namespace, name) = (run.namespace.as_str(), run.name.as_str());
    let jobs = workloads.jobs.of_run(namespace, name);
    let job = named(&jobs, &grouper_name(run, pass));
    let verifier = named(&jobs, &verifier_name(run));
    let deployments = workloads.deployments.of_run(namespace, name);
    let deployment = named(&deployments, &workers_name(run));
    let pods = workloads.pods.of_run(namespace, name);
    let mut problems = problems(&pods, WORKER);
    let troubled = u32::try_from(problems.len()).unwrap_or(u32::MAX);
    let refused = deployment.as_ref().and_then(problem::of_deployment);
    let is_refused = refused.is_some();
    problems.extend(refused);
    problems.sort();
    problems.dedup();
    let has_ended = finished(prior).is_some();
    let (service_account, mut name_conflict) = if has_ended {
        (true, Vec::new())
    } else {
        let unwatched = unwatched(context, run, cache, is_refused).await?;
        let begins = job.is_none() || deployment.is_none();
        let verifies = run.verify > Verify::None && (begins || ending(prior).is_some());
        let needs = Needs {
            grouper: job.is_none().then(|| grouper_name(run, pass)),
            verifier: (verifies && verifier.is_none()).then(|| verifier_name(run)),
            workers: deployment.is_none().then(|| workers_name(run)),
        };
        let mut conflicts = strangers(context, run, needs).await?;
        conflicts.extend(unwatched.name_conflict);
        (unwatched.service_account, conflicts)
    };
    for job in [&job, &verifier] {
        name_conflict.extend(NameConflict::of(run, "Job", job.as_ref().map(Job::meta)));
    }
    name_conflict.extend(NameConflict::of(
        run,
        "Deployment",
        deployment.as_ref().map(Deployment::meta),
    ));
    // What stays is told first.
    name_conflict.sort_by_key(|it| it.is_temporary);
    let (job, deployment) = (owned(run, job), owned(run, deployment));
    let verifier = owned(run, verifier);
    let mut job_problems = self::problems(&pods, GROUPER);
    job_problems.extend(self::problems(&pods, VERIFIER));
    for job in [&job, &verifier].into_iter().flatten() {
        match problem::of_job(job) {
            Some(held) => job_problems.push(held),
            None if has_no_pod(job, &pods) => {
                job_problems.extend(refused_pods(&context.client, run, job, &pods).await?);
            }
            None => {}
        }
    }
    let shown = deployment.as_ref().map(workers_shown);
    cache.observe_workers(shown.as_ref(), now);
    let live = match &job {
        Some(job) if !has_ended && problem::failure_of_job(job).is_some() => {
            Some(live_pods_of_job(&context.client, run, job).await?)
        }
        _ => None,
    };
    let of_job = live.as_deref().unwrap_or(&pods);
    let grouper = job_state(job.as_ref(), of_job);
    let grouper_end = job.as_ref().and_then(|job| last_finished(job, of_job));
    let grouper_end = grouper_end.and_then(problem::termination_of_pod);
    let live = match &verifier {
        Some(job) if !has_ended && has_ended_unseen(job, &pods) => {
            Some(live_pods_of_job(&context.client, run, job).await?)
        }
        _ => None,
    };
    let verifier = verifier_seen(verifier.as_ref(), live.as_deref().unwrap_or(&pods));
    let pods = Pods {
        troubled,
        problems,
        job_problems,
        ..pods_of(&pods, Timestamp::now())
    };
    let made = u32::try_from(pods.workers.len()).unwrap_or(u32::MAX);
    let creatable = cache.observe_refusal(is_refused, made, now);
    let mut seen = Observed {
        service_account,
        grouper,
        grouper_at: job.as_ref().and_then(job_at),
        verifier,
        workers: shown.map(|shown| WorkersState {
            replicas: cache.observe_replicas(&shown, now),
        }),
        pods,
        creatable,
        name_conflict: name_conflict.into_iter().next(),
        ..Observed::default()
    };
    if has_ended || run.suspend || seen.name_conflict.is_some() {
        cache.suspend();
        return Ok(seen);
    }
    if prior.is_acknowledged() {
        cache.acknowledged = Acknowledged::Unknown;
    } else {
        seen.grouper_end = grouper_end;
    }
    let asked = tokio::time::timeout(READ_BUDGET, outside(context, run, prior, cache, &mut seen));
    if asked.await.is_err() {
        context
            .metrics
            .failed(ReconcileError::class_of_record(&RecordsError::TimedOut));
        recall(cache, pass, &mut seen, now);
        seen.records_error = Some(RecordsError::TimedOut);
    }
    Ok(seen)
}

/// The object of this name, of those with the label of a run.
fn named<K: Workload>(objects: &[K], name: &str) -> Option<K> {
    let is_named = |object: &&K| object.meta().name.as_deref() == Some(name);
    objects.iter().find(is_named).cloned()
}

fn workers_shown(deployment: &Deployment) -> WorkersShown {
    WorkersShown {
        uid: deployment.metadata.uid.clone().unwrap_or_default(),
        generation: deployment.metadata.generation.unwrap_or_default(),
        replicas: replicas(deployment),
    }
}

/// The pods of a Job that has ended, as they are now. Their watch may be behind that of Jobs, and what
/// the last one exited with decides whether the run goes on.
async fn live_pods_of_job(
    client: &Client,
    run: &Run,
    job: &Job,
) -> Result<Vec<Pod>, ReconcileError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &run.namespace);
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let of_job = ListParams::default().labels(&format!("{JOB_LABEL}={name}"));
    let found = pods.list(&of_job).await;
    Ok(found
        .map_err(|cause| ReconcileError::Read(Box::new(cause)))?
        .items)
}

/// S3 and SQS, as far as they may be asked.
async fn outside(
    context: &Context,
    run: &Run,
    prior: &ArchiveRunStatus,
    cache: &mut RunCache,
    seen: &mut Observed,
) {
    let Some(pair) = QueuePair::of(prior) else {
        return;
    };
    if !prior.is_acknowledged() {
        match acknowledged(context, run, prior, cache).await {
            Ok(acknowledged) => seen.acknowledged = acknowledged,
            Err(error) => {
                context
                    .metrics
                    .failed(ReconcileError::class_of_record(&error));
                seen.records_error = Some(error);
            }
        }
        if !matches!(seen.acknowledged, Acknowledged::Yes(_)) {
            return;
        }
    }
    let is_mismatched = prior
        .condition("Stalled")
        .is_some_and(|it| it.reason == ACCOUNTING_MISMATCH);
    progress(
        context,
        run,
        prior.pass(),
        &pair,
        is_mismatched,
        cache,
        seen,
    )
    .await;
}

/// What a run needs and nobody watches. Once it is as it should be it is believed for a while,
/// unless pods are refused.
async fn unwatched(
    context: &Context,
    run: &Run,
    cache: &mut RunCache,
    are_refused: bool,
) -> Result<Unwatched, ReconcileError> {
    let now = Instant::now();
    let known = cache.unwatched.take().filter(|(at, of, unwatched)| {
        *of == run.generation
            && unwatched.is_in_order()
            && !are_refused
            && !is_due(Some(*at), UNWATCHED_PERIOD, now)
    });
    if let Some(known) = known {
        return Ok(cache.unwatched.insert(known).2.clone());
    }
    let client = &context.client;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &run.namespace);
    let scaled_objects = apply::scaled_objects(context, run);
    let workers_name = workers_name(run);
    let scaled_object = async {
        match run.mode {
            ScalingMode::Keda if context.defaults.keda => {
                scaled_objects.get_metadata_opt(&workers_name).await
            }
            ScalingMode::Keda | ScalingMode::Builtin | ScalingMode::External => Ok(None),
        }
    };
    let (account, scaled_object) = tokio::try_join!(
        accounts.get_metadata_opt(&run.service_account),
        scaled_object,
    )
    .map_err(|cause| ReconcileError::Read(Box::new(cause)))?;
    let scaled_object = scaled_object.as_ref().map(|found| &found.metadata);
    let unwatched = Unwatched {
        service_account: account.is_some(),
        name_conflict: NameConflict::of(run, "ScaledObject", scaled_object),
    };
    cache.unwatched = Some((now, run.generation, unwatched.clone()));
    Ok(unwatched)
}

/// Names of objects that the run is about to need.
struct Needs {
    grouper: Option<String>,
    verifier: Option<String>,
    workers: Option<String>,
}

/// What is not watched, because it is not labelled as the run's, and has a name that the run is
/// about to need.
async fn strangers(
    context: &Context,
    run: &Run,
    needs: Needs,
) -> Result<Vec<NameConflict>, ReconcileError> {
    if run.suspend {
        return Ok(Vec::new());
    }
    let client = &context.client;
    let jobs: Api<Job> = Api::namespaced(client.clone(), &run.namespace);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &run.namespace);
    let (grouper, verifier, workers) = tokio::try_join!(
        metadata(&jobs, needs.grouper),
        metadata(&jobs, needs.verifier),
        metadata(&deployments, needs.workers),
    )
    .map_err(|cause| ReconcileError::Read(Box::new(cause)))?;
    let found = [("Job", grouper), ("Job", verifier), ("Deployment", workers)];
    let conflicts = found.iter();
    let conflicts =
        conflicts.filter_map(|(kind, found)| NameConflict::of(run, kind, found.as_ref()));
    Ok(conflicts.collect())
}

/// The metadata of the object of this name, if there is one.
async fn metadata<K>(api: &Api<K>, name: Option<String>) -> Result<Option<ObjectMeta>, kube::Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    let Some(name) = name else {
        return Ok(None);
    };
    let found = api.get_metadata_opt(&name).await?;
    Ok(found.map(|found| found.metadata))
}

/// Looks for the proof that the run's own pods may write to the destination, which is the only
/// request to it before there is one. Of a run that an earlier release has begun, whose pods do not
/// know of it, a claim of this very resource is proof.
async fn acknowledged(
    context: &Context,
    run: &Run,
    prior: &ArchiveRunStatus,
    cache: &mut RunCache,
) -> Result<Acknowledged, RecordsError> {
    if matches!(cache.acknowledged, Acknowledged::Yes(_)) {
        return Ok(cache.acknowledged.clone());
    }
    let now = Instant::now();
    if !is_due(cache.acknowledgement_at, ACKNOWLEDGEMENT_PERIOD, now) {
        return Ok(Acknowledged::Unknown);
    }
    cache.acknowledgement_at = Some(now);
    let records = run.destination(&context.aws);
    let found = records
        .acknowledgement(&run.bucket, &run.layout, &run.name, &run.uid)
        .await?;
    let inventory = match found {
        Some(found) => Some(found.inventory),
        None if prior.inventory.is_some() && is_claimed(context, run, &records).await? => None,
        None => return Ok(Acknowledged::No),
    };
    cache.acknowledged = Acknowledged::Yes(inventory);
    Ok(cache.acknowledged.clone())
}

/// Whether the run's name is claimed by its resource.
async fn is_claimed(context: &Context, run: &Run, records: &Records) -> Result<bool, RecordsError> {
    let claim = records.claim(&run.bucket, &run.layout, &run.name).await?;
    let own = run.claim_owner(&context.defaults.cluster);
    Ok(claim.is_some_and(|claim| claim.owner == own))
}

/// Depth, summaries and receipts.
async fn progress(
    context: &Context,
    run: &Run,
    pass: u32,
    queue: &QueuePair,
    is_mismatched: bool,
    cache: &mut RunCache,
    seen: &mut Observed,
) {
    let records = run.destination(&context.aws);
    let now = Instant::now();
    if is_due(
        cache.depths.as_ref().map(|(then, _)| *then),
        POLL_PERIOD,
        now,
    ) {
        let queues = Queues::of(&context.aws, &queue.url, &run.region);
        let known = cache
            .depths
            .as_ref()
            .map(|(_, depths)| depths.dead_lettered.clone());
        let known = known.filter(|_| !is_due(cache.dead_letters_at, DEAD_LETTERS_PERIOD, now));
        let dead_lettered = if let Some(known) = known {
            known
        } else {
            let dead_lettered = queues.dead_letters(queue).await;
            // What could not be read is read again with the next look.
            cache.dead_letters_at = dead_lettered.is_ok().then_some(now);
            dead_lettered
        };
        let depths = Depths {
            groups: queues.depth(&queue.url).await,
            dead_lettered,
        };
        for _ in depths
            .groups
            .as_ref()
            .err()
            .into_iter()
            .chain(depths.dead_lettered.as_ref().err())
        {
            context.metrics.failed(ReconcileError::AWS);
        }
        cache.observe_depths(depths, seen.replicas(), now);
    }
    if matches!(seen.grouper, JobState::Absent | JobState::Running) {
        cache.expect_groups();
    }
    (seen.recent_groups, seen.replicas_then) = (cache.recent_groups(), cache.replicas_then);
    seen.empty_for = cache.empty_for(now);
    seen.sent_again = cache.sent_again == Some(pass);
    // A grouper that ended well has made its summary just now.
    let is_made = seen.grouper == JobState::Succeeded && cache.summary_error.is_none();
    if is_made || is_due(cache.summaries_at, POLL_PERIOD, now) {
        cache.summary_error = summaries(&records, run, pass, cache, now).await.err();
        cache.summary_error.iter().for_each(|error| {
            context
                .metrics
                .failed(ReconcileError::class_of_record(error));
        });
    }
    // A redo that is found has its groups count in place of others.
    while count(context, &records, run, is_mismatched, cache, now).await {
        let find = |stage| records.summary(&run.bucket, &run.layout, &run.name, stage);
        match redos(cache, pass, find).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                context
                    .metrics
                    .failed(ReconcileError::class_of_record(&error));
                // Whether the run is whole depends on it.
                (cache.count_error, cache.counted) = (Some(error), None);
                break;
            }
        }
    }
    recall(cache, pass, seen, now);
}

/// What is known of the run's progress.
fn recall(cache: &mut RunCache, pass: u32, seen: &mut Observed, now: Instant) {
    seen.depths = cache.depths.as_ref().map(|(_, depths)| depths.clone());
    seen.summary = cache.summaries.get(&Stage::OWN).cloned();
    seen.pass_summary = cache.summaries.get(&Stage::Pass(pass)).cloned();
    seen.records_error = cache
        .count_error
        .clone()
        .or_else(|| cache.summary_error.clone());
    seen.counted.clone_from(&cache.counted);
    seen.rate = cache.counted.as_ref().and_then(|counted| {
        let outcome = counted.outcome();
        let done = Amount {
            objects: outcome
                .archived
                .saturating_add(outcome.copied)
                .saturating_add(outcome.failed_objects()),
            bytes: outcome
                .archived_bytes
                .saturating_add(outcome.copied_bytes)
                .saturating_add(outcome.failed_bytes),
        };
        cache.throughput.observe(done, now)
    });
    seen.is_counting = cache.count.is_under_way() && cache.count_error.is_none();
}

/// Goes on counting the receipts, unless they were counted a while ago by the summaries that are
/// known. Tells whether it has come to the last one.
async fn count(
    context: &Context,
    records: &Records,
    run: &Run,
    is_mismatched: bool,
    cache: &mut RunCache,
    now: Instant,
) -> bool {
    let accounts = Accounts::of(cache.summaries.values().cloned());
    if cache.count.accounts() != &accounts {
        // By other summaries the same receipts may add up to something else.
        (cache.counted, cache.counted_at) = (None, None);
        cache.count.know(accounts);
    }
    let period = match cache.count_error {
        Some(RecordsError::Flooded(_)) => sweep_period(MOST_UNEXPECTED / PAGE),
        Some(_) => POLL_PERIOD,
        None if cache.count.is_under_way() => Duration::ZERO,
        None => sweep_period(cache.count.cost()),
    };
    if !is_due(cache.counted_at, period, now) {
        return false;
    }
    if !cache.count.is_under_way() || cache.count_error.is_some() {
        cache.counted_at = Some(now);
    }
    let groups = cache.counted.as_ref().map_or(0, Counted::groups);
    if !cache.count.is_under_way() && cache.recounts.are_due(is_mismatched, groups, now) {
        cache.count.begin_anew();
    }
    let counted = records
        .count(&run.bucket, &run.layout, &run.name, &mut cache.count, LISTS)
        .await;
    match counted {
        Ok(counted) => {
            let is_done = counted.is_some();
            cache.count_error = None;
            // What was counted half is not shown.
            cache.counted = counted.or(cache.counted.take());
            is_done
        }
        Err(error) => {
            context
                .metrics
                .failed(ReconcileError::class_of_record(&error));
            cache.count_error = Some(error);
            false
        }
    }
}

/// Looks for the summaries of the passes so far that are not known yet.
async fn summaries(
    records: &Records,
    run: &Run,
    pass: u32,
    cache: &mut RunCache,
    now: Instant,
) -> Result<(), RecordsError> {
    let mut looked = Ok(());
    for stage in (0..=pass).map(Stage::Pass) {
        if cache.summaries.contains_key(&stage) {
            continue;
        }
        cache.summaries_at = Some(now);
        // One may be told without the other.
        looked = summary(records, run, stage, cache)
            .await
            .map(|_| ())
            .and(looked);
    }
    looked
}

/// Looks for the summaries of redos that are not known yet, with `find`. Tells whether it found
/// one. A user may plan a redo at any time, so before the run ends it is asked whether there is
/// one. They are numbered from 1, one after the other.
async fn redos<F>(
    cache: &mut RunCache,
    pass: u32,
    mut find: impl FnMut(Stage) -> F,
) -> Result<bool, RecordsError>
where
    F: Future<Output = Result<Option<RunSummary>, RecordsError>>,
{
    let Some(counted) = &cache.counted else {
        return Ok(false);
    };
    let unknown = |redo: &u32| !cache.summaries.contains_key(&Stage::Redo(*redo));
    let Some(first) = (1..=MOST_STAGES).find(unknown) else {
        return Ok(false);
    };
    let pass_summary = cache.summaries.get(&Stage::Pass(pass));
    if counted.redos().all(|redo| redo < first)
        && !pass_summary.is_some_and(|summary| counted.is_whole(summary))
    {
        return Ok(false);
    }
    for redo in first..=MOST_STAGES {
        let stage = Stage::Redo(redo);
        let Some(summary) = find(stage).await? else {
            return Ok(redo > first);
        };
        cache.summaries.insert(stage, summary);
    }
    Ok(true)
}

/// Reads the summary of a stage. Tells whether it is there.
async fn summary(
    records: &Records,
    run: &Run,
    stage: Stage,
    cache: &mut RunCache,
) -> Result<bool, RecordsError> {
    let found = records
        .summary(&run.bucket, &run.layout, &run.name, stage)
        .await?;
    let is_there = found.is_some();
    cache
        .summaries
        .extend(found.map(|summary| (stage, summary)));
    Ok(is_there)
}

fn job_state(job: Option<&Job>, pods: &[Pod]) -> JobState {
    let Some(job) = job else {
        return JobState::Absent;
    };
    if job.metadata.deletion_timestamp.is_some() {
        // It is made again once it is gone.
        return JobState::Running;
    }
    if let Some(failure) = problem::failure_of_job(job) {
        let exit = pods_of_job(job, pods)
            .into_iter()
            .find_map(problem::exit_of_pod);
        let (exit_code, words) =
            exit.map_or((None, String::new()), |(code, words)| (Some(code), words));
        return JobState::Failed {
            exit_code,
            message: format!("{failure}{words}"),
        };
    }
    if job
        .status
        .as_ref()
        .and_then(|status| status.succeeded)
        .unwrap_or(0)
        > 0
    {
        return JobState::Succeeded;
    }
    JobState::Running
}

/// What there is of the verifier.
fn verifier_seen(job: Option<&Job>, pods: &[Pod]) -> Verifier {
    let last = job.and_then(|job| last_finished(job, pods));
    Verifier {
        state: job_state(job, pods),
        mode: job.map(verify_mode).unwrap_or_default(),
        at: job.and_then(job_at),
        report: last.and_then(problem::verification_of_pod),
    }
}

/// Whether a Job has ended, and these pods do not show the end of all that it had.
fn has_ended_unseen(job: &Job, pods: &[Pod]) -> bool {
    let state = job_state(Some(job), pods);
    let has_ended = matches!(state, JobState::Succeeded | JobState::Failed { .. });
    let status = job.status.as_ref();
    let count = |pods: Option<i32>| usize::try_from(pods.unwrap_or(0)).unwrap_or(0);
    let had = status.map_or(0, |it| count(it.succeeded) + count(it.failed));
    let pods = pods_of_job(job, pods);
    has_ended && pods.iter().filter(|pod| has_finished(pod)).count() < had.max(1)
}

/// The last pod of a Job, of those that have ended.
fn last_finished<'a>(job: &Job, pods: &'a [Pod]) -> Option<&'a Pod> {
    pods_of_job(job, pods)
        .into_iter()
        .find(|pod| has_finished(pod))
}

/// The pods of a Job, the newest first.
fn pods_of_job<'a>(job: &Job, pods: &'a [Pod]) -> Vec<&'a Pod> {
    let mut of_job: Vec<_> = pods.iter().filter(|pod| belongs_to(pod, job)).collect();
    let created = |pod: &&Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    of_job.sort_by_key(|pod| std::cmp::Reverse(created(pod)));
    of_job
}

/// When a Job was made, or failed.
fn job_at(job: &Job) -> Option<Timestamp> {
    let failed = problem::failed_at(job);
    failed.or_else(|| job.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// Whether a pod is of this Job, not of the one of another pass, nor of one that was deleted.
fn belongs_to(pod: &Pod, job: &Job) -> bool {
    let label = |name: &str| pod.metadata.labels.as_ref()?.get(name);
    let (name, uid) = (label(JOB_LABEL), label(JOB_UID_LABEL));
    name.is_some() && name == job.metadata.name.as_ref() && uid == job.metadata.uid.as_ref()
}

/// Whether a Job that nobody holds should have a pod and has none.
fn has_no_pod(job: &Job, pods: &[Pod]) -> bool {
    let running = job_state(Some(job), pods) == JobState::Running;
    let at_work = pods
        .iter()
        .any(|pod| belongs_to(pod, job) && !has_finished(pod));
    running && job.metadata.deletion_timestamp.is_none() && !at_work
}

/// Why a Job has no pod, where the cluster let none in since the last one was made.
async fn refused_pods(
    client: &Client,
    run: &Run,
    job: &Job,
    pods: &[Pod],
) -> Result<Option<Problem>, ReconcileError> {
    let events: Api<Event> = Api::namespaced(client.clone(), &run.namespace);
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    let refused =
        ListParams::default().fields(&format!("involvedObject.uid={uid},reason=FailedCreate"));
    let events = events
        .list(&refused)
        .await
        .map_err(|cause| ReconcileError::Read(Box::new(cause)))?;
    let made = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let last_made = pods
        .iter()
        .filter(|pod| belongs_to(pod, job))
        .filter_map(made)
        .max();
    Ok(problem::of_events(&events.items, last_made))
}

fn pods_of(pods: &[Pod], now: Timestamp) -> Pods {
    let mut seen = Pods::default();
    for pod in pods.iter().filter(|pod| !has_finished(pod)) {
        seen.present += 1;
        seen.verifiers += u32::from(has_component(&pod.metadata, VERIFIER));
        if !has_component(&pod.metadata, WORKER) {
            seen.grouping |= has_component(&pod.metadata, GROUPER) && phase(pod) == "Running";
            continue;
        }
        let is_running = phase(pod) == "Running";
        let busy_since = busy_since(pod).filter(|_| is_running);
        seen.running += u32::from(is_running);
        seen.healthy += u32::from(is_running && problem::of_pod(pod, now).is_none());
        seen.busy += u32::from(busy_since.is_some());
        if pod.metadata.deletion_timestamp.is_none() {
            seen.workers.push(WorkerPod {
                name: pod.metadata.name.clone().unwrap_or_default(),
                busy_since,
                is_paused: is_paused(pod),
                created_at: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
            });
        }
    }
    seen
}

/// Since when a worker is ready, which it is while it holds a group.
fn busy_since(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions
        .iter()
        .find(|it| it.type_ == "Ready" && it.status == "True")?;
    let since = ready.last_transition_time.as_ref();
    Some(since.map_or_else(Timestamp::now, |time| time.0))
}

fn is_paused(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    annotations
        .and_then(|all| all.get(PAUSE_ANNOTATION))
        .is_some_and(|value| value == PAUSED)
}

/// What is wrong with the pods of a component, worst first: of each pod the worst.
fn problems(pods: &[Pod], component: &str) -> Vec<Problem> {
    let now = Timestamp::now();
    // A grouper that ended is told by its Job; a pod that leaves has nothing to say any more.
    let here = pods
        .iter()
        .filter(|pod| !has_finished(pod) && pod.metadata.deletion_timestamp.is_none());
    let mut problems: Vec<_> = here
        .filter(|pod| has_component(&pod.metadata, component))
        .filter_map(|pod| problem::of_pod(pod, now))
        .collect();
    problems.sort();
    problems
}

fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

/// Whether all containers of a pod have ended.
pub(crate) fn has_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

#[cfg(test)]
mod tests;
