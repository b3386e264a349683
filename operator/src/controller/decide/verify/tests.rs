#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::json;

use super::*;
use crate::autoscale::plan::Bounds;
use crate::controller::fixtures::{
    claimed, condition, counted, decide, decide_at, now, run, working,
};
use crate::controller::observed::{Pods, WorkersState};
use crate::controller::problem::Problem;
use crate::crd::VerifyStatus;

/// A run whose two groups are archived and whose workers are gone, with a verifier in this state.
fn archived(state: JobState) -> Observed {
    Observed {
        counted: Some(counted(&[
            "logs.000000~a10~c0~f0~b1",
            "logs.000001~a10~c0~f0~b1",
        ])),
        workers: Some(WorkersState { replicas: 0 }),
        verifier: Verifier {
            mode: Verify::Checksums,
            at: (state != JobState::Absent).then(now),
            state,
            report: None,
        },
        ..working(2)
    }
}

fn ended(exit_code: Option<i32>) -> JobState {
    JobState::Failed {
        exit_code,
        message: "told".to_owned(),
    }
}

fn report(findings: u64, first: &[&str]) -> Verification {
    Verification {
        full: false,
        groups: 2,
        objects: 20,
        unproven: 0,
        findings,
        leftovers: 0,
        first: first.iter().map(|&it| it.to_owned()).collect(),
    }
}

fn checksums() -> Run {
    run(json!({"verify": "Checksums"}))
}

/// A run that is being verified since a time, with these conditions.
fn verifying(since: &str, conditions: Vec<Condition>) -> ArchiveRunStatus {
    ArchiveRunStatus {
        verify: Some(VerifyStatus {
            mode: Verify::Checksums,
            start_time: Some(Time(since.parse().unwrap())),
            ..VerifyStatus::default()
        }),
        conditions,
        ..claimed()
    }
}

fn told(name: &str, status: &str, reason: &str, message: &str) -> Condition {
    Condition {
        status: status.to_owned(),
        message: message.to_owned(),
        ..condition(name, reason, "2026-11-23T11:30:00Z")
    }
}

#[test]
fn a_run_that_does_not_ask_for_it_is_not_verified() {
    let decision = decide(&run(json!({})), &claimed(), &archived(JobState::Absent));
    assert_eq!((decision.phase, decision.verified), (Phase::Complete, None));
}

#[test]
fn verification_begins_once_the_last_worker_has_left_and_comes_before_the_end() {
    let left = Observed {
        pods: Pods {
            present: 1,
            ..Pods::default()
        },
        ..archived(JobState::Absent)
    };
    let decision = decide(&checksums(), &claimed(), &left);
    assert_eq!(decision.phase, Phase::Draining);
    assert!(!decision.writes.contains(&Write::ApplyVerifier));
    assert!(matches!(decision.verified, Some(Verified::NotYet(_))));

    let decision = decide(&checksums(), &claimed(), &archived(JobState::Absent));
    assert_eq!(decision.phase, Phase::Verifying);
    assert_eq!(decision.writes, [Write::ApplyVerifier]);
    assert!(decision.requeue_after.is_some());

    let running = Observed {
        pods: Pods {
            present: 1,
            verifiers: 1,
            ..Pods::default()
        },
        ..archived(JobState::Running)
    };
    let decision = decide(&checksums(), &claimed(), &running);
    assert_eq!(
        (decision.phase, &decision.writes[..]),
        (Phase::Verifying, &[][..])
    );
    let Some(Verified::NotYet(unknown)) = decision.verified else {
        panic!("{decision:?}")
    };
    assert_eq!(unknown.reason, "Verifying");

    let mut passed = archived(JobState::Succeeded);
    passed.verifier.report = Some(Verification {
        unproven: 1,
        ..report(0, &[])
    });
    let decision = decide(&checksums(), &claimed(), &passed);
    assert_eq!(decision.phase, Phase::Complete);
    let Some(Verified::Yes(proof)) = decision.verified else {
        panic!("{decision:?}")
    };
    assert_eq!(
        proof,
        Explanation::new(
            "NothingFound",
            "20 objects in 2 groups are right, by their checksums; 1 objects could only be compared \
             by size"
        )
    );
    // What a worker that was killed leaves is no harm.
    let mut left = archived(ended(Some(8)));
    left.verifier.report = Some(Verification {
        leftovers: 2,
        ..report(0, &["an upload is open"])
    });
    let decision = decide(&checksums(), &claimed(), &left);
    assert_eq!(decision.phase, Phase::Complete);
    let Some(Verified::Yes(proof)) = decision.verified else {
        panic!("{decision:?}")
    };
    assert!(
        proof.message.ends_with(
            "; attempts that lost have left 2 objects or uploads, which s3bundler verify --repair \
             removes"
        ),
        "{proof:?}"
    );
    // An image of an earlier release reports nothing.
    let decision = decide(&checksums(), &claimed(), &archived(JobState::Succeeded));
    assert_eq!(decision.phase, Phase::Complete);
    assert!(matches!(decision.verified, Some(Verified::Yes(_))));
}

#[test]
fn workers_that_come_meanwhile_are_taken_away() {
    let two = Observed {
        workers: Some(WorkersState { replicas: 2 }),
        ..archived(JobState::Running)
    };
    let decision = decide(&checksums(), &claimed(), &two);
    assert_eq!(decision.writes, [Write::Scale(0)]);
    let keda = run(json!({"verify": "Checksums", "workers": {"scaling": {"mode": "Keda"}}}));
    let decision = decide(&keda, &claimed(), &archived(JobState::Running));
    assert_eq!(
        decision.writes,
        [Write::ApplyScaledObject(Bounds::NONE), Write::Scale(0)]
    );
    let ready = told("Ready", "False", "Verifying", "");
    let prior = verifying("2026-11-23T11:00:00Z", vec![ready]);
    let decision = decide(&keda, &prior, &archived(JobState::Running));
    assert_eq!(decision.writes, [], "it was told");
}

#[test]
fn findings_stall_the_run_and_are_not_looked_for_again() {
    let mut seen = archived(ended(Some(8)));
    seen.verifier.report = Some(Verification {
        leftovers: 1,
        ..report(3, &["one\n is gone", "another"])
    });
    let day = "2026-11-24T12:00:00Z".parse().unwrap();
    let decision = decide_at(&checksums(), &claimed(), &seen, day);
    assert_eq!(
        (decision.phase, &decision.writes[..]),
        (Phase::Verifying, &[][..])
    );
    let stalled = decision.stalled.unwrap();
    assert_eq!(
        stalled,
        Explanation::new(
            "VerifyFailed",
            "3 found: one\\n is gone; another; and 1 more. To see all: s3bundler verify --destination \
             s3://archive/p --name logs"
        )
    );
    assert_eq!(decision.verified, Some(Verified::No(stalled.clone())));
    assert_eq!(decision.failed, None);

    let mut one = archived(ended(Some(8)));
    one.verifier.report = Some(Verification {
        leftovers: 1,
        ..report(1, &["one is gone", "an upload is open"])
    });
    let message = decide(&checksums(), &claimed(), &one)
        .stalled
        .unwrap()
        .message;
    assert!(message.starts_with("1 found: one is gone. To"), "{message}");

    // Of a pod that is gone, the status knows it.
    let known = told("Verified", "False", "VerifyFailed", &stalled.message);
    let prior = verifying("2026-11-23T11:00:00Z", vec![known]);
    let decision = decide_at(&checksums(), &prior, &archived(ended(None)), day);
    assert_eq!((decision.stalled, decision.writes), (Some(stalled), vec![]));

    // An image of an earlier release reports nothing.
    let decision = decide(&checksums(), &claimed(), &archived(ended(Some(8))));
    let message = decision.stalled.unwrap().message;
    assert!(message.starts_with("told. To see all: "), "{message}");
}

#[test]
fn a_verifier_that_was_denied_is_created_again_every_minute() {
    let at = |now: &str| {
        let seen = archived(ended(Some(7)));
        decide_at(&checksums(), &claimed(), &seen, now.parse().unwrap())
    };
    let decision = at("2026-11-23T12:00:59Z");
    assert_eq!(decision.writes, []);
    let decision = at("2026-11-23T12:01:00Z");
    assert_eq!(decision.writes, [Write::DeleteVerifier]);
    let stalled = decision.stalled.unwrap();
    assert_eq!(
        stalled,
        Explanation::new("AccessDenied", "the verifier was denied: told")
    );
    assert_eq!(decision.verified, Some(Verified::NotYet(stalled.clone())));
    let prior = told("Stalled", "True", "AccessDenied", &stalled.message);
    let prior = verifying("2026-11-23T11:00:00Z", vec![prior]);
    let again = decide(&checksums(), &prior, &archived(JobState::Running));
    assert_eq!(again.stalled, Some(stalled));
    let later = "2026-11-23T12:01:00Z".parse().unwrap();
    let again = decide_at(&checksums(), &prior, &archived(JobState::Running), later);
    assert_eq!(again.stalled, None, "it would have been denied by now");
}

#[test]
fn a_verifier_that_fails_is_created_again_after_ever_longer_pauses() {
    for (code, stalls) in [
        (Some(5), false),
        (Some(143), false),
        (None, false),
        (Some(2), true),
        (Some(3), true),
        (Some(6), true),
    ] {
        let decision = decide(&checksums(), &claimed(), &archived(ended(code)));
        let (place, other) = if stalls {
            (decision.stalled, decision.degraded)
        } else {
            (decision.degraded, decision.stalled)
        };
        let told = Explanation::new("VerifierFailed", "the verifier failed: told");
        assert_eq!((place.as_ref(), other), (Some(&told), None), "{code:?}");
        assert_eq!(decision.verified, Some(Verified::NotYet(told)), "{code:?}");
        assert_eq!(
            (decision.failed, decision.writes),
            (None, vec![]),
            "{code:?}"
        );
    }
    // It failed at 12:00.
    for (begun, pause) in [
        ("2026-11-23T11:59:50Z", 60),
        ("2026-11-23T11:55:00Z", 300),
        ("2026-11-23T01:00:00Z", 1800),
    ] {
        let prior = verifying(begun, Vec::new());
        let writes = |after: u64| {
            let now = now() + Duration::from_secs(after);
            decide_at(&checksums(), &prior, &archived(ended(Some(5))), now).writes
        };
        assert_eq!(writes(pause - 1), [], "{begun}");
        assert_eq!(writes(pause), [Write::DeleteVerifier], "{begun}");
    }
}

#[test]
fn a_failure_is_told_until_another_verifier_has_come_to_its_end() {
    for name in ["Stalled", "Degraded"] {
        let known = told(name, "True", "VerifierFailed", "the verifier failed: told");
        let prior = verifying("2026-11-23T11:00:00Z", vec![known]);
        for state in [JobState::Absent, JobState::Running] {
            let decision = decide(&checksums(), &prior, &archived(state));
            let place = if name == "Stalled" {
                decision.stalled
            } else {
                decision.degraded
            };
            assert_eq!(place.unwrap().message, "the verifier failed: told");
        }
        let decision = decide(&checksums(), &prior, &archived(JobState::Succeeded));
        assert_eq!((decision.stalled, decision.degraded), (None, None));
    }
}

#[test]
fn a_verifier_of_another_mode_is_replaced_unless_it_has_proved_more() {
    let full = run(json!({"verify": "Full"}));
    for state in [JobState::Running, JobState::Succeeded, ended(Some(8))] {
        let decision = decide(&full, &claimed(), &archived(state));
        assert_eq!(decision.writes, [Write::DeleteVerifier]);
        assert_eq!(decision.phase, Phase::Verifying);
    }
    let mut more = archived(JobState::Succeeded);
    more.verifier.mode = Verify::Full;
    assert_eq!(
        decide(&checksums(), &claimed(), &more).phase,
        Phase::Complete
    );
    let none = run(json!({}));
    let decision = decide(&none, &claimed(), &archived(JobState::Running));
    assert_eq!(
        decision.phase,
        Phase::Complete,
        "it is not asked for any more"
    );
}

#[test]
fn a_redo_ends_the_verification_and_another_begins_after_it() {
    let mut seen = Observed {
        counted: Some(counted(&["logs.000000~a10~c0~f0~b1"])),
        ..archived(ended(Some(8)))
    };
    let known = told("Verified", "False", "VerifyFailed", "1 found");
    let prior = verifying("2026-11-23T11:00:00Z", vec![known]);
    let decision = decide(&checksums(), &prior, &seen);
    assert_eq!(decision.phase, Phase::Bundling);
    assert!(decision.writes.contains(&Write::DeleteVerifier));
    assert!(matches!(decision.verified, Some(Verified::NotYet(_))));
    seen.verifier = Verifier::default();
    let decision = decide(&checksums(), &prior, &seen);
    assert!(!decision.writes.contains(&Write::DeleteVerifier));
}

#[test]
fn what_was_found_is_kept_while_receipts_are_counted_again() {
    let conditions = vec![
        told("Ready", "False", "Verifying", "1 found"),
        told("Stalled", "True", "VerifyFailed", "1 found"),
        told("Verified", "False", "VerifyFailed", "1 found"),
    ];
    let prior = verifying("2026-11-23T11:00:00Z", conditions);
    let seen = Observed {
        counted: None,
        is_counting: true,
        ..archived(ended(Some(8)))
    };
    let decision = decide(&checksums(), &prior, &seen);
    assert_eq!(decision.phase, Phase::Verifying);
    assert_eq!(decision.stalled.unwrap().reason, "VerifyFailed");
    assert_eq!(
        (decision.verified, decision.writes),
        (None, vec![]),
        "no worker disturbs it"
    );
}

#[test]
fn a_suspended_run_has_no_verifier_and_a_held_one_is_told() {
    let suspended = run(json!({"verify": "Checksums", "suspend": true}));
    let decision = decide(&suspended, &claimed(), &archived(JobState::Running));
    assert!(decision.writes.contains(&Write::DeleteVerifier));
    let decision = decide(&suspended, &claimed(), &archived(ended(Some(8))));
    assert!(!decision.writes.contains(&Write::DeleteVerifier));

    let held = Observed {
        pods: Pods {
            job_problems: vec![Problem::VerifierSuspended("held".to_owned())],
            ..Pods::default()
        },
        ..archived(JobState::Running)
    };
    let decision = decide(&checksums(), &claimed(), &held);
    assert_eq!(decision.degraded.unwrap().reason, "VerifierSuspended");
    let refused = Observed {
        pods: Pods {
            job_problems: vec![Problem::FailedCreate("exceeded quota".to_owned())],
            ..Pods::default()
        },
        ..archived(JobState::Running)
    };
    let decision = decide(&checksums(), &claimed(), &refused);
    assert_eq!(decision.stalled.unwrap().reason, "QuotaExceeded");
}

#[test]
fn the_deadline_includes_verification() {
    let late = run(json!({"verify": "Checksums", "activeDeadlineSeconds": 3599}));
    let mut failing = archived(ended(Some(8)));
    failing.verifier.report = Some(report(1, &["it is gone"]));
    let ready = vec![told("Ready", "False", "Verifying", "")];
    for seen in [archived(JobState::Running), failing] {
        let decision = decide(
            &late,
            &verifying("2026-11-23T11:00:00Z", ready.clone()),
            &seen,
        );
        assert_eq!(decision.failed.unwrap().reason, "DeadlineExceeded");
        let Some(Verified::NotYet(unknown)) = decision.verified else {
            panic!("nothing was known")
        };
        assert_eq!(unknown.reason, "NotVerified");
    }
    let passed = archived(JobState::Succeeded);
    assert_eq!(decide(&late, &claimed(), &passed).phase, Phase::Complete);
    let none = run(json!({"activeDeadlineSeconds": 3599}));
    let decision = decide(&none, &claimed(), &archived(JobState::Absent));
    assert_eq!(decision.phase, Phase::Complete);
}
