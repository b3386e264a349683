//! Catalogs written, read back, damaged and derived from.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use proptest::prelude::*;
use s3bundler_contract::{Reason, Row};

use super::*;

const ARCHIVE: &str = "p/archives/aa3c23/src/run.000001-aaaaaaaa.tar";

fn record(archive: bool) -> GroupRecord {
    GroupRecord {
        manifest_bucket: "dst".to_owned(),
        manifest_key: "p/groups/run/run.000001.index".to_owned(),
        manifest_etag: "0123".to_owned(),
        attempt: "aaaaaaaa".to_owned(),
        archive: archive.then(|| ArchiveRecord {
            key: ARCHIVE.to_owned(),
            size: u64::from(u32::MAX) * 4,
            crc64nvme: 0xae8b_1486_0a79_9888,
        }),
        storage_class: "DEEP_ARCHIVE".to_owned(),
        program: "s3bundler 0.1.0".to_owned(),
    }
}

fn entry(key: &str, outcome: Outcome) -> Entry {
    Entry {
        row: Row {
            bucket: "src".to_owned(),
            key: key.to_owned(),
            size: Some(10_240),
            version_id: None,
            last_modified: Some("2026-11-22T01:00:00.000Z".to_owned()),
            etag: None,
            storage_class: Some("STANDARD".to_owned()),
        },
        listed_version: false,
        outcome,
        md5: None,
        checksums: Map::new(),
        headers: Map::new(),
        metadata: Map::new(),
        tags: Map::new(),
    }
}

fn write(entries: &[Entry]) -> File {
    let archived = entries.iter().any(|entry| matches!(entry.outcome, Outcome::Archived(_)));
    let file = tempfile::tempfile().expect("scratch");
    let mut writer = CatalogWriter::create(file, ARCHIVE).expect("opens");
    for entry in entries {
        writer.push(entry).expect("a good row");
    }
    writer.finish(&record(archived)).expect("closes")
}

fn read(file: File) -> Result<Vec<Entry>, CatalogError> {
    Catalog::open(file)?.entries()?.collect()
}

fn bytes(mut file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut bytes).expect("scratch");
    bytes
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("scratch");
    file.write_all(bytes).expect("scratch");
    file.seek(SeekFrom::Start(0)).expect("scratch");
    file
}

fn archived(n: u64) -> Outcome {
    Outcome::Archived(Place { offset: n * 11_264 + 512, length: 10_240, skip: 0 })
}

/// The next of a sequence of well-mixed numbers (splitmix64), so that tests are the same every time.
fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn hex(state: &mut u64, words: usize) -> String {
    (0..words).map(|_| format!("{:016x}", mixed(state))).collect()
}

/// What most groups look like: dated keys, sizes about 10 KiB, ETags that are the MD5.
fn typical(n: u64, state: &mut u64) -> Entry {
    let mut entry = entry(
        &format!("logs/2026/11/{:02}/host-{:04}/{:012x}.json.gz", n / 2500, n / 50, mixed(state) >> 16),
        archived(n),
    );
    let size = 5_000 + mixed(state) % 10_000;
    entry.outcome = Outcome::Archived(Place { offset: n * 16_384 + 512, length: size, skip: 0 });
    entry.row.size = Some(size);
    entry.row.last_modified = Some(format!(
        "2026-11-{:02}T{:02}:{:02}:{:02}.000Z",
        1 + n / 2500,
        n / 105 % 24,
        n / 2 % 60,
        mixed(state) % 60
    ));
    let md5 = hex(state, 2);
    entry.row.etag = Some(md5.clone());
    entry.md5 = Some(md5);
    entry
}

#[test]
fn a_row_of_a_typical_catalog_takes_few_bytes() {
    let mut state = 1;
    let entries: Vec<_> = (0..65_000).map(|n| typical(n, &mut state)).collect();
    let start = std::time::Instant::now();
    let size = bytes(write(&entries)).len();
    println!("{} bytes, {} a row, {:?}", size, size / 65_000, start.elapsed());
    assert!(size / 65_000 <= 88, "{size} bytes");
}

#[test]
fn the_writer_holds_a_row_group_and_not_the_group() {
    let rss = || -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("a peak");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    };
    let mut state = 1;
    let before = rss();
    let mut writer = CatalogWriter::create(tempfile::tempfile().expect("scratch"), ARCHIVE).expect("opens");
    for n in 0..65_000 {
        let mut entry = typical(n, &mut state);
        entry.metadata.insert("random".to_owned(), hex(&mut state, 128));
        writer.push(&entry).expect("a good row");
    }
    writer.finish(&record(true)).expect("closes");
    println!("{} KiB", rss() - before);
    assert!(rss() - before < 30 << 10, "{} KiB", rss() - before);
}

#[test]
fn a_catalog_of_nothing_is_small_and_reads_back() {
    let file = write(&[]);
    assert_eq!(read(file).expect("reads back"), []);
    let one = bytes(write(&[entry("k", archived(0))]));
    println!("{} bytes for a row", one.len());
    assert!(one.len() < 10_000, "{} bytes", one.len());
}
