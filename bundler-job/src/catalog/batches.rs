//! The rows of a Parquet file, one at a time, from the batches that its reader decodes.

use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::CatalogError;
use super::read::contained;
use super::rows::Batch;

/// Rows that are read from a file. Blocking.
pub(super) struct Batches {
    reader: ParquetRecordBatchReader,
    batch: Option<Batch>,
    at: usize,
}

impl Batches {
    pub(super) const fn new(reader: ParquetRecordBatchReader) -> Self {
        Self {
            reader,
            batch: None,
            at: 0,
        }
    }

    /// Returns the next row, as its batch and its position in it; `None` at the end.
    pub(super) fn next_row(&mut self) -> Result<Option<(&Batch, usize)>, CatalogError> {
        while self.batch.as_ref().is_none_or(|it| self.at == it.len()) {
            let reader = &mut self.reader;
            let Some(batch) = contained(|| Ok(reader.next()))? else {
                return Ok(None);
            };
            let batch = batch.map_err(|error| CatalogError::Parquet(error.to_string()))?;
            self.batch = Some(Batch::new(&batch)?);
            self.at = 0;
        }
        let at = self.at;
        self.at += 1;
        Ok(self.batch.as_ref().map(|batch| (batch, at)))
    }
}
