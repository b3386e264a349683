//! The exact figures of a run, counted from its receipts: LIST alone tells them, 1,000 groups a request.

use std::collections::{BTreeMap, BTreeSet};

use s3bundler_contract::{GroupName, Reason, Receipt, RunName};
use serde::Serialize;

use crate::args::Destination;
use crate::s3::{S3, S3Error};

/// What the receipts of a run add up to, those of its retry passes included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunTotals {
    /// Objects in archives.
    pub archived: u64,
    /// Objects copied by the server.
    pub copied: u64,
    /// Dead-lettered objects by reason: those that no pass could archive.
    pub failed: BTreeMap<Reason, u64>,
    /// Bytes of the archived objects.
    pub archived_bytes: u64,
    /// Bytes of the copied objects.
    pub copied_bytes: u64,
    /// The groups.
    #[serde(skip)]
    pub groups: BTreeSet<GroupName>,
    /// Receipts that cannot be read, and second receipts of a group: defects, never summed.
    pub defects: Vec<String>,
}

impl RunTotals {
    /// Groups of the run's own, of so many, that have no receipt. A retry group's receipt does not stand in for one.
    pub fn missing(&self, run: &RunName, groups: u64) -> u64 {
        let numbers = self.groups.iter().filter_map(|group| group.number_in(run));
        groups.saturating_sub(numbers.filter(|number| *number < groups).count() as u64)
    }

    /// Adds a receipt, and the rows of a retry group to those that have failed before.
    fn add(&mut self, run: &RunName, name: &str, retried: &mut u64) {
        match Receipt::parse(name) {
            Ok(receipt) if !self.groups.contains(&receipt.group) => {
                if receipt.group.pass_in(run).is_some_and(|(pass, _)| pass > 0) {
                    *retried += receipt.rows();
                }
                self.archived += receipt.archived;
                self.copied += receipt.copied;
                self.archived_bytes += receipt.archived_bytes;
                self.copied_bytes += receipt.copied_bytes;
                for (reason, count) in receipt.failed {
                    *self.failed.entry(reason).or_default() += count;
                }
                self.groups.insert(receipt.group);
            }
            Ok(receipt) => self.defects.push(format!("group {} has a second receipt {name}", receipt.group)),
            Err(error) => self.defects.push(error.to_string()),
        }
    }

    /// Without rows that were tried again: each has failed with reason Retry before.
    fn without(mut self, retried: u64) -> Self {
        if let Some(failed) = self.failed.get_mut(&Reason::Retry) {
            *failed = failed.saturating_sub(retried);
        }
        self.failed.retain(|_, count| *count > 0);
        self
    }

    /// Dead-lettered objects, for any reason.
    pub fn failed_objects(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Counts the receipts of a run.
    pub async fn count(s3: &S3, destination: &Destination, run: &RunName) -> Result<Self, S3Error> {
        let prefix = destination.layout.receipts(run);
        let (mut totals, mut retried) = (Self::default(), 0);
        s3.list(&destination.bucket, &prefix, |page| {
            for listed in page {
                totals.add(run, listed.key.strip_prefix(&prefix).unwrap_or(&listed.key), &mut retried);
            }
            true
        })
        .await?;
        Ok(totals.without(retried))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunName {
        "r".parse().expect("a name")
    }

    fn totals(receipts: &[&str]) -> RunTotals {
        let (mut totals, mut retried) = (RunTotals::default(), 0);
        for name in receipts {
            totals.add(&run(), name, &mut retried);
        }
        totals.without(retried)
    }

    #[test]
    fn receipts_add_up_and_a_second_one_of_a_group_is_a_defect() {
        let totals = totals(&[
            "r.000000~a10~c1~f2~b100~bc7~Retry2",
            "r.000001~a5~c0~f1~b50~NoSuchKey1",
            "r.000001~a5~c0~f0~b50",
            "nonsense",
        ]);
        assert_eq!((totals.archived, totals.copied, totals.failed_objects()), (15, 1, 3));
        assert_eq!((totals.archived_bytes, totals.copied_bytes), (150, 7));
        assert_eq!(totals.groups.len(), 2);
        assert_eq!(totals.defects.len(), 2);
    }

    #[test]
    fn what_was_tried_again_counts_once_and_stands_in_for_no_group() {
        let receipts = [
            "r.000001~a5~c0~f3~b50~Retry2~NoSuchKey1",
            "r.retry1.000000~a2~c0~f3~b20~Retry2~Changed1",
            "r.retry2.000000~a1~c0~f1~b20~Retry1",
            "r.000000~a10~c1~f3~b100~bc7~Retry3",
        ];
        let tried = totals(&receipts);
        assert_eq!((tried.archived, tried.copied), (18, 1));
        let failed: Vec<_> = tried.failed.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        assert_eq!(failed, ["Retry 1", "NoSuchKey 1", "Changed 1"]);
        assert_eq!((tried.missing(&run(), 2), tried.missing(&run(), 3), tried.missing(&run(), 1)), (0, 1, 0));
        assert_eq!(totals(&receipts[..3]).missing(&run(), 2), 1);
    }
}
