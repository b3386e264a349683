//! What a run keeps from its start, whatever the operator's settings are later.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use s3bundler_contract::record::InventoryRef;

use super::outcome::Outcome;
use crate::controller::decide::Phase;
use crate::controller::observed::{Acknowledged, JobState, Observed};
use crate::controller::run::Run;
use crate::crd::{ArchiveRunStatus, InventoryStatus, WaitingStatus};

/// Records the queues that were created, used or deleted just now. A run without queues that has not
/// ended begins anew.
pub(super) fn queues(status: &mut ArchiveRunStatus, run: &Run, outcome: &Outcome<'_>) {
    if outcome.applied.queues_deleted && !outcome.decision.phase.is_final() {
        (status.queue, status.worker_image) = (None, None);
        (status.region, status.service_account_name) = (None, None);
    }
    let Some(pair) = &outcome.applied.queues else {
        return;
    };
    status.region.get_or_insert_with(|| run.region.clone());
    status
        .service_account_name
        .get_or_insert_with(|| run.service_account.clone());
    let queue = status.queue.get_or_insert_default();
    queue.url = Some(pair.url.clone());
    queue.dead_letter_url.clone_from(&pair.dead_letter_url);
}

/// Records what the pods of a run that has its queue are made with.
pub(super) fn pods(status: &mut ArchiveRunStatus, run: &Run) {
    if status.queue.is_none() {
        return;
    }
    status.worker_image = Some(run.image.clone());
    status.pod_revision = Some(run.pod_revision.number());
    if run.upgrade_requested.is_some() {
        status.upgrade_handled.clone_from(&run.upgrade_requested);
    }
}

/// Records that the pods of the run have shown that they may write to the destination.
pub(super) fn acknowledgement(
    status: &mut ArchiveRunStatus,
    acknowledged: &Acknowledged,
    now: Timestamp,
) {
    let Acknowledged::Yes(inventory) = acknowledged else {
        return;
    };
    status.acknowledged_at.get_or_insert(Time(now));
    if let Some(inventory) = inventory {
        status.inventory = Some(inventory_status(inventory));
    }
}

/// Records what the grouper waited for that has just ended, until the run is acknowledged.
pub(super) fn waiting(status: &mut ArchiveRunStatus, seen: &Observed, now: Timestamp) {
    if status.is_acknowledged() {
        status.waiting = None;
        return;
    }
    if let (JobState::Failed { .. }, Some(end)) = (&seen.grouper, &seen.grouper_end) {
        status.waiting = Some(WaitingStatus {
            since: Time(seen.grouper_at.unwrap_or(now)),
            termination_message: end.to_line().trim_end().to_owned(),
        });
    }
}

/// Sets when the run was started: with its grouper. One that waits for an inventory or for its name
/// has not started; it starts with the next grouper.
pub(super) fn start_time(status: &mut ArchiveRunStatus, phase: Phase, now: Timestamp) {
    match phase {
        Phase::Pending | Phase::InventoryPending if !status.is_acknowledged() => {
            status.start_time = None;
        }
        Phase::Pending | Phase::InventoryPending | Phase::Suspended => {}
        _ => {
            status.start_time.get_or_insert(Time(now));
        }
    }
}

fn inventory_status(inventory: &InventoryRef) -> InventoryStatus {
    let created = inventory
        .creation_timestamp
        .and_then(|millis| i64::try_from(millis).ok());
    InventoryStatus {
        manifest: inventory.manifest.to_string(),
        etag: Some(inventory.etag.clone()),
        created_at: created
            .and_then(|millis| Timestamp::from_millisecond(millis).ok())
            .map(Time),
    }
}

#[cfg(test)]
mod tests;
