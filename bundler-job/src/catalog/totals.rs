//! What the rows of a catalog add up to.

use std::collections::BTreeMap;
use std::fmt;

use s3bundler_contract::{GroupName, Reason, Receipt, RowDigest};

use super::{Entry, Outcome};

/// Sums over the rows of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Objects in the archive.
    pub archived: u64,
    /// Objects copied by the server.
    pub copied: u64,
    /// Bytes of the archived objects.
    pub archived_bytes: u64,
    /// Bytes of the copied objects.
    pub copied_bytes: u64,
    /// Bytes that the inventory gave the failed objects.
    pub failed_bytes: u64,
    /// Failed objects by reason; no zeros.
    pub failed: BTreeMap<Reason, u64>,
    /// Digest of the rows as they stood in the group manifest.
    pub digest: RowDigest,
}

impl Totals {
    /// Adds a row.
    pub fn add(&mut self, entry: &Entry) {
        let size = entry.credible_size().map_or(0, i64::cast_unsigned);
        let bytes = match entry.outcome {
            Outcome::Archived(_) => {
                self.archived += 1;
                &mut self.archived_bytes
            }
            Outcome::Copied { .. } => {
                self.copied += 1;
                &mut self.copied_bytes
            }
            Outcome::Failed(reason) => {
                *self.failed.entry(reason).or_default() += 1;
                &mut self.failed_bytes
            }
        };
        *bytes = bytes.saturating_add(size);
        self.digest.add(&entry.row.bucket, &entry.row.key, entry.listed_version_id());
    }

    /// Failed objects, for any reason.
    pub fn failed_objects(&self) -> u64 {
        self.failed.values().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Every row.
    pub fn rows(&self) -> u64 {
        self.archived.saturating_add(self.copied).saturating_add(self.failed_objects())
    }

    /// The receipt of a group with these figures.
    pub fn receipt(&self, group: GroupName) -> Receipt {
        Receipt {
            group,
            archived: self.archived,
            copied: self.copied,
            archived_bytes: self.archived_bytes,
            copied_bytes: self.copied_bytes,
            failed_bytes: self.failed_bytes,
            failed: self.failed.clone(),
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { archived, copied, archived_bytes, copied_bytes, failed_bytes, digest, .. } = self;
        let failed = self.failed_objects();
        write!(
            f,
            "{archived} archived ({archived_bytes} bytes), {copied} copied ({copied_bytes} bytes), {failed} failed \
             ({failed_bytes} bytes), digest {digest}"
        )
    }
}
