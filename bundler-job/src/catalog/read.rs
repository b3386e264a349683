//! Reads a catalog, a batch of rows at a time. What S3 gives is untrusted: the schema is compared
//! before any row is read, every row is checked against the file's metadata, and a panic inside the
//! Parquet reader is an error like any.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_schema::{DataType, Schema};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::Length;

use super::batches::Batches;
use super::footer::footer;
use super::positioned::Positioned;
use super::record::{from_file_metadata, recorded_sum};
use super::{CatalogError, Entry, GroupRecord, Outcome, Totals, schema, seal};

/// Rows of a batch, at most.
const BATCH_ROWS: u64 = 1024;
/// Bytes of a batch, about: wide rows come in smaller batches.
const BATCH_BYTES: u64 = 8 << 20;

/// A catalog, open for reading. Blocking.
pub struct Catalog {
    file: Positioned,
    metadata: ArrowReaderMetadata,
    record: GroupRecord,
    totals: Totals,
    is_sealed: bool,
}

impl Catalog {
    /// Opens the catalog in `file`, whatever its cursor.
    pub fn open(file: File) -> Result<Self, CatalogError> {
        let file = Positioned::new(file)?;
        let _ = footer(&file)?;
        // As the schema's own types say, not as an Arrow schema in the file's metadata might.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = contained(|| Ok(ArrowReaderMetadata::load(&file, options)?))?;
        check_schema(metadata.schema(), &schema::schema())?;
        let entries = metadata
            .metadata()
            .file_metadata()
            .key_value_metadata()
            .map_or(&[][..], Vec::as_slice);
        let (record, totals) = from_file_metadata(entries)?;
        let sum = recorded_sum(entries);
        if let Some(sum) = sum {
            seal::check(&file, sum)?;
        }
        let is_sealed = sum.is_some();
        let rows = metadata.metadata().file_metadata().num_rows();
        if u64::try_from(rows) != Ok(totals.rows()) {
            return Err(CatalogError::Totals {
                recorded: format!("{} rows", totals.rows()),
                counted: format!("{rows} rows"),
            });
        }
        Ok(Self {
            file,
            metadata,
            record,
            totals,
            is_sealed,
        })
    }

    /// What it says of the group.
    pub const fn record(&self) -> &GroupRecord {
        &self.record
    }

    /// What its file metadata says that its rows add up to. [`Entries`] proves it when read to the
    /// end.
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Whether a sum in it proved all of its bytes. Catalogs of earlier releases have none.
    pub const fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// Whether it has a column: catalogs of earlier releases lack the later ones.
    pub(super) fn has(&self, column: &str) -> bool {
        self.metadata.schema().field_with_name(column).is_ok()
    }

    /// Its rows, in order. Ends with an error where they do not add up to [`Catalog::totals`].
    pub fn entries(&self) -> Result<Entries<'_>, CatalogError> {
        let rows = batch_rows(self.metadata.metadata());
        let reader = contained(|| {
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
                self.file.clone(),
                self.metadata.clone(),
            );
            Ok(builder.with_batch_size(rows).build()?)
        })?;
        Ok(Entries {
            batches: Batches::new(reader),
            catalog: self,
            row: 0,
            counted: Totals::default(),
            done: false,
        })
    }
}

/// The rows of a catalog.
pub struct Entries<'a> {
    batches: Batches,
    catalog: &'a Catalog,
    row: u64,
    counted: Totals,
    done: bool,
}

impl Entries<'_> {
    fn next_entry(&mut self) -> Result<Option<Entry>, CatalogError> {
        if let Some((batch, at)) = self.batches.next_row()? {
            let fail = |problem| CatalogError::Row {
                row: self.row,
                problem,
            };
            let (entry, archive) = batch.entry(at).map_err(fail)?;
            check_archive(&entry, archive.as_deref(), &self.catalog.record).map_err(fail)?;
            self.row += 1;
            self.counted.add(&entry);
            return Ok(Some(entry));
        }
        if self.counted == self.catalog.totals {
            return Ok(None);
        }
        Err(CatalogError::Totals {
            recorded: self.catalog.totals.to_string(),
            counted: self.counted.to_string(),
        })
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, CatalogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.next_entry().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Runs a step of the Parquet reader. It is careful, but it decodes levels, dictionaries and deltas
/// from bytes that anybody may have written, and a panic there must cost a catalog, not a worker
/// with its other groups. Nothing of the reader is used after a panic.
pub(super) fn contained<T>(
    step: impl FnOnce() -> Result<T, CatalogError>,
) -> Result<T, CatalogError> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|panic| {
        let cause = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("unknown cause");
        Err(CatalogError::Parquet(format!(
            "damaged so that its reader gave up: {cause}"
        )))
    })
}

pub(super) fn check_schema(found: &Schema, wanted: &Schema) -> Result<(), CatalogError> {
    // By name, so that a later release may add columns; what a column is called inside a map is the
    // writer's affair.
    for wanted in wanted.fields() {
        let fail = |problem: String| CatalogError::Column {
            column: wanted.name().clone(),
            problem,
        };
        let mut columns = found
            .fields()
            .iter()
            .filter(|field| field.name() == wanted.name());
        let Some(field) = columns.next() else {
            if schema::LATER.contains(&wanted.name().as_str()) {
                continue;
            }
            return Err(fail("is missing".to_owned()));
        };
        if columns.next().is_some() {
            return Err(fail("stands twice".to_owned()));
        }
        if !same_type(field.data_type(), wanted.data_type()) {
            return Err(fail(format!(
                "is {} and not {}",
                field.data_type(),
                wanted.data_type()
            )));
        }
    }
    Ok(())
}

fn same_type(found: &DataType, wanted: &DataType) -> bool {
    match (found, wanted) {
        (DataType::Map(found, _), DataType::Map(wanted, _)) => {
            let parts = |entry: &DataType| match entry {
                DataType::Struct(fields) => fields
                    .iter()
                    .map(|field| field.data_type().clone())
                    .collect(),
                _ => Vec::new(),
            };
            parts(found.data_type()) == parts(wanted.data_type())
        }
        (found, wanted) => found == wanted,
    }
}

pub(super) fn batch_rows(metadata: &ParquetMetaData) -> usize {
    let widest = metadata.row_groups().iter().map(|group| {
        let bytes = u64::try_from(group.total_byte_size()).unwrap_or(u64::MAX);
        bytes / u64::try_from(group.num_rows()).unwrap_or(0).max(1)
    });
    let rows = BATCH_BYTES / widest.max().unwrap_or(1).max(1);
    usize::try_from(rows.clamp(1, BATCH_ROWS)).unwrap_or(1)
}

/// Whether what a row says of its archive agrees with the file's metadata.
pub(super) fn check_archive(
    entry: &Entry,
    named: Option<&str>,
    record: &GroupRecord,
) -> Result<(), String> {
    let Outcome::Archived(place) = &entry.outcome else {
        return Ok(());
    };
    let Some(archive) = &record.archive else {
        return Err("it is archived, and the file metadata names no archive".to_owned());
    };
    if named != Some(archive.key.as_str()) {
        return Err(format!(
            "its archive is {named:?}, the file metadata's {:?}",
            archive.key
        ));
    }
    if place
        .offset
        .checked_add(place.length)
        .is_none_or(|end| end > archive.size)
    {
        let (offset, length, size) = (place.offset, place.length, archive.size);
        return Err(format!(
            "{length} bytes at {offset} are not in an archive of {size} bytes"
        ));
    }
    Ok(())
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            file,
            record,
            totals,
            ..
        } = self;
        f.debug_struct("Catalog")
            .field("size", &file.len())
            .field("record", record)
            .field("totals", totals)
            .finish()
    }
}
