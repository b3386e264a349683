#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use s3bundler_contract::group_manifest::append_row;
use s3bundler_contract::{ArchiveOptions, ByteSize, Row};

use super::{Copies, GroupFigures, Machine, Totals, scaled};
use crate::bundle::copy::parts_of_copy;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn options() -> ArchiveOptions {
    ArchiveOptions {
        max_object_size: ByteSize(10 * MIB),
        ..ArchiveOptions::default()
    }
}

fn machine() -> Machine {
    Machine {
        memory: ByteSize::mib(128),
        groups: 2,
        scratch_size: None,
        equal_parts: false,
    }
}

fn row(key: &str, size: u64, etag: Option<&str>) -> Row {
    Row {
        bucket: "b".to_owned(),
        key: key.to_owned(),
        size: Some(size),
        etag: etag.map(str::to_owned),
        ..Row::default()
    }
}

fn figures(rows: &[Row]) -> GroupFigures {
    let mut manifest = Vec::new();
    for row in rows {
        append_row(&mut manifest, &row.borrowed());
    }
    GroupFigures::of(&manifest, &options()).unwrap()
}

#[test]
fn a_group_is_a_tar_and_copies() {
    let md5 = "d41d8cd98f00b204e9800998ecf8427e";
    let found = figures(&[
        row("d/a", 0, Some(md5)),
        row("d/b", 513, None),
        row("d/c", 10 * MIB, None),
        row("d/large", 10 * MIB + 1, Some(md5)),
        row(
            "d/parts",
            20 * MIB,
            Some("d41d8cd98f00b204e9800998ecf8427e-3"),
        ),
        row("e/unknown", 20 * MIB, None),
        row(&"k".repeat(1_025), 5, None),
        row("top", 1, None),
    ]);
    assert_eq!((found.rows, found.invalid, found.packed), (8, 1, 4));
    assert_eq!(found.packed_bytes, u128::from(513 + 10 * MIB + 1));
    // A block of header each, data in blocks of 512, two zero blocks.
    assert_eq!(found.tar, 4 * 512 + 1_024 + 10 * MIB + 512 + 1_024);
    let expected = Copies {
        objects: 3,
        bytes: u128::from(50 * MIB + 1),
        in_parts: 0,
        parts: 0,
        source_heads: 2,
        without_etag: 1,
    };
    assert_eq!(found.copies, expected);
    let directories = found.directories.iter();
    let directories: Vec<_> = directories.map(|(it, n)| (it.as_str(), *n)).collect();
    assert_eq!(directories, [("d/", 5), ("e/", 1), ("", 1)]);
}

#[test]
fn long_names_have_blocks_of_their_own() {
    let tar = |key: &str| figures(&[row(key, 1, None)]).tar;
    assert_eq!(tar(&"k".repeat(98)), 512 + 512 + 1_024);
    assert_eq!(tar(&"k".repeat(99)), 3 * 512 + 512 + 1_024);
    assert_eq!(tar("ä"), 3 * 512 + 512 + 1_024);
    // 1,000 bytes of a record in two blocks.
    assert_eq!(tar(&"k".repeat(1_000)), 4 * 512 + 512 + 1_024);
}

#[test]
fn a_group_of_copies_has_no_archive() {
    let mut totals = Totals::default();
    totals.add(&figures(&[row("a", 20 * MIB, None)]), machine(), 0.0);
    assert_eq!((totals.groups, totals.archives, totals.tar), (1, 0, 0));
    assert_eq!(totals.parts(1.0), (0, 0));
}

#[test]
fn copies_of_more_than_five_gib_are_made_in_parts() {
    assert_eq!(parts_of_copy(5 * GIB), None);
    // A tenth of 5 GiB each.
    assert_eq!(parts_of_copy(5 * GIB + 1), Some(11));
    assert_eq!(parts_of_copy(100 * GIB), Some(200));
    // 48.8 TiB, S3's largest object, in parts of 5.6 GiB at most.
    assert!(parts_of_copy(48_800 * GIB).unwrap() <= 9_000);
    let found = figures(&[row("a", 6 * GIB, Some("d41d8cd98f00b204e9800998ecf8427e"))]);
    // The ETag of the copy is not an MD5.
    assert_eq!(
        (
            found.copies.in_parts,
            found.copies.parts,
            found.copies.source_heads
        ),
        (1, 12, 1)
    );
}

#[test]
fn parts_follow_from_the_size_and_the_memory() {
    let group = figures(&vec![row("a", 10 * MIB, None); 5]);
    let parts = |machine: Machine, ratio: f64| {
        let mut totals = Totals::default();
        totals.add(&group, machine, 0.0);
        totals.add(&group, machine, 0.0);
        totals.parts(ratio).0
    };
    // 50 MiB in parts of 16 MiB, of 6 MiB.
    assert_eq!(parts(machine(), 1.0), 2 * 4);
    let small = Machine {
        memory: ByteSize::mib(48),
        ..machine()
    };
    assert_eq!(parts(small, 1.0), 2 * 9);
    assert_eq!(parts(machine(), 0.3), 2);
    assert_eq!(parts(machine(), 0.0), 2);
}

#[test]
fn a_memory_that_is_too_small_refuses_the_group() {
    let mut totals = Totals::default();
    let memory = ByteSize::mib(16);
    totals.add(
        &figures(&[row("a", 1, None)]),
        Machine {
            memory,
            ..machine()
        },
        0.0,
    );
    let (groups, error) = totals.refused.unwrap();
    assert_eq!(groups, 1);
    assert!(error.contains("raise --memory"), "{error}");
}

#[test]
fn a_directory_is_asked_about_once_unless_all_of_it_has_tags() {
    let rows: Vec<_> = (0..400)
        .map(|n| row(&format!("{}/{n}", n / 4), 1, None))
        .collect();
    let asked = |tagged: f64| {
        let mut totals = Totals::default();
        totals.add(&figures(&rows), machine(), tagged);
        totals.questions()
    };
    assert_eq!(asked(0.0), 100);
    assert_eq!(asked(1.0), 0);
    // Of 100 directories with four objects each, 6 have nothing but tagged ones.
    assert_eq!(asked(0.5), 93);
}

#[test]
fn a_share_of_bytes_is_rounded_up_and_the_whole_is_exact() {
    assert_eq!(scaled(u64::MAX, 1.0), u64::MAX);
    assert_eq!(scaled(10, 0.25), 3);
    assert_eq!(scaled(10, 0.0), 0);
}
