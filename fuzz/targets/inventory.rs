//! Inventories: manifest.json, and data files with and without a sound gzip stream around them.
#![no_main]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use s3bundler::inventory::{Manifest, read_data_file};
use s3bundler_contract::group_manifest::Columns;

const SCHEMA: &str =
    "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass";

fuzz_target!(|bytes: &[u8]| {
    let _ = Manifest::parse(bytes);
    let columns: Columns = SCHEMA.parse().expect("good columns");
    let _ = read_data_file(bytes, &columns, |_| ());
    let mut compressed = GzEncoder::new(Vec::new(), Compression::none());
    compressed
        .write_all(bytes)
        .expect("memory takes everything");
    let compressed = compressed.finish().expect("memory takes everything");
    let mut rows = 0;
    if let Ok(read) = read_data_file(&compressed, &columns, |_| rows += 1) {
        assert_eq!(read, rows);
    }
});
