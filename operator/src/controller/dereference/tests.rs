use std::future::ready;

use s3bundler_contract::termination;
use serde_json::json;

use super::*;
use crate::controller::build::COMPONENT_LABEL;
use crate::controller::fixtures::{counted_by, denied};

#[test]
fn a_grouper_has_no_pod_while_others_have_and_its_last_one_has_ended() {
    let job: Job =
        serde_json::from_value(json!({"metadata": {"name": "logs-grouper-1"}})).expect("a job");
    let pod = |job: &str, phase: &str| -> Pod {
        let labels = json!({"batch.kubernetes.io/job-name": job, COMPONENT_LABEL: GROUPER});
        serde_json::from_value(json!({"metadata": {"labels": labels}, "status": {"phase": phase}}))
            .expect("a pod")
    };
    let of_first_pass = pod("logs-grouper", "Succeeded");
    for (of_job, expected) in [
        (None, true),
        (Some("Failed"), true),
        (Some("Pending"), false),
        (Some("Running"), false),
    ] {
        let pods: Vec<_> = of_job
            .map(|phase| pod("logs-grouper-1", phase))
            .into_iter()
            .collect();
        assert_eq!(
            has_no_pod(&job, &[pods, vec![of_first_pass.clone()]].concat()),
            expected,
            "{of_job:?}"
        );
    }
}

#[test]
fn the_reason_of_a_job_is_that_of_its_own_last_pod_that_ended() {
    let job: Job =
        serde_json::from_value(json!({"metadata": {"name": "logs-grouper", "uid": "2"}}))
            .expect("a job");
    let pod = |uid: &str, created: &str, message: &str| -> Pod {
        let labels = json!({"batch.kubernetes.io/job-name": "logs-grouper", "batch.kubernetes.io/controller-uid": uid});
        let container = json!({"name": "s3bundler", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 3, "message": message}}});
        serde_json::from_value(json!({
            "metadata": {"labels": labels, "creationTimestamp": format!("2026-11-23T{created}:00Z")},
            "status": {"phase": "Failed", "containerStatuses": [container]},
        }))
        .expect("a pod")
    };
    let [missing, none] = [
        r#"{"reason":"InventoryMissing","message":"why"}"#,
        r#"{"reason":"NoInventory","message":"why"}"#,
    ];
    let reason = |pods: &[Pod]| {
        let last = last_finished(&job, pods);
        last.and_then(problem::termination_of_pod)
            .map(|end| end.reason)
    };
    assert_eq!(reason(&[]), None);
    assert_eq!(
        reason(&[pod("1", "12:00", missing)]),
        None,
        "of a Job that was deleted"
    );
    let (first, last) = (pod("2", "11:00", missing), pod("2", "12:00", none));
    assert_eq!(
        reason(&[first.clone(), last]),
        Some(termination::Reason::NoInventory)
    );
    let mut again = pod("2", "13:00", "");
    again.status.get_or_insert_default().phase = Some("Running".to_owned());
    assert_eq!(
        reason(&[first.clone(), again]),
        Some(termination::Reason::InventoryMissing)
    );
    let other = pod("2", "13:00", "s3bundler: the disk is full");
    assert_eq!(reason(&[first, other]), None);
}

#[test]
fn a_verifier_is_what_its_job_says_with_the_report_of_its_last_pod() {
    let job = |status: serde_json::Value| -> Job {
        let metadata = json!({"name": "logs-verify", "uid": "1",
            "annotations": {"archive.s3bundler.dev/verify": "Full"}});
        serde_json::from_value(json!({"metadata": metadata, "status": status})).expect("a job")
    };
    let pod = |code: i32, message: &str| -> Pod {
        let labels = json!({"batch.kubernetes.io/job-name": "logs-verify", "batch.kubernetes.io/controller-uid": "1"});
        let container = json!({"name": "s3bundler", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": code, "message": message}}});
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        let status = json!({"phase": phase, "containerStatuses": [container]});
        serde_json::from_value(json!({"metadata": {"labels": labels}, "status": status}))
            .expect("a pod")
    };
    assert_eq!(verifier_seen(None, &[]), Verifier::default());
    let seen = verifier_seen(Some(&job(json!({}))), &[]);
    assert_eq!((seen.state, seen.mode), (JobState::Running, Verify::Full));
    assert!(!has_ended_unseen(&job(json!({})), &[]));

    let done = job(json!({"succeeded": 1}));
    assert!(has_ended_unseen(&done, &[]), "the watch of pods is late");
    let line = r#"{"full":true,"groups":3,"objects":25,"unproven":0,"findings":0,"leftovers":0,"first":[]}"#;
    let pods = [pod(0, line)];
    assert!(!has_ended_unseen(&done, &pods));
    let seen = verifier_seen(Some(&done), &pods);
    assert!(seen.has_passed(Verify::Full) && seen.has_passed(Verify::Checksums));
    assert_eq!(seen.report.map(|report| report.objects), Some(25));
    let seen = verifier_seen(Some(&done), &[pod(0, "")]);
    assert_eq!(seen.report, None, "of an earlier release");

    let failed = json!({"type": "Failed", "status": "True", "reason": "PodFailurePolicy"});
    let failed = job(json!({"failed": 1, "conditions": [failed]}));
    let line = line.replace(r#""findings":0"#, r#""findings":2"#);
    let seen = verifier_seen(Some(&failed), &[pod(8, &line)]);
    let JobState::Failed { exit_code, message } = seen.state else {
        panic!("{seen:?}")
    };
    assert_eq!(exit_code, Some(8));
    assert!(message.ends_with(": 2 findings"), "{message}");
}

fn redo(redo: u32) -> RunSummary {
    RunSummary {
        redo,
        groups: 1,
        ..RunSummary::empty("logs".parse().expect("a name"))
    }
}

/// Looks for redos where these receipts were counted and the summaries of these redos exist.
/// Returns what it tells and what it asked for.
async fn look(cache: &mut RunCache, exist: std::ops::RangeInclusive<u32>) -> (bool, Vec<u32>) {
    let mut asked = Vec::new();
    let find = |stage| {
        let Stage::Redo(n) = stage else {
            panic!("{stage:?} is no redo")
        };
        asked.push(n);
        ready(Ok(exist.contains(&n).then(|| redo(n))))
    };
    (redos(cache, 0, find).await.expect("answers"), asked)
}

fn cache(summaries: &[RunSummary], receipts: &[&str]) -> RunCache {
    let mut cache = RunCache::new("logs".parse().expect("a name"));
    cache.summaries = summaries
        .iter()
        .map(|summary| (summary.stage(), summary.clone()))
        .collect();
    cache.know(receipts);
    cache
}

impl RunCache {
    /// Counts receipts of these names by the summaries that are known.
    fn know(&mut self, receipts: &[&str]) {
        let accounts = Accounts::of(self.summaries.values().cloned());
        self.counted = Some(counted_by(accounts, receipts));
    }
}

const RECEIPT: &str = "logs.000000~a1~c0~f0~b1";
const REDONE: &str = "logs.redo1.000000~redo~a1~c0~f0~b1";

#[tokio::test]
async fn redos_are_looked_for_before_a_run_ends_and_where_a_receipt_tells_of_one() {
    let own = RunSummary {
        groups: 1,
        ..RunSummary::empty("logs".parse().expect("a name"))
    };
    for (summaries, receipts, expected) in [
        (vec![own.clone()], vec![], (false, vec![])),
        (vec![], vec![RECEIPT], (false, vec![])),
        // The run is about to end.
        (vec![own.clone()], vec![RECEIPT], (true, vec![1, 2, 3])),
        (vec![], vec![REDONE], (true, vec![1, 2, 3])),
        // What is known is not asked for again.
        (vec![own.clone(), redo(1)], vec![REDONE], (false, vec![])),
        (
            vec![own.clone(), redo(1)],
            vec![RECEIPT, REDONE],
            (true, vec![2, 3]),
        ),
        (
            vec![own.clone(), redo(1), redo(2)],
            vec![RECEIPT, REDONE],
            (false, vec![]),
        ),
    ] {
        let mut cache = cache(&summaries, &receipts);
        assert_eq!(
            look(&mut cache, 1..=2).await,
            expected,
            "{receipts:?} {summaries:?}"
        );
    }
    let mut uncounted = RunCache {
        counted: None,
        ..cache(&[own], &[RECEIPT])
    };
    assert_eq!(look(&mut uncounted, 1..=2).await, (false, vec![]));
}

#[tokio::test]
async fn the_summaries_of_redos_are_kept_and_a_failed_look_is_an_error() {
    let own = RunSummary {
        groups: 1,
        ..RunSummary::empty("logs".parse().expect("a name"))
    };
    let mut cache = cache(&[own], &[RECEIPT]);
    let failed = redos(&mut cache, 0, |stage| match stage {
        Stage::Redo(1) => ready(Ok(Some(redo(1)))),
        _ => ready(Err(RecordsError::Aws(denied()))),
    });
    assert!(failed.await.is_err());
    assert_eq!(
        look(&mut cache, 1..=1).await,
        (false, vec![2]),
        "the first one is known by now"
    );
    cache.know(&[RECEIPT]);
    assert!(
        cache
            .counted
            .as_ref()
            .is_some_and(|counted| counted.unfinished_redo() == Some(1))
    );
    assert_eq!(
        look(&mut cache, 1..=2).await,
        (false, vec![]),
        "redo 1 has no receipt"
    );
    // Redos that are planned without end.
    cache.know(&[RECEIPT, REDONE]);
    let (found, asked) = look(&mut cache, 1..=u32::MAX).await;
    assert_eq!((found, asked.len()), (true, MOST_STAGES as usize - 1));
    assert_eq!(look(&mut cache, 1..=u32::MAX).await, (false, vec![]));
}
