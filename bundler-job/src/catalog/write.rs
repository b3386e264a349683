//! Writes a catalog, a row at a time, in the order of the group manifest.
//!
//! ```text
//! Entry ──► column builders ──(1,024 rows or 1 MiB)──► encoded pages ──(65,536 rows or 8 MiB)──► row group in the file
//! ```
//! Both bounds count the bytes of the rows' text, so that neither metadata of 2 KiB an object nor
//! keys of 1,024 bytes make the writer hold more than a row group's compressed pages.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Int64Builder, MapBuilder, StringBuilder, TimestampMillisecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::record::to_file_metadata;
use super::schema::{self, ROW_GROUP_BYTES, ROW_GROUP_ROWS};
use super::{CatalogError, Entry, GroupRecord, Map, Outcome, Totals, seal};

/// Rows that are encoded at once, at most.
const BATCH_ROWS: usize = 1024;
/// Bytes of text after which they are encoded.
const BATCH_BYTES: usize = 1 << 20;
/// What a row weighs beside its text: numbers, lengths, flags.
const ROW_BYTES: usize = 64;

/// Writes a catalog. Blocking; holds about one row group's compressed pages.
pub struct CatalogWriter {
    rows: RowsWriter,
    /// The archive's key, which every archived row names.
    archive: String,
    totals: Totals,
}

impl CatalogWriter {
    /// Writes to `file`, from where it stands. `archive` is the key that this attempt's archive
    /// has, or would have if anything is archived.
    pub fn create(file: File, archive: &str) -> Result<Self, CatalogError> {
        Self::with_properties(file, archive, schema::properties()?)
    }

    pub(super) fn with_properties(
        file: File,
        archive: &str,
        properties: WriterProperties,
    ) -> Result<Self, CatalogError> {
        Ok(Self {
            rows: RowsWriter::create(file, schema::schema(), properties)?,
            archive: archive.to_owned(),
            totals: Totals::default(),
        })
    }

    /// Adds the next row of the group manifest.
    pub fn push(&mut self, entry: &Entry) -> Result<(), CatalogError> {
        let row = self.totals.rows();
        self.rows
            .push(entry, &self.archive, None)
            .map_err(|problem| problem.in_row(row))?;
        self.totals.add(entry);
        Ok(())
    }

    /// What the rows so far add up to.
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Ends the catalog; gives the whole file back, rewound to its start.
    pub fn finish(self, record: &GroupRecord) -> Result<File, CatalogError> {
        let named = record.archive.as_ref().map(|archive| archive.key.as_str());
        let packed = (self.totals.figures.archived > 0).then_some(self.archive.as_str());
        if named != packed {
            let problem = format!("is {named:?} where the rows are in {packed:?}");
            return Err(CatalogError::Metadata {
                key: "archive.key".to_owned(),
                problem,
            });
        }
        let mut file = self.rows.finish(to_file_metadata(record, &self.totals))?;
        seal::seal(&file)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}

/// The group that a row of several groups' rows is of.
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupOfRow<'a> {
    pub(super) group: &'a str,
    pub(super) attempt: &'a str,
}

/// Why a row is not written.
#[derive(Debug)]
pub(super) enum PushError {
    /// It cannot be a row.
    Row(String),
    /// It cannot be encoded, or not be written.
    Write(CatalogError),
}

impl PushError {
    /// The error of the row with this number.
    pub(super) fn in_row(self, row: u64) -> CatalogError {
        match self {
            Self::Row(problem) => CatalogError::Row { row, problem },
            Self::Write(error) => error,
        }
    }
}

/// Writes rows of catalogs as Parquet.
pub(super) struct RowsWriter {
    parquet: ArrowWriter<File>,
    schema: SchemaRef,
    columns: Columns,
    batch_bytes: usize,
    group_bytes: usize,
    group_rows: usize,
}

impl RowsWriter {
    /// Writes to `file`, from where it stands, the columns of a catalog, or of compacted catalogs.
    pub(super) fn create(
        file: File,
        schema: Schema,
        properties: WriterProperties,
    ) -> Result<Self, CatalogError> {
        let schema = Arc::new(schema);
        // Without the Arrow schema: every reader but Arrow's would carry it in vain.
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        Ok(Self {
            parquet: ArrowWriter::try_new_with_options(file, Arc::clone(&schema), options)?,
            schema,
            columns: Columns::new(),
            batch_bytes: 0,
            group_bytes: 0,
            group_rows: 0,
        })
    }

    /// Adds a row. `of` is its group if the columns are those of compacted catalogs.
    pub(super) fn push(
        &mut self,
        entry: &Entry,
        archive: &str,
        of: Option<GroupOfRow<'_>>,
    ) -> Result<(), PushError> {
        self.columns
            .append(entry, archive, of)
            .map_err(PushError::Row)?;
        self.batch_bytes += text_bytes(entry) + ROW_BYTES;
        if self.columns.rows >= BATCH_ROWS || self.batch_bytes >= BATCH_BYTES {
            self.encode().map_err(PushError::Write)?;
        }
        Ok(())
    }

    /// Bytes of the file so far, about.
    pub(super) fn bytes(&self) -> usize {
        self.parquet.bytes_written() + self.parquet.in_progress_size()
    }

    /// Ends the file, with this metadata.
    pub(super) fn finish(
        mut self,
        metadata: impl IntoIterator<Item = KeyValue>,
    ) -> Result<File, CatalogError> {
        self.encode()?;
        for entry in metadata {
            self.parquet.append_key_value_metadata(entry);
        }
        Ok(self.parquet.into_inner()?)
    }

    fn encode(&mut self) -> Result<(), CatalogError> {
        let rows = self.columns.rows;
        if rows == 0 {
            return Ok(());
        }
        let columns = self.columns.finish(self.schema.fields().len());
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| ParquetError::General(error.to_string()))?;
        // Before it would overflow, so that no batch is split and the same rows give the same
        // bytes.
        if self.group_rows + rows > ROW_GROUP_ROWS || self.group_bytes >= ROW_GROUP_BYTES {
            self.parquet.flush()?;
            (self.group_rows, self.group_bytes) = (0, 0);
        }
        self.parquet.write(&batch)?;
        self.group_rows += rows;
        self.group_bytes += self.batch_bytes;
        self.batch_bytes = 0;
        Ok(())
    }
}

/// Bytes of the text of a row.
pub(super) fn text_bytes(entry: &Entry) -> usize {
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let map = |map: &Map| {
        map.iter()
            .map(|(name, value)| name.len() + value.len() + 8)
            .sum::<usize>()
    };
    let row = &entry.row;
    row.bucket.len()
        + row.key.len()
        + [
            &row.version_id,
            &row.last_modified,
            &row.etag,
            &row.storage_class,
            &entry.md5,
            &entry.detail,
            &entry.sha256,
        ]
        .map(optional)
        .into_iter()
        .sum::<usize>()
        + [
            &entry.checksums,
            &entry.headers,
            &entry.metadata,
            &entry.tags,
        ]
        .map(map)
        .into_iter()
        .sum::<usize>()
}

type MapColumn = MapBuilder<StringBuilder, StringBuilder>;

/// One builder a column, in the schema's order.
struct Columns {
    rows: usize,
    bucket: StringBuilder,
    key: StringBuilder,
    version_id: StringBuilder,
    version_listed: BooleanBuilder,
    size: Int64Builder,
    last_modified: TimestampMillisecondBuilder,
    etag: StringBuilder,
    storage_class: StringBuilder,
    outcome: StringBuilder,
    archive: StringBuilder,
    offset: Int64Builder,
    length: Int64Builder,
    skip: Int64Builder,
    md5: StringBuilder,
    checksums: MapColumn,
    headers: MapColumn,
    metadata: MapColumn,
    tags: MapColumn,
    detail: StringBuilder,
    sha256: StringBuilder,
    group: StringBuilder,
    attempt: StringBuilder,
}

impl Columns {
    fn new() -> Self {
        let map = || {
            MapBuilder::new(
                Some(schema::map_names()),
                StringBuilder::new(),
                StringBuilder::new(),
            )
            .with_values_field(schema::map_value())
        };
        Self {
            rows: 0,
            bucket: StringBuilder::new(),
            key: StringBuilder::new(),
            version_id: StringBuilder::new(),
            version_listed: BooleanBuilder::new(),
            size: Int64Builder::new(),
            last_modified: TimestampMillisecondBuilder::new().with_timezone(schema::UTC),
            etag: StringBuilder::new(),
            storage_class: StringBuilder::new(),
            outcome: StringBuilder::new(),
            archive: StringBuilder::new(),
            offset: Int64Builder::new(),
            length: Int64Builder::new(),
            skip: Int64Builder::new(),
            md5: StringBuilder::new(),
            checksums: map(),
            headers: map(),
            metadata: map(),
            tags: map(),
            detail: StringBuilder::new(),
            sha256: StringBuilder::new(),
            group: StringBuilder::new(),
            attempt: StringBuilder::new(),
        }
    }

    /// Appends a row, or nothing and what is wrong with it.
    fn append(
        &mut self,
        entry: &Entry,
        archive: &str,
        of: Option<GroupOfRow<'_>>,
    ) -> Result<(), String> {
        let signed = |n: u64, what| {
            i64::try_from(n).map_err(|_| format!("its {what} {n} is no length in S3"))
        };
        let (outcome, named, place) = match &entry.outcome {
            Outcome::Archived(place) => {
                let place = (
                    signed(place.offset, "offset")?,
                    signed(place.length, "length")?,
                    signed(place.skip, "skip")?,
                );
                ("archived", Some(archive), Some(place))
            }
            Outcome::Copied { key } => ("copied", Some(key.as_str()), None),
            Outcome::Failed(reason) => (reason.as_str(), None, None),
        };
        let size = entry.credible_size();
        let row = &entry.row;
        self.bucket.append_value(&row.bucket);
        self.key.append_value(&row.key);
        self.version_id.append_option(row.version_id.as_deref());
        self.version_listed.append_value(entry.listed_version);
        self.size.append_option(size);
        self.last_modified
            .append_option(row.last_modified.as_deref().and_then(milliseconds));
        self.etag.append_option(row.etag.as_deref());
        self.storage_class
            .append_option(row.storage_class.as_deref());
        self.outcome.append_value(outcome);
        self.archive.append_option(named);
        self.offset
            .append_option(place.map(|(offset, _, _)| offset));
        self.length
            .append_option(place.map(|(_, length, _)| length));
        self.skip.append_option(place.map(|(_, _, skip)| skip));
        self.md5.append_option(entry.md5.as_deref());
        append_map(&mut self.checksums, &entry.checksums)?;
        append_map(&mut self.headers, &entry.headers)?;
        append_map(&mut self.metadata, &entry.metadata)?;
        append_map(&mut self.tags, &entry.tags)?;
        self.detail.append_option(entry.detail.as_deref());
        self.sha256.append_option(entry.sha256.as_deref());
        self.group.append_option(of.map(|of| of.group));
        self.attempt.append_option(of.map(|of| of.attempt));
        self.rows += 1;
        Ok(())
    }

    /// The first columns: those of a catalog, or all.
    fn finish(&mut self, count: usize) -> Vec<ArrayRef> {
        self.rows = 0;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.bucket.finish()),
            Arc::new(self.key.finish()),
            Arc::new(self.version_id.finish()),
            Arc::new(self.version_listed.finish()),
            Arc::new(self.size.finish()),
            Arc::new(self.last_modified.finish()),
            Arc::new(self.etag.finish()),
            Arc::new(self.storage_class.finish()),
            Arc::new(self.outcome.finish()),
            Arc::new(self.archive.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.length.finish()),
            Arc::new(self.skip.finish()),
            Arc::new(self.md5.finish()),
            Arc::new(self.checksums.finish()),
            Arc::new(self.headers.finish()),
            Arc::new(self.metadata.finish()),
            Arc::new(self.tags.finish()),
            Arc::new(self.detail.finish()),
            Arc::new(self.sha256.finish()),
            Arc::new(self.group.finish()),
            Arc::new(self.attempt.finish()),
        ];
        columns.truncate(count);
        columns
    }
}

fn append_map(column: &mut MapColumn, map: &Map) -> Result<(), String> {
    for (name, value) in map {
        column.keys().append_value(name);
        column.values().append_value(value);
    }
    column.append(true).map_err(|error| error.to_string())
}

/// Milliseconds since 1970 of an ISO 8601 instant; `None` where the text is none.
fn milliseconds(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_millisecond)
}
