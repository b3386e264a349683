//! Archives read back by independent readers, and every catalog row by the range it names.

use std::io::{Read as _, Seek as _, Write as _};

use crc_fast::CrcAlgorithm;
use s3bundler_contract::{Reason, Row};
use tokio::sync::mpsc;

use super::*;
use crate::budget::Budget;
use crate::bundle::part::{KeptSmall, Part};
use crate::bundle::parts::{PartLimits, PartPlan};
use crate::bundle::source::{Held, ObjectFailure};
use crate::catalog::{ArchiveRecord, Catalog, GroupRecord};
use crate::s3::PutBody;

struct Archive {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

fn fetched(key: &str, content: Content) -> Fetched {
    let size = match &content {
        Content::Memory(data) => data.len() as u64,
        Content::Scratch(file) => file.metadata().expect("a size").len(),
        _ => 1,
    };
    let budget = Budget::new(1 << 20);
    Fetched {
        row: Row {
            bucket: "b".into(),
            key: key.into(),
            size: Some(size),
            ..Row::default()
        },
        listed_version: false,
        facts: Facts::default(),
        mtime: 1_700_000_000,
        content,
        held: Held {
            memory: budget.try_take(1).expect("free"),
            scratch: None,
        },
    }
}

fn scratch(data: &[u8]) -> Content {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(data)
        .and_then(|()| file.rewind())
        .expect("written");
    Content::Scratch(file)
}

fn part_writer(size: u64, parts: mpsc::Sender<Part>) -> PartWriter {
    PartWriter::new(
        PartPlan::new(size, 1, PartLimits::default()),
        1,
        std::env::temp_dir(),
        (None, KeptSmall::No),
        parts,
    )
}

fn pack(format: ArchiveFormat, members: Vec<Fetched>) -> Archive {
    let (parts, mut received) = mpsc::channel::<Part>(1);
    let collecting = std::thread::spawn(move || {
        let (mut bytes, mut number) = (Vec::new(), 0);
        while let Some(part) = received.blocking_recv() {
            number += 1;
            assert_eq!(part.number, number);
            let PutBody::Bytes(of_part) = &part.body else {
                panic!("parts of the planned size are in memory")
            };
            assert_eq!(
                part.crc64nvme,
                crc_fast::checksum(CrcAlgorithm::Crc64Nvme, of_part)
            );
            bytes.extend_from_slice(of_part);
        }
        bytes
    });
    let file = tempfile::tempfile().expect("a file");
    let catalog = CatalogWriter::create(file, "a.tar").expect("a catalog");
    let mut packer = Packer::new(format, part_writer(100_000, parts), catalog);
    for member in members {
        packer.add(member).expect("packed");
    }
    let packed = packer.finish().expect("finished");
    let bytes = collecting.join().expect("parts");
    assert_eq!(packed.size, bytes.len() as u64);
    assert_eq!(
        packed.crc64nvme,
        crc_fast::checksum(CrcAlgorithm::Crc64Nvme, &bytes),
        "parts' CRCs combined"
    );
    let record = GroupRecord {
        manifest_bucket: "m".into(),
        manifest_key: "k".into(),
        manifest_etag: "e".into(),
        attempt: "aaaaaaaa".into(),
        archive: (packed.size > 0).then(|| ArchiveRecord {
            key: "a.tar".into(),
            size: packed.size,
            crc64nvme: packed.crc64nvme,
        }),
        storage_class: "STANDARD".into(),
        program: "test".into(),
        redo: false,
    };
    let catalog =
        Catalog::open(packed.catalog.finish(&record).expect("written")).expect("a catalog");
    let entries = catalog
        .entries()
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("every row");
    Archive { bytes, entries }
}

fn decompress(format: ArchiveFormat, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match format {
        ArchiveFormat::Tar => out.extend_from_slice(bytes),
        ArchiveFormat::TarGzip => {
            flate2::read::MultiGzDecoder::new(bytes)
                .read_to_end(&mut out)
                .map(drop)
                .expect("gzip");
        }
        ArchiveFormat::TarZstd => zstd::stream::copy_decode(bytes, &mut out).expect("zstd"),
    }
    out
}

fn data(n: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| u8::try_from((i * 7 + n * 31) % 251).expect("small"))
        .collect()
}

#[test]
fn every_member_is_in_the_range_that_its_row_names_in_every_format() {
    for format in ArchiveFormat::ALL {
        let lengths = [0, 1, 511, 512, 513, 300_000, 10, 99_999, 262_144, 5];
        let members = lengths.iter().enumerate().map(|(n, length)| {
            let content = if n % 3 == 0 {
                scratch(&data(n, *length))
            } else {
                Content::Memory(data(n, *length))
            };
            fetched(&format!("k{n}"), content)
        });
        let archive = pack(format, members.collect());
        assert_eq!(archive.entries.len(), lengths.len());
        for (n, entry) in archive.entries.iter().enumerate() {
            let Outcome::Archived(place) = entry.outcome else {
                panic!("{entry:?}")
            };
            let at = |n: u64| usize::try_from(n).expect("small");
            let range = &archive.bytes[at(place.offset)..at(place.offset + place.length)];
            let found = decompress(format, range);
            let found = &found[at(place.skip)..at(place.skip) + lengths[n]];
            assert!(found == data(n, lengths[n]), "{format} {n} {place:?}");
        }
        let mut tar = tar::Archive::new(std::io::Cursor::new(decompress(format, &archive.bytes)));
        let names: Vec<_> = tar
            .entries()
            .expect("a tar")
            .map(|it| it.expect("whole").path().expect("a path").into_owned())
            .collect();
        assert_eq!(names.len(), lengths.len());
        assert_eq!(names[0].to_str(), Some("b/k0"));
    }
}

#[test]
fn small_members_share_a_frame_and_a_large_one_has_its_own() {
    let archive = pack(
        ArchiveFormat::TarZstd,
        vec![
            fetched("small1", Content::Memory(data(1, 10))),
            fetched("small2", Content::Memory(data(2, 10))),
            fetched("large", Content::Memory(data(3, 400_000))),
            fetched("small3", Content::Memory(data(4, 10))),
        ],
    );
    let places: Vec<_> = archive
        .entries
        .iter()
        .map(|entry| {
            if let Outcome::Archived(place) = entry.outcome {
                place
            } else {
                panic!("{entry:?}")
            }
        })
        .collect();
    assert_eq!(places[0].offset, places[1].offset);
    assert_ne!(places[1].offset, places[2].offset);
    assert_eq!(places[2].skip, 512);
    assert_ne!(places[2].offset, places[3].offset);
}

#[test]
fn rows_keep_the_manifests_order_and_failed_ones_have_no_bytes() {
    for format in ArchiveFormat::ALL {
        let archive = pack(
            format,
            vec![
                fetched(
                    "a",
                    Content::Failed(ObjectFailure::new(Reason::NoSuchKey, "NoSuchKey")),
                ),
                fetched("b", Content::Memory(data(1, 10))),
                fetched("c", Content::Copied("objects/c".into())),
                fetched("d", Content::Memory(data(2, 10))),
            ],
        );
        let keys: Vec<_> = archive
            .entries
            .iter()
            .map(|entry| entry.row.key.as_str())
            .collect();
        assert_eq!(keys, ["a", "b", "c", "d"], "{format}");
        let tar = decompress(format, &archive.bytes);
        assert_eq!(tar.len() % 512, 0);
        assert!(tar.ends_with(&header::END));
        assert_eq!(
            tar::Archive::new(std::io::Cursor::new(tar))
                .entries()
                .expect("a tar")
                .count(),
            2
        );
    }
}

#[test]
fn a_group_whose_objects_all_failed_has_no_archive_and_its_rows_are_counted() {
    let denied = || {
        fetched(
            "a",
            Content::Failed(ObjectFailure::new(Reason::AccessDenied, "AccessDenied")),
        )
    };
    let (parts, mut received) = mpsc::channel(1);
    let catalog =
        CatalogWriter::create(tempfile::tempfile().expect("a file"), "a.tar").expect("a catalog");
    let mut packer = Packer::new(ArchiveFormat::TarGzip, part_writer(1000, parts), catalog);
    packer
        .add(denied())
        .and_then(|()| packer.add(denied()))
        .expect("packed");
    let packed = packer.finish().expect("finished");
    assert_eq!((packed.size, packed.tally.denied().len()), (0, 2));
    assert_eq!(packed.tally.doubted()[0].bucket, "b");
    assert!(received.try_recv().is_err());

    let archive = pack(
        ArchiveFormat::Tar,
        vec![
            denied(),
            fetched(
                "b",
                Content::Failed(ObjectFailure::new(Reason::NoSuchKey, "NoSuchKey")),
            ),
        ],
    );
    assert!(archive.bytes.is_empty());
    assert_eq!(archive.entries.len(), 2);
}
