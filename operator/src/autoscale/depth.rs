//! The depth of a run's queues, read no faster than it is needed.

use crate::autoscale::plan::Depth;
use crate::aws::AwsError;
use crate::queues::{QueuePair, Queues};

/// What a look at the queues showed.
#[derive(Debug, Clone)]
pub struct Depths {
    /// Groups that wait or are worked on, or why that is not known.
    pub groups: Result<Depth, AwsError>,
    /// Groups that nobody could archive, or why that is not known.
    pub dead_lettered: Result<u64, AwsError>,
}

/// Groups in the dead-letter queue of a run; 0 where there is none.
pub async fn dead_letters(queues: &Queues, pair: &QueuePair) -> Result<u64, AwsError> {
    let Some(url) = &pair.dead_letter_url else { return Ok(0) };
    let depth = queues.depth(url).await?;
    Ok(depth.visible.saturating_add(depth.in_flight))
}
