#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use serde_json::json;

use super::*;
use crate::aws::{AwsError, AwsErrorKind};
use crate::controller::fixtures::{claimed, decide, decide_with_cap, denied, depths, run, working};
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
