//! What the status says of notifications. Pure.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::controller::intervals::POLL_PERIOD;
use crate::crd::{ArchiveRunStatus, NotificationState, NotificationStatus};

/// For so long after its end a run is announced. A sink that is down at night or for a working day
/// gets everything.
const LONGEST: Duration = Duration::from_hours(24);

/// Makes the end of a run pending for these sinks, if the run ends with this status. A run that had
/// ended before is not announced.
pub(crate) fn announce(next: &mut ArchiveRunStatus, prior: &ArchiveRunStatus, sinks: &[String]) {
    if prior.completion_time.is_some() || next.completion_time.is_none() {
        return;
    }
    next.notifications = sinks
        .iter()
        .map(|sink| NotificationStatus {
            sink: sink.clone(),
            state: NotificationState::Pending,
            time: None,
            message: None,
        })
        .collect();
}

/// The sinks that are still to be notified.
pub(super) fn pending(status: &ArchiveRunStatus) -> impl Iterator<Item = &str> {
    status
        .notifications
        .iter()
        .filter(|it| it.state == NotificationState::Pending)
        .map(|it| it.sink.as_str())
}

/// These notifications with another result for its sink.
pub(super) fn with(
    mut notifications: Vec<NotificationStatus>,
    result: &NotificationStatus,
) -> Vec<NotificationStatus> {
    for it in &mut notifications {
        if it.sink == result.sink {
            *it = result.clone();
        }
    }
    notifications
}

/// Whether a notification that fails now is not tried again.
pub(super) fn is_late(status: &ArchiveRunStatus, now: Timestamp) -> bool {
    left(status, now).is_zero()
}

/// How long a run that is to be deleted waits at least for its notifications: until they are settled
/// or late. What becomes of them is looked at with the period of other looks, because it is no reason
/// to reconcile.
pub(crate) fn time_to_wait(status: &ArchiveRunStatus, now: Timestamp) -> Duration {
    if pending(status).next().is_none() {
        return Duration::ZERO;
    }
    left(status, now).min(POLL_PERIOD)
}

fn left(status: &ArchiveRunStatus, now: Timestamp) -> Duration {
    let Some(ended) = &status.completion_time else {
        return Duration::ZERO;
    };
    let passed = Duration::try_from(now.duration_since(ended.0)).unwrap_or_default();
    LONGEST.saturating_sub(passed)
}

#[cfg(test)]
mod tests;
