#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use s3bundler_contract::RunClaim;
use serde_json::json;

use super::trouble;
use crate::aws::{AwsError, AwsErrorKind};
use crate::controller::fixtures::{claimed, decide, denied, run, seen, working};
use crate::controller::observed::{Observed, Pods};
use crate::controller::problem::Problem;
use crate::records::RecordsError;

#[test]
fn what_is_wrong_with_pods_stalls_or_degrades() {
    for (problem, healthy, stalled, degraded) in [
        (
            Problem::Denied("x".to_owned()),
            0,
            Some("AccessDenied"),
            None,
        ),
        // Others are at work.
        (
            Problem::Denied("x".to_owned()),
            1,
            None,
            Some("AccessDenied"),
        ),
        (
            Problem::ImagePull("x".to_owned()),
            0,
            Some("ImagePull"),
            None,
        ),
        (
            Problem::FailedCreate("x".to_owned()),
            0,
            Some("QuotaExceeded"),
            None,
        ),
        (
            Problem::ImagePull("x".to_owned()),
            1,
            None,
            Some("ImagePull"),
        ),
        (
            Problem::FailedCreate("x".to_owned()),
            5,
            None,
            Some("QuotaExceeded"),
        ),
        (
            Problem::CrashLooping("x".to_owned()),
            0,
            None,
            Some("CrashLooping"),
        ),
        (
            Problem::Unschedulable("x".to_owned()),
            0,
            None,
            Some("Unschedulable"),
        ),
    ] {
        let pods = Pods {
            problems: vec![problem],
            running: 5,
            healthy,
            ..Pods::default()
        };
        let decision = decide(
            &run(json!({})),
            &claimed(),
            &Observed { pods, ..working(2) },
        );
        assert_eq!(decision.stalled.map(|it| it.reason), stalled);
        assert_eq!(decision.degraded.map(|it| it.reason), degraded);
    }
    // A worker that waits for groups which no grouper can make is no work.
    for (busy, stalled) in [(0, true), (1, false)] {
        let job_problems = vec![Problem::FailedCreate("x".to_owned())];
        let pods = Pods {
            job_problems,
            running: 1,
            busy,
            ..Pods::default()
        };
        let decision = decide(&run(json!({})), &claimed(), &Observed { pods, ..seen() });
        assert_eq!(
            (decision.stalled.is_some(), decision.degraded.is_some()),
            (stalled, !stalled),
            "{busy}"
        );
    }
}

#[test]
fn what_a_person_has_to_act_on_in_a_destination_stalls() {
    let later = AwsError {
        kind: AwsErrorKind::Transient,
        ..denied()
    };
    let run = "logs".parse().unwrap();
    let damaged = RecordsError::Record {
        address: "s3://archive/p/runs/logs.json".parse().unwrap(),
        cause: RunClaim::parse_of(b"{}", &run).unwrap_err().into(),
    };
    for (error, reason) in [
        (RecordsError::Aws(denied()), Some("AccessDenied")),
        (RecordsError::Aws(later), None),
        (RecordsError::TimedOut, None),
        (damaged, Some("InvalidRecord")),
        (
            RecordsError::Flooded("s3://archive/p/receipts/logs/".parse().unwrap()),
            Some("UnexpectedReceipts"),
        ),
    ] {
        assert_eq!(trouble(&error).map(|it| it.reason), reason, "{error}");
    }
}
