#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use k8s_openapi::jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::aws::{AwsError, AwsErrorKind};
use crate::controller::fixtures::{
    claimed, condition, counted, decide, decide_at, decide_with_cap, denied, depths, now, run,
    working,
};
use crate::controller::observed::{Observed, Pods, WorkerPod, WorkersState};
use crate::queues::Depths;

/// So many workers that are busy, or idle, each younger than the one before.
fn workers_of(kinds: &[(u32, bool)]) -> Pods {
    let mut pods = Pods::default();
    for (count, is_busy) in kinds {
        for _ in 0..*count {
            let number = pods.running;
            pods.workers.push(WorkerPod {
                name: format!("w{number}"),
                busy_since: is_busy.then(now),
                is_paused: false,
                created_at: Some(now() + SignedDuration::from_secs(number.into())),
            });
            pods.running += 1;
            pods.busy += u32::from(*is_busy);
        }
    }
    pods
}

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
        let is_applied = writes.contains(&Write::ApplyScaledObject(Bounds { least: 0, most: 20 }));
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
            "Keda" => vec![
                Write::ApplyWorkers,
                Write::ApplyScaledObject(Bounds { least: 0, most: 2 }),
            ],
            _ => vec![Write::ApplyWorkers],
        };
        assert_eq!(
            (decision.writes, decision.degraded),
            (expected, None),
            "{mode}"
        );
        seen.workers = Some(WorkersState { replicas: 9 });
        seen.pods = workers_of(&[(4, true), (5, false)]);
        let decision = decide_with_cap(&run, &claimed(), &seen, 2);
        assert_eq!(decision.holds(9), if is_told { 4 } else { 9 }, "{mode}");
        let paused = decision
            .writes
            .iter()
            .find_map(|write| match write {
                Write::PauseWorkers(pods) => Some(pods.clone()),
                _ => None,
            })
            .unwrap_or_default();
        let expected: &[&str] = if is_told { &["w3", "w2"] } else { &[] };
        assert_eq!(paused, expected, "{mode}");
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

#[test]
fn a_worker_that_works_is_a_reason_for_more_and_one_that_does_not_is_none() {
    let run = run(json!({"workers": {"scaling": {"maxReplicas": 300}}}));
    let scaled = |seen: &Observed, prior: &ArchiveRunStatus| {
        let decision = decide_at(&run, prior, seen, now() + SignedDuration::from_secs(30));
        decision.workers
    };
    let base = || Observed {
        workers: Some(WorkersState { replicas: 1 }),
        replicas_then: 1,
        depths: Some(depths(500, 1, 0)),
        pods: workers_of(&[(1, true)]),
        ..working(500)
    };
    assert_eq!(scaled(&base(), &claimed()), 1, "for half a minute");
    let mut held = base();
    held.pods.workers[0].busy_since = Some(now() - SignedDuration::from_secs(30));
    assert_eq!(scaled(&held, &claimed()), 2, "for a minute");
    let committed = Observed {
        counted: Some(counted(&["logs.000000~a10~c0~f0~b100"])),
        ..base()
    };
    assert_eq!(scaled(&committed, &claimed()), 2);

    let mut idle = Observed {
        workers: Some(WorkersState { replicas: 64 }),
        replicas_then: 64,
        pods: workers_of(&[(64, false)]),
        ..committed
    };
    assert_eq!(scaled(&idle, &claimed()), 128);
    idle.pods.troubled = 3;
    assert_eq!(
        scaled(&idle, &claimed()),
        64,
        "something is wrong, and nobody is at work"
    );
    idle.pods.troubled = 64;
    assert_eq!(scaled(&idle, &claimed()), 1, "nobody can work");
    idle.pods.troubled = 0;
    let stalled = ArchiveRunStatus {
        conditions: vec![condition("Stalled", "AccessDenied", "2026-11-23T11:30:00Z")],
        ..claimed()
    };
    assert_eq!(scaled(&idle, &stalled), 1);
    let busy = Observed {
        pods: workers_of(&[(2, true), (62, false)]),
        ..idle
    };
    assert_eq!(scaled(&busy, &stalled), 128, "somebody is at work");
}

#[test]
fn busy_workers_above_the_share_end_their_group_and_the_others_go_on() {
    let pods = |paused: &[usize], kinds: &[(u32, bool)]| {
        let mut workers = workers_of(kinds).workers;
        for at in paused {
            workers[*at].is_paused = true;
        }
        workers
    };
    let pause =
        |names: &[&str]| Write::PauseWorkers(names.iter().map(|name| (*name).to_owned()).collect());
    let resume = |names: &[&str]| {
        Write::ResumeWorkers(names.iter().map(|name| (*name).to_owned()).collect())
    };
    let four = [(4, true)];
    assert_eq!(pauses(&pods(&[], &four), 4, 4), []);
    assert_eq!(pauses(&pods(&[], &four), 2, 4), [pause(&["w3", "w2"])]);
    assert_eq!(
        pauses(&pods(&[0], &four), 2, 4),
        [pause(&["w3"])],
        "one is asked already"
    );
    assert_eq!(pauses(&pods(&[0, 1], &four), 2, 4), []);
    assert_eq!(pauses(&pods(&[0, 1, 2], &four), 2, 4), [resume(&["w0"])]);
    assert_eq!(pauses(&pods(&[0, 1], &four), 4, 4), [resume(&["w1", "w0"])]);
    // The idle one leaves with the next scaling, paused or not.
    let ended = [(2, true), (2, false)];
    assert_eq!(pauses(&pods(&[2, 3], &ended), 2, 2), []);
    assert_eq!(
        pauses(&pods(&[2, 3], &ended), 4, 4),
        [resume(&["w2", "w3"])],
        "the share has grown again"
    );
}
