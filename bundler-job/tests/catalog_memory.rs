//! What writing a catalog holds in memory. A process of its own: a peak is of the process.

use s3bundler::catalog::{ArchiveRecord, CatalogWriter, Entry, GroupRecord, Map, Outcome, Place};
use s3bundler_contract::Row;

const ARCHIVE: &str = "archives/aa3c23/src/run.000001-aaaaaaaa.tar";
/// Objects of a group.
const ROWS: u64 = 65_000;
/// Bytes of user metadata that S3 allows an object ("Working with object metadata", S3 user guide).
const METADATA_BYTES: usize = 2048;
/// What the row group at hand may take: its compressed pages, a page of each column, zstd's
/// windows.
const ALLOWED_KIB: u64 = 30 << 10;

#[test]
fn the_writer_holds_a_row_group_and_not_the_group() {
    let file = tempfile::tempfile().expect("scratch");
    let mut state = 1;
    let before = peak_kib();
    let mut writer = CatalogWriter::create(file, ARCHIVE).expect("opens");
    for n in 0..ROWS {
        writer.push(&entry(n, &mut state)).expect("a good row");
    }
    writer.finish(&record()).expect("closes");
    let held = peak_kib() - before;
    assert!(held < ALLOWED_KIB, "{held} KiB");
}

fn entry(n: u64, state: &mut u64) -> Entry {
    Entry {
        row: Row {
            bucket: "src".to_owned(),
            key: format!("logs/2026/11/{n:08}.json.gz"),
            size: Some(10_240),
            version_id: None,
            last_modified: Some("2026-11-22T01:00:00.000Z".to_owned()),
            etag: Some(random(state, 32)),
            storage_class: Some("STANDARD".to_owned()),
        },
        listed_version: false,
        outcome: Outcome::Archived(Place {
            offset: n * 11_264 + 1536,
            length: 10_240,
            skip: 0,
        }),
        md5: Some(random(state, 32)),
        checksums: Map::new(),
        headers: Map::new(),
        metadata: [("random".to_owned(), random(state, METADATA_BYTES))].into(),
        tags: Map::new(),
        detail: None,
        sha256: None,
    }
}

fn record() -> GroupRecord {
    GroupRecord {
        manifest_bucket: "dst".to_owned(),
        manifest_key: "groups/run/run.000001.index".to_owned(),
        manifest_etag: "0123".to_owned(),
        attempt: "aaaaaaaa".to_owned(),
        archive: Some(ArchiveRecord {
            key: ARCHIVE.to_owned(),
            size: ROWS * 11_264 + 1024,
            crc64nvme: 1,
        }),
        storage_class: "STANDARD".to_owned(),
        program: "s3bundler".to_owned(),
        redo: false,
    }
}

/// Letters that no compressor makes much of (xorshift64).
fn random(state: &mut u64, length: usize) -> String {
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    (0..length)
        .map(|_| {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            char::from(letters[usize::try_from(*state >> 58).expect("six bits")])
        })
        .collect()
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .expect("a peak");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("a number")
}
