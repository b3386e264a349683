//! The depth of a run's queues, read no faster than it is needed.

use crate::autoscale::plan::Depth;
use crate::aws::AwsError;
use crate::queues::{QueuePair, Queues};

/// What a look at the queues showed.
#[derive(Debug, Clone)]
pub struct Depths {
    /// Groups that wait or are worked on, or why that is not known.
    pub groups: Result<Depth, AwsError>,
    /// Groups that nobody could archive; `None` where there is no dead-letter queue, or where it could not be read.
    pub dead_lettered: Option<u64>,
}

/// Groups in the dead-letter queue of a run; `None` where there is none, or where it could not be read.
pub async fn dead_letters(queues: &Queues, pair: &QueuePair) -> Option<u64> {
    let depth = queues.depth(pair.dead_letter_url.as_ref()?).await.ok()?;
    Some(depth.visible.saturating_add(depth.in_flight))
}
