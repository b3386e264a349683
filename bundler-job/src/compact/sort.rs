//! Sorts more rows than memory holds: sorted files in scratch, which are merged.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use s3bundler_contract::{GroupName, RunName};

use crate::catalog::{CatalogError, CompactedReader, CompactedWriter, GroupRow};

/// Files that are merged at once: each holds a page of every column, about 2 MiB.
const FAN_IN: usize = 64;

/// A row, with the place of its group among those of the run: of rows of one version of an object,
/// that which counts comes first.
#[derive(Debug)]
struct Ranked {
    rank: u32,
    row: GroupRow,
}

impl Ranked {
    fn order(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.row.entry.row, &other.row.entry.row);
        (&a.key, &a.bucket, &a.version_id, self.rank).cmp(&(
            &b.key,
            &b.bucket,
            &b.version_id,
            other.rank,
        ))
    }
}

/// Collects rows. Blocking.
pub(super) struct Sorter {
    run: RunName,
    ranks: Arc<HashMap<GroupName, u32>>,
    scratch: PathBuf,
    /// Bytes of rows in memory, at most.
    limit: usize,
    rows: Vec<Ranked>,
    memory: usize,
    files: Vec<File>,
}

impl Sorter {
    /// Sorts rows of a run, whose groups have these places.
    pub(super) const fn new(
        run: RunName,
        ranks: Arc<HashMap<GroupName, u32>>,
        scratch: PathBuf,
        limit: usize,
    ) -> Self {
        Self {
            run,
            ranks,
            scratch,
            limit,
            rows: Vec::new(),
            memory: 0,
            files: Vec::new(),
        }
    }

    /// Where rows are kept that do not fit.
    pub(super) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: GroupRow) -> Result<(), CatalogError> {
        self.memory += row.memory();
        self.rows.push(Ranked {
            rank: rank(&self.ranks, &row),
            row,
        });
        if self.memory >= self.limit {
            self.spill()?;
        }
        Ok(())
    }

    /// All rows, in order. Of rows that are equal, that which was added first.
    pub(super) fn finish(mut self) -> Result<Sorted, CatalogError> {
        if self.files.is_empty() {
            self.rows.sort_by(Ranked::order);
            return Sorted::new(Source::Memory(self.rows.into_iter()));
        }
        if !self.rows.is_empty() {
            self.spill()?;
        }
        let Self {
            run,
            ranks,
            scratch,
            mut files,
            ..
        } = self;
        while files.len() > FAN_IN {
            let mut merged = Vec::new();
            let mut rest = files.into_iter().peekable();
            while rest.peek().is_some() {
                let some = rest.by_ref().take(FAN_IN).collect();
                let rows = Merge::new(some, Arc::clone(&ranks))?;
                merged.push(write(rows, &run, &scratch)?);
            }
            files = merged;
        }
        Sorted::new(Source::Files(Merge::new(files, ranks)?))
    }

    fn spill(&mut self) -> Result<(), CatalogError> {
        self.rows.sort_by(Ranked::order);
        let rows = self.rows.drain(..).map(|ranked| Ok(ranked.row));
        self.files.push(write(rows, &self.run, &self.scratch)?);
        self.memory = 0;
        Ok(())
    }
}

/// The place of a row's group.
fn rank(ranks: &HashMap<GroupName, u32>, row: &GroupRow) -> u32 {
    let group = row.group.as_ref();
    let rank = group.and_then(|of| ranks.get(&of.group));
    rank.copied().unwrap_or(u32::MAX)
}

/// Writes rows to a file without a name.
fn write(
    rows: impl Iterator<Item = Result<GroupRow, CatalogError>>,
    run: &RunName,
    scratch: &Path,
) -> Result<File, CatalogError> {
    let mut writer = CompactedWriter::create(tempfile::tempfile_in(scratch)?)?;
    for row in rows {
        writer.push(&row?)?;
    }
    Ok(writer.finish(run)?.file)
}

enum Source {
    Memory(std::vec::IntoIter<Ranked>),
    Files(Merge),
}

/// Rows in order.
pub(super) struct Sorted {
    source: Source,
    next: Option<GroupRow>,
}

impl Sorted {
    fn new(source: Source) -> Result<Self, CatalogError> {
        let mut sorted = Self { source, next: None };
        sorted.advance()?;
        Ok(sorted)
    }

    /// Whether the next row is of this key.
    pub(super) fn is_next(&self, key: &str) -> bool {
        let next = self.next.as_ref();
        next.is_some_and(|row| row.entry.row.key == key)
    }

    fn advance(&mut self) -> Result<(), CatalogError> {
        self.next = match &mut self.source {
            Source::Memory(rows) => rows.next().map(|ranked| ranked.row),
            Source::Files(merge) => merge.next().transpose()?,
        };
        Ok(())
    }
}

impl Iterator for Sorted {
    type Item = Result<GroupRow, CatalogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.next.take()?;
        Some(self.advance().map(|()| row))
    }
}

/// The next row of a file that is merged.
struct Head {
    ranked: Ranked,
    /// The place of the file: earlier files have rows that were added earlier.
    file: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.ranked.order(&other.ranked);
        order.then(self.file.cmp(&other.file))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

/// The rows of sorted files, in order.
struct Merge {
    files: Vec<CompactedReader>,
    heads: BinaryHeap<Reverse<Head>>,
    ranks: Arc<HashMap<GroupName, u32>>,
}

impl Merge {
    fn new(files: Vec<File>, ranks: Arc<HashMap<GroupName, u32>>) -> Result<Self, CatalogError> {
        let files: Result<Vec<_>, _> = files.into_iter().map(CompactedReader::open).collect();
        let mut merge = Self {
            files: files?,
            heads: BinaryHeap::new(),
            ranks,
        };
        for file in 0..merge.files.len() {
            merge.read(file)?;
        }
        Ok(merge)
    }

    /// Reads the next row of a file.
    fn read(&mut self, file: usize) -> Result<(), CatalogError> {
        if let Some(row) = self.files[file].next() {
            let row = row?;
            let rank = rank(&self.ranks, &row);
            let ranked = Ranked { rank, row };
            self.heads.push(Reverse(Head { ranked, file }));
        }
        Ok(())
    }
}

impl Iterator for Merge {
    type Item = Result<GroupRow, CatalogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse(Head { ranked, file }) = self.heads.pop()?;
        Some(self.read(file).map(|()| ranked.row))
    }
}

#[cfg(test)]
mod tests;
