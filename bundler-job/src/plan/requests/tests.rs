use std::collections::BTreeMap;

use super::{Basis, Facts, Line, Operation, Place, Rows, Work, pages, requests};
use crate::plan::groups::{Copies, Totals};

fn totals() -> Totals {
    Totals {
        groups: 21,
        archives: 20,
        packed: 1_000,
        copies: Copies {
            objects: 10,
            in_parts: 2,
            parts: 25,
            source_heads: 3,
            ..Copies::default()
        },
        ..Totals::default()
    }
}

fn facts(totals: &Totals) -> Facts<'_> {
    Facts {
        rows: Rows::Inventory { files: 4 },
        work: Work::Run,
        totals,
        parts: 60,
        is_compressed: false,
        tagged: 0,
        extensions: 0,
        single_writer: false,
        regions: 0,
    }
}

fn counts(lines: &[Line]) -> BTreeMap<(Place, Operation), u64> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry((line.place, line.operation)).or_default() += line.count;
    }
    counts
}

#[test]
fn the_requests_of_a_run() {
    use Operation::{
        CompleteMultipartUpload, CopyObject, CreateMultipartUpload, DeleteObject, GetObject,
        HeadObject, ListMultipartUploads, ListObjectsV2, PutObject, UploadPart, UploadPartCopy,
    };
    use Place::{Destination, Inventory, Source};
    let totals = totals();
    let lines = requests(&facts(&totals));
    let expected = [
        // Manifest, checksum and data files.
        ((Inventory, GetObject), 6),
        ((Inventory, HeadObject), 4),
        ((Source, GetObject), 1_010),
        ((Source, HeadObject), 3),
        // Manifests, what other attempts left, the end of the run.
        ((Destination, ListObjectsV2), 1 + 21 + 3),
        ((Destination, ListMultipartUploads), 21 + 2),
        // Claim twice and for the worker, summary twice, manifests and catalogs.
        ((Destination, GetObject), 2 + 1 + 2 + 3 * 21),
        // Archives and indexes, receipts, copies twice and their descriptions.
        ((Destination, HeadObject), 2 * 20 + 21 + 3 * 10),
        // Claim, summary, probe, manifests, catalogs, indexes, receipts, descriptions.
        ((Destination, PutObject), 1 + 1 + 2 + 21 + 21 + 20 + 21 + 10),
        ((Destination, CopyObject), 8),
        ((Destination, CreateMultipartUpload), 22),
        ((Destination, UploadPart), 60),
        ((Destination, UploadPartCopy), 25),
        ((Destination, CompleteMultipartUpload), 22),
        ((Destination, DeleteObject), 1),
    ];
    assert_eq!(counts(&lines), expected.into());
    assert!(lines.iter().all(|line| line.basis == Basis::Inventory));
}

#[test]
fn a_run_without_groups_still_has_its_records() {
    let totals = Totals::default();
    let counts = counts(&requests(&facts(&totals)));
    assert_eq!(counts[&(Place::Destination, Operation::PutObject)], 4);
    assert_eq!(counts[&(Place::Destination, Operation::ListObjectsV2)], 3);
    assert!(!counts.contains_key(&(Place::Source, Operation::GetObject)));
}

#[test]
fn each_worker_has_a_start() {
    let totals = totals();
    let with = |workers| {
        let work = Work::Queue { workers };
        counts(&requests(&Facts {
            work,
            regions: 3,
            ..facts(&totals)
        }))
    };
    let (one, ten) = (with(1), with(10));
    let of = |place, operation| ten[&(place, operation)] - one[&(place, operation)];
    assert_eq!(of(Place::Destination, Operation::PutObject), 9 * 2);
    assert_eq!(of(Place::Destination, Operation::GetObject), 9 * 2);
    assert_eq!(of(Place::Destination, Operation::HeadBucket), 9 * 3);
    assert_eq!(of(Place::Source, Operation::HeadBucket), 9);
    assert_eq!(one[&(Place::Queue, Operation::SendMessageBatch)], 3);
    assert_eq!(one[&(Place::Queue, Operation::DeleteMessage)], 21);
}

#[test]
fn what_no_inventory_says_is_assumed() {
    let totals = totals();
    let lines = requests(&Facts {
        tagged: 250,
        is_compressed: true,
        work: Work::Queue { workers: 1 },
        extensions: 7,
        ..facts(&totals)
    });
    let assumed = lines.iter().filter(|line| line.basis == Basis::Assumed);
    let assumed: Vec<_> = assumed.map(|line| (line.operation, line.count)).collect();
    assert_eq!(
        assumed,
        [
            (Operation::ReceiveMessage, 21),
            (Operation::ChangeMessageVisibility, 7),
            (Operation::UploadPart, 60),
            (Operation::GetObjectTagging, 250),
        ]
    );
}

#[test]
fn a_single_writer_looks_before_it_writes() {
    let totals = totals();
    let with = |single_writer| {
        counts(&requests(&Facts {
            single_writer,
            ..facts(&totals)
        }))
    };
    let (many, one) = (with(false), with(true));
    let of = |operation| (Place::Destination, operation);
    // Claim, summary, manifests, catalogs, descriptions.
    let heads = one[&of(Operation::HeadObject)] - many[&of(Operation::HeadObject)];
    assert_eq!(heads, 1 + 1 + 21 + 21 + 10);
    let puts = many[&of(Operation::PutObject)] - one[&of(Operation::PutObject)];
    assert_eq!(puts, 1);
}

#[test]
fn a_page_has_a_thousand_keys() {
    let expected = [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (15_385, 16)];
    for (keys, count) in expected {
        assert_eq!(pages(keys), count, "{keys}");
    }
}
