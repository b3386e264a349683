//! The end of a reconcile: the status is written if it changed, with an event for each condition
//! that did.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::cache::is_due;
use super::context::Context;
use super::decide::{self, Write};
use super::error::{ReconcileError, is_of_another};
use super::intervals::{POLL_PERIOD, REFUSED_PERIOD};
use super::status::{self, Outcome};
use super::{events, failure, notifications};
use crate::crd::{ArchiveRun, ArchiveRunStatus};

/// Writes the status where it changed, and events of what changed. Counters are written with the
/// regular reconciles only: pods come and go many times between two of them. `reported_at` is when
/// they were written last.
pub(crate) async fn report(
    resource: &ArchiveRun,
    prior: &ArchiveRunStatus,
    outcome: &Outcome<'_>,
    reported_at: &mut Option<Instant>,
    context: &Context,
) -> Result<Action, ReconcileError> {
    let mut next = status::next(prior, outcome);
    notifications::announce(&mut next, prior, context.notifier.sinks());
    let mut requeue_after = outcome.decision.requeue_after;
    let (deleted, now) = (
        outcome.decision.writes.contains(&Write::DeleteRun),
        Instant::now(),
    );
    let is_early = !is_due(*reported_at, POLL_PERIOD, now);
    if is_early && next != *prior && status::differ_in_counters(prior, &next) {
        requeue_after = Some(requeue_after.unwrap_or(POLL_PERIOD).min(POLL_PERIOD));
    } else if !deleted {
        let made = write_status(
            resource,
            outcome.applied.version.as_deref(),
            prior,
            &next,
            context,
        )
        .await?;
        if made.is_some() {
            *reported_at = Some(now);
        }
        // The next step of a run is not waited for.
        let goes_on = outcome
            .decision
            .requeue_after
            .is_some_and(|pause| pause.is_zero());
        if let Some(version) = made.filter(|_| !goes_on) {
            context
                .throttle
                .wrote(&resource.uid().unwrap_or_default(), version, Instant::now());
        }
    }
    if outcome.applied.failed.is_some() {
        requeue_after = Some(REFUSED_PERIOD);
    }
    let Some(pause) = requeue_after else {
        return Ok(Action::await_change());
    };
    let pause = pause.max(Duration::from_millis(10));
    let uid = resource.uid().unwrap_or_default();
    context.metrics.liveness.next(&uid, Instant::now() + pause);
    Ok(Action::requeue(pause))
}

/// Says that nothing can be said of a run that is under way, where somebody has to act on it.
pub(crate) async fn report_unreadable(
    resource: &ArchiveRun,
    error: &ReconcileError,
    context: &Context,
) -> Result<(), ReconcileError> {
    let prior = resource.status.clone().unwrap_or_default();
    let uid = resource.uid().unwrap_or_default();
    let times = context.backoff.failures(&uid).saturating_add(1);
    match failure::of_read(error, times) {
        Some(explanation) if decide::finished(&prior).is_none() => {
            let next = status::stalled_status(
                &prior,
                &explanation,
                resource.metadata.generation,
                Timestamp::now(),
            );
            write_status(resource, None, &prior, &next, context)
                .await
                .map(|_| ())
        }
        _ => Ok(()),
    }
}

/// Writes a status over the one that was looked at, and no other: where somebody wrote meanwhile it
/// is looked at again. `version` is the resource's where this look has written into it. Gives the
/// version that it made.
pub(crate) async fn write_status(
    resource: &ArchiveRun,
    version: Option<&str>,
    prior: &ArchiveRunStatus,
    next: &ArchiveRunStatus,
    context: &Context,
) -> Result<Option<String>, ReconcileError> {
    observe(resource, next, context);
    if next == prior {
        return Ok(None);
    }
    let runs: Api<ArchiveRun> = Api::namespaced(
        context.client.clone(),
        &resource.namespace().unwrap_or_default(),
    );
    let name = resource.name_any();
    let version = version
        .map(str::to_owned)
        .or_else(|| resource.resource_version());
    let patch = Patch::Merge(
        json!({"metadata": {"resourceVersion": version}, "status": merge_patch(prior, next)}),
    );
    match runs
        .patch_status(&name, &PatchParams::default(), &patch)
        .await
    {
        Ok(written) => {
            let made = written.resource_version();
            if let Some(version) = version.filter(|version| made.as_ref() != Some(version)) {
                context
                    .throttle
                    .replaced(&resource.uid().unwrap_or_default(), version);
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

/// Shows what a status says in the metrics.
pub(crate) fn observe(resource: &ArchiveRun, status: &ArchiveRunStatus, context: &Context) {
    let namespace = resource.namespace().unwrap_or_default();
    context
        .metrics
        .observe(&namespace, &resource.name_any(), status);
}

/// A merge patch: what is gone has to be named.
fn merge_patch(prior: &ArchiveRunStatus, next: &ArchiveRunStatus) -> serde_json::Value {
    let value =
        |status: &ArchiveRunStatus| serde_json::to_value(status).expect("a status is plain JSON");
    let (before, mut after) = (value(prior), value(next));
    if let (Some(before), Some(after)) = (before.as_object(), after.as_object_mut()) {
        for key in before.keys() {
            after.entry(key).or_insert(serde_json::Value::Null);
        }
    }
    after
}
