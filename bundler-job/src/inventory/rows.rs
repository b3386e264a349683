//! Rows as an inventory has them: of one of its blocks, or of another file with such columns.

use std::io::Read;

use s3bundler_contract::group_manifest::{
    Column, Columns, KeyEncoding, RowError, RowProblem, RowReader,
};
use s3bundler_contract::row::RowRef;

use super::block::Block;

/// A row of an inventory: an object, a version or a delete marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InventoryRow<'a> {
    /// What goes into manifests and catalogs.
    pub row: RowRef<'a>,
    /// Whether it is the current version of its key; always in inventories of current versions.
    pub is_latest: bool,
    /// Whether it is a delete marker, which has no data.
    pub is_delete_marker: bool,
    /// Where Intelligent-Tiering has it.
    pub access_tier: Option<&'a str>,
    /// How it is encrypted, as S3 Inventory spells it.
    pub encryption: Option<&'a str>,
    /// `ENABLED` if an S3 Bucket Key encrypts it.
    pub bucket_key: Option<&'a str>,
}

/// The rows of a part of a file, one at a time, borrowed.
pub struct Rows<R> {
    reader: RowReader<R>,
    first_line: u64,
    /// The line of the row that was given last.
    line: u64,
    is_latest: Option<usize>,
    is_delete_marker: Option<usize>,
    access_tier: Option<usize>,
    encryption: Option<usize>,
    bucket_key: Option<usize>,
    has_versions: bool,
}

impl<'a> Rows<&'a [u8]> {
    /// The rows of a block of a CSV inventory, whose keys are form-url-encoded; those of other
    /// formats are not ("Amazon S3 Inventory", S3 user guide).
    pub(super) fn of_block(block: &'a Block, columns: &Columns) -> Self {
        Self::new(
            block.bytes.as_slice(),
            columns,
            KeyEncoding::FormUrl,
            block.first_line,
        )
    }
}

impl<R: Read> Rows<R> {
    /// The rows of the part that begins at a line, counted from 1.
    pub(crate) fn new(part: R, columns: &Columns, keys: KeyEncoding, first_line: u64) -> Self {
        Self {
            reader: RowReader::new(part, columns.clone(), keys),
            first_line,
            line: first_line,
            is_latest: columns.position(&Column::IsLatest),
            is_delete_marker: columns.position(&Column::IsDeleteMarker),
            access_tier: columns.position(&Column::IntelligentTieringAccessTier),
            encryption: columns.position(&Column::EncryptionStatus),
            bucket_key: columns.position(&Column::BucketKeyStatus),
            has_versions: columns.position(&Column::VersionId).is_some(),
        }
    }

    /// The next row; `None` at the end. Errors carry the line of the file.
    pub fn next_row(&mut self) -> Result<Option<InventoryRow<'_>>, RowError> {
        self.line = self.first_line + self.reader.line() - 1;
        let (line, has_versions) = (self.line, self.has_versions);
        let read = self
            .reader
            .next_ref()
            .map_err(|error| RowError { line, ..error })?;
        let Some((mut row, fields)) = read else {
            return Ok(None);
        };
        let field =
            |at: Option<usize>| at.and_then(|at| fields.get(at)).filter(|it| !it.is_empty());
        let is_latest = !field(self.is_latest).is_some_and(|it| it.eq_ignore_ascii_case("false"));
        if has_versions && !is_latest && row.version_id.is_none() {
            // The null version's id is empty. Once it is not the current one, only its name can
            // read it (docs/decisions/null-versions.md).
            row.version_id = Some("null");
        }
        Ok(Some(InventoryRow {
            row,
            is_latest,
            is_delete_marker: field(self.is_delete_marker)
                .is_some_and(|it| it.eq_ignore_ascii_case("true")),
            access_tier: field(self.access_tier),
            encryption: field(self.encryption),
            bucket_key: field(self.bucket_key),
        }))
    }

    /// An error about the row that was given last.
    pub fn error(&self, problem: RowProblem) -> RowError {
        RowError {
            line: self.line,
            problem,
        }
    }
}

#[cfg(test)]
mod tests;
