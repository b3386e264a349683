//! Reads a file: a catalog, or one of compacted catalogs. First its end, then the row groups that may
//! have what is asked for.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use s3bundler_contract::{GroupName, RunName, S3Address};
use tokio::sync::mpsc::Sender;

use super::prune::Pruner;
use super::{Filter, Found, Location, SearchError, SearchFigures};
use crate::catalog::{CatalogError, FileKind, GroupRow, Outcome, Outline, Parts, first_read};
use crate::destination::Destination;
use crate::s3::S3;

/// Bytes of row groups that are read at once. A row group of a catalog has up to about 6 MiB.
const SPAN_BYTES: u64 = 8 << 20;
/// Objects that are sent to the reader of the search at a time.
const BATCH: usize = 256;

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) runs: AtomicU64,
    pub(super) catalogs: AtomicU64,
    pub(super) pruned: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) bytes: AtomicU64,
}

impl Counts {
    pub(super) fn figures(&self) -> SearchFigures {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SearchFigures {
            runs: of(&self.runs),
            catalogs: of(&self.catalogs),
            pruned: of(&self.pruned),
            requests: of(&self.requests),
            bytes: of(&self.bytes),
        }
    }
}

/// Adds to a count.
pub(super) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

/// What all files of a search have in common.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) s3: S3,
    pub(super) destination: Destination,
    pub(super) filter: Arc<Filter>,
    pub(super) pruner: Arc<Pruner>,
    pub(super) counts: Arc<Counts>,
}

/// A file to read.
#[derive(Debug, Clone)]
pub(super) struct FileToRead {
    pub(super) run: RunName,
    pub(super) address: S3Address,
    pub(super) size: u64,
    /// Without quotes.
    pub(super) etag: String,
    /// The group whose catalog it is; `None` if it is one of compacted catalogs.
    pub(super) group: Option<GroupName>,
    /// The groups whose place others took.
    pub(super) replaced: Arc<BTreeSet<GroupName>>,
}

/// A part of what is found.
pub(super) type Batch = Result<Vec<Found>, SearchError>;

impl Context {
    /// Reads a file, and sends what is found. Ends early if nothing receives it.
    pub(super) async fn read(self, file: FileToRead, found: Sender<Batch>) {
        add(&self.counts.catalogs, 1);
        if let Err(error) = self.read_file(Arc::new(file), &found).await {
            // Without a receiver the search was dropped.
            let _ = found.send(Err(error)).await;
        }
    }

    async fn read_file(
        &self,
        file: Arc<FileToRead>,
        found: &Sender<Batch>,
    ) -> Result<(), SearchError> {
        let failed = |cause| file.failed(cause);
        let mut parts = Parts::none(file.size);
        self.fetch(&file, &mut parts, self.first(&file)).await?;
        if let Some(rest) = Outline::missing(&parts).map_err(failed)? {
            self.fetch(&file, &mut parts, rest).await?;
        }
        let outline = Arc::new(Outline::open(&parts).map_err(failed)?);
        if let Some(problem) = self.difference(&file, &outline) {
            let catalog = file.address.clone();
            return Err(SearchError::Foreign { catalog, problem });
        }
        let wanted: Vec<_> = outline
            .row_groups()
            .filter(|row_group| self.pruner.may_have(&outline, *row_group, &parts))
            .map(|row_group| (row_group, outline.range(row_group)))
            .collect();
        if wanted.is_empty() {
            add(&self.counts.pruned, 1);
        }
        for Span { row_groups, bytes } in spans(&wanted) {
            let mut of_span = if parts.has(&bytes) {
                parts.clone()
            } else {
                Parts::none(file.size)
            };
            if !of_span.has(&bytes) {
                self.fetch(&file, &mut of_span, bytes).await?;
            }
            let rows = RowsOf {
                file: Arc::clone(&file),
                outline: Arc::clone(&outline),
                bucket: self.destination.bucket.clone(),
                filter: Arc::clone(&self.filter),
                pruner: Arc::clone(&self.pruner),
            };
            let found = found.clone();
            let decoding =
                tokio::task::spawn_blocking(move || rows.send(&row_groups, &of_span, &found));
            decoding.await.map_err(|cause| SearchError::Stopped {
                catalog: file.address.clone(),
                cause,
            })??;
        }
        Ok(())
    }

    /// What to read first: all of a file if it is not large and its end cannot rule it out. The row
    /// groups of compacted catalogs are chosen by their keys already.
    fn first(&self, file: &FileToRead) -> Range<u64> {
        let may_be_ruled_out = file.group.is_some() && self.pruner.asks_for_some();
        if file.size <= SPAN_BYTES && !may_be_ruled_out {
            return 0..file.size;
        }
        first_read(file.size, self.pruner.asks_for_keys())
    }

    async fn fetch(
        &self,
        file: &FileToRead,
        parts: &mut Parts,
        range: Range<u64>,
    ) -> Result<(), SearchError> {
        add(&self.counts.requests, 1);
        let at = range.start;
        let bytes = self.s3.range(&file.address, &file.etag, file.size, range);
        let bytes = bytes.await?;
        add(&self.counts.bytes, bytes.len() as u64);
        parts.add(at, bytes);
        Ok(())
    }

    /// What is wrong with a file as that which it should be.
    fn difference(&self, file: &FileToRead, outline: &Outline) -> Option<String> {
        match (outline.kind(), &file.group) {
            (FileKind::Group(record), Some(group)) => {
                record.difference(&self.destination, &file.run, group)
            }
            (FileKind::Compacted(run), None) if *run == file.run => None,
            (FileKind::Compacted(run), _) => Some(format!("it is of compacted catalogs of {run}")),
            (FileKind::Group(record), None) => {
                Some(format!("it is the catalog of {}", record.manifest()))
            }
        }
    }
}

impl FileToRead {
    fn failed(&self, cause: CatalogError) -> SearchError {
        SearchError::Catalog {
            catalog: self.address.clone(),
            cause,
        }
    }
}

/// Row groups whose bytes are read at once.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    row_groups: Vec<usize>,
    bytes: Range<u64>,
}

/// Row groups that are beside each other, in spans of [`SPAN_BYTES`]. Pure.
fn spans(row_groups: &[(usize, Range<u64>)]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (row_group, range) in row_groups {
        match spans.last_mut() {
            // With bloom filters between them, or without.
            Some(span)
                if span.row_groups.last().copied() == row_group.checked_sub(1)
                    && span.bytes.end <= range.start
                    && range.end - span.bytes.start <= SPAN_BYTES =>
            {
                span.row_groups.push(*row_group);
                span.bytes.end = range.end;
            }
            _ => spans.push(Span {
                row_groups: vec![*row_group],
                bytes: range.clone(),
            }),
        }
    }
    spans
}

/// The rows of a file that are asked for.
struct RowsOf {
    file: Arc<FileToRead>,
    outline: Arc<Outline>,
    bucket: String,
    filter: Arc<Filter>,
    pruner: Arc<Pruner>,
}

impl RowsOf {
    /// Sends those of some row groups whose bytes are there. Blocks.
    fn send(
        &self,
        row_groups: &[usize],
        parts: &Parts,
        found: &Sender<Batch>,
    ) -> Result<(), SearchError> {
        let mut batch = Vec::new();
        let mut interned = Interned::default();
        for row_group in row_groups {
            let filter = Arc::clone(&self.filter);
            let rows = self.outline.rows(
                *row_group,
                parts.clone(),
                |bounds| self.pruner.may_have_key(bounds),
                move |key| filter.matches_key(key),
            );
            for row in rows.map_err(|cause| self.file.failed(cause))? {
                let row = row.map_err(|cause| self.file.failed(cause))?;
                if !self.filter.matches_rest(&row.entry) {
                    continue;
                }
                batch.extend(self.found(row, &mut interned)?);
                if batch.len() >= BATCH
                    && found.blocking_send(Ok(std::mem::take(&mut batch))).is_err()
                {
                    return Ok(());
                }
            }
        }
        if !batch.is_empty() {
            let _ = found.blocking_send(Ok(batch));
        }
        Ok(())
    }

    /// What is found in a row; nothing if another group took the place of its own.
    fn found(&self, row: GroupRow, interned: &mut Interned) -> Result<Option<Found>, SearchError> {
        let (group, attempt) = match (row.group, self.outline.kind(), &self.file.group) {
            (Some(of), _, _) => (of.group, interned.attempt(&of.attempt)),
            (None, FileKind::Group(record), Some(group)) => {
                (group.clone(), interned.attempt(&record.attempt))
            }
            _ => return Err(self.file.failed(no_group())),
        };
        if self.file.replaced.contains(&group) {
            return Ok(None);
        }
        let archive = match (&row.entry.outcome, &row.archive) {
            (Outcome::Archived(_), Some(key)) => Some(interned.archive(&self.bucket, key)),
            _ => None,
        };
        let location = Location::of(&row.entry.outcome, &self.bucket, archive.as_ref());
        if location.is_none() && !matches!(row.entry.outcome, Outcome::Failed(_)) {
            let problem = format!("it is in {:?}, which is not an archive", row.archive);
            return Err(self.file.failed(CatalogError::PartialRow { problem }));
        }
        Ok(Some(Found {
            run: self.file.run.clone(),
            group,
            attempt,
            entry: row.entry,
            location,
        }))
    }
}

fn no_group() -> CatalogError {
    CatalogError::PartialRow {
        problem: "it has no group".to_owned(),
    }
}

/// Texts that follow each other in many rows, kept once.
#[derive(Debug, Default)]
struct Interned {
    attempt: Option<Arc<str>>,
    archive: Option<Arc<S3Address>>,
}

impl Interned {
    fn attempt(&mut self, attempt: &str) -> Arc<str> {
        match &self.attempt {
            Some(known) if **known == *attempt => Arc::clone(known),
            _ => Arc::clone(self.attempt.insert(attempt.into())),
        }
    }

    fn archive(&mut self, bucket: &str, key: &str) -> Arc<S3Address> {
        match &self.archive {
            Some(known) if known.key == key => Arc::clone(known),
            _ => Arc::clone(self.archive.insert(Arc::new(S3Address::new(bucket, key)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_groups_beside_each_other_are_read_at_once_up_to_a_size() {
        let mib = |from: u64, to: u64| from << 20..to << 20;
        let found = spans(&[
            (0, mib(0, 3)),
            (1, mib(3, 6)),
            (2, mib(6, 9)),
            (4, mib(12, 13)),
            (5, mib(14, 15)),
            (6, mib(20, 40)),
        ]);
        let span = |row_groups: &[usize], bytes| Span {
            row_groups: row_groups.to_vec(),
            bytes,
        };
        assert_eq!(
            found,
            [
                span(&[0, 1], mib(0, 6)),
                span(&[2], mib(6, 9)),
                span(&[4, 5], mib(12, 15)),
                span(&[6], mib(20, 40)),
            ]
        );
        assert!(spans(&[]).is_empty());
    }
}
