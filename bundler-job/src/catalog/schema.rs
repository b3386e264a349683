//! The columns of a catalog and how Parquet is to store them.

use std::sync::Arc;

use arrow_array::builder::MapFieldNames;
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{BloomFilterPosition, EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use s3bundler_contract::row::MAX_KEY_BYTES;

/// What the keys of the file metadata begin with.
pub(super) const PREFIX: &str = "s3bundler.";
/// Rows of a row group, at most.
pub(super) const ROW_GROUP_ROWS: usize = 65_536;
/// A row group ends once its rows have this many bytes of text: what the writer holds of it is a
/// fraction of that.
pub(super) const ROW_GROUP_BYTES: usize = 8 << 20;
/// Bytes of a page before compression; a reader holds one of every column.
const PAGE_BYTES: usize = 256 << 10;
/// Bytes of a dictionary, after which a column goes on without one.
const DICTIONARY_BYTES: usize = 128 << 10;
/// Rows of a page of compacted catalogs, at most.
const COMPACTED_PAGE_ROWS: usize = 4096;
/// Chance that a bloom filter sends a reader into a row group in vain; about 10 bits a key.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;
/// Most of a catalog are hashes, which no level makes smaller (levels 1 to 9 differ by 3 %,
/// measured); metadata gains a little.
const ZSTD_LEVEL: i32 = 3;

/// The time zone of timestamps.
pub(super) const UTC: &str = "UTC";

/// Names of the fields inside a map, as the Parquet format's LogicalTypes page has them.
pub(super) fn map_names() -> MapFieldNames {
    MapFieldNames {
        entry: "key_value".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    }
}

/// The value field of a map.
pub(super) fn map_value() -> Field {
    Field::new("value", DataType::Utf8, false)
}

fn map_type() -> DataType {
    let entry = Fields::from(vec![Field::new("key", DataType::Utf8, false), map_value()]);
    DataType::Map(
        Arc::new(Field::new("key_value", DataType::Struct(entry), false)),
        false,
    )
}

/// Columns that catalogs of earlier releases lack. What is derived from such a catalog lacks them,
/// too, so that an index stays what its catalog says.
pub(super) const LATER: [&str; 2] = ["detail", "sha256"];

/// The columns.
pub(super) fn schema() -> Schema {
    let timestamp = DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into()));
    Schema::new(vec![
        Field::new("bucket", DataType::Utf8, false),
        Field::new("key", DataType::Utf8, false),
        Field::new("version_id", DataType::Utf8, true),
        Field::new("version_listed", DataType::Boolean, false),
        Field::new("size", DataType::Int64, true),
        Field::new("last_modified", timestamp, true),
        Field::new("etag", DataType::Utf8, true),
        Field::new("storage_class", DataType::Utf8, true),
        Field::new("outcome", DataType::Utf8, false),
        Field::new("archive", DataType::Utf8, true),
        Field::new("offset", DataType::Int64, true),
        Field::new("length", DataType::Int64, true),
        Field::new("skip", DataType::Int64, true),
        Field::new("md5", DataType::Utf8, true),
        Field::new("checksums", map_type(), false),
        Field::new("headers", map_type(), false),
        Field::new("metadata", map_type(), false),
        Field::new("tags", map_type(), false),
        Field::new("detail", DataType::Utf8, true),
        Field::new("sha256", DataType::Utf8, true),
    ])
}

/// The columns of compacted catalogs: those of a catalog, and the group that a row is of.
pub(super) fn compacted_schema() -> Schema {
    let mut fields: Vec<_> = schema().fields().iter().cloned().collect();
    for column in COMPACTED {
        fields.push(Arc::new(Field::new(column, DataType::Utf8, false)));
    }
    Schema::new(fields)
}

/// Columns that compacted catalogs have more than a catalog: the group of the row, and the attempt at
/// it that won.
pub(super) const COMPACTED: [&str; 2] = ["group", "attempt"];

/// How compacted catalogs are stored: as catalogs, in pages of fewer rows, because a search reads
/// some rows that are beside each other.
pub(super) fn compacted_properties() -> Result<WriterProperties, ParquetError> {
    let properties = properties()?.into_builder();
    Ok(properties
        .set_data_page_row_count_limit(COMPACTED_PAGE_ROWS)
        .build())
}

/// How they are stored. Dictionaries where values repeat; deltas where they rise.
pub(super) fn properties() -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("s3bundler ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_size_limit(PAGE_BYTES)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        // Limits of pages are looked at after so many values: large metadata must not make a page
        // of many MiB.
        .set_write_batch_size(64)
        // Beside the footer, so that a reader of the end of the file has them, too.
        .set_bloom_filter_position(BloomFilterPosition::End)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(MAX_KEY_BYTES))
        .set_column_index_truncate_length(Some(MAX_KEY_BYTES));
    let key = ColumnPath::from("key");
    properties = properties
        .set_column_statistics_enabled(key.clone(), EnabledStatistics::Page)
        .set_column_bloom_filter_enabled(key.clone(), true)
        .set_column_bloom_filter_fpp(key.clone(), BLOOM_FALSE_POSITIVES)
        .set_column_bloom_filter_max_ndv(key, ROW_GROUP_ROWS as u64);
    let stored = [
        ("key", Encoding::DELTA_BYTE_ARRAY),
        ("version_id", Encoding::PLAIN),
        ("size", Encoding::DELTA_BINARY_PACKED),
        ("last_modified", Encoding::DELTA_BINARY_PACKED),
        ("etag", Encoding::PLAIN),
        ("offset", Encoding::DELTA_BINARY_PACKED),
        ("length", Encoding::DELTA_BINARY_PACKED),
        ("skip", Encoding::DELTA_BINARY_PACKED),
        ("md5", Encoding::PLAIN),
    ];
    for (column, encoding) in stored {
        let column = ColumnPath::from(column);
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, encoding);
    }
    Ok(properties.build())
}
