//! Before there is a queue: the inventory has to be whole and the run's name ours.

use std::time::Duration;

use super::decision::{Decision, Phase, Write};
use super::problems::trouble;
use crate::aws::{AwsError, AwsErrorKind};
use crate::controller::explanation::Explanation;
use crate::controller::observed::{InventoryCheck, Observed};
use crate::controller::run::{QueuePlan, Run};
use crate::records::{InventoryState, RecordsError};

/// Between looks at an inventory that is not there yet.
const INVENTORY_PERIOD: Duration = Duration::from_secs(30);

/// Waits for the inventory, then claims the name and makes or takes the queues.
pub(super) fn begin(run: &Run, seen: &Observed) -> Decision {
    let pending = |message: String| Decision {
        requeue_after: Some(INVENTORY_PERIOD),
        ..Decision::new(Phase::InventoryPending, message)
    };
    let origin = run.origin.address();
    let missing = |message: String| {
        let stalled = Some(Explanation::new("InventoryMissing", message.clone()));
        Decision {
            stalled,
            ..pending(message)
        }
    };
    let inventory = match &seen.inventory {
        None => return pending(format!("nobody has looked for {origin} yet")),
        Some(InventoryCheck::State(InventoryState::Finished(inventory))) => inventory.clone(),
        Some(InventoryCheck::State(InventoryState::Missing)) => {
            return missing(format!("there is no {origin}: check spec.source.inventory"));
        }
        Some(InventoryCheck::NoManifests) => {
            return missing(format!(
                "there is no group manifest under {origin}, no key that ends in .index: check \
                 spec.source.manifests"
            ));
        }
        Some(InventoryCheck::State(InventoryState::Unfinished)) => {
            return pending(format!(
                "S3 is still writing the inventory: {origin} has no manifest.checksum beside it yet"
            ));
        }
        Some(InventoryCheck::NoneFinished) => {
            return pending(format!("there is no finished inventory under {origin} yet"));
        }
        Some(InventoryCheck::TooOld { age }) => {
            let hours = age.as_secs() / 3600;
            return pending(format!(
                "the newest inventory under {origin} is {hours} hours old: waiting for a newer one"
            ));
        }
        // Whoever lists is told of a bucket that is not there.
        Some(InventoryCheck::Failed(RecordsError::Aws(error)))
            if error.kind == AwsErrorKind::NotFound =>
        {
            return missing(error.to_string());
        }
        Some(InventoryCheck::Failed(RecordsError::Aws(error)))
            if error.kind == AwsErrorKind::OtherRegion =>
        {
            return elsewhere(error, "spec.source.region");
        }
        Some(InventoryCheck::ClaimFailed(RecordsError::Aws(error)))
            if error.kind == AwsErrorKind::OtherRegion =>
        {
            return elsewhere(error, "spec.destination.region");
        }
        Some(InventoryCheck::Failed(error) | InventoryCheck::ClaimFailed(error)) => {
            let stalled = trouble(error);
            return Decision {
                stalled,
                ..pending(error.to_string())
            };
        }
    };
    let mut decision = Decision::new(
        Phase::Pending,
        "claiming the run's name and making its queue",
    );
    decision.requeue_after = Some(Duration::ZERO);
    decision.writes.push(Write::ClaimName(inventory));
    decision.writes.push(match &run.queue {
        QueuePlan::Managed(queue) => Write::MakeQueues(queue.name.clone()),
        QueuePlan::Existing(pair) => Write::UseQueues(pair.clone()),
    });
    decision
}

/// A bucket is in another region than the one that the run says, or the operator's settings.
fn elsewhere(error: &AwsError, field: &str) -> Decision {
    Decision::refused(Explanation::new(
        "Invalid",
        format!("{error}: name the bucket's region in {field}"),
    ))
}

#[cfg(test)]
mod tests;
