//! How fast a run archives, and how long the rest takes.

use std::time::Duration;

use crate::controller::observed::Observed;
use crate::controller::throughput::Amount;
use crate::crd::{ArchiveRunStatus, RateStatus};

/// In minutes.
const HOUR: u64 = 60;
const DAY: u64 = 24 * HOUR;

/// Sets rate and remaining time of a run that `is_archiving`, and removes them from another. They stay
/// as they are until the receipts of half a minute are known.
pub(super) fn pace(status: &mut ArchiveRunStatus, seen: &Observed, is_archiving: bool) {
    if !is_archiving {
        (status.rate, status.eta) = (None, None);
        return;
    }
    let Some(rate) = seen.rate else { return };
    let per_second = rate.per_second();
    status.rate = Some(RateStatus {
        objects_per_second: super::counts::int64(per_second.objects),
        bytes_per_second: super::counts::int64(per_second.bytes),
    });
    let left = remaining(status).and_then(|rest| rate.time_for(rest));
    status.eta = left.map(words);
}

/// What is neither archived nor copied, has not failed, and was not left out.
fn remaining(status: &ArchiveRunStatus) -> Option<Amount> {
    let (objects, bytes) = (status.objects?, status.bytes?);
    let rest = |total: Option<i64>, done: [i64; 4]| {
        let done = done.into_iter().fold(0, i64::saturating_add);
        total.map(|total| total.saturating_sub(done).max(0).unsigned_abs())
    };
    Some(Amount {
        objects: rest(
            objects.total,
            [
                objects.archived,
                objects.copied,
                objects.failed,
                objects.left_out,
            ],
        )?,
        bytes: rest(bytes.total, [bytes.archived, bytes.copied, bytes.failed, 0])?,
    })
}

/// A time in its two largest units, in whole minutes. It is an estimate, so the rest says nothing.
fn words(left: Duration) -> String {
    match left.as_secs().div_ceil(60).max(1) {
        minutes if minutes < HOUR => format!("{minutes}m"),
        minutes if minutes < DAY => format!("{}h{}m", minutes / HOUR, minutes % HOUR),
        minutes => format!("{}d{}h", minutes / DAY, minutes % DAY / HOUR),
    }
}

#[cfg(test)]
mod tests;
