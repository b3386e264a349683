//! What the rows of a catalog add up to.

use std::fmt;

use s3bundler_contract::{Figures, GroupName, Receipt, RowDigest, RunName};

use super::{Entry, Outcome};

/// Sums over the rows of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// What became of the rows.
    pub figures: Figures,
    /// Digest of the rows as they stood in the group manifest.
    pub digest: RowDigest,
}

impl Totals {
    /// Adds a row.
    pub fn add(&mut self, entry: &Entry) {
        let size = entry.credible_size().map_or(0, i64::cast_unsigned);
        let figures = &mut self.figures;
        let bytes = match entry.outcome {
            Outcome::Archived(_) => {
                figures.archived += 1;
                &mut figures.archived_bytes
            }
            Outcome::Copied { .. } => {
                figures.copied += 1;
                &mut figures.copied_bytes
            }
            Outcome::Failed(reason) => {
                figures.add_failed(reason, 1);
                &mut figures.failed_bytes
            }
        };
        *bytes = bytes.saturating_add(size);
        self.digest
            .add(&entry.row.bucket, &entry.row.key, entry.listed_version_id());
    }

    /// Every row.
    pub fn rows(&self) -> u64 {
        self.figures.rows()
    }

    /// The receipt of a group of `run` with these figures.
    pub fn receipt(&self, run: &RunName, group: GroupName) -> Receipt {
        Receipt::new(run, group, self.figures.clone())
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { figures, digest } = self;
        let Figures {
            archived,
            copied,
            archived_bytes,
            copied_bytes,
            failed_bytes,
            ..
        } = figures;
        let failed = figures.failed_objects();
        write!(
            f,
            "{archived} archived ({archived_bytes} bytes), {copied} copied ({copied_bytes} \
             bytes), {failed} failed ({failed_bytes} bytes), digest {digest}"
        )
    }
}
