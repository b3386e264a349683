//! Whether a run that was worked to its end succeeded. Pure.

use s3bundler_common::failure::Failure;
use s3bundler_contract::{ExitCode, RunName, RunSummary};

use crate::args::MaxFailed;
use crate::commands::figures::by_reason;
use crate::run_totals::RunTotals;

/// Why a run that was worked to its end did not succeed; `None` if it did. Pure.
pub(super) fn verdict(
    run: &RunName,
    summary: &RunSummary,
    totals: &RunTotals,
    max_failed: Option<MaxFailed>,
) -> Option<Failure> {
    let RunTotals {
        figures,
        defects,
        missing,
        mismatch,
        missing_of_passes: _,
    } = totals;
    if *missing > 0 || !defects.is_empty() {
        let problem = format!(
            "{missing} groups have no receipt, {} receipts are defects",
            defects.len()
        );
        return Some(Failure::new(
            ExitCode::Unexpected,
            format!("{problem}; s3bundler verify says more"),
        ));
    }
    if let Some(mismatch) = mismatch {
        return Some(Failure::new(
            ExitCode::AccountingMismatch,
            format!("run {run} does not add up: {mismatch}"),
        ));
    }
    let (failed, all) = (figures.failed_objects(), summary.objects);
    let reasons = by_reason(&figures.failed);
    let too_many = match max_failed {
        Some(most) if most.is_exceeded(failed, all) => {
            format!(
                "{failed} of the {all} objects of run {run} failed{reasons}, more than \
                 --max-failed {most}"
            )
        }
        None if failed >= all && failed > 0 => {
            format!(
                "ALL {all} objects of run {run} FAILED{reasons}: nothing is archived, and no \
                 source may be deleted"
            )
        }
        Some(_) | None => return None,
    };
    let next = "remove the cause, then `s3bundler run` with --retry-reasons tries them again";
    Some(Failure::new(
        ExitCode::TooManyFailed,
        format!("{too_many}; {next}"),
    ))
}

#[cfg(test)]
mod tests;
