//! What the status says of a write that failed. Pure.

use super::decide::Write;
use super::error::ReconcileError;
use super::explanation::Explanation;
use crate::aws::AwsErrorKind;

/// Failures in a row after which one that may pass is told: a blip does not turn conditions back
/// and forth.
const PERSISTENT: u32 = 3;
/// The oldest KEDA whose ScaledObject has all the fields that are written:
/// `spec.fallback.behavior` is the newest.
const OLDEST_KEDA: &str = "2.17";
/// What the API server says of a field that a definition does not have (server-side apply).
const UNDECLARED: &str = "field not declared in schema";
/// Reason of what is neither the run's own fault nor a denial.
const WRITE_FAILED: &str = "WriteFailed";

/// The condition that tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The run asks for what cannot be.
    Refused(Explanation),
    /// Nothing moves until a person acts.
    Stalled(Explanation),
    /// It is tried again.
    Degraded(Explanation),
}

/// What is told of a write that failed, `times` in a row with this one; `None` where it may pass by
/// itself.
pub(crate) fn of_write(error: &ReconcileError, write: &Write, times: u32) -> Option<Failure> {
    let message = error.to_string();
    let degraded = |message| Some(Failure::Degraded(Explanation::new(WRITE_FAILED, message)));
    let may_pass = |message| {
        if times >= PERSISTENT {
            degraded(message)
        } else {
            None
        }
    };
    match error {
        ReconcileError::Write(_)
            if matches!(write, Write::ApplyScaledObject(_)) && message.contains(UNDECLARED) =>
        {
            let message = format!("KEDA {OLDEST_KEDA} or later is needed: {message}");
            Some(Failure::Refused(Explanation::new("NotAllowed", message)))
        }
        ReconcileError::Write(cause) => match code(cause) {
            Some(400 | 422) => Some(Failure::Refused(Explanation::new("Invalid", message))),
            Some(403) if message.contains("exceeded quota") => {
                Some(Failure::Stalled(Explanation::new("QuotaExceeded", message)))
            }
            Some(403) => Some(Failure::Stalled(Explanation::new("AccessDenied", message))),
            Some(404) if matches!(write, Write::ApplyScaledObject(_)) => {
                let message = format!(
                    "workers.scaling.mode Keda needs KEDA, and this cluster has no ScaledObjects: \
                     {message}"
                );
                Some(Failure::Refused(Explanation::new("NotAllowed", message)))
            }
            Some(408 | 409 | 429 | 500..) | None => may_pass(message),
            Some(_) => degraded(message),
        },
        ReconcileError::Aws(error) => match error.kind {
            AwsErrorKind::Denied => {
                Some(Failure::Stalled(Explanation::new("AccessDenied", message)))
            }
            AwsErrorKind::Rejected | AwsErrorKind::NotFound | AwsErrorKind::OtherRegion => {
                degraded(message)
            }
            AwsErrorKind::Precondition | AwsErrorKind::NameInUse | AwsErrorKind::Transient => {
                may_pass(message)
            }
        },
        ReconcileError::Read(_)
        | ReconcileError::Unwatched { .. }
        | ReconcileError::Changed
        | ReconcileError::TimedOut
        | ReconcileError::Ending => may_pass(message),
    }
}

/// What is told of a reconcile that failed before it could tell anything, `times` in a row with this
/// one, if a person has to act: the operator's own role lacks something, or nothing is answered in
/// time.
pub(crate) fn of_read(error: &ReconcileError, times: u32) -> Option<Explanation> {
    match error {
        ReconcileError::TimedOut if times >= PERSISTENT => {
            Some(Explanation::new("ReconcileTimedOut", error.to_string()))
        }
        ReconcileError::Read(cause) if code(cause) == Some(403) => {
            Some(Explanation::new("AccessDenied", error.to_string()))
        }
        ReconcileError::Unwatched {
            is_denied: true, ..
        } => Some(Explanation::new("AccessDenied", error.to_string())),
        _ => None,
    }
}

fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
