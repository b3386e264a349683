//! How many messages the queues of a run have.

use crate::aws::AwsError;

/// Messages of a queue, as SQS counts them: approximate and late ("GetQueueAttributes", SQS API
/// reference).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    pub visible: u64,
    /// Messages that somebody works on.
    pub in_flight: u64,
}

impl Depth {
    /// Messages of groups that are not archived.
    pub const fn groups(&self) -> u64 {
        self.visible.saturating_add(self.in_flight)
    }

    /// Whether there is no message, by SQS.
    pub const fn is_empty(&self) -> bool {
        self.visible == 0 && self.in_flight == 0
    }
}

/// The depths of a run's queues.
#[derive(Debug, Clone)]
pub struct Depths {
    /// Groups that wait or are worked on, or why that is not known.
    pub groups: Result<Depth, AwsError>,
    /// Groups that nobody could archive, or why that is not known.
    pub dead_lettered: Result<u64, AwsError>,
}
