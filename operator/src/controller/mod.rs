//! The controller of ArchiveRuns.
//!
//! ```text
//! watch ──► validate ──► dereference ──► decide ──► apply ──► report
//!           spec to a    all reads:      pure:      the only  one write,
//!           strict Run   Kubernetes,     what to    writer    and events of
//!                        S3, SQS         do next    (build)   what changed (status)
//! ```
//!
//! A reconcile takes one step at most over anything that has to be remembered first: what was
//! claimed or made is in the status before the next step builds on it, so an operator may be killed
//! anywhere. Nothing but the status, and what is in S3, SQS and Kubernetes, decides.
//!
//! The end of a run is told to others by [`notifications`], which no reconcile waits for.
//!
//! Runs come from the watch as [`CachedRun`](cached_run::CachedRun)s, and what is made for them from
//! the watches of [`workloads`].

mod apply;
mod backoff;
mod build;
mod cache;
mod cached_run;
mod context;
mod decide;
mod deletion;
mod dereference;
mod error;
mod events;
mod explanation;
mod failure;
mod finalizer;
#[cfg(test)]
mod fixtures;
mod intervals;
mod namespaces;
mod notifications;
mod observed;
mod ownership;
mod problem;
mod report;
mod roll_outs;
mod run;
mod slots;
mod status;
mod throttle;
mod throughput;
mod validate;
mod watch;
mod workloads;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use tracing::Instrument as _;

use self::apply::{Applied, apply, delete_run, release_queues_of_gone};
use self::backoff::FIRST_PAUSE;
use self::cached_run::{CachedRun, EndedRun};
use self::context::Context;
use self::decide::Decision;
use self::deletion::{clean_up, release_unreadable};
use self::dereference::dereference;
use self::error::ReconcileError;
use self::intervals::{BUDGET, COUNTING_PERIOD, GRACE, REFUSED_PERIOD};
use self::observed::Observed;
use self::report::{observe, report, report_unreadable};
use self::run::Run;
use self::status::Outcome;
use self::validate::{Refusal, Stage, accept};
use crate::autoscale::worker_quota::Applicant;
use crate::aws::AwsErrorKind;
use crate::crd::{ArchiveRun, ArchiveRunStatus};

pub use self::context::Parts;
pub use self::notifications::{Notifier, Sink, SinkError};
pub use self::watch::run;

/// Reconciles a run unless it was reconciled just now, once there is a slot for its namespace.
async fn reconcile(run: Arc<CachedRun>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let resource = match &*run {
        CachedRun::Active(resource) => resource,
        CachedRun::Ended(ended) => return expire(ended, &context).await,
        CachedRun::Unreadable(unreadable) => {
            tracing::warn!(name = ?unreadable.metadata.name, error = unreadable.error, "cannot \
                read an ArchiveRun");
            return release(&unreadable.metadata, &context).await;
        }
    };
    let uid = resource.uid().unwrap_or_default();
    let version = resource.resource_version().unwrap_or_default();
    if let Some(delay) = context.throttle.delay(&uid, &version, Instant::now()) {
        return Ok(Action::requeue(delay));
    }
    let liveness = &context.metrics.liveness;
    liveness.wanted(&uid, Instant::now());
    let namespace = resource.namespace().unwrap_or_default();
    let Some(_slot) = context.slot(&namespace).await else {
        return Ok(Action::await_change());
    };
    let started = Instant::now();
    let span = tracing::info_span!(
        "reconcile",
        namespace = resource.namespace(),
        run = resource.name_any()
    );
    let reconciling = Box::pin(reconcile_run(resource, &context)).instrument(span);
    let reconciled = tokio::time::timeout(BUDGET, reconciling).await;
    let reconciled = reconciled.unwrap_or(Err(ReconcileError::TimedOut));
    context.metrics.reconciled(
        started.elapsed(),
        reconciled.as_ref().err().map(ReconcileError::class),
    );
    liveness.finished(&uid, Instant::now());
    match reconciled {
        Ok(action) => {
            context.backoff.reset(&uid);
            Ok(action)
        }
        // Another operator goes on.
        Err(ReconcileError::Ending) => Ok(Action::await_change()),
        Err(ReconcileError::Changed) => {
            let (namespace, name) = (resource.namespace(), resource.name_any());
            tracing::debug!(namespace, name, "changed meanwhile, looking again");
            liveness.next(&uid, Instant::now() + FIRST_PAUSE);
            Ok(Action::requeue(FIRST_PAUSE))
        }
        Err(error) => {
            let told = report_unreadable(resource, &error, &context);
            // Whether it was told or not.
            tokio::time::timeout(GRACE, told).await.unwrap_or(Ok(()))?;
            Err(error)
        }
    }
}

/// Lets go of a run that cannot be read.
async fn release(metadata: &ObjectMeta, context: &Context) -> Result<Action, ReconcileError> {
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let Some(_slot) = context.slot(&namespace).await else {
        return Ok(Action::await_change());
    };
    let released = tokio::time::timeout(BUDGET, release_unreadable(metadata, context)).await;
    let uid = metadata.uid.clone().unwrap_or_default();
    context.metrics.liveness.finished(&uid, Instant::now());
    released.unwrap_or(Err(ReconcileError::TimedOut))?;
    Ok(Action::await_change())
}

/// Deletes a run that has ended once its time is over. Asks nobody before that.
async fn expire(run: &EndedRun, context: &Context) -> Result<Action, ReconcileError> {
    let metadata = &run.metadata;
    let uid = metadata.uid.clone().unwrap_or_default();
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let name = metadata.name.clone().unwrap_or_default();
    context.forget(&uid);
    if metadata.deletion_timestamp.is_some() {
        context.metrics.forget(&namespace, &name);
        return Ok(Action::await_change());
    }
    context.metrics.observe(&namespace, &name, &run.status);
    context.notifier.submit(metadata, &run.status);
    let Some(left) = run.time_left(Timestamp::now()) else {
        return Ok(Action::await_change());
    };
    if left.is_zero() {
        let Some(_slot) = context.slot(&namespace).await else {
            return Ok(Action::await_change());
        };
        let deleted = tokio::time::timeout(BUDGET, delete_run(context, &namespace, &name, uid));
        deleted.await.unwrap_or(Err(ReconcileError::TimedOut))?;
    }
    Ok(Action::requeue(left.max(FIRST_PAUSE)))
}

/// The pipeline.
async fn reconcile_run(resource: &ArchiveRun, context: &Context) -> Result<Action, ReconcileError> {
    let prior = resource.status.clone().unwrap_or_default();
    let generation = resource.metadata.generation.unwrap_or(0);
    if resource.metadata.deletion_timestamp.is_some() {
        return clean_up(resource, &prior, context).await;
    }
    // Also of a run that nothing is reported of, such as one that has ended.
    observe(resource, &prior, context);
    let has_ended = decide::finished(&prior).is_some();
    context.notifier.submit(&resource.metadata, &prior);
    if has_ended && decide::queues_are_gone(&prior) && finalizer::is_present(&resource.metadata) {
        // Nothing outside of Kubernetes is left: the namespace may go without an operator.
        finalizer::remove(&resource.metadata, context).await?;
        return Ok(Action::await_change());
    }

    // validate
    let (run, refusal) = match validate_in_namespace(resource, &prior, context).await? {
        Ok(accepted) => accepted,
        // It was read once, by another release.
        Err(_) if has_ended => return Ok(Action::await_change()),
        Err(refusal) => {
            let decision = Decision::refused(refusal.into());
            let (applied, now) = (Applied::default(), Timestamp::now());
            let outcome = Outcome {
                run: None,
                seen: None,
                decision: &decision,
                applied: &applied,
                generation,
                now,
            };
            return report(resource, &prior, &outcome, &mut None, context).await;
        }
    };

    // dereference
    let cache = context.caches.of(run.uid.as_str(), &run.name);
    let cache = &mut *cache.lock().await;
    let reading = Box::pin(dereference(context, &run, &prior, cache));
    let seen = context
        .unless_ending(reading)
        .await
        .unwrap_or(Err(ReconcileError::Ending))?;

    // decide
    let now = Timestamp::now();
    let decision = decide_within_quota(&run, &prior, &seen, refusal, now, context);

    // apply
    let failures = context.backoff.failures(run.uid.as_str());
    let applied = apply(context, resource, &run, &decision.writes, cache, failures).await?;
    if applied.failed.is_none() {
        context
            .worker_quota
            .settle(run.uid.as_str(), decision.holds(seen.replicas()));
    }
    let granted = context.worker_quota.held(run.uid.as_str());
    context
        .metrics
        .granted(&run.namespace, run.name.as_str(), granted);

    // report
    let outcome = Outcome {
        run: Some(&run),
        seen: Some(&seen),
        decision: &decision,
        applied: &applied,
        generation,
        now,
    };
    let reported = report(resource, &prior, &outcome, &mut cache.reported_at, context).await;
    release_queues_of_gone(resource, &run, &applied, context).await?;
    let action = reported?;
    match applied.failed {
        Some((error, _)) if !is_mended_outside(&error) => Err(error),
        Some((error, _)) => {
            context.metrics.failed(error.class());
            Ok(action)
        }
        None => Ok(action),
    }
}

/// Validates a run, by the policy for its namespace unless it has ended.
async fn validate_in_namespace(
    resource: &ArchiveRun,
    prior: &ArchiveRunStatus,
    context: &Context,
) -> Result<Result<(Run, Option<Refusal>), Refusal>, ReconcileError> {
    let stage = match (decide::finished(prior), &prior.queue) {
        (Some(_), _) => Stage::Ended,
        (None, Some(_)) => Stage::UnderWay,
        (None, None) => Stage::New,
    };
    let labels = match &context.defaults.policy {
        Some(_) if stage != Stage::Ended => {
            let namespace = resource.namespace().unwrap_or_default();
            context
                .namespaces
                .labels(&context.client, &namespace)
                .await?
        }
        _ => BTreeMap::new(),
    };
    Ok(accept(resource, &context.defaults, stage, &labels))
}

/// Decides with the workers that other runs leave, and takes in how many of them the run holds from
/// now on.
fn decide_within_quota(
    run: &Run,
    prior: &ArchiveRunStatus,
    seen: &Observed,
    refusal: Option<Refusal>,
    now: Timestamp,
    context: &Context,
) -> Decision {
    let current = seen.replicas();
    let mut decision = match &seen.name_conflict {
        Some(conflict) if decide::finished(prior).is_none() => decide::name_conflict(conflict),
        _ => {
            let applicant = Applicant {
                uid: run.uid.as_str(),
                namespace: &run.namespace,
                terms: run.terms,
                current,
            };
            context.worker_quota.decide(applicant, |cap| {
                let decision = decide::decide(run, prior, seen, cap, now);
                let holds = decision.holds(current);
                (decision, holds)
            })
        }
    };
    if seen.is_counting {
        let pause = decision.requeue_after.unwrap_or(COUNTING_PERIOD);
        decision.requeue_after = Some(pause.min(COUNTING_PERIOD));
    }
    if let Some(refusal) = refusal {
        decision.refused = Some(refusal.into());
    }
    if decision.refused.is_some() {
        decision.requeue_after.get_or_insert(REFUSED_PERIOD);
    }
    decision
}

/// What somebody mends in AWS is looked at again soon, not after an ever longer pause.
fn is_mended_outside(error: &ReconcileError) -> bool {
    matches!(error, ReconcileError::Aws(error) if matches!(error.kind, AwsErrorKind::Denied | AwsErrorKind::NotFound))
}
