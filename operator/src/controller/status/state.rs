//! The word that a person reads first.

use crate::controller::decide::Phase;
use crate::crd::ArchiveRunStatus;

/// Why the run is not accepted, else why it is stalled, else its phase.
pub(super) fn state(status: &ArchiveRunStatus, phase: Phase) -> String {
    let reason_if = |name, value| {
        let condition = status.condition(name)?;
        (condition.status == value).then(|| condition.reason.clone())
    };
    if phase.is_final() {
        return phase.reason().to_owned();
    }
    reason_if("Accepted", "False")
        .or_else(|| reason_if("Stalled", "True"))
        .unwrap_or_else(|| phase.reason().to_owned())
}

#[cfg(test)]
mod tests;
