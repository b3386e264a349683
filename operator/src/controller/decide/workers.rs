//! The workers, and how many of them.

use super::decision::{Decision, Write};
use crate::autoscale::plan::{Inputs, most, replicas};
use crate::controller::explanation::Explanation;
use crate::controller::observed::Observed;
use crate::controller::run::Run;
use crate::crd::ScalingMode;

/// The workers, and how many of them.
pub(super) fn workers(
    run: &Run,
    decision: &mut Decision,
    seen: &Observed,
    missing: Option<u64>,
    cap: u32,
) {
    let current = seen.replicas();
    let inputs = Inputs {
        at_rest: false,
        work_left: missing != Some(0),
        depth: seen
            .depths
            .as_ref()
            .and_then(|depths| depths.groups.as_ref().ok())
            .copied(),
        groups_per_worker: run.groups_per_worker,
        min: run.min_replicas,
        max: run.max_replicas,
        cap,
        current,
        busy: seen.pods.busy,
    };
    let (workers, scale) = match run.mode {
        ScalingMode::Builtin => {
            let wanted = replicas(inputs);
            (
                wanted,
                seen.workers
                    .is_none_or(|it| it.replicas != wanted)
                    .then_some(Write::Scale(wanted)),
            )
        }
        ScalingMode::Keda => (current, Some(Write::ApplyScaledObject(most(inputs)))),
        ScalingMode::External => (current, None),
    };
    decision.workers = workers;
    // A Deployment begins with one pod: there is none before there may be one.
    let is_made = seen.workers.is_some();
    if is_made || !matches!(scale, Some(Write::Scale(0) | Write::ApplyScaledObject(0))) {
        decision.writes.push(Write::ApplyWorkers);
        decision.writes.extend(scale);
    }
    if cap == 0 && decision.workers == 0 && run.mode != ScalingMode::External && missing != Some(0)
    {
        let message = "other runs have all workers that the operator may give, its --max-workers: \
            this one goes on when one of them needs fewer";
        decision
            .degraded
            .get_or_insert_with(|| Explanation::new("WorkersExhausted", message));
    }
}

/// What keeps workers at zero.
pub(super) fn scale_to_zero(run: &Run) -> Vec<Write> {
    match run.mode {
        ScalingMode::Keda => vec![Write::ApplyScaledObject(0), Write::Scale(0)],
        ScalingMode::Builtin | ScalingMode::External => vec![Write::Scale(0)],
    }
}

#[cfg(test)]
mod tests;
