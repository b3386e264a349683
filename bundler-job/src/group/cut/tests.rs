use proptest::prelude::*;
use s3bundler_contract::group_manifest::{Columns, KeyEncoding, RowReader};
use s3bundler_contract::{ByteSize, RunName};

use super::super::batch::BucketRun;
use super::*;

fn run() -> RunName {
    "r".parse().expect("a name")
}

/// Batches of `per_batch` rows `(bucket, size)`, each with its number as key.
fn batches(rows: &[(String, u64)], per_batch: usize) -> Vec<Batch> {
    let mut number = 0;
    let batch = |rows: &[(String, u64)]| {
        let mut batch = Batch {
            rows: rows.len() as u64,
            ..Batch::default()
        };
        for (bucket, size) in rows {
            batch
                .text
                .extend_from_slice(format!("{bucket},{number},{size}\n").as_bytes());
            number += 1;
            let line = Line {
                end: batch.text.len(),
                size: *size,
            };
            match batch.runs.last_mut() {
                Some(run) if run.bucket == *bucket => run.lines.push(line),
                _ => batch.runs.push(BucketRun {
                    bucket: bucket.clone(),
                    lines: vec![line],
                }),
            }
        }
        batch
    };
    rows.chunks(per_batch).map(batch).collect()
}

fn cut(
    rows: &[(String, u64)],
    per_batch: usize,
    max_objects: u64,
    max_size: u64,
) -> (Vec<CutGroup>, RunSummary) {
    let mut cutter = Cutter::new(
        RunSummary::empty(run()),
        GroupOptions {
            max_objects,
            max_size: ByteSize(max_size),
        },
    );
    let mut groups: Vec<_> = batches(rows, per_batch)
        .iter()
        .flat_map(|batch| cutter.push(batch))
        .collect();
    let (last, summary) = cutter.finish();
    groups.extend(last);
    (groups, summary)
}

fn rows(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
    rows.iter()
        .map(|(bucket, size)| ((*bucket).to_owned(), *size))
        .collect()
}

fn texts(groups: &[CutGroup]) -> Vec<String> {
    groups
        .iter()
        .map(|group| String::from_utf8_lossy(&group.manifest).into_owned())
        .collect()
}

#[test]
fn a_group_closes_at_the_count_or_once_the_size_is_reached() {
    let (groups, summary) = cut(
        &rows(&[("b", 1), ("b", 1), ("b", 1), ("b", 10), ("b", 9), ("b", 1)]),
        10,
        2,
        10,
    );
    assert_eq!(
        texts(&groups),
        ["b,0,1\nb,1,1\n", "b,2,1\nb,3,10\n", "b,4,9\nb,5,1\n"]
    );
    let names: Vec<_> = groups.iter().map(|group| group.name.to_string()).collect();
    assert_eq!(names, ["r.000000", "r.000001", "r.000002"]);
    assert_eq!(
        (summary.groups, summary.objects, summary.bytes, summary.rows),
        (3, 6, 23, 6)
    );
}

#[test]
fn there_is_no_empty_last_group() {
    assert_eq!(cut(&rows(&[("b", 1), ("b", 1)]), 10, 1, 100).0.len(), 2);
    assert_eq!(cut(&[], 10, 1, 100).0.len(), 0);
}

#[test]
fn buckets_have_groups_of_their_own() {
    let (groups, _) = cut(
        &rows(&[("b", 1), ("a", 1), ("b", 1), ("a", 1), ("b", 1)]),
        10,
        2,
        100,
    );
    assert_eq!(
        texts(&groups),
        ["b,0,1\nb,2,1\n", "a,1,1\na,3,1\n", "b,4,1\n"]
    );
}

#[test]
fn a_batch_that_closes_shares_no_group_with_the_next() {
    let mut cutter = Cutter::new(
        RunSummary::empty(run()),
        GroupOptions {
            max_objects: 3,
            ..GroupOptions::default()
        },
    );
    let all = rows(&[
        ("b", 1),
        ("b", 1),
        ("a", 1),
        ("b", 1),
        ("b", 1),
        ("b", 1),
        ("b", 1),
    ]);
    let mut groups = Vec::new();
    for mut batch in batches(&all, 4) {
        batch.closes = true;
        groups.extend(cutter.push(&batch));
    }
    assert_eq!(
        texts(&groups),
        ["b,0,1\nb,1,1\nb,3,1\n", "a,2,1\n", "b,4,1\nb,5,1\nb,6,1\n"]
    );
    assert_eq!(cutter.finish().0, [], "nothing is left open");
}

#[test]
fn groups_of_a_retry_pass_have_its_names() {
    let mut cutter = Cutter::new(
        RunSummary::of_pass(run(), 2),
        GroupOptions {
            max_objects: 1,
            ..GroupOptions::default()
        },
    );
    let groups: Vec<_> = batches(&rows(&[("b", 1), ("b", 1)]), 2)
        .iter()
        .flat_map(|batch| cutter.push(batch))
        .collect();
    let names: Vec<_> = groups.iter().map(|group| group.name.to_string()).collect();
    assert_eq!(names, ["r.retry2.000000", "r.retry2.000001"]);
    assert_eq!(cutter.finish().1.pass, 2);
}

#[test]
fn ever_new_buckets_do_not_fill_the_memory() {
    let many: Vec<_> = (0..1000).map(|n| (format!("b{n}"), 1)).collect();
    let mut cutter = Cutter::new(RunSummary::empty(run()), GroupOptions::default());
    for batch in batches(&many, 7) {
        cutter.push(&batch);
        assert!(cutter.open.len() <= MAX_OPEN_GROUPS);
    }
    assert_eq!(cutter.finish().1.objects, 1000);
}

proptest! {
    #[test]
    fn every_row_is_in_one_group_of_its_bucket_in_order(
        rows in proptest::collection::vec(("[abc]", 0..20_u64), 0..120),
        per_batch in 1..50_usize,
        max_objects in 1..9_u64,
        max_size in 1..60_u64,
    ) {
        let (groups, summary) = cut(&rows, per_batch, max_objects, max_size);
        let mut seen: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (number, group) in groups.iter().enumerate() {
            prop_assert_eq!(&group.name, &GroupName::numbered(&run(), number as u64));
            let members: Vec<_> =
                RowReader::new(&group.manifest[..], Columns::seed(), KeyEncoding::Literal).map(|row| row.expect("a row")).collect();
            let all_but_last: u64 = members[..members.len() - 1].iter().filter_map(|row| row.size).sum();
            prop_assert!(!members.is_empty() && members.len() as u64 <= max_objects && all_but_last < max_size);
            prop_assert!(members.iter().all(|row| row.bucket == members[0].bucket));
            prop_assert_eq!(group.objects, members.len() as u64);
            for row in members {
                seen.entry(row.bucket).or_default().push(row.key.parse().expect("a number"));
            }
        }
        let mut expected: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (number, (bucket, _)) in rows.iter().enumerate() {
            expected.entry(bucket.clone()).or_default().push(number as u64);
        }
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(summary.objects, rows.len() as u64);
        // Byte for byte, however the rows were batched.
        prop_assert_eq!(cut(&rows, 7, max_objects, max_size), (groups, summary));
    }
}
