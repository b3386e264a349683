#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::json;

use crate::controller::decide::Phase;
use crate::controller::fixtures::{NOW, claimed, condition, counted, decide, run, working};
use crate::controller::observed::{Observed, Pods};
use crate::crd::ArchiveRunStatus;

#[test]
fn a_deadline_ends_a_run_that_is_not_done() {
    let late = run(json!({"activeDeadlineSeconds": 3599}));
    assert_eq!(
        decide(&late, &claimed(), &working(2))
            .failed
            .unwrap()
            .reason,
        "DeadlineExceeded"
    );
    let in_time = run(json!({"activeDeadlineSeconds": 3601}));
    assert_eq!(decide(&in_time, &claimed(), &working(2)).failed, None);
    // An hour since its start, 40 minutes of it at rest until now.
    let resumed = condition("Suspended", "Suspended", "2026-11-23T11:20:00Z");
    let resumed = ArchiveRunStatus {
        conditions: vec![resumed],
        ..claimed()
    };
    for (deadline, late) in [(1199, true), (1201, false)] {
        let run = run(json!({"activeDeadlineSeconds": deadline}));
        assert_eq!(
            decide(&run, &resumed, &working(2)).failed.is_some(),
            late,
            "{deadline}"
        );
    }

    // Not where all is archived already and only the pods are leaving.
    let all = ["logs.000000~a10~c0~f0~b1", "logs.000001~a10~c0~f0~b1"];
    for (pods, phase) in [(2, Phase::Draining), (0, Phase::Complete)] {
        let pods = Pods {
            present: pods,
            ..Pods::default()
        };
        let seen = Observed {
            counted: Some(counted(&all)),
            pods,
            ..working(2)
        };
        assert_eq!(decide(&late, &claimed(), &seen).phase, phase);
    }
    // Nor where that cannot be read just now, and was told before.
    let draining = Condition {
        status: "False".to_owned(),
        ..condition("Ready", "Draining", NOW)
    };
    let draining = ArchiveRunStatus {
        conditions: vec![draining],
        ..claimed()
    };
    let unread = Observed {
        counted: None,
        ..working(2)
    };
    assert_eq!(decide(&late, &draining, &unread).failed, None);
}
