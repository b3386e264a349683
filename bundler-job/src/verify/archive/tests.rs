//! Archives of every format, whole and damaged, against their catalogs.

use std::io::Write;

use md5::{Digest as _, Md5};
use s3bundler_contract::{Reason, Row};
use sha2::Sha256;

use super::*;
use crate::catalog::{CatalogWriter, GroupRecord, Map};

/// An archive and its rows, as a packer writes them: `in_a_frame` members to each frame.
fn packed(
    format: ArchiveFormat,
    objects: &[(&str, Vec<u8>)],
    in_a_frame: usize,
) -> (Vec<u8>, Vec<Entry>) {
    let (mut archive, mut entries) = (Vec::new(), Vec::new());
    for frame in objects.chunks(in_a_frame) {
        let (mut tar, mut skips) = (Vec::new(), Vec::new());
        for (key, data) in frame {
            let mut header = tar::Header::new_ustar();
            header.set_path(key).expect("a short key");
            header.set_size(data.len() as u64);
            header.set_cksum();
            tar.extend_from_slice(header.as_bytes());
            skips.push(tar.len() as u64);
            tar.extend_from_slice(data);
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
        let frame_at = archive.len() as u64;
        archive.extend(compressed(format, &tar));
        let frame_length = archive.len() as u64 - frame_at;
        for ((key, data), skip) in frame.iter().zip(skips) {
            let length = data.len() as u64;
            entries.push(entry(
                key,
                data,
                match format {
                    ArchiveFormat::Tar => Place {
                        offset: frame_at + skip,
                        length,
                        skip: 0,
                    },
                    _ => Place {
                        offset: frame_at,
                        length: frame_length,
                        skip,
                    },
                },
            ));
        }
    }
    archive.extend(compressed(format, &[0; 1024]));
    (archive, entries)
}

fn compressed(format: ArchiveFormat, bytes: &[u8]) -> Vec<u8> {
    match format {
        ArchiveFormat::Tar => bytes.to_vec(),
        ArchiveFormat::TarGzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("memory");
            encoder.finish().expect("memory")
        }
        ArchiveFormat::TarZstd => zstd::stream::encode_all(bytes, 1).expect("memory"),
    }
}

fn entry(key: &str, data: &[u8], place: Place) -> Entry {
    Entry {
        row: Row {
            bucket: "src".to_owned(),
            key: key.to_owned(),
            size: Some(data.len() as u64),
            ..Row::default()
        },
        listed_version: false,
        outcome: Outcome::Archived(place),
        md5: Some(data_encoding::HEXLOWER.encode(&Md5::digest(data))),
        checksums: Map::new(),
        headers: Map::new(),
        metadata: Map::new(),
        tags: Map::new(),
        detail: None,
        sha256: None,
    }
}

fn objects() -> Vec<(&'static str, Vec<u8>)> {
    // Empty ones, one that fills its block, one larger than any buffer.
    let pattern = |n: usize| {
        (0..n)
            .map(|i| u8::try_from(i * i % 251).expect("small"))
            .collect()
    };
    vec![
        ("a", b"12345".to_vec()),
        ("empty", vec![]),
        ("block", pattern(512)),
        ("large", pattern(700_001)),
        ("b", pattern(513)),
        ("empty too", vec![]),
    ]
}

fn read(format: ArchiveFormat, archive: &[u8], entries: &[Entry]) -> (Vec<String>, u64) {
    read_as(format, archive, entries, archive)
}

/// Compares `archive` with the catalog of `was`, which it was when it was packed.
fn read_as(
    format: ArchiveFormat,
    archive: &[u8],
    entries: &[Entry],
    was: &[u8],
) -> (Vec<String>, u64) {
    let record = ArchiveRecord {
        key: format!("archives/src/run.000000-aaaaaaaa.{format}"),
        size: was.len() as u64,
        crc64nvme: crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, was),
    };
    let scratch = tempfile::tempfile().expect("scratch");
    let mut writer = CatalogWriter::create(scratch, &record.key).expect("opens");
    for entry in entries {
        writer.push(entry).expect("a good row");
    }
    let group = GroupRecord {
        manifest_bucket: "dst".to_owned(),
        manifest_key: "groups/run/run.000000.index".to_owned(),
        manifest_etag: "e".to_owned(),
        attempt: "aaaaaaaa".to_owned(),
        archive: Some(record.clone()),
        storage_class: "STANDARD".to_owned(),
        program: "test".to_owned(),
        redo: false,
    };
    let catalog = Catalog::open(writer.finish(&group).expect("closes")).expect("opens");
    let address = S3Address::new("dst", "x");
    let reading =
        compare(&catalog, &record, &address, archive, |_| ()).expect("memory does not fail");
    let short = |finding: &Finding| match finding {
        Finding::WrongMember {
            source, problem, ..
        } => format!("{}: {problem}", source.key),
        Finding::DamagedArchive { at, problem, .. } => format!("tar: {problem} at {at}"),
        Finding::UnknownMember { at, .. } => format!("unknown at {at}"),
        Finding::WrongChecksum { .. } => "checksum".to_owned(),
        other => other.to_string(),
    };
    (
        reading.findings.iter().map(short).collect(),
        reading.members,
    )
}

#[test]
fn whole_archives_of_every_format_have_nothing_to_find() {
    for format in ArchiveFormat::ALL {
        for in_a_frame in [1, 2, 100] {
            let (archive, mut entries) = packed(format, &objects(), in_a_frame);
            let mut failed = entry(
                "gone",
                b"",
                Place {
                    offset: 0,
                    length: 0,
                    skip: 0,
                },
            );
            failed.outcome = Outcome::Failed(Reason::NoSuchKey);
            entries.insert(1, failed);
            assert_eq!(
                read(format, &archive, &entries),
                (vec![], 6),
                "{format} by {in_a_frame}"
            );
        }
    }
}

#[test]
fn a_changed_byte_of_an_object_is_found() {
    let (mut archive, entries) = packed(ArchiveFormat::Tar, &objects(), 100);
    let was = archive.clone();
    archive[512 + 2] = b'x';
    let (findings, members) = read_as(ArchiveFormat::Tar, &archive, &entries, &was);
    let found = data_encoding::HEXLOWER.encode(&Md5::digest(b"12x45"));
    let expected = format!(
        "a: its bytes have the MD5 {found}, the catalog's is 827ccb0eea8a706c4c34a16891f84e7b"
    );
    assert_eq!(
        (findings, members),
        (vec![expected, "checksum".to_owned()], 5)
    );
}

#[test]
fn a_sha256_in_the_catalog_is_compared() {
    for format in ArchiveFormat::ALL {
        let (archive, mut entries) = packed(format, &objects(), 2);
        for (entry, (_, data)) in entries.iter_mut().zip(objects()) {
            entry.sha256 = Some(data_encoding::HEXLOWER.encode(&Sha256::digest(&data)));
        }
        assert_eq!(read(format, &archive, &entries), (vec![], 6), "{format}");
        // Of the empty one, and of one of many buffers.
        for (wrong, key) in [(1, "empty"), (3, "large")] {
            let mut entries = entries.clone();
            let right = entries[wrong]
                .sha256
                .replace("0".repeat(64))
                .expect("a digest");
            let expected = format!(
                "{key}: its bytes have the SHA-256 {right}, the catalog's is {}",
                "0".repeat(64)
            );
            assert_eq!(
                read(format, &archive, &entries),
                (vec![expected], 5),
                "{format}"
            );
        }
    }
}

#[test]
fn a_damaged_header_does_not_hide_which_objects_are_intact() {
    let (mut archive, entries) = packed(ArchiveFormat::Tar, &objects(), 100);
    let was = archive.clone();
    archive[1024] = b'x';
    let (findings, members) = read_as(ArchiveFormat::Tar, &archive, &entries, &was);
    assert_eq!(
        findings,
        ["tar: a header's checksum is wrong at 1536", "checksum"]
    );
    assert_eq!(members, 6);
}

#[test]
fn a_damaged_frame_costs_its_own_objects_only() {
    for format in [ArchiveFormat::TarGzip, ArchiveFormat::TarZstd] {
        let (mut archive, entries) = packed(format, &objects(), 2);
        let was = archive.clone();
        archive[8] ^= 0xff;
        archive[12] ^= 0xff;
        let (findings, members) = read_as(format, &archive, &entries, &was);
        assert_eq!(members, 4, "{findings:?}");
        let about: Vec<_> = findings
            .iter()
            .map(|it| it.split(':').next().unwrap_or_default())
            .collect();
        assert!(
            about.contains(&"tar") && about.contains(&"a") && about.contains(&"checksum"),
            "{findings:?}"
        );
        assert!(
            !about.contains(&"large") && !about.contains(&"b"),
            "{findings:?}"
        );
    }
}

#[test]
fn a_catalog_that_points_elsewhere_is_found() {
    let (archive, entries) = packed(ArchiveFormat::Tar, &objects(), 100);
    let changed = |n: usize, place: Place| {
        let mut entries = entries.clone();
        entries[n].outcome = Outcome::Archived(place);
        read(ArchiveFormat::Tar, &archive, &entries).0
    };
    let place = |offset| Place {
        offset,
        length: 5,
        skip: 0,
    };
    let a = "827ccb0eea8a706c4c34a16891f84e7b";
    let zeros = data_encoding::HEXLOWER.encode(&Md5::digest([0; 5]));
    assert_eq!(
        changed(0, place(517)),
        [
            "unknown at 512".to_owned(),
            "a: no member of the tar begins at byte 517".to_owned(),
            format!("a: its bytes have the MD5 {zeros}, the catalog's is {a}"),
        ]
    );
    let findings = changed(1, place(512));
    assert_eq!(
        findings,
        [
            "empty: its bytes begin inside those of an earlier row",
            "unknown at 1536"
        ]
    );
    let mut fewer = entries.clone();
    fewer.remove(3);
    let (findings, members) = read(ArchiveFormat::Tar, &archive, &fewer);
    assert_eq!((findings, members), (vec!["unknown at 3072".to_owned()], 5));
}

#[test]
fn frames_that_the_catalog_contradicts_are_found() {
    let format = ArchiveFormat::TarZstd;
    let (archive, entries) = packed(format, &objects(), 2);
    let mut skipped = entries.clone();
    if let Outcome::Archived(place) = &mut skipped[1].outcome {
        place.skip = 1 << 40;
    }
    let (findings, members) = read(format, &archive, &skipped);
    assert_eq!(
        (findings.as_slice(), members),
        (
            &[
                "empty: its byte range ends before its last byte".to_owned(),
                "unknown at 1536".to_owned()
            ][..],
            5
        )
    );
    let mut shifted = entries;
    if let Outcome::Archived(place) = &mut shifted[2].outcome {
        place.offset += 1;
        place.length -= 1;
    }
    let (findings, members) = read(format, &archive, &shifted);
    assert!(findings[0].starts_with("tar: bytes "), "{findings:?}");
    assert!(
        findings.contains(&"block: its byte range ends before its last byte".to_owned()),
        "{findings:?}"
    );
    assert!(
        findings.contains(&"large: its byte range begins inside that of an earlier row".to_owned()),
        "{findings:?}"
    );
    assert_eq!(members, 4, "{findings:?}");
}

#[test]
fn a_tar_cut_short_is_found() {
    for format in ArchiveFormat::ALL {
        let (archive, entries) = packed(format, &objects(), 1);
        let (findings, members) = read_as(format, &archive[..600], &entries, &archive);
        assert!(members <= 3, "{format} {findings:?}");
        assert!(
            findings.iter().any(|it| it.starts_with("tar: ")),
            "{format} {findings:?}"
        );
        assert!(
            findings.contains(&"large: its byte range ends before its last byte".to_owned()),
            "{format} {findings:?}"
        );
    }
}

#[test]
fn a_source_that_fails_is_no_damage() {
    struct Broken<'a>(&'a [u8]);
    impl Read for Broken<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::ErrorKind::ConnectionReset.into()),
                n => Ok(n),
            }
        }
    }
    for format in ArchiveFormat::ALL {
        let (archive, entries) = packed(format, &objects(), 2);
        let record = ArchiveRecord {
            key: format!("x.{format}"),
            size: archive.len() as u64,
            crc64nvme: 0,
        };
        let mut writer = CatalogWriter::create(tempfile::tempfile().expect("scratch"), &record.key)
            .expect("opens");
        for entry in &entries {
            writer.push(entry).expect("a good row");
        }
        let group = GroupRecord {
            manifest_bucket: String::new(),
            manifest_key: String::new(),
            manifest_etag: String::new(),
            attempt: String::new(),
            archive: Some(record.clone()),
            storage_class: String::new(),
            program: String::new(),
            redo: false,
        };
        let catalog = Catalog::open(writer.finish(&group).expect("closes")).expect("opens");
        for cut in [0, archive.len() / 3, archive.len() - 1] {
            let read = compare(
                &catalog,
                &record,
                &S3Address::new("dst", "x"),
                Broken(&archive[..cut]),
                |_| (),
            );
            assert!(
                matches!(read, Err(ReadingError::Source(_))),
                "{format} {cut}"
            );
        }
    }
}
