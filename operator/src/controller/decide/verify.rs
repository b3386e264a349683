//! Whether what is archived is right: the last step of a run that asks for it. The Job reads what the
//! run has written, and writes nothing (docs/decisions/verified-runs.md).
//!
//! ```text
//! Job ──► nothing found: Complete
//!  ▲ ├──► findings: Stalled, until a redo is archived, or the Job is deleted
//!  │ └──► not verified: a pause of 1 to 30 minutes ──┐
//!  └─────────────────────────────────────────────────┘
//! ```

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use s3bundler_common::text::printable;
use s3bundler_contract::{ExitCode, Verification};

use super::decision::{Decision, Phase, Verified, Write};
use super::ending;
use super::grouper::{DENIED, since, still_denied};
use super::problems::problems;
use super::workers::stay_at_zero;
use crate::controller::build::destination;
use crate::controller::explanation::Explanation;
use crate::controller::observed::{JobState, Observed, Verifier};
use crate::controller::run::Run;
use crate::crd::{ArchiveRunStatus, Verify};

/// Why a run is stalled whose archives are not right.
pub(super) const VERIFY_FAILED: &str = "VerifyFailed";
/// Why it is not known whether they are.
const VERIFIER_FAILED: &str = "VerifierFailed";
/// How the message of a denied verifier begins.
const VERIFIER_DENIED: &str = "the verifier was denied";
/// The pause before a verifier that failed is created again: as long as the run has been verified
/// already, so that it doubles, within these.
const SHORTEST_PAUSE: Duration = Duration::from_mins(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(30);

/// Whether the run is still to be verified.
pub(super) fn is_pending(run: &Run, seen: &Observed) -> bool {
    run.verify > Verify::None && !seen.verifier.has_passed(run.verify)
}

/// The next step of a run that is archived and not verified.
pub(super) fn verify(
    run: &Run,
    prior: &ArchiveRunStatus,
    mut decision: Decision,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    decision.phase = Phase::Verifying;
    let message = match run.verify {
        Verify::None | Verify::Checksums => {
            "all groups are archived; their checksums are being verified"
        }
        Verify::Full => "all groups are archived; every archive is being read",
    };
    message.clone_into(&mut decision.message);
    let is_told = ending(prior) == Some(Phase::Verifying);
    decision.writes = stay_at_zero(run, is_told, seen);
    let verifier = &seen.verifier;
    match &verifier.state {
        JobState::Absent => decision.writes.push(Write::ApplyVerifier),
        _ if verifier.mode != run.verify => decision.writes.push(Write::DeleteVerifier),
        JobState::Running | JobState::Succeeded => {}
        JobState::Failed { exit_code, message } => {
            failed(
                run,
                prior,
                &mut decision,
                verifier,
                *exit_code,
                message,
                now,
            );
        }
    }
    let age = since(verifier.at, now);
    if decision.stalled.is_none() {
        decision.stalled = still_denied(prior, &verifier.state, age, VERIFIER_DENIED);
    }
    if matches!(verifier.state, JobState::Absent | JobState::Running) {
        let told = |name| failed_before(prior, name);
        decision.stalled = decision.stalled.take().or_else(|| told("Stalled"));
        decision.degraded = decision.degraded.take().or_else(|| told("Degraded"));
    }
    problems(&mut decision, seen);
    let unknown = decision.stalled.as_ref().or(decision.degraded.as_ref());
    let unknown = unknown
        .cloned()
        .unwrap_or_else(|| Explanation::new(Phase::Verifying.reason(), decision.message.clone()));
    decision.verified.get_or_insert(Verified::NotYet(unknown));
    decision
}

/// A verifier that ended without a proof.
fn failed(
    run: &Run,
    prior: &ArchiveRunStatus,
    decision: &mut Decision,
    verifier: &Verifier,
    exit_code: Option<i32>,
    message: &str,
    now: Timestamp,
) {
    let is = |code: ExitCode| exit_code == Some(i32::from(code.code()));
    let age = since(verifier.at, now);
    if let Some(found) = found(run, prior, verifier, exit_code, message) {
        decision.stalled = Some(found.clone());
        decision.verified = Some(Verified::No(found));
    } else if is(ExitCode::Permission) {
        // Somebody may be about to allow it.
        let message = format!("{VERIFIER_DENIED}: {message}");
        decision.stalled = Some(Explanation::new("AccessDenied", message));
        if age >= DENIED {
            decision.writes.push(Write::DeleteVerifier);
        }
    } else {
        let explanation =
            Explanation::new(VERIFIER_FAILED, format!("the verifier failed: {message}"));
        let for_good = [ExitCode::Local, ExitCode::Unreadable, ExitCode::Usage];
        if for_good.into_iter().any(is) {
            decision.stalled = Some(explanation);
        } else {
            decision.degraded = Some(explanation);
        }
        if age >= pause(prior, verifier) {
            decision.writes.push(Write::DeleteVerifier);
        }
    }
}

/// What the verifier has found, if it has. That of a pod that is gone is known from the status.
fn found(
    run: &Run,
    prior: &ArchiveRunStatus,
    verifier: &Verifier,
    exit_code: Option<i32>,
    message: &str,
) -> Option<Explanation> {
    let message = match (exit_code, &verifier.report) {
        (Some(code), report) if code == i32::from(ExitCode::Findings.code()) => {
            let what = match report {
                Some(report) => findings(report),
                None => printable(message).into_owned(),
            };
            format!("{what}. To see all: {}", command(run))
        }
        (None, _) => {
            let known = prior
                .condition("Verified")
                .filter(|it| it.status == "False");
            known?.message.clone()
        }
        _ => return None,
    };
    Some(Explanation::new(VERIFY_FAILED, message))
}

/// The first findings, and how many there are.
fn findings(report: &Verification) -> String {
    let wrong = usize::try_from(report.findings).unwrap_or(usize::MAX);
    let first = report.first.iter().take(wrong).map(|it| printable(it));
    let first = first.collect::<Vec<_>>();
    let shown = first.len() as u64;
    let first = first.join("; ");
    match report.findings.saturating_sub(shown) {
        0 => format!("{} found: {first}", report.findings),
        more => format!("{} found: {first}; and {more} more", report.findings),
    }
}

/// What shows all findings.
fn command(run: &Run) -> String {
    let full = if run.verify == Verify::Full {
        " --full"
    } else {
        ""
    };
    format!(
        "s3bundler verify{full} --destination {} --name {}",
        destination(run),
        run.name
    )
}

/// How long no verifier is created after one that failed.
fn pause(prior: &ArchiveRunStatus, verifier: &Verifier) -> Duration {
    let begun = prior.verify.as_ref().and_then(|it| it.start_time.as_ref());
    let waited = begun
        .zip(verifier.at)
        .map(|(begun, failed)| since(Some(begun.0), failed));
    waited
        .unwrap_or_default()
        .clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

/// Why the verifier before failed, until another one has come to its end.
fn failed_before(prior: &ArchiveRunStatus, name: &str) -> Option<Explanation> {
    let known = prior.condition(name).filter(|it| it.status == "True")?;
    (known.reason == VERIFIER_FAILED)
        .then(|| Explanation::new(VERIFIER_FAILED, known.message.clone()))
}

/// What a verifier has proved that has found nothing.
pub(super) fn passed(verifier: &Verifier) -> Verified {
    let message = verifier.report.as_ref().map_or_else(
        || "nothing was found".to_owned(),
        |report| {
            let how = if report.full {
                "byte for byte"
            } else {
                "by their checksums"
            };
            let unproven = match report.unproven {
                0 => String::new(),
                some => format!("; {some} objects could only be compared by size"),
            };
            let left = match report.leftovers {
                0 => String::new(),
                some => format!(
                    "; attempts that lost have left {some} objects or uploads, which s3bundler \
                     verify --repair removes"
                ),
            };
            let (objects, groups) = (report.objects, report.groups);
            format!("{objects} objects in {groups} groups are right, {how}{unproven}{left}")
        },
    );
    Verified::Yes(Explanation::new("NothingFound", message))
}

/// What is said of a run in this phase that a verifier has said nothing of; `None`: what was said
/// before.
pub(super) fn not_yet(run: &Run, prior: &ArchiveRunStatus, phase: Phase) -> Option<Verified> {
    if run.verify == Verify::None {
        return None;
    }
    let known = prior.condition("Verified");
    let message = match phase {
        Phase::Failed if known.is_none_or(|it| it.status == "Unknown") => {
            return Some(Verified::NotYet(Explanation::new(
                "NotVerified",
                "the run ended before it was verified",
            )));
        }
        Phase::Failed
        | Phase::Draining
        | Phase::Verifying
        | Phase::Suspended
        | Phase::Complete
        | Phase::CompleteWithFailures
            if known.is_some() =>
        {
            return None;
        }
        _ => "the run is verified once all groups are archived",
    };
    Some(Verified::NotYet(Explanation::new("Pending", message)))
}

#[cfg(test)]
mod tests;
