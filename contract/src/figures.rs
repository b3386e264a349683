//! The figures of one group, or of many: the one type in which receipts, catalogs, totals of a run
//! and reports count. Every sum saturates: figures are read from names that anybody may have
//! written.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::reason::Reason;

/// Objects and bytes by what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Objects in archives.
    pub archived: u64,
    /// Objects copied by the server.
    pub copied: u64,
    /// Failed objects by reason; no zeros.
    pub failed: BTreeMap<Reason, u64>,
    /// Bytes of the archived objects.
    pub archived_bytes: u64,
    /// Bytes of the copied objects.
    pub copied_bytes: u64,
    /// Bytes of the failed objects, by the inventory.
    pub failed_bytes: u64,
}

impl Figures {
    /// Failed objects, for any reason.
    pub fn failed_objects(&self) -> u64 {
        sum(self.failed.values())
    }

    /// Objects that failed for this reason.
    pub fn failed_for(&self, reason: Reason) -> u64 {
        self.failed.get(&reason).copied().unwrap_or(0)
    }

    /// Objects that failed for one of these reasons.
    pub fn failed_for_any(&self, reasons: &[Reason]) -> u64 {
        reasons.iter().fold(0, |sum, reason| {
            sum.saturating_add(self.failed_for(*reason))
        })
    }

    /// Every row: archived + copied + failed.
    pub fn rows(&self) -> u64 {
        self.archived
            .saturating_add(self.copied)
            .saturating_add(self.failed_objects())
    }

    /// Bytes of every row.
    pub fn bytes(&self) -> u64 {
        self.archived_bytes
            .saturating_add(self.copied_bytes)
            .saturating_add(self.failed_bytes)
    }

    /// Adds other figures.
    pub fn add(&mut self, other: &Self) {
        for (sum, figure) in [
            (&mut self.archived, other.archived),
            (&mut self.copied, other.copied),
            (&mut self.archived_bytes, other.archived_bytes),
            (&mut self.copied_bytes, other.copied_bytes),
            (&mut self.failed_bytes, other.failed_bytes),
        ] {
            *sum = sum.saturating_add(figure);
        }
        add_all(&mut self.failed, &other.failed);
    }

    /// Adds failed objects.
    pub fn add_failed(&mut self, reason: Reason, count: u64) {
        add_all(&mut self.failed, [(&reason, &count)]);
    }

    /// Takes rows off the failed ones, because another group has them now. At most what there is;
    /// no zeros remain.
    pub fn take_failed(&mut self, rows: &BTreeMap<Reason, u64>) {
        for (reason, count) in rows {
            if let Some(failed) = self.failed.get_mut(reason) {
                *failed = failed.saturating_sub(*count);
            }
        }
        self.failed.retain(|_, count| *count > 0);
    }
}

/// Adds counts to sums that saturate; no zeros are added.
pub fn add_all<'a>(
    sums: &mut BTreeMap<Reason, u64>,
    counts: impl IntoIterator<Item = (&'a Reason, &'a u64)>,
) {
    for (reason, count) in counts.into_iter().filter(|(_, count)| **count > 0) {
        let sum = sums.entry(*reason).or_default();
        *sum = sum.saturating_add(*count);
    }
}

/// A sum that saturates.
pub fn sum<'a>(counts: impl IntoIterator<Item = &'a u64>) -> u64 {
    counts
        .into_iter()
        .fold(0, |sum, count| sum.saturating_add(*count))
}

#[cfg(test)]
mod tests;
