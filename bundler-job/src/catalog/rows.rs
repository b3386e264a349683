//! From Arrow's columns back to rows.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, BooleanArray, Int64Array, MapArray, RecordBatch, StringArray, TimestampMillisecondArray,
};
use s3bundler_contract::{Reason, Row};

use super::{CatalogError, Entry, Map, Outcome, Place};

/// A batch of rows, its columns found by name and type.
pub(super) struct Batch {
    rows: usize,
    bucket: StringArray,
    key: StringArray,
    version_id: StringArray,
    version_listed: BooleanArray,
    size: Int64Array,
    last_modified: TimestampMillisecondArray,
    etag: StringArray,
    storage_class: StringArray,
    outcome: StringArray,
    archive: StringArray,
    offset: Int64Array,
    length: Int64Array,
    skip: Int64Array,
    md5: StringArray,
    checksums: MapArray,
    headers: MapArray,
    metadata: MapArray,
    tags: MapArray,
    detail: Option<StringArray>,
    sha256: Option<StringArray>,
    /// Group and attempt, of compacted catalogs.
    of: Option<(StringArray, StringArray)>,
}

impl Batch {
    /// The columns of `batch`.
    pub(super) fn new(batch: &RecordBatch) -> Result<Self, CatalogError> {
        let text = |name| column(batch, name, |it| it.as_string_opt::<i32>());
        let number = |name| column(batch, name, |it| it.as_primitive_opt::<Int64Type>());
        let map = |name| column(batch, name, |it| it.as_map_opt());
        Ok(Self {
            rows: batch.num_rows(),
            bucket: text("bucket")?,
            key: text("key")?,
            version_id: text("version_id")?,
            version_listed: column(batch, "version_listed", |it| it.as_boolean_opt())?,
            size: number("size")?,
            last_modified: column(batch, "last_modified", |it| {
                it.as_primitive_opt::<TimestampMillisecondType>()
            })?,
            etag: text("etag")?,
            storage_class: text("storage_class")?,
            outcome: text("outcome")?,
            archive: text("archive")?,
            offset: number("offset")?,
            length: number("length")?,
            skip: number("skip")?,
            md5: text("md5")?,
            checksums: map("checksums")?,
            headers: map("headers")?,
            metadata: map("metadata")?,
            tags: map("tags")?,
            detail: batch
                .column_by_name("detail")
                .map(|_| text("detail"))
                .transpose()?,
            sha256: batch
                .column_by_name("sha256")
                .map(|_| text("sha256"))
                .transpose()?,
            of: match batch.column_by_name("group") {
                Some(_) => Some((text("group")?, text("attempt")?)),
                None => None,
            },
        })
    }

    /// Rows in it.
    pub(super) const fn len(&self) -> usize {
        self.rows
    }

    /// Group and attempt of a row of compacted catalogs.
    pub(super) fn of(&self, at: usize) -> Result<(&str, &str), String> {
        let missing = || "it has no group".to_owned();
        let (group, attempt) = self.of.as_ref().ok_or_else(missing)?;
        if group.is_null(at) || attempt.is_null(at) {
            return Err(missing());
        }
        Ok((group.value(at), attempt.value(at)))
    }

    /// A row and the archive that it names, or what is wrong with it.
    pub(super) fn entry(&self, at: usize) -> Result<(Entry, Option<String>), String> {
        let archive = text(&self.archive, at);
        let outcome = match required(&self.outcome, at, "outcome")?.as_str() {
            "archived" => Outcome::Archived(Place {
                offset: length(&self.offset, at, "offset")?
                    .ok_or("it is archived and has no offset")?,
                length: length(&self.length, at, "length")?
                    .ok_or("it is archived and has no length")?,
                skip: length(&self.skip, at, "skip")?.ok_or("it is archived and has no skip")?,
            }),
            "copied" => Outcome::Copied {
                key: archive.clone().ok_or("it is copied and names no copy")?,
            },
            reason => Outcome::Failed(
                reason
                    .parse::<Reason>()
                    .map_err(|error| format!("its outcome {error}"))?,
            ),
        };
        let row = Row {
            bucket: required(&self.bucket, at, "bucket")?,
            key: required(&self.key, at, "key")?,
            size: length(&self.size, at, "size")?,
            version_id: text(&self.version_id, at),
            last_modified: value(&self.last_modified, at)
                .map(|it| instant(it.value(at)))
                .transpose()?,
            etag: text(&self.etag, at),
            storage_class: text(&self.storage_class, at),
        };
        let entry = Entry {
            row,
            listed_version: value(&self.version_listed, at).is_some_and(|it| it.value(at)),
            outcome,
            md5: text(&self.md5, at),
            checksums: map(&self.checksums, at)?,
            headers: map(&self.headers, at)?,
            metadata: map(&self.metadata, at)?,
            tags: map(&self.tags, at)?,
            detail: self.detail.as_ref().and_then(|detail| text(detail, at)),
            sha256: self.sha256.as_ref().and_then(|sha256| text(sha256, at)),
        };
        Ok((entry, archive))
    }
}

fn column<A: Clone>(
    batch: &RecordBatch,
    name: &'static str,
    cast: impl Fn(&dyn Array) -> Option<&A>,
) -> Result<A, CatalogError> {
    batch
        .column_by_name(name)
        .and_then(|column| cast(column.as_ref()))
        .cloned()
        .ok_or_else(|| CatalogError::Column {
            column: name.to_owned(),
            problem: "is of another type".to_owned(),
        })
}

fn value<A: Array>(column: &A, at: usize) -> Option<&A> {
    column.is_valid(at).then_some(column)
}

fn text(column: &StringArray, at: usize) -> Option<String> {
    value(column, at).map(|it| it.value(at).to_owned())
}

fn required(column: &StringArray, at: usize, what: &str) -> Result<String, String> {
    text(column, at).ok_or_else(|| format!("it has no {what}"))
}

fn length(column: &Int64Array, at: usize, what: &str) -> Result<Option<u64>, String> {
    let Some(column) = value(column, at) else {
        return Ok(None);
    };
    u64::try_from(column.value(at))
        .map(Some)
        .map_err(|_| format!("its {what} is {}", column.value(at)))
}

fn instant(milliseconds: i64) -> Result<String, String> {
    let instant =
        jiff::Timestamp::from_millisecond(milliseconds).map_err(|error| error.to_string())?;
    // As S3 writes it in inventories.
    Ok(format!("{instant:.3}"))
}

fn map(column: &MapArray, at: usize) -> Result<Map, String> {
    let Some(column) = value(column, at) else {
        return Ok(Map::new());
    };
    let entries = column.value(at);
    let (Some(names), Some(values)) = (
        entries
            .columns()
            .first()
            .and_then(|it| it.as_string_opt::<i32>()),
        entries
            .columns()
            .get(1)
            .and_then(|it| it.as_string_opt::<i32>()),
    ) else {
        return Err("one of its maps is not of text".to_owned());
    };
    (0..entries.len())
        .map(|at| {
            Ok((
                required(names, at, "name in a map")?,
                text(values, at).unwrap_or_default(),
            ))
        })
        .collect()
}
