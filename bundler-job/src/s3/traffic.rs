//! What a process asks of S3, for its metrics: every request that is sent, the SDK's own retries
//! included, and how long source objects take to answer.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;
use s3bundler_common::outcome::Outcome;

/// From a cache in the next rack to a bucket that is asked for more than it serves.
const SECONDS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    side: &'static str,
    outcome: Outcome,
}

/// The requests of this process. Shared by all clones.
#[derive(Debug, Clone)]
pub(crate) struct Traffic {
    requests: Family<Answer, Counter>,
    gets: Histogram,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            gets: Histogram::new(SECONDS),
        }
    }
}

impl Traffic {
    /// A request to the destination, or to a source, was answered or was not.
    pub(super) fn answered(&self, is_destination: bool, outcome: Outcome) {
        let side = side(is_destination);
        self.requests.get_or_create(&Answer { side, outcome }).inc();
    }

    /// The headers of a source object came after so long.
    pub(super) fn got(&self, took: Duration) {
        self.gets.observe(took.as_secs_f64());
    }

    /// Shows it to Prometheus.
    pub(crate) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        self.requests.encode(encoder.encode_descriptor(
            "worker_requests",
            "Requests to S3 by side and by what came of them",
            None,
            self.requests.metric_type(),
        )?)?;
        self.gets.encode(encoder.encode_descriptor(
            "worker_get_duration",
            "Time from the GET of a source object to the headers of its answer",
            Some(&Unit::Seconds),
            self.gets.metric_type(),
        )?)
    }
}

/// The value of the label `side`.
pub(crate) const fn side(is_destination: bool) -> &'static str {
    if is_destination {
        "destination"
    } else {
        "source"
    }
}

#[cfg(test)]
mod tests;
