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
        let message = "other runs have all workers that the operator may give, its --max-workers: this one goes on when \
                       one of them needs fewer";
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
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

    use serde_json::json;

    use super::*;
    use crate::aws::{AwsError, AwsErrorKind};
    use crate::controller::fixtures::{
        claimed, decide, decide_with_cap, denied, depths, run, working,
    };
    use crate::controller::observed::{Observed, Pods, WorkersState};
    use crate::queues::Depths;

    #[test]
    fn who_scales_is_left_to_it() {
        for (mode, scaled) in [("Builtin", true), ("Keda", false), ("External", false)] {
            let run = run(json!({"workers": {"scaling": {"mode": mode}}}));
            let seen = Observed {
                workers: Some(WorkersState { replicas: 9 }),
                ..working(5)
            };
            let writes = decide(&run, &claimed(), &seen).writes;
            assert_eq!(
                writes.iter().any(|write| matches!(write, Write::Scale(_))),
                scaled,
                "{mode}: {writes:?}"
            );
            let is_applied = writes.contains(&Write::ApplyScaledObject(20));
            assert_eq!(is_applied, mode == "Keda", "{mode}: {writes:?}");
        }
    }

    #[test]
    fn a_run_for_which_others_leave_no_worker_says_so_and_has_none() {
        for (mode, is_told) in [("Builtin", true), ("Keda", true), ("External", false)] {
            let run = run(json!({"workers": {"scaling": {"mode": mode}}}));
            let waiting = depths(5, 0, 0);
            let mut seen = Observed {
                workers: None,
                depths: Some(waiting),
                ..working(5)
            };
            let decision = decide_with_cap(&run, &claimed(), &seen, 0);
            assert_eq!((decision.workers, decision.holds(0)), (0, 0), "{mode}");
            let reason = decision.degraded.as_ref().map(|it| it.reason);
            assert_eq!(reason, is_told.then_some("WorkersExhausted"), "{mode}");
            assert_eq!(
                decision.writes.contains(&Write::ApplyWorkers),
                !is_told,
                "{mode}: a Deployment begins with a pod"
            );

            // It goes on once there is room, and comes down where there is less: but for what is
            // busy.
            let decision = decide_with_cap(&run, &claimed(), &seen, 2);
            let expected = match mode {
                "Builtin" => vec![Write::ApplyWorkers, Write::Scale(2)],
                "Keda" => vec![Write::ApplyWorkers, Write::ApplyScaledObject(2)],
                _ => vec![Write::ApplyWorkers],
            };
            assert_eq!(
                (decision.writes, decision.degraded),
                (expected, None),
                "{mode}"
            );
            seen.workers = Some(WorkersState { replicas: 9 });
            seen.pods = Pods {
                running: 9,
                busy: 4,
                ..Pods::default()
            };
            let decision = decide_with_cap(&run, &claimed(), &seen, 2);
            assert_eq!(decision.holds(9), if is_told { 4 } else { 9 }, "{mode}");
        }
    }

    #[test]
    fn workers_stay_as_they_are_where_the_depth_is_unknown() {
        let depths = Depths {
            groups: Err(AwsError {
                kind: AwsErrorKind::Transient,
                ..denied()
            }),
            dead_lettered: Ok(0),
        };
        let seen = Observed {
            depths: Some(depths),
            workers: Some(WorkersState { replicas: 7 }),
            ..working(9)
        };
        let decision = decide(&run(json!({})), &claimed(), &seen);
        assert_eq!(
            (decision.workers, decision.degraded.unwrap().reason),
            (7, "DepthUnknown")
        );
        assert!(
            !decision
                .writes
                .iter()
                .any(|write| matches!(write, Write::Scale(_)))
        );
    }
}
