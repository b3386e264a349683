//! When a run last moved. An alert goes by it: a run that archives nothing for hours needs a person,
//! whatever its conditions say.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::crd::ArchiveRunStatus;

/// `now` if the status shows more than `prior` did, or another phase. A run that has not started has
/// no such time, and the time of one that has ended stays as it is.
pub(super) fn last_progress(
    prior: &ArchiveRunStatus,
    next: &ArchiveRunStatus,
    now: Timestamp,
) -> Option<Time> {
    next.start_time.as_ref()?;
    let known = prior.last_progress_time.clone();
    let is_still = known.is_some() && figures(prior) == figures(next);
    if is_still || prior.completion_time.is_some() {
        return known;
    }
    Some(Time(now))
}

/// What changes when a run moves. A retry pass archives objects and no groups of the inventory.
fn figures(status: &ArchiveRunStatus) -> impl PartialEq {
    let phase = status.condition("Ready").map(|it| it.reason.clone());
    let objects = status.objects.unwrap_or_default();
    (
        phase,
        status.pass(),
        status.groups.unwrap_or_default().committed,
        objects.archived,
        objects.copied,
    )
}

#[cfg(test)]
mod tests;
