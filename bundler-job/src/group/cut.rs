//! Cuts selected rows into groups: in the order they come, never two source buckets in one, never
//! an empty one.

use std::collections::BTreeMap;

use bytes::Bytes;
use s3bundler_contract::layout::GroupName;
use s3bundler_contract::{GroupOptions, RunSummary};

use super::batch::{Batch, Line};

/// Source buckets with an open group. An S3 inventory has one; a file that names thousands must not
/// fill the memory.
const MAX_OPEN_GROUPS: usize = 16;

/// A group that will not grow any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CutGroup {
    pub(crate) name: GroupName,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    /// Its group manifest.
    pub(crate) manifest: Bytes,
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
        Self {
            options,
            open: BTreeMap::new(),
            summary,
        }
    }

    /// Adds a batch's rows and gives the groups that they fill. Which groups those are depends on
    /// the rows and their order alone, not on how they were batched.
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
                if group.objects >= self.options.max_objects
                    || group.bytes >= self.options.max_size.bytes()
                {
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

    /// Closes the groups that are still open, in the order of their buckets, and gives the summary
    /// with them.
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
        let fullest = self
            .open
            .iter()
            .max_by_key(|(_, group)| group.objects)
            .map(|(bucket, _)| bucket.clone())?;
        self.open.remove(&fullest).map(|group| self.close(group))
    }

    fn close(&mut self, mut group: OpenGroup) -> CutGroup {
        // It grew by doubling, and may wait for its PUT for a while.
        group.manifest.shrink_to_fit();
        let name =
            GroupName::of_stage(&self.summary.run, self.summary.stage(), self.summary.groups);
        self.summary.groups += 1;
        self.summary.objects += group.objects;
        self.summary.bytes = self.summary.bytes.saturating_add(group.bytes);
        CutGroup {
            name,
            objects: group.objects,
            bytes: group.bytes,
            manifest: group.manifest.into(),
        }
    }
}

#[cfg(test)]
mod tests;
