//! Whether a run takes longer than its `activeDeadlineSeconds`.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::controller::explanation::Explanation;
use crate::controller::run::Run;
use crate::crd::ArchiveRunStatus;

pub(super) fn too_late(run: &Run, prior: &ArchiveRunStatus, now: Timestamp) -> Option<Explanation> {
    let (deadline, started) = (run.deadline?, prior.start_time.as_ref()?);
    // Of a run that is being resumed the start is moved by its rest only after this.
    let resting = prior
        .condition("Suspended")
        .filter(|it| it.status == "True");
    let rested = resting.map_or(SignedDuration::ZERO, |it| {
        now.duration_since(it.last_transition_time.0)
    });
    let taken = Duration::try_from(now.duration_since(started.0) - rested).unwrap_or_default();
    let message = || {
        format!(
            "it took longer than activeDeadlineSeconds, {} s",
            deadline.as_secs()
        )
    };
    (taken > deadline).then(|| Explanation::new("DeadlineExceeded", message()))
}

#[cfg(test)]
mod tests;
