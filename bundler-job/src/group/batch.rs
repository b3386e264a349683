//! The selected rows of one block, already as the lines that group manifests consist of, so that
//! cutting groups is copying.

use std::collections::BTreeMap;
use std::io::Read;

use s3bundler_contract::group_manifest::{RowError, RowProblem, append_row};
use s3bundler_contract::row::impossible_bucket;
use s3bundler_contract::{LeftOut, RowDigest, RowRef};

use super::Selection;
use crate::inventory::{InventoryRow, Rows};

/// A batch that is read from one object after the other ends at about this many bytes of lines.
pub(super) const BATCH_BYTES: usize = 512 * 1024;

/// Sees the rows that are taken, in any order of blocks.
pub(crate) trait Observer: Send + 'static {
    /// A row that is taken.
    fn see(&mut self, row: &InventoryRow<'_>);
}

/// Sees nothing.
impl Observer for () {
    fn see(&mut self, _row: &InventoryRow<'_>) {}
}

/// The lines of a block, and all that a summary wants to know of its rows.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Rows of the block, taken or not.
    pub(super) rows: u64,
    /// Those not taken, by reason.
    pub(super) left_out: BTreeMap<LeftOut, u64>,
    /// Digest of those taken.
    pub(super) digest: RowDigest,
    /// Rows of one source bucket on end, in order.
    pub(super) runs: Vec<BucketRun>,
    /// The lines, one after the other.
    pub(super) text: Vec<u8>,
    /// Whether no row that follows belongs into a group with these.
    pub(super) closes: bool,
}

/// Rows of one source bucket.
#[derive(Debug)]
pub(super) struct BucketRun {
    pub(super) bucket: String,
    pub(super) lines: Vec<Line>,
}

/// A row taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Where its line ends in the text; it begins where the one before it ends.
    pub(super) end: usize,
    /// The object's size by the inventory.
    pub(super) size: u64,
}

impl Batch {
    /// Selects from and formats the rows of a block.
    pub(super) fn of<R: Read>(
        rows: &mut Rows<R>,
        selection: &Selection,
        observer: &mut impl Observer,
    ) -> Result<Self, RowError> {
        let mut batch = Self::default();
        batch.fill(rows, selection, usize::MAX, observer)?;
        Ok(batch)
    }

    /// Adds rows until there are as many bytes of lines, or no row is left, which it tells.
    pub(super) fn fill<R: Read>(
        &mut self,
        rows: &mut Rows<R>,
        selection: &Selection,
        bytes: usize,
        observer: &mut impl Observer,
    ) -> Result<bool, RowError> {
        while self.text.len() < bytes {
            let Some(row) = rows.next_row()? else {
                return Ok(true);
            };
            if let Err(problem) = self.add(&row, selection, observer) {
                return Err(rows.error(problem));
            }
        }
        Ok(false)
    }

    /// Adds a row if it is selected.
    pub(super) fn add(
        &mut self,
        row: &InventoryRow<'_>,
        selection: &Selection,
        observer: &mut impl Observer,
    ) -> Result<(), RowProblem> {
        self.rows += 1;
        if let Some(reason) = selection.decide(row)? {
            *self.left_out.entry(reason).or_default() += 1;
            return Ok(());
        }
        self.take(&row.row)?;
        observer.see(row);
        Ok(())
    }

    /// Adds a row's line; which rows there were is the caller's to count.
    pub(super) fn take(&mut self, row: &RowRef<'_>) -> Result<(), RowProblem> {
        self.digest.add(row.bucket, row.key, row.version_id);
        append_row(&mut self.text, row);
        let line = Line {
            end: self.text.len(),
            size: row.size.unwrap_or(0),
        };
        match self.runs.last_mut() {
            Some(run) if run.bucket == row.bucket => run.lines.push(line),
            _ => {
                if let Some(problem) = impossible_bucket(row.bucket) {
                    return Err(RowProblem::Impossible(problem));
                }
                self.runs.push(BucketRun {
                    bucket: row.bucket.to_owned(),
                    lines: vec![line],
                });
            }
        }
        Ok(())
    }
}
