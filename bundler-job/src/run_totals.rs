//! The exact figures of a run, counted from its receipts: LIST alone tells them, 1,000 groups a request.

use std::collections::{BTreeMap, BTreeSet};

use s3bundler_contract::{GroupName, Reason, Receipt, RunName};
use serde::Serialize;

use crate::args::Destination;
use crate::s3::{S3, S3Error};

/// What the receipts of a run add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunTotals {
    /// Objects in archives.
    pub archived: u64,
    /// Objects copied by the server.
    pub copied: u64,
    /// Dead-lettered objects by reason.
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
    /// Adds a receipt by the last part of its key.
    pub fn add(&mut self, name: &str) {
        match Receipt::parse(name) {
            Ok(receipt) if !self.groups.contains(&receipt.group) => {
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

    /// Dead-lettered objects, for any reason.
    pub fn failed_objects(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Counts the receipts of a run.
    pub async fn count(s3: &S3, destination: &Destination, run: &RunName) -> Result<Self, S3Error> {
        let prefix = destination.layout.receipts(run);
        let mut totals = Self::default();
        s3.list(&destination.bucket, &prefix, |page| {
            for listed in page {
                totals.add(listed.key.strip_prefix(&prefix).unwrap_or(&listed.key));
            }
            true
        })
        .await?;
        Ok(totals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_add_up_and_a_second_one_of_a_group_is_a_defect() {
        let mut totals = RunTotals::default();
        totals.add("r.000000~a10~c1~f2~b100~bc7~Retry2");
        totals.add("r.000001~a5~c0~f1~b50~NoSuchKey1");
        totals.add("r.000001~a5~c0~f0~b50");
        totals.add("nonsense");
        assert_eq!((totals.archived, totals.copied, totals.failed_objects()), (15, 1, 3));
        assert_eq!((totals.archived_bytes, totals.copied_bytes), (150, 7));
        assert_eq!(totals.groups.len(), 2);
        assert_eq!(totals.defects.len(), 2);
    }
}
