//! Depth and counts. Counts do not fall while receipts are missing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use s3bundler_contract::Reason;

use crate::controller::observed::Observed;
use crate::crd::{
    ArchiveRunStatus, ByteCounts, FailureCount, GroupCounts, ObjectCounts, QueueStatus,
};

/// The depth of the queue, as far as it was read.
pub(super) fn depth(status: &mut ArchiveRunStatus, seen: &Observed, now: Timestamp) {
    let Some(depths) = &seen.depths else { return };
    let queue: &mut QueueStatus = status.queue.get_or_insert_default();
    if let Ok(depth) = &depths.groups {
        let (visible, in_flight) = (Some(int64(depth.visible)), Some(int64(depth.in_flight)));
        if (queue.visible, queue.in_flight) != (visible, in_flight) || queue.observed_at.is_none() {
            (queue.visible, queue.in_flight, queue.observed_at) =
                (visible, in_flight, Some(Time(now)));
        }
    }
    if let Ok(dead) = depths.dead_lettered {
        status.groups.get_or_insert_default().dead_lettered = int64(dead);
    }
}

/// What S3 shows. What another pass may still bring has not failed.
pub(super) fn counts(status: &mut ArchiveRunStatus, seen: &Observed, may_be_had: &[Reason]) {
    if let Some(summary) = &seen.summary {
        status.groups.get_or_insert_default().total = Some(int64(summary.groups));
        status.bytes.get_or_insert_default().total = Some(int64(summary.bytes));
        let objects = status.objects.get_or_insert_default();
        (objects.total, objects.left_out) =
            (Some(int64(summary.rows)), int64(summary.left_out_rows()));
    }
    let Some(counted) = &seen.counted else { return };
    let mut outcome = counted.outcome();
    if !may_be_had.is_empty() {
        outcome
            .failed
            .retain(|reason, _| !may_be_had.contains(reason));
    }
    let own = seen.summary.as_ref();
    let committed = own.map_or(counted.pass(0).groups, |own| {
        counted.committed(&own.run, 0, own.groups)
    });
    // A LIST may lag behind another. One that shows every receipt does not: what a repaired receipt
    // or a redo took back is taken back.
    let is_whole = seen
        .pass_summary
        .as_ref()
        .is_some_and(|summary| counted.is_whole(summary));
    let grown = |before: i64, now: u64| {
        if is_whole {
            int64(now)
        } else {
            before.max(int64(now))
        }
    };
    let groups: &mut GroupCounts = status.groups.get_or_insert_default();
    groups.committed = grown(groups.committed, committed);
    let objects: &mut ObjectCounts = status.objects.get_or_insert_default();
    objects.archived = grown(objects.archived, outcome.archived);
    objects.copied = grown(objects.copied, outcome.copied);
    objects.failed = int64(outcome.failed_objects());
    let bytes: &mut ByteCounts = status.bytes.get_or_insert_default();
    bytes.archived = grown(bytes.archived, outcome.archived_bytes);
    bytes.copied = grown(bytes.copied, outcome.copied_bytes);
    bytes.failed = int64(outcome.failed_bytes);
    status.failures = outcome
        .failed
        .iter()
        .map(|(reason, count)| FailureCount {
            reason: reason.to_string(),
            count: int64(*count),
        })
        .collect();
    let groups = status.groups.unwrap_or_default();
    let total = groups
        .total
        .map_or_else(|| "?".to_owned(), |total| total.to_string());
    status.progress = Some(format!("{}/{total}", groups.committed));
}

pub(super) fn int64(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) fn int32(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
