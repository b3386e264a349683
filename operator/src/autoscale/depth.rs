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

/// Looks at both queues of a run.
pub async fn read(queues: &Queues, pair: &QueuePair) -> Depths {
    let groups = queues.depth(&pair.url).await;
    let dead_lettered = match &pair.dead_letter_url {
        Some(url) => queues.depth(url).await.ok().map(|depth| depth.visible.saturating_add(depth.in_flight)),
        None => None,
    };
    Depths { groups, dead_lettered }
}
