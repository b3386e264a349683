//! Reads a catalog, or a file of compacted ones, without all of its bytes: what its end says of its
//! row groups, and the rows of those that a reader wants.
//!
//! ```text
//! last bytes ──► Outline ──► bounds, bloom filter of each row group ──► bytes of some ──► PartialRows
//! ```

use std::ops::Range;

use arrow_array::cast::AsArray as _;
use arrow_array::{BooleanArray, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
    RowFilter, RowSelection, RowSelector,
};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{
    ColumnChunkMask, ColumnChunkMetaData, PageIndexPolicy, RowGroupMetaData,
};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use s3bundler_contract::{GroupName, RunName};

use super::batches::Batches;
use super::compacted::run_of;
use super::footer::footer;
use super::positioned::{Parts, ReadAt as _};
use super::read::{batch_rows, check_archive, check_schema, contained};
use super::record::{from_file_metadata, recorded_sum};
use super::rows::Batch;
use super::{CatalogError, Entry, GroupRecord, schema, seal};

/// Files of at most this many bytes are read at once.
const SMALL: u64 = 256 << 10;
/// Bytes of the end of a larger file in which its footer and its page index are looked for. With 20
/// columns these are about 8 KiB for a row group, of which most files have one or two.
const FOOTER_BYTES: u64 = 64 << 10;
/// Share of a file that its bloom filters have, at most: 128 KiB for 65,536 rows of at least 30 bytes.
const BLOOM_SHARE: u64 = 16;

/// What a file is.
#[derive(Debug, Clone)]
pub(crate) enum FileKind {
    /// The catalog of a group.
    Group(Box<GroupRecord>),
    /// Rows of all groups of a run, sorted.
    Compacted(RunName),
}

/// The smallest and the largest value of a column in a row group or a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds<'a> {
    pub(crate) min: &'a [u8],
    pub(crate) max: &'a [u8],
}

/// What the end of a file says of its rows.
#[derive(Debug, Clone)]
pub(crate) struct Outline {
    metadata: ArrowReaderMetadata,
    kind: FileKind,
    key: usize,
}

/// The bytes to read first of a file of this size. With `bloom` its bloom filters are among them.
pub(crate) fn first_read(size: u64, bloom: bool) -> Range<u64> {
    if size <= SMALL {
        return 0..size;
    }
    let blooms = if bloom { size / BLOOM_SHARE } else { 0 };
    size.saturating_sub(FOOTER_BYTES + blooms)..size
}

impl Outline {
    /// The bytes that are missing for [`Outline::open`]: those of a large footer.
    pub(crate) fn missing(parts: &Parts) -> Result<Option<Range<u64>>, CatalogError> {
        let size = parts.object_size();
        let footer = footer(parts)?;
        Ok((!parts.has(&(footer.start..size))).then_some(footer.start..size))
    }

    /// Reads the footer. If all bytes are there, and they are sealed, they are compared with their
    /// sum.
    pub(crate) fn open(parts: &Parts) -> Result<Self, CatalogError> {
        let options = |policy: PageIndexPolicy| {
            let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
            options.with_page_index_policy(policy)
        };
        let load = |policy| contained(|| Ok(ArrowReaderMetadata::load(parts, options(policy))?));
        let mut metadata = load(PageIndexPolicy::Skip)?;
        let columns = metadata.parquet_schema().columns();
        let key = columns
            .iter()
            .position(|column| column.path().string() == "key");
        let key = key.ok_or_else(|| CatalogError::Column {
            column: "key".to_owned(),
            problem: "is missing".to_owned(),
        })?;
        if metadata
            .metadata()
            .row_groups()
            .iter()
            .flat_map(RowGroupMetaData::columns)
            .all(|column| has_page_index(column, parts))
        {
            let options = options(PageIndexPolicy::Optional)
                .with_column_index_mask(ColumnChunkMask::columns([key]));
            metadata = contained(|| Ok(ArrowReaderMetadata::load(parts, options.clone())?))?;
        }
        let entries = metadata
            .metadata()
            .file_metadata()
            .key_value_metadata()
            .map_or(&[][..], Vec::as_slice);
        let kind = if let Some(run) = run_of(entries)? {
            check_schema(metadata.schema(), &schema::compacted_schema())?;
            FileKind::Compacted(run)
        } else {
            check_schema(metadata.schema(), &schema::schema())?;
            let (record, _) = from_file_metadata(entries)?;
            FileKind::Group(Box::new(record))
        };
        if parts.has(&(0..parts.size()))
            && let Some(sum) = recorded_sum(entries)
        {
            seal::check(parts, sum)?;
        }
        Ok(Self {
            metadata,
            kind,
            key,
        })
    }

    /// What the file is.
    pub(crate) const fn kind(&self) -> &FileKind {
        &self.kind
    }

    /// Its row groups, by number.
    pub(crate) fn row_groups(&self) -> Range<usize> {
        0..self.metadata.metadata().num_row_groups()
    }

    fn row_group(&self, row_group: usize) -> &RowGroupMetaData {
        self.metadata.metadata().row_group(row_group)
    }

    /// The bounds of a column in a row group; `None` if the file does not say, or has no value.
    pub(crate) fn bounds(&self, row_group: usize, column: &str) -> Option<Bounds<'_>> {
        let columns = self.row_group(row_group).columns().iter();
        let mut columns = columns.filter(|it| it.column_path().string() == column);
        let statistics = columns.next()?.statistics()?;
        Some(Bounds {
            min: statistics.min_bytes_opt()?,
            max: statistics.max_bytes_opt()?,
        })
    }

    /// The bloom filter of the keys of a row group, if its bytes are there.
    pub(crate) fn bloom_filter(&self, row_group: usize, parts: &Parts) -> Option<KeyFilter> {
        let column = self.row_group(row_group).column(self.key);
        let at = u64::try_from(column.bloom_filter_offset()?).ok()?;
        let length = u64::try_from(column.bloom_filter_length()?).ok()?;
        if !parts.has(&(at..at.checked_add(length)?)) {
            return None;
        }
        // One that cannot be read rules nothing out.
        let read = contained(|| Ok(Sbbf::read_from_column_chunk(column, parts)?));
        read.ok().flatten().map(KeyFilter)
    }

    /// Where the bytes of a row group are.
    pub(crate) fn range(&self, row_group: usize) -> Range<u64> {
        let ranges = self.row_group(row_group).columns().iter().map(|column| {
            let (at, length) = (column.data_page_offset(), column.compressed_size());
            let at = column.dictionary_page_offset().map_or(at, |it| it.min(at));
            let at = u64::try_from(at).unwrap_or(0);
            at..at.saturating_add(u64::try_from(length).unwrap_or(0))
        });
        ranges
            .reduce(|all, one| all.start.min(one.start)..all.end.max(one.end))
            .unwrap_or(0..0)
    }

    /// The rows of a row group whose bytes are there: those of pages that may have a wanted key, and
    /// whose key is wanted.
    pub(crate) fn rows(
        &self,
        row_group: usize,
        parts: Parts,
        may_have: impl Fn(Bounds<'_>) -> bool,
        wants: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<PartialRows<'_>, CatalogError> {
        let selection = self.selection(row_group, may_have);
        let reader = contained(|| {
            let keys = ProjectionMask::leaves(self.metadata.parquet_schema(), [self.key]);
            let wanted = ArrowPredicateFn::new(keys, move |batch: RecordBatch| {
                let keys = batch.column(0).as_string::<i32>();
                let wanted = keys.iter().map(|key| key.is_some_and(&wants));
                Ok(wanted.map(Some).collect::<BooleanArray>())
            });
            let mut builder =
                ParquetRecordBatchReaderBuilder::new_with_metadata(parts, self.metadata.clone())
                    .with_row_groups(vec![row_group])
                    .with_row_filter(RowFilter::new(vec![Box::new(wanted)]))
                    .with_batch_size(batch_rows(self.metadata.metadata()));
            if let Some(selection) = selection {
                builder = builder.with_row_selection(selection);
            }
            Ok(builder.build()?)
        })?;
        Ok(PartialRows {
            outline: self,
            batches: Batches::new(reader),
        })
    }

    /// The rows of the pages that may have a wanted key; `None` if the file does not say.
    fn selection(
        &self,
        row_group: usize,
        may_have: impl Fn(Bounds<'_>) -> bool,
    ) -> Option<RowSelection> {
        let rows = usize::try_from(self.row_group(row_group).num_rows()).ok()?;
        let index = self.metadata.metadata().page_index_for_row_group(row_group);
        let ColumnIndexMetaData::BYTE_ARRAY(bounds) = index.column_index(self.key)? else {
            return None;
        };
        let pages = index.page_locations(self.key)?;
        let starts: Option<Vec<usize>> = pages
            .iter()
            .map(|page| usize::try_from(page.first_row_index).ok())
            .collect();
        let starts = starts?;
        let mut selectors = Vec::with_capacity(starts.len());
        for (page, start) in starts.iter().enumerate() {
            let end = starts.get(page + 1).copied().unwrap_or(rows);
            let length = end.checked_sub(*start)?;
            let wanted = match (bounds.min_value(page), bounds.max_value(page)) {
                (Some(min), Some(max)) => may_have(Bounds { min, max }),
                _ => true,
            };
            selectors.push(if wanted {
                RowSelector::select(length)
            } else {
                RowSelector::skip(length)
            });
        }
        Some(selectors.into())
    }
}

/// Whether the page index of a column is among these bytes.
fn has_page_index(column: &ColumnChunkMetaData, parts: &Parts) -> bool {
    column.offset_index_range().is_some_and(|it| parts.has(&it))
        && column.column_index_range().is_none_or(|it| parts.has(&it))
}

/// A bloom filter of keys.
#[derive(Debug)]
pub(crate) struct KeyFilter(Sbbf);

impl KeyFilter {
    /// Whether a key may be among them.
    pub(crate) fn may_have(&self, key: &str) -> bool {
        self.0.check(key)
    }
}

/// A row of a file, and the group that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupRow {
    pub(crate) group: Option<GroupOf>,
    pub(crate) entry: Entry,
    /// The archive that the row names.
    pub(crate) archive: Option<String>,
}

/// Whose a row of compacted catalogs is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupOf {
    pub(crate) group: GroupName,
    pub(crate) attempt: String,
}

impl GroupOf {
    /// That of a row.
    pub(super) fn read(batch: &Batch, at: usize) -> Result<Self, String> {
        let (group, attempt) = batch.of(at)?;
        Ok(Self {
            group: group.parse().map_err(|error| format!("{error}"))?,
            attempt: attempt.to_owned(),
        })
    }
}

/// Some rows of a file. Blocking.
pub(crate) struct PartialRows<'a> {
    outline: &'a Outline,
    batches: Batches,
}

impl PartialRows<'_> {
    fn next_row(&mut self) -> Result<Option<GroupRow>, CatalogError> {
        let Some((batch, at)) = self.batches.next_row()? else {
            return Ok(None);
        };
        // Not counted: which row it is of the file depends on what was left out.
        let fail = |problem| CatalogError::PartialRow { problem };
        let (entry, archive) = batch.entry(at).map_err(fail)?;
        let group = match &self.outline.kind {
            FileKind::Group(record) => {
                check_archive(&entry, archive.as_deref(), record).map_err(fail)?;
                None
            }
            FileKind::Compacted(_) => Some(GroupOf::read(batch, at).map_err(fail)?),
        };
        Ok(Some(GroupRow {
            group,
            entry,
            archive,
        }))
    }
}

impl Iterator for PartialRows<'_> {
    type Item = Result<GroupRow, CatalogError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_row().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_is_read_at_once_and_a_large_one_from_its_end() {
        assert_eq!(first_read(0, true), 0..0);
        assert_eq!(first_read(SMALL, true), 0..SMALL);
        assert_eq!(first_read(4 << 20, false), (4 << 20) - (64 << 10)..4 << 20);
        assert_eq!(
            first_read(4 << 20, true),
            (4 << 20) - (64 << 10) - (256 << 10)..4 << 20
        );
    }
}
