//! Catalogs written, read back, damaged and derived from.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;
use s3bundler_contract::group_manifest::Columns;
use s3bundler_contract::{Reason, Row};

use super::*;

mod partial;

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
        redo: false,
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
        detail: None,
        sha256: None,
    }
}

fn write(entries: &[Entry]) -> File {
    write_as(schema::properties().expect("properties"), entries)
}

fn write_as(properties: WriterProperties, entries: &[Entry]) -> File {
    let archived = entries
        .iter()
        .any(|entry| matches!(entry.outcome, Outcome::Archived(_)));
    let file = tempfile::tempfile().expect("scratch");
    let mut writer = CatalogWriter::with_properties(file, ARCHIVE, properties).expect("opens");
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

fn text_of(derived: &DerivedFile) -> String {
    (&*derived.file).rewind().expect("scratch");
    String::from_utf8(bytes(derived.file.try_clone().expect("scratch"))).expect("UTF-8")
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("scratch");
    file.write_all(bytes).expect("scratch");
    file.seek(SeekFrom::Start(0)).expect("scratch");
    file
}

fn archived(n: u64) -> Outcome {
    Outcome::Archived(Place {
        offset: n * 11_264 + 512,
        length: 10_240,
        skip: 0,
    })
}

/// The next of a sequence of well-mixed numbers (splitmix64), so that tests are the same every
/// time.
fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn hex(state: &mut u64, words: usize) -> String {
    let bytes: Vec<u8> = (0..words)
        .flat_map(|_| mixed(state).to_be_bytes())
        .collect();
    data_encoding::HEXLOWER.encode(&bytes)
}

/// What most groups look like: dated keys, sizes about 10 KiB one after the other, ETags that are
/// the MD5, a few kinds of content.
fn typical(n: u64, state: &mut u64) -> Entry {
    let (day, host, file) = (n / 2500, n / 50, mixed(state) >> 16);
    let size = 5_000 + mixed(state) % 10_000;
    // Headers and padding, as in a tar.
    let offset = n * 11_264 + 512 * (mixed(state) % 16);
    let mut entry = entry(
        &format!("logs/2026/11/{day:02}/host-{host:04}/{file:012x}.json.gz"),
        Outcome::Archived(Place {
            offset,
            length: size,
            skip: 0,
        }),
    );
    entry.row.size = Some(size);
    let (hour, minute, second) = (n / 105 % 24, n / 2 % 60, mixed(state) % 60);
    entry.row.last_modified = Some(format!(
        "2026-11-{:02}T{hour:02}:{minute:02}:{second:02}.000Z",
        1 + day
    ));
    let md5 = hex(state, 2);
    entry.row.etag = Some(md5.clone());
    entry.md5 = Some(md5);
    let kind = if n.is_multiple_of(10) {
        "text/plain"
    } else {
        "application/json"
    };
    entry.headers = [("content-type".to_owned(), kind.to_owned())].into();
    entry
}

#[test]
fn a_row_of_a_typical_catalog_takes_few_bytes() {
    let mut state = 1;
    let mut entries: Vec<_> = (0..65_000).map(|n| typical(n, &mut state)).collect();
    let unversioned = bytes(write(&entries)).len() / entries.len();
    for entry in &mut entries {
        // As random as S3's are: 24 bytes in base 64.
        let id: Vec<u8> = (0..3)
            .flat_map(|_| mixed(&mut state).to_be_bytes())
            .collect();
        entry.row.version_id = Some(data_encoding::BASE64URL_NOPAD.encode(&id));
        entry.listed_version = true;
    }
    let versioned = bytes(write(&entries)).len() / entries.len();
    println!("{unversioned} bytes a row, {versioned} with versions");
    // The two hashes are 32 of them, a version 24.
    assert!(
        unversioned <= 60 && versioned <= 88,
        "{unversioned}, {versioned}"
    );
}

#[test]
fn a_catalog_of_nothing_is_small_and_reads_back() {
    let file = write(&[]);
    assert_eq!(read(file).expect("reads back"), []);
    let one = bytes(write(&[entry("k", archived(0))]));
    println!("{} bytes for a row", one.len());
    assert!(one.len() < 10_000, "{} bytes", one.len());
}

#[test]
fn catalogs_end_row_groups_and_batches_without_losing_a_row() {
    let mut state = 7;
    let entries: Vec<_> = (0..3_000)
        .map(|n| {
            let mut entry = typical(n, &mut state);
            // 12 MiB in all: several batches, two row groups.
            entry
                .metadata
                .insert("long".to_owned(), hex(&mut state, 256));
            entry
        })
        .collect();
    let catalog = Catalog::open(write(&entries)).expect("opens");
    let mut both = catalog
        .entries()
        .expect("rows")
        .zip(catalog.entries().expect("rows again"));
    for expected in &entries {
        let (one, other) = both.next().expect("a row");
        assert_eq!(&one.expect("reads"), expected);
        assert_eq!(&other.expect("reads beside it"), expected);
    }
    assert!(both.next().is_none());
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let mut state = 3;
    let entries: Vec<_> = (0..2_000).map(|n| typical(n, &mut state)).collect();
    assert!(bytes(write(&entries)) == bytes(write(&entries)));
}

#[test]
fn the_record_and_the_totals_read_back() {
    let entries = [
        entry("a", archived(0)),
        entry(
            "b",
            Outcome::Copied {
                key: "p/objects/b~0".to_owned(),
            },
        ),
        entry("c", Outcome::Failed(Reason::Retry)),
        entry("d", Outcome::Failed(Reason::NoSuchKey)),
        entry("e", Outcome::Failed(Reason::Retry)),
    ];
    let catalog = Catalog::open(write(&entries)).expect("opens");
    assert_eq!(catalog.record(), &record(true));
    let receipt = catalog.totals().receipt(
        &"run".parse().expect("a name"),
        "run.000001".parse().expect("a name"),
    );
    assert_eq!(
        receipt.name(),
        "run.000001~a1~c1~f3~b10240~bc10240~bf30720~Retry2~NoSuchKey1"
    );
    let catalog = Catalog::open(write(&entries[1..])).expect("opens");
    assert_eq!(catalog.record().archive, None);
}

#[test]
fn what_the_get_returned_does_not_change_the_digest() {
    let mut listed = entry("a", archived(0));
    listed.row.version_id = Some("v".to_owned());
    let unlisted = listed.clone();
    listed.listed_version = true;
    let digest = |entry: &Entry| {
        Catalog::open(write(std::slice::from_ref(entry)))
            .expect("opens")
            .totals()
            .digest
    };
    assert_eq!(digest(&unlisted), digest(&entry("a", archived(0))));
    assert_ne!(digest(&listed), digest(&unlisted));
    assert_eq!(
        read(write(&[listed.clone(), unlisted.clone()])).expect("reads back"),
        [listed, unlisted]
    );
}

#[test]
fn rows_that_contradict_the_archive_are_refused() {
    let place = |offset, length| {
        Outcome::Archived(Place {
            offset,
            length,
            skip: 0,
        })
    };
    let size = u64::from(u32::MAX) * 4;
    for outside in [
        place(size, 1),
        place(0, size + 1),
        place(size - 1, 2),
        place(i64::MAX as u64, i64::MAX as u64),
    ] {
        let error =
            read(write(&[entry("a", archived(0)), entry("b", outside)])).expect_err("outside");
        assert!(
            error.to_string().starts_with("row 1 of the catalog: "),
            "{error}"
        );
    }
    let mut writer =
        CatalogWriter::create(tempfile::tempfile().expect("scratch"), ARCHIVE).expect("opens");
    let error = writer
        .push(&entry("a", place(u64::MAX, 1)))
        .expect_err("no offset of S3");
    assert!(matches!(error, CatalogError::Row { row: 0, .. }), "{error}");
    writer.push(&entry("a", archived(0))).expect("a good row");
    assert!(
        matches!(
            writer.finish(&record(false)),
            Err(CatalogError::Metadata { .. })
        ),
        "a record without its archive"
    );
}

#[test]
fn sizes_and_dates_that_no_object_has_are_left_out() {
    let mut odd = entry("a", Outcome::Failed(Reason::Invalid));
    odd.row.size = Some(u64::MAX);
    odd.row.last_modified = Some("yesterday".to_owned());
    let file = write(std::slice::from_ref(&odd));
    let back = read(file).expect("reads back");
    assert_eq!(
        (back[0].row.size, &back[0].row.last_modified),
        (None, &None)
    );
}

#[test]
fn other_files_are_refused_with_the_cause() {
    let good = bytes(write(&[entry("a", archived(0))]));
    let mut later = good.clone();
    let at = later
        .windows(17)
        .position(|it| it == b"s3bundler.format\x18")
        .expect("the format's key")
        + 18;
    assert_eq!(later[at], b'1');
    later[at] = b'3';
    for (bytes, message) in [
        (&b""[..], "shorter than any Parquet file"),
        (b"bucket,key,size\n", "does not end as a Parquet file does"),
        (
            &good[..good.len() - 1],
            "does not end as a Parquet file does",
        ),
        (b"PAR1\xff\xff\xff\x7fPAR1", "footer is longer"),
        (
            &later,
            "the catalog's format is 3; this release reads formats 1 and 2",
        ),
    ] {
        let error = Catalog::open(file_of(bytes))
            .expect_err(message)
            .to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn dead_letters_and_index_follow_from_the_catalog_alone() {
    let mut gone = entry("gone, \"twice\"", Outcome::Failed(Reason::NoSuchKey));
    gone.row.version_id = Some("v".to_owned());
    gone.detail = Some("NoSuchVersion".to_owned());
    let mut listed = gone.clone();
    listed.listed_version = true;
    listed.detail = None;
    let entries = [entry("a", archived(0)), gone, listed];
    let catalog = Catalog::open(write(&entries)).expect("opens");
    let scratch = tempfile::tempdir().expect("scratch");
    let mut seen = 0;
    let derived = derive(&catalog, scratch.path(), |_| seen += 1).expect("derives");
    assert_eq!(seen, 3);
    let index = derived.index.as_ref().expect("an index");
    let text = text_of(index);
    assert_eq!((text.lines().count(), text.len() as u64), (4, index.size));
    assert_eq!(
        crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, text.as_bytes()),
        index.crc64nvme
    );
    let dead = derived.dead_letters.as_ref().expect("dead letters");
    let text = text_of(dead);
    assert_eq!(
        text,
        "src,\"gone, \"\"twice\"\"\",10240,,2026-11-22T01:00:00.000Z,,STANDARD,NoSuchKey,NoSuchVersion\n\
         src,\"gone, \"\"twice\"\"\",10240,v,2026-11-22T01:00:00.000Z,,STANDARD,NoSuchKey,\n"
    );
    assert_eq!(derived.dead_letter_columns, Columns::dead_letters());
    drop(derived);
    assert_eq!(
        std::fs::read_dir(scratch.path()).expect("scratch").count(),
        0,
        "nothing stays behind"
    );
    let clean = derive(
        &Catalog::open(write(&entries[..1])).expect("opens"),
        scratch.path(),
        |_| (),
    )
    .expect("derives");
    assert!(clean.dead_letters.is_none());
    let failed = derive(
        &Catalog::open(write(&entries[1..])).expect("opens"),
        scratch.path(),
        |_| (),
    )
    .expect("derives");
    assert!(failed.index.is_none());
}

/// A row of every kind, with everything that a row can hold.
fn golden() -> Vec<Entry> {
    let map = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    };
    let mut all = entry("a/ä b+c%2F,\"quoted\"\n\u{7}", archived(0));
    all.row.version_id = Some("3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY".to_owned());
    all.row.etag = Some("9b2cf535f27731c974343645a3985328".to_owned());
    all.listed_version = true;
    all.md5 = all.row.etag.clone();
    all.checksums = map(&[
        ("crc64nvme", "rosUhgp5mIg="),
        ("sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
    ]);
    all.headers = map(&[
        ("cache-control", "no-cache"),
        ("content-type", "application/json"),
    ]);
    all.metadata = map(&[("camera", "Ünïcode, \"quoted\""), ("empty", "")]);
    all.tags = map(&[("project", "a=b,c"), ("team", "")]);
    let mut bare = entry(
        "b",
        Outcome::Archived(Place {
            offset: 20_480,
            length: 4_000,
            skip: 512,
        }),
    );
    (
        bare.row.size,
        bare.row.last_modified,
        bare.row.storage_class,
    ) = (Some(0), None, None);
    bare.md5 = Some("d41d8cd98f00b204e9800998ecf8427e".to_owned());
    let mut found = entry(
        "b",
        Outcome::Copied {
            key: "p/objects/92eb5f/src/b~0b5a1b2c".to_owned(),
        },
    );
    found.row.version_id = Some("null".to_owned());
    let failed = Reason::ALL.iter().map(|reason| {
        let mut failed = entry(&format!("f, {reason}"), Outcome::Failed(*reason));
        failed.row.size = (*reason != Reason::Invalid).then_some(7);
        failed
    });
    [all, bare, found].into_iter().chain(failed).collect()
}

/// Catalogs are never written again, and `verify` compares indexes with what it derives: neither
/// may ever change.
#[test]
fn what_format_1_wrote_stays_readable_and_derives_the_same_bytes() {
    let file = file_of(include_bytes!("../../tests/golden/format-1.parquet"));
    let catalog = Catalog::open(file).expect("opens");
    assert_eq!(catalog.record(), &record(true));
    let entries: Vec<_> = catalog
        .entries()
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("reads");
    assert_eq!(entries, golden());
    let scratch = tempfile::tempdir().expect("scratch");
    let derived = derive(&catalog, scratch.path(), |_| ()).expect("derives");
    let text = |file: Option<DerivedFile>| text_of(&file.expect("derived"));
    assert_eq!(
        derived.dead_letter_columns,
        Columns::dead_letters_without_detail()
    );
    assert_eq!(
        text(derived.index),
        include_str!("../../tests/golden/format-1.index")
    );
    assert_eq!(
        text(derived.dead_letters),
        include_str!("../../tests/golden/format-1.index.dlq")
    );
    assert_eq!(
        catalog.totals(),
        Catalog::open(write(&golden())).expect("opens").totals()
    );
}

/// Every row and all of the record, or why they cannot be read.
fn everything(bytes: &[u8]) -> Result<(GroupRecord, Totals, Vec<Entry>, bool), CatalogError> {
    let catalog = Catalog::open(file_of(bytes))?;
    let entries = catalog.entries()?.collect::<Result<_, _>>()?;
    Ok((
        catalog.record().clone(),
        catalog.totals().clone(),
        entries,
        catalog.is_sealed(),
    ))
}

/// One bit in every seventh byte: every bit of a byte has its turn.
#[test]
fn a_flipped_bit_anywhere_in_a_catalog_is_reported() {
    let good = bytes(write(&golden()));
    let (record, totals, entries, is_sealed) = everything(&good).expect("whole");
    assert!(is_sealed);
    let mut unsealed = 0;
    for at in (0..good.len()).step_by(7) {
        let mut damaged = good.clone();
        damaged[at] ^= 1 << (at % 8);
        match everything(&damaged) {
            Err(_) => {}
            // In the key of the sum: it is like a catalog of an earlier release, and all else is as
            // it was.
            Ok(found) => {
                assert_eq!(
                    found,
                    (record.clone(), totals.clone(), entries.clone(), false),
                    "byte {at}"
                );
                unsealed += 1;
            }
        }
    }
    assert!(unsealed <= "s3bundler.crc64nvme".len(), "{unsealed}");
}

#[test]
fn a_catalog_of_an_earlier_release_is_not_sealed() {
    let (.., is_sealed) =
        everything(include_bytes!("../../tests/golden/format-1.parquet")).expect("whole");
    assert!(!is_sealed);
}

/// The bytes of a catalog before they are sealed.
fn unsealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let key = b"s3bundler.crc64nvme";
    let at = bytes
        .windows(key.len())
        .rposition(|window| window == key)
        .expect("the key")
        + key.len()
        + 2;
    bytes[at..at + seal::UNSEALED.len()].copy_from_slice(seal::UNSEALED.as_bytes());
    bytes
}

/// The first cells of the table under a heading of docs/formats.md.
fn documented(heading: &str) -> Vec<String> {
    let text = include_str!("../../../docs/formats.md");
    let section = text
        .split("\n## ")
        .find(|section| section.starts_with(heading))
        .expect("the heading is there");
    let rows = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}

#[test]
fn the_documentation_has_every_column_and_no_other() {
    let columns: Vec<_> = schema::schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    let mut catalog = documented("Catalog");
    let metadata = catalog.split_off(columns.len());
    assert_eq!(catalog, columns);
    let written = record::to_file_metadata(
        &record(true),
        Catalog::open(write(&golden())).expect("opens").totals(),
    );
    let written: Vec<_> = written
        .into_iter()
        .map(|it| it.key)
        .filter(|key| !key.starts_with("s3bundler.failed."))
        .collect();
    assert_eq!(
        metadata,
        [written, vec!["s3bundler.failed.<Reason>".to_owned()]].concat()
    );
    assert_eq!(documented("Index"), s3bundler_contract::index::COLUMNS);
    let compacted = documented("Compacted catalogs");
    assert_eq!(compacted[..2], schema::COMPACTED);
}

fn any_map() -> impl Strategy<Value = Map> {
    proptest::collection::btree_map("[a-z-]{1,8}", "\\PC{0,12}|[\n\0\",]{1,4}", 0..3)
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => (0..1_u64 << 33, 0..1_u64 << 33, 0..1_u64 << 20)
            .prop_map(|(offset, length, skip)| Outcome::Archived(Place { offset, length, skip })),
        1 => "\\PC{1,40}".prop_map(|key| Outcome::Copied { key }),
        1 => proptest::sample::select(Reason::ALL).prop_map(Outcome::Failed),
    ]
}

prop_compose! {
    fn any_entry()(
        key in "\\PC{1,60}|[\n\r\0\",%+ /]{1,9}",
        size in proptest::option::of(0..1_u64 << 45),
        version_id in proptest::option::of("[A-Za-z0-9._-]{1,32}|null"),
        listed_version in any::<bool>(),
        seconds in proptest::option::of(0..4_000_000_000_i64),
        etag in proptest::option::of("[0-9a-f]{32}(-[0-9]{1,3})?"),
        class in proptest::option::of("STANDARD|GLACIER_IR"),
        md5 in proptest::option::of("[0-9a-f]{32}"),
        sha256 in proptest::option::of("[0-9a-f]{64}"),
        detail in proptest::option::of("[A-Za-z0-9. ]{1,20}"),
        outcome in any_outcome(),
        (checksums, headers, metadata, tags) in (any_map(), any_map(), any_map(), any_map()),
    ) -> Entry {
        let last_modified =
            seconds.map(|it| format!("{:.3}", jiff::Timestamp::from_second(it).expect("of this \
                century")));
        let row =
            Row { bucket: "src".to_owned(), key, size, version_id, last_modified, etag, storage_class: class };
        Entry { row, listed_version, outcome, md5, checksums, headers, metadata, tags, detail, sha256 }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_row_reads_back(entries in proptest::collection::vec(any_entry(), 0..20)) {
        prop_assert_eq!(read(write(&entries)).expect("reads back"), entries);
    }

    #[test]
    fn a_damaged_catalog_reads_or_fails_without_panic(
        entries in proptest::collection::vec(any_entry(), 1..6),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
        plain in any::<bool>(),
    ) {
        let mut properties = schema::properties().expect("properties").into_builder();
        if plain {
            // So that the damage reaches levels, dictionaries and deltas, and not only zstd.
            properties = properties.set_compression(Compression::UNCOMPRESSED);
        }
        let mut bytes = unsealed(bytes(write_as(properties.build(), &entries)));
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            let from = cut.index(bytes.len() - 8);
            // Without its middle but with its end, so that the footer is still found.
            bytes.drain(from / 2..from);
        }
        let file = file_of(&bytes);
        // So that the damage is not seen at once.
        let _ = seal::seal(&file);
        let _ = read(file);
    }
}
