//! What a run keeps from its start, whatever the operator's settings are later.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use s3bundler_contract::record::InventoryRef;

use super::outcome::Outcome;
use crate::controller::run::Run;
use crate::crd::{ArchiveRunStatus, InventoryStatus};
use crate::records::ClaimState;

/// Records what was claimed and created just now.
pub(super) fn start(status: &mut ArchiveRunStatus, run: &Run, outcome: &Outcome<'_>) {
    let Some(pair) = &outcome.applied.queues else {
        return;
    };
    status.worker_image.get_or_insert_with(|| run.image.clone());
    status.region.get_or_insert_with(|| run.region.clone());
    status
        .service_account_name
        .get_or_insert_with(|| run.service_account.clone());
    status.start_time.get_or_insert(Time(outcome.now));
    if let Some(ClaimState::Ours(inventory)) = &outcome.applied.claim {
        status.inventory = Some(inventory_status(inventory));
    }
    let queue = status.queue.get_or_insert_default();
    queue.url = Some(pair.url.clone());
    queue.dead_letter_url.clone_from(&pair.dead_letter_url);
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
