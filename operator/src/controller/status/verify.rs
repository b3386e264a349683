//! What the verification of a run has shown.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use s3bundler_contract::ExitCode;

use super::counts::int64;
use crate::controller::decide::Phase;
use crate::controller::observed::{JobState, Verifier};
use crate::crd::{ArchiveRunStatus, Verify, VerifyStatus};

/// Records when the verification of a run began, and what it came to. It begins anew with another
/// Job, unless that only tries again, and is forgotten once there are groups to archive.
pub(super) fn verify(
    status: &mut ArchiveRunStatus,
    asked: Verify,
    verifier: &Verifier,
    phase: Phase,
    now: Timestamp,
) {
    let is_archiving = matches!(
        phase,
        Phase::Pending
            | Phase::InventoryPending
            | Phase::Grouping
            | Phase::Bundling
            | Phase::Retrying
    );
    if is_archiving {
        status.verify = None;
    }
    if asked == Verify::None {
        status.verify.take_if(|it| it.completion_time.is_none());
        return;
    }
    let has_passed = verifier.has_passed(asked);
    let is_complete = matches!(phase, Phase::Complete | Phase::CompleteWithFailures);
    if phase != Phase::Verifying && !(is_complete && has_passed) {
        return;
    }
    let mode = if has_passed { verifier.mode } else { asked };
    let findings = i32::from(ExitCode::Findings.code());
    let is_over = match verifier.state {
        JobState::Succeeded => has_passed,
        JobState::Failed { exit_code, .. } => exit_code == Some(findings),
        JobState::Absent | JobState::Running => false,
    };
    let begins_anew = matches!(verifier.state, JobState::Absent | JobState::Running);
    let known = status.verify.take();
    let known =
        known.filter(|it| it.mode == mode && !(begins_anew && it.completion_time.is_some()));
    let mut verify = known.unwrap_or_else(|| VerifyStatus {
        mode,
        start_time: Some(Time(now)),
        ..VerifyStatus::default()
    });
    if is_over {
        verify.completion_time.get_or_insert(Time(now));
    }
    if let Some(report) = verifier.report.as_ref().filter(|_| is_over) {
        verify.groups = Some(int64(report.groups));
        verify.objects = Some(int64(report.objects));
        verify.unproven = Some(int64(report.unproven));
        verify.findings = Some(int64(report.findings));
        verify.leftovers = Some(int64(report.leftovers));
    }
    status.verify = Some(verify);
}

#[cfg(test)]
mod tests;
