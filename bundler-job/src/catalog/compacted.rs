//! A file of compacted catalogs: rows of several groups of a run, sorted by key. The columns are those
//! of a catalog, with the group of each row. It is no authority on anything: it can be written again
//! from the catalogs.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};

use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::KeyValue;
use s3bundler_contract::RunName;

use super::CatalogError;
use super::batches::Batches;
use super::outline::{GroupOf, GroupRow};
use super::positioned::Positioned;
use super::read::{batch_rows, check_schema, contained};
use super::schema::{self, PREFIX};
use super::write::{GroupOfRow, RowsWriter, text_bytes};

/// The key of the format in the file's metadata. A catalog's is another one, so that neither is taken
/// for the other.
const FORMAT_KEY: &str = "compacted.format";
/// The key of the run in the file's metadata.
const RUN_KEY: &str = "run";
/// The format that this release writes and reads.
const FORMAT: &str = "1";
/// What a row needs in memory beside its text: its fields, and four maps.
const ROW_MEMORY: usize = 1024;

/// The run whose compacted catalogs a file with this metadata has; `None` if it has not.
pub(super) fn run_of(entries: &[KeyValue]) -> Result<Option<RunName>, CatalogError> {
    let value = |key: &str| {
        let entry = entries
            .iter()
            .rfind(|entry| entry.key.strip_prefix(PREFIX) == Some(key))?;
        entry.value.as_deref()
    };
    let Some(format) = value(FORMAT_KEY) else {
        return Ok(None);
    };
    if format != FORMAT {
        return Err(CatalogError::Format(format.to_owned()));
    }
    let run = value(RUN_KEY).unwrap_or_default();
    run.parse()
        .map(Some)
        .map_err(|error| CatalogError::Metadata {
            key: format!("{PREFIX}{RUN_KEY}"),
            problem: format!("{error}"),
        })
}

/// A file that was written.
#[derive(Debug)]
pub(crate) struct CompactedFile {
    /// At its start.
    pub(crate) file: File,
    pub(crate) rows: u64,
    /// Its first and its last key.
    pub(crate) keys: Option<(String, String)>,
}

/// Writes such a file. Blocking; holds about one row group's compressed pages.
pub(crate) struct CompactedWriter {
    rows: RowsWriter,
    count: u64,
    keys: Option<(String, String)>,
}

impl CompactedWriter {
    /// Writes to `file`, from where it stands.
    pub(crate) fn create(file: File) -> Result<Self, CatalogError> {
        let properties = schema::compacted_properties()?;
        Ok(Self {
            rows: RowsWriter::create(file, schema::compacted_schema(), properties)?,
            count: 0,
            keys: None,
        })
    }

    /// Adds the next row in order.
    pub(crate) fn push(&mut self, row: &GroupRow) -> Result<(), CatalogError> {
        let of = row.group.as_ref().map(|of| GroupOfRow {
            group: of.group.as_str(),
            attempt: &of.attempt,
        });
        let archive = row.archive.as_deref().unwrap_or_default();
        self.rows
            .push(&row.entry, archive, of)
            .map_err(|error| error.in_row(self.count))?;
        self.count += 1;
        let key = &row.entry.row.key;
        match &mut self.keys {
            Some((_, last)) => last.clone_from(key),
            none => *none = Some((key.clone(), key.clone())),
        }
        Ok(())
    }

    /// Bytes of the file so far, about.
    pub(crate) fn bytes(&self) -> u64 {
        self.rows.bytes() as u64
    }

    /// Ends the file.
    pub(crate) fn finish(self, run: &RunName) -> Result<CompactedFile, CatalogError> {
        let metadata = [(FORMAT_KEY, FORMAT), (RUN_KEY, run.as_str())]
            .map(|(key, value)| KeyValue::new(format!("{PREFIX}{key}"), value.to_owned()));
        let mut file = self.rows.finish(metadata)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(CompactedFile {
            file,
            rows: self.count,
            keys: self.keys,
        })
    }
}

impl GroupRow {
    /// Bytes that it needs in memory, about.
    pub(crate) fn memory(&self) -> usize {
        let archive = self.archive.as_ref().map_or(0, String::len);
        text_bytes(&self.entry) + archive + ROW_MEMORY
    }
}

/// Reads all rows of a file that this process wrote, in order. Blocking.
pub(crate) struct CompactedReader {
    batches: Batches,
    row: u64,
}

impl CompactedReader {
    /// Opens a file, whatever its cursor.
    pub(crate) fn open(file: File) -> Result<Self, CatalogError> {
        let file = Positioned::new(file)?;
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let reader = contained(|| {
            let metadata = ArrowReaderMetadata::load(&file, options)?;
            check_schema(metadata.schema(), &schema::compacted_schema())?;
            let rows = batch_rows(metadata.metadata());
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
            Ok(builder.with_batch_size(rows).build()?)
        })?;
        Ok(Self {
            batches: Batches::new(reader),
            row: 0,
        })
    }

    fn next_row(&mut self) -> Result<Option<GroupRow>, CatalogError> {
        let Some((batch, at)) = self.batches.next_row()? else {
            return Ok(None);
        };
        let row = self.row;
        let fail = |problem| CatalogError::Row { row, problem };
        let (entry, archive) = batch.entry(at).map_err(fail)?;
        let group = GroupOf::read(batch, at).map_err(fail)?;
        self.row += 1;
        Ok(Some(GroupRow {
            group: Some(group),
            entry,
            archive,
        }))
    }
}

impl Iterator for CompactedReader {
    type Item = Result<GroupRow, CatalogError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_row().transpose()
    }
}
