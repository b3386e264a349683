#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use s3bundler_contract::Verification;
use serde_json::{Value, json};

use super::*;

const BEGUN: &str = "2026-11-23T11:00:00Z";
const NOW: &str = "2026-11-23T12:00:00Z";

/// What is recorded of a verifier in this state over what was known.
fn recorded(known: &Value, asked: Verify, state: JobState, phase: Phase) -> Value {
    let is_over = matches!(state, JobState::Succeeded | JobState::Failed { .. });
    let verifier = Verifier {
        state,
        mode: Verify::Checksums,
        at: None,
        report: is_over.then(|| Verification {
            full: false,
            groups: 3,
            objects: 25,
            unproven: 1,
            findings: 0,
            leftovers: 2,
            first: Vec::new(),
        }),
    };
    let mut status: ArchiveRunStatus = serde_json::from_value(json!({"verify": known})).unwrap();
    verify(&mut status, asked, &verifier, phase, NOW.parse().unwrap());
    json!(status.verify)
}

fn failed(code: i32) -> JobState {
    JobState::Failed {
        exit_code: Some(code),
        message: String::new(),
    }
}

#[test]
fn a_verification_has_a_beginning_numbers_and_an_end() {
    let asked = Verify::Checksums;
    let begun = json!({"mode": "Checksums", "startTime": NOW});
    let absent = recorded(&json!(null), asked, JobState::Absent, Phase::Verifying);
    assert_eq!(absent, begun);
    let known = json!({"mode": "Checksums", "startTime": BEGUN});
    let running = recorded(&known, asked, JobState::Running, Phase::Verifying);
    assert_eq!(running, known);
    let over = json!({"mode": "Checksums", "startTime": BEGUN, "completionTime": NOW,
        "groups": 3, "objects": 25, "unproven": 1, "findings": 0, "leftovers": 2});
    for (state, phase) in [
        (JobState::Succeeded, Phase::Complete),
        (JobState::Succeeded, Phase::CompleteWithFailures),
        (failed(8), Phase::Verifying),
    ] {
        assert_eq!(recorded(&known, asked, state, phase), over);
    }
    let failed = recorded(&known, asked, failed(5), Phase::Verifying);
    assert_eq!(failed, known, "it tries again");
}

#[test]
fn another_verification_begins_anew() {
    let asked = Verify::Checksums;
    let begun = json!({"mode": "Checksums", "startTime": NOW});
    let over =
        json!({"mode": "Checksums", "startTime": BEGUN, "completionTime": BEGUN, "findings": 3});
    let again = recorded(&over, asked, JobState::Absent, Phase::Verifying);
    assert_eq!(again, begun, "somebody deleted the Job");
    for phase in [Phase::Bundling, Phase::Retrying] {
        let archiving = recorded(&over, asked, JobState::Absent, phase);
        assert_eq!(archiving, json!(null));
    }
    for phase in [Phase::Suspended, Phase::Draining, Phase::Failed] {
        assert_eq!(recorded(&over, asked, failed(8), phase), over);
    }
    let known = json!({"mode": "Checksums", "startTime": BEGUN});
    let full = recorded(&known, Verify::Full, JobState::Absent, Phase::Verifying);
    assert_eq!(full, json!({"mode": "Full", "startTime": NOW}));
    // It is not asked for any more.
    let none = recorded(&known, Verify::None, JobState::Running, Phase::Complete);
    assert_eq!(none, json!(null));
    let none = recorded(&over, Verify::None, failed(8), Phase::Complete);
    assert_eq!(none, over, "what was found stays");
}
