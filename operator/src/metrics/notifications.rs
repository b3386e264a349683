//! Notifications of runs that ended, by sink. Their number is bounded by the command line.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use s3bundler_common::outcome::Outcome;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    sink: String,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabels {
    sink: String,
}

impl SinkLabels {
    fn of(sink: &str) -> Self {
        let sink = sink.to_owned();
        Self { sink }
    }
}

/// The notifications to all sinks. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct NotificationMetrics {
    sent: Family<Answer, Counter>,
    pending: Family<SinkLabels, Gauge>,
    given_up: Family<SinkLabels, Counter>,
}

impl NotificationMetrics {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register(
            "notifications",
            "Notifications that were sent to a sink, by what came of them",
            this.sent.clone(),
        );
        registry.register(
            "notifications_pending",
            "Notifications that a sink has not accepted yet",
            this.pending.clone(),
        );
        registry.register(
            "notifications_given_up",
            "Notifications that a sink did not accept for a day",
            this.given_up.clone(),
        );
        this
    }

    /// Counts an attempt.
    pub(crate) fn sent(&self, sink: &str, outcome: Outcome) {
        let sink = sink.to_owned();
        self.sent.get_or_create(&Answer { sink, outcome }).inc();
    }

    /// Takes over that so many more notifications wait. By difference, so that two that change it at
    /// once are both counted.
    pub(crate) fn pending(&self, sink: &str, more: i64) {
        self.pending
            .get_or_create(&SinkLabels::of(sink))
            .inc_by(more);
    }

    /// Counts a notification that is not tried again.
    pub(crate) fn gave_up(&self, sink: &str) {
        self.given_up.get_or_create(&SinkLabels::of(sink)).inc();
    }
}
