//! A suspended run: it keeps its queue, and no pods.

use super::decision::{Decision, Phase, Write};
use super::workers::scale_to_zero;
use crate::controller::intervals::POLL_PERIOD;
use crate::controller::observed::{JobState, Observed};
use crate::controller::run::Run;
use crate::crd::ArchiveRunStatus;

pub(super) fn suspended(run: &Run, prior: &ArchiveRunStatus, seen: &Observed) -> Decision {
    let pass = prior.pass();
    let left = seen.pods.present;
    let message = if left == 0 {
        "suspended".to_owned()
    } else {
        format!("suspending: {left} pods are still there")
    };
    let mut decision = Decision {
        pass,
        ..Decision::new(Phase::Suspended, message)
    };
    if seen.grouper == JobState::Running {
        // Not suspended: kueue would resume it. A new Job continues where this one stopped
        // (docs/decisions/suspended-groupers.md).
        decision.writes.push(Write::DeleteGrouper(pass));
    }
    if seen.verifier.state == JobState::Running {
        decision.writes.push(Write::DeleteVerifier);
    }
    if seen.workers.is_some() {
        decision.writes.extend(scale_to_zero(run));
    }
    // Only to see the last pods go.
    decision.requeue_after = (left > 0).then_some(POLL_PERIOD);
    decision
}

#[cfg(test)]
mod tests;
