use s3bundler_contract::{Reason, Row};

use super::*;
use crate::catalog::{Entry, GroupOf, Map, Outcome, Place};

fn run() -> RunName {
    "r".parse().expect("a run's name")
}

fn row(group: u64, key: &str, version: Option<&str>) -> GroupRow {
    let archived = !key.starts_with("failed");
    GroupRow {
        group: Some(GroupOf {
            group: GroupName::numbered(&run(), group),
            attempt: format!("attempt{group}"),
        }),
        entry: Entry {
            row: Row {
                bucket: "src".to_owned(),
                key: key.to_owned(),
                size: Some(7),
                version_id: version.map(str::to_owned),
                last_modified: Some("2026-11-22T01:00:00.000Z".to_owned()),
                etag: Some("e".to_owned()),
                storage_class: Some("STANDARD".to_owned()),
            },
            listed_version: version.is_some(),
            outcome: if archived {
                Outcome::Archived(Place {
                    offset: 512,
                    length: 7,
                    skip: 0,
                })
            } else {
                Outcome::Failed(Reason::Retry)
            },
            md5: None,
            checksums: Map::new(),
            headers: Map::from([("content-type".to_owned(), "text/plain".to_owned())]),
            metadata: Map::new(),
            tags: Map::from([("k".to_owned(), "v\n\"".to_owned())]),
            detail: None,
            sha256: None,
        },
        archive: archived.then(|| format!("archives/r.{group:06}-attempt{group}.tar")),
    }
}

fn sorted(rows: &[GroupRow], limit: usize) -> (Vec<GroupRow>, usize) {
    // The later group comes first.
    let ranks = (0..10).map(|n| {
        (
            GroupName::numbered(&run(), n),
            9 - u32::try_from(n).unwrap_or(0),
        )
    });
    let scratch = tempfile::tempdir().expect("a directory");
    let mut sorter = Sorter::new(
        run(),
        Arc::new(ranks.collect()),
        scratch.path().to_owned(),
        limit,
    );
    for row in rows {
        sorter.push(row.clone()).expect("it is a row");
    }
    let spilled = sorter.files.len();
    let sorted = sorter.finish().expect("they can be sorted");
    let sorted: Result<Vec<_>, _> = sorted.collect();
    (sorted.expect("they can be read"), spilled)
}

#[test]
fn rows_are_sorted_by_key_bucket_version_and_place_whether_they_fit_or_not() {
    let mut rows = Vec::new();
    for n in 0..500_u64 {
        rows.push(row(n % 10, &format!("k{:03}\n\u{fc}", (n * 7) % 250), None));
        rows.push(row(n % 3, "failed", Some("v1")));
        rows.push(row(
            n % 3,
            "same",
            Some(if n % 2 == 0 { "v1" } else { "v2" }),
        ));
    }
    let (in_memory, spilled) = sorted(&rows, usize::MAX);
    assert_eq!((in_memory.len(), spilled), (rows.len(), 0));
    let place = |it: &GroupRow| {
        let group = it.group.as_ref().map(|of| Reverse(of.group.clone()));
        let of = &it.entry.row;
        (of.key.clone(), of.version_id.clone(), group)
    };
    assert!(in_memory.is_sorted_by_key(place));
    // One row in each file, so that some are merged before all are.
    for (limit, least) in [(1, FAN_IN * 2), (200_000, 2)] {
        let (merged, spilled) = sorted(&rows, limit);
        assert!(spilled > least, "{spilled}");
        assert_eq!(merged, in_memory);
    }
}

#[test]
fn nothing_is_sorted_to_nothing() {
    assert_eq!(sorted(&[], 1), (Vec::new(), 0));
}
