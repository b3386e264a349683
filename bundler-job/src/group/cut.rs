//! Cuts selected rows into groups: in the order they come, never two source buckets in one, never an empty one.

use std::collections::BTreeMap;

use bytes::Bytes;
use s3bundler_contract::layout::GroupName;
use s3bundler_contract::{GroupOptions, RunSummary};

use super::batch::{Batch, Line};

/// Source buckets with an open group. An S3 inventory has one; a file that names thousands must not fill the memory.
const MAX_OPEN_GROUPS: usize = 16;

/// A group that will not grow any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CutGroup {
    pub(super) name: GroupName,
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// Its group manifest.
    pub(super) manifest: Bytes,
}

#[derive(Debug, Default)]
struct OpenGroup {
    objects: u64,
    bytes: u64,
    manifest: Vec<u8>,
}

/// The groups that are open, and the summary of all rows so far.
#[derive(Debug)]
pub(super) struct Cutter {
    options: GroupOptions,
    open: BTreeMap<String, OpenGroup>,
    summary: RunSummary,
}

impl Cutter {
    /// A cutter of the groups that this summary counts.
    pub(super) fn new(summary: RunSummary, options: GroupOptions) -> Self {
        Self { options, open: BTreeMap::new(), summary }
    }

    /// Adds a batch's rows and gives the groups that they fill. Which groups those are depends on the rows and their order
    /// alone, not on how they were batched.
    pub(super) fn push(&mut self, batch: &Batch) -> Vec<CutGroup> {
        let mut cut = Vec::new();
        let mut start = 0;
        for run in &batch.runs {
            if !self.open.contains_key(&run.bucket) {
                cut.extend(self.make_room());
            }
            // Taken out while it is filled: a lookup a bucket, not a lookup a row.
            let mut group = self.open.remove(&run.bucket).unwrap_or_default();
            for Line { end, size } in &run.lines {
                group.manifest.extend_from_slice(&batch.text[start..*end]);
                start = *end;
                group.objects += 1;
                group.bytes = group.bytes.saturating_add(*size);
                if group.objects >= self.options.max_objects || group.bytes >= self.options.max_size.bytes() {
                    cut.push(self.close(std::mem::take(&mut group)));
                }
            }
            if group.objects > 0 {
                self.open.insert(run.bucket.clone(), group);
            }
        }
        if batch.closes {
            cut.extend(self.close_all());
        }
        self.summary.rows += batch.rows;
        self.summary.digest.merge(batch.digest);
        for (reason, count) in &batch.left_out {
            *self.summary.left_out.entry(*reason).or_default() += count;
        }
        cut
    }

    /// Closes the groups that are still open, in the order of their buckets, and gives the summary with them.
    pub(super) fn finish(mut self) -> (Vec<CutGroup>, RunSummary) {
        (self.close_all(), self.summary)
    }

    /// Closes all that are open, in the order of their buckets.
    fn close_all(&mut self) -> Vec<CutGroup> {
        let open = std::mem::take(&mut self.open);
        open.into_values().map(|group| self.close(group)).collect()
    }

    /// Closes the fullest group where another bucket's would be one too many.
    fn make_room(&mut self) -> Option<CutGroup> {
        if self.open.len() < MAX_OPEN_GROUPS {
            return None;
        }
        let fullest = self.open.iter().max_by_key(|(_, group)| group.objects).map(|(bucket, _)| bucket.clone())?;
        self.open.remove(&fullest).map(|group| self.close(group))
    }

    fn close(&mut self, mut group: OpenGroup) -> CutGroup {
        // It grew by doubling, and may wait for its PUT for a while.
        group.manifest.shrink_to_fit();
        let name = GroupName::of_stage(&self.summary.run, self.summary.stage(), self.summary.groups);
        self.summary.groups += 1;
        self.summary.objects += group.objects;
        self.summary.bytes = self.summary.bytes.saturating_add(group.bytes);
        CutGroup { name, objects: group.objects, bytes: group.bytes, manifest: group.manifest.into() }
    }
}

#[cfg(test)]
mod tests {
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
            let mut batch = Batch { rows: rows.len() as u64, ..Batch::default() };
            for (bucket, size) in rows {
                batch.text.extend_from_slice(format!("{bucket},{number},{size}\n").as_bytes());
                number += 1;
                let line = Line { end: batch.text.len(), size: *size };
                match batch.runs.last_mut() {
                    Some(run) if run.bucket == *bucket => run.lines.push(line),
                    _ => batch.runs.push(BucketRun { bucket: bucket.clone(), lines: vec![line] }),
                }
            }
            batch
        };
        rows.chunks(per_batch).map(batch).collect()
    }

    fn cut(rows: &[(String, u64)], per_batch: usize, max_objects: u64, max_size: u64) -> (Vec<CutGroup>, RunSummary) {
        let mut cutter =
            Cutter::new(RunSummary::empty(run()), GroupOptions { max_objects, max_size: ByteSize(max_size) });
        let mut groups: Vec<_> = batches(rows, per_batch).iter().flat_map(|batch| cutter.push(batch)).collect();
        let (last, summary) = cutter.finish();
        groups.extend(last);
        (groups, summary)
    }

    fn rows(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
        rows.iter().map(|(bucket, size)| ((*bucket).to_owned(), *size)).collect()
    }

    fn texts(groups: &[CutGroup]) -> Vec<String> {
        groups.iter().map(|group| String::from_utf8_lossy(&group.manifest).into_owned()).collect()
    }

    #[test]
    fn a_group_closes_at_the_count_or_once_the_size_is_reached() {
        let (groups, summary) = cut(&rows(&[("b", 1), ("b", 1), ("b", 1), ("b", 10), ("b", 9), ("b", 1)]), 10, 2, 10);
        assert_eq!(texts(&groups), ["b,0,1\nb,1,1\n", "b,2,1\nb,3,10\n", "b,4,9\nb,5,1\n"]);
        let names: Vec<_> = groups.iter().map(|group| group.name.to_string()).collect();
        assert_eq!(names, ["r.000000", "r.000001", "r.000002"]);
        assert_eq!((summary.groups, summary.objects, summary.bytes, summary.rows), (3, 6, 23, 6));
    }

    #[test]
    fn there_is_no_empty_last_group() {
        assert_eq!(cut(&rows(&[("b", 1), ("b", 1)]), 10, 1, 100).0.len(), 2);
        assert_eq!(cut(&[], 10, 1, 100).0.len(), 0);
    }

    #[test]
    fn buckets_have_groups_of_their_own() {
        let (groups, _) = cut(&rows(&[("b", 1), ("a", 1), ("b", 1), ("a", 1), ("b", 1)]), 10, 2, 100);
        assert_eq!(texts(&groups), ["b,0,1\nb,2,1\n", "a,1,1\na,3,1\n", "b,4,1\n"]);
    }

    #[test]
    fn a_batch_that_closes_shares_no_group_with_the_next() {
        let mut cutter =
            Cutter::new(RunSummary::empty(run()), GroupOptions { max_objects: 3, ..GroupOptions::default() });
        let all = rows(&[("b", 1), ("b", 1), ("a", 1), ("b", 1), ("b", 1), ("b", 1), ("b", 1)]);
        let mut groups = Vec::new();
        for mut batch in batches(&all, 4) {
            batch.closes = true;
            groups.extend(cutter.push(&batch));
        }
        assert_eq!(texts(&groups), ["b,0,1\nb,1,1\nb,3,1\n", "a,2,1\n", "b,4,1\nb,5,1\nb,6,1\n"]);
        assert_eq!(cutter.finish().0, [], "nothing is left open");
    }

    #[test]
    fn groups_of_a_retry_pass_have_its_names() {
        let mut cutter =
            Cutter::new(RunSummary::of_pass(run(), 2), GroupOptions { max_objects: 1, ..GroupOptions::default() });
        let groups: Vec<_> =
            batches(&rows(&[("b", 1), ("b", 1)]), 2).iter().flat_map(|batch| cutter.push(batch)).collect();
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
}
