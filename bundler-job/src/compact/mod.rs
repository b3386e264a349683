//! Writes the catalogs of a run once more, all rows sorted by key, so that a search reads a file or
//! two instead of an end of every catalog.
//!
//! ```text
//! LIST catalogs ──► each, whole and proven ──► Sorter: memory ──► sorted files in scratch ──► merge ──► files ──► PUT
//!                                                                                         manifest, last ──► PUT
//! ```
//!
//! The catalogs stay, and are the authority. The manifest names them with their ETags, so that a
//! search knows which of them the files have. It is one object, and the names of files are a function
//! of the catalogs: a search sees the files before or the files after, and never some of both. See
//! docs/decisions/compacted-catalogs.md.

mod sort;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::types::StorageClass;
use futures_util::{StreamExt as _, stream};
use md5::{Digest as _, Md5};
use s3bundler_contract::layout::number_text;
use s3bundler_contract::record::FORMAT;
use s3bundler_contract::{
    CompactedManifest, CompactedRange, ExitCode, GroupName, HasExitCode, RunName, S3Address,
};
use serde::Serialize;

use crate::catalog::{
    CatalogError, Committed, CompactedFile, CompactedWriter, GroupOf, GroupRow, Outcome, ReadError,
};
use crate::destination::Destination;
use crate::find::compacted;
use crate::find::listing::{self, ListedCatalog};
use crate::progress::Progress;
use crate::s3::{Listed, Put, PutBody, S3, S3Error};

use sort::{Sorted, Sorter};

/// A file ends after at least so many bytes. A search reads one of up to 8 MiB with one request.
const FILE_BYTES: u64 = 4 << 20;
/// Files, about, beyond which they become larger: about as many catalogs as have 130 million rows.
const FILES: u64 = 2_000;
/// Rows in memory, before they are sorted and written to scratch.
const MEMORY: usize = 256 << 20;
/// Age from which a file that no manifest names is removed: much more than it takes to write one.
const ORPHAN_AGE: Duration = Duration::from_hours(24);
/// MIME type of the files.
const PARQUET: &str = "application/vnd.apache.parquet";
/// MIME type of the manifest.
const JSON: &str = "application/json";

/// Which run to compact, and how.
#[derive(Debug, Clone)]
pub struct CompactRequest {
    /// Where the run is. Its layout of keys does not matter.
    pub destination: Destination,
    pub run: RunName,
    /// Catalogs to download at a time.
    pub catalogs: usize,
    /// For catalogs and rows that are being sorted: twice the bytes of all catalogs of the run.
    pub scratch: PathBuf,
}

/// Why a run could not be compacted.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// There is nothing of such a run.
    #[error("there is no catalog of a run {run} in {destination}")]
    NoSuchRun {
        run: RunName,
        destination: S3Address,
    },
    /// S3 could not be read.
    #[error(transparent)]
    Read(S3Error),
    /// A catalog cannot be used.
    #[error(transparent)]
    Catalog(#[from] ReadError),
    /// The rows of a catalog are damaged, or cannot be kept in scratch.
    #[error("{catalog}: {cause}")]
    Rows {
        catalog: S3Address,
        cause: CatalogError,
    },
    /// The catalog of a group was removed since the listing.
    #[error("{catalog} was removed since it was listed; compact the run again")]
    Removed { catalog: S3Address },
    /// Rows cannot be sorted in scratch.
    #[error("cannot sort in the scratch directory at {scratch}: {cause}")]
    Sort {
        scratch: PathBuf,
        cause: CatalogError,
    },
    /// The files could not be written.
    #[error(transparent)]
    Write(S3Error),
    /// A thread is gone.
    #[error("sorting the rows of {run} ended unexpectedly: {cause}")]
    Stopped {
        run: RunName,
        /// How.
        cause: tokio::task::JoinError,
    },
}

impl HasExitCode for CompactError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::NoSuchRun { .. } => ExitCode::Usage,
            Self::Read(error) | Self::Catalog(ReadError::S3(error)) => error.reading(),
            Self::Catalog(ReadError::Scratch { .. }) => ExitCode::Local,
            Self::Catalog(ReadError::Catalog { cause, .. }) | Self::Rows { cause, .. } => {
                cause.exit_code()
            }
            Self::Catalog(ReadError::Foreign { .. }) => ExitCode::Unreadable,
            Self::Removed { .. } => ExitCode::Download,
            Self::Sort { cause, .. } => match cause {
                CatalogError::Io(_) => ExitCode::Local,
                _ => ExitCode::Unexpected,
            },
            Self::Write(error) => error.writing(),
            Self::Stopped { .. } => ExitCode::Unexpected,
        }
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compacted {
    pub run: RunName,
    /// Catalogs of the run.
    pub catalogs: u64,
    /// Their rows.
    pub rows: u64,
    /// Files that have these rows.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Whether they were there already, and nothing was written.
    pub unchanged: bool,
    /// Files of earlier compactions that were removed.
    pub removed: u64,
}

/// Compacts a run. `progress` counts its catalogs and their rows as they are read.
pub async fn compact(
    s3: &S3,
    request: &CompactRequest,
    progress: &Progress,
) -> Result<Compacted, CompactError> {
    let CompactRequest {
        destination, run, ..
    } = request;
    let listed = listing::list(s3, destination, Some(run)).await;
    let (mut runs, _) = listed.map_err(CompactError::Read)?;
    let Some(mut listed) = runs.pop() else {
        return Err(CompactError::NoSuchRun {
            run: run.clone(),
            destination: destination.address(destination.layout.root()),
        });
    };
    let before = compacted::manifest(s3, destination, run).await;
    let before = before.map_err(CompactError::Read)?;
    let folder = destination.layout.compacted(run);
    let files = s3.list_all(&destination.bucket, &folder).await;
    let files = files.map_err(CompactError::Read)?;
    if let Some(before) = &before
        && is_current(before, &listed.catalogs, &files, &folder)
    {
        return Ok(Compacted::of(before, true, 0));
    }
    listed
        .catalogs
        .sort_by_cached_key(|it| listing::place_of(&it.group, run));
    progress.expect(listed.catalogs.len() as u64, 0, 0);
    let sorted = read(s3, request, &listed.catalogs, progress).await?;
    let manifest = write(s3, request, &listed.catalogs, sorted).await?;
    let address = destination.address(destination.layout.compacted_manifest(run));
    let put = Put {
        storage_class: Some(StorageClass::Standard.as_str()),
        content_type: Some(JSON),
        confirm: true,
        ..Put::default()
    };
    let body = PutBody::Bytes(manifest.to_json().into());
    let written = s3.put(&address, body, &put).await;
    written.map_err(CompactError::Write)?;
    let outdated = outdated(
        &files,
        &folder,
        before.as_ref(),
        &manifest,
        SystemTime::now(),
    );
    for key in &outdated {
        let removed = s3.delete(&destination.address(*key)).await;
        removed.map_err(CompactError::Write)?;
    }
    Ok(Compacted::of(&manifest, false, outdated.len() as u64))
}

impl Compacted {
    fn of(manifest: &CompactedManifest, unchanged: bool, removed: u64) -> Self {
        Self {
            run: manifest.run.clone(),
            catalogs: manifest.catalogs.len() as u64,
            rows: manifest.rows,
            files: manifest.files.len() as u64,
            bytes: manifest.files.iter().map(|file| file.size).sum(),
            unchanged,
            removed,
        }
    }
}

/// Whether a manifest is of exactly these catalogs, and all files that it names are there. Pure.
fn is_current(
    manifest: &CompactedManifest,
    catalogs: &[ListedCatalog],
    files: &[Listed],
    folder: &str,
) -> bool {
    let names = |it: &ListedCatalog| manifest.catalogs.get(&it.group) == Some(&it.etag);
    let there: HashMap<_, _> = files
        .iter()
        .filter_map(|file| Some((file.key.strip_prefix(folder)?, (file.size, &file.etag))))
        .collect();
    manifest.catalogs.len() == catalogs.len()
        && catalogs.iter().all(names)
        && manifest
            .files
            .iter()
            .all(|file| there.get(file.name.as_str()) == Some(&(file.size, &file.etag)))
}

/// The keys of files that are not of the new manifest: those that the one before names, and old ones
/// that none names. What another process writes at the same time is neither. Pure.
fn outdated<'a>(
    files: &'a [Listed],
    folder: &str,
    before: Option<&CompactedManifest>,
    after: &CompactedManifest,
    now: SystemTime,
) -> Vec<&'a str> {
    let names = |manifest: &CompactedManifest| -> BTreeSet<String> {
        manifest.files.iter().map(|it| it.name.clone()).collect()
    };
    let (before, after) = (before.map(names).unwrap_or_default(), names(after));
    let is_old = |file: &Listed| {
        let age = file.modified.and_then(|it| now.duration_since(it).ok());
        age.is_some_and(|age| age > ORPHAN_AGE)
    };
    let outdated = files.iter().filter(|file| {
        let name = file.key.strip_prefix(folder).unwrap_or_default();
        let is_file = name.ends_with(".parquet") && !after.contains(name);
        is_file && (before.contains(name) || is_old(file))
    });
    outdated.map(|file| file.key.as_str()).collect()
}

/// Reads all catalogs, each of which is proven, and sorts their rows.
async fn read(
    s3: &S3,
    request: &CompactRequest,
    catalogs: &[ListedCatalog],
    progress: &Progress,
) -> Result<Sorted, CompactError> {
    let CompactRequest {
        destination,
        run,
        scratch,
        ..
    } = request;
    let ranks = catalogs.iter().map(|it| it.group.clone()).zip(0..);
    let ranks: Arc<HashMap<GroupName, u32>> = Arc::new(ranks.collect());
    let mut sorter = Sorter::new(run.clone(), ranks, scratch.clone(), MEMORY);
    let mut reading = stream::iter(catalogs)
        .map(|it| async move {
            let read = Committed::read(s3, destination, run, &it.group, scratch).await?;
            read.ok_or_else(|| CompactError::Removed {
                catalog: destination.address(destination.layout.catalog(run, &it.group)),
            })
        })
        .buffered(request.catalogs.max(1));
    while let Some(committed) = reading.next().await {
        let committed = committed?;
        let progress_of_rows = progress.clone();
        let sorting = tokio::task::spawn_blocking(move || {
            push_all(&mut sorter, &committed, &progress_of_rows).map(|()| sorter)
        });
        sorter = stopped(run, sorting).await??;
        progress.group();
    }
    let scratch = scratch.clone();
    let sorting = tokio::task::spawn_blocking(move || {
        let sorted = sorter.finish();
        sorted.map_err(|cause| CompactError::Sort { scratch, cause })
    });
    stopped(run, sorting).await?
}

async fn stopped<T>(run: &RunName, thread: tokio::task::JoinHandle<T>) -> Result<T, CompactError> {
    thread.await.map_err(|cause| CompactError::Stopped {
        run: run.clone(),
        cause,
    })
}

/// Adds the rows of a catalog. Blocking.
fn push_all(
    sorter: &mut Sorter,
    committed: &Committed,
    progress: &Progress,
) -> Result<(), CompactError> {
    let of = GroupOf {
        group: committed.group().name.clone(),
        attempt: committed.attempt().to_owned(),
    };
    let archive = committed.record().archive.as_ref().map(|it| it.key.clone());
    let damaged = |cause| CompactError::Rows {
        catalog: committed.address(),
        cause,
    };
    for entry in committed.catalog().entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        progress.object(entry.row.size.unwrap_or(0));
        let archive = match &entry.outcome {
            Outcome::Archived(_) => archive.clone(),
            Outcome::Copied { key } => Some(key.clone()),
            Outcome::Failed(_) => None,
        };
        let row = GroupRow {
            group: Some(of.clone()),
            entry,
            archive,
        };
        sorter.push(row).map_err(|cause| CompactError::Sort {
            scratch: sorter.scratch().to_owned(),
            cause,
        })?;
    }
    Ok(())
}

/// Writes the files, and returns the manifest that names them.
async fn write(
    s3: &S3,
    request: &CompactRequest,
    catalogs: &[ListedCatalog],
    mut sorted: Sorted,
) -> Result<CompactedManifest, CompactError> {
    let CompactRequest {
        destination,
        run,
        scratch,
        ..
    } = request;
    let mut manifest = CompactedManifest {
        format: FORMAT,
        run: run.clone(),
        program: concat!("s3bundler ", env!("CARGO_PKG_VERSION")).to_owned(),
        rows: 0,
        catalogs: catalogs
            .iter()
            .map(|it| (it.group.clone(), it.etag.clone()))
            .collect(),
        files: Vec::new(),
    };
    let (stem, target) = (stem(&manifest.catalogs), file_bytes(catalogs));
    loop {
        let (of, directory) = (run.clone(), scratch.clone());
        let merging = tokio::task::spawn_blocking(move || {
            let file = next_file(&mut sorted, &of, &directory, target);
            file.map(|file| (file, sorted))
        });
        let merged = stopped(run, merging).await?;
        let (file, rest) = merged.map_err(|cause| CompactError::Sort {
            scratch: scratch.clone(),
            cause,
        })?;
        sorted = rest;
        let Some((CompactedFile { file, rows, .. }, (first, last))) = file else {
            return Ok(manifest);
        };
        let number = number_text(manifest.files.len() as u64);
        let name = format!("{stem}-{number}.parquet");
        let key = format!("{}{name}", destination.layout.compacted(run));
        let size = file.metadata().map_err(|cause| CompactError::Sort {
            scratch: scratch.clone(),
            cause: cause.into(),
        })?;
        let address = destination.address(key);
        let put = Put {
            storage_class: Some(StorageClass::Standard.as_str()),
            content_type: Some(PARQUET),
            ..Put::default()
        };
        let written = s3.put(&address, PutBody::File(Arc::new(file)), &put);
        let etag = written.await.map_err(CompactError::Write)?;
        manifest.rows += rows;
        manifest.files.push(CompactedRange {
            name,
            size: size.len(),
            etag,
            rows,
            first,
            last,
        });
    }
}

/// What the names of the files of these catalogs begin with: other catalogs, other names.
fn stem(catalogs: &BTreeMap<GroupName, String>) -> String {
    let mut hash = Md5::new();
    hash.update(concat!(env!("CARGO_PKG_VERSION"), "\n"));
    for (group, etag) in catalogs {
        // Neither has a space or a newline.
        hash.update(format!("{group} {etag}\n"));
    }
    data_encoding::HEXLOWER.encode(&hash.finalize()[..8])
}

/// Bytes after which a file ends. Pure.
fn file_bytes(catalogs: &[ListedCatalog]) -> u64 {
    let all: u64 = catalogs.iter().map(|it| it.size).sum();
    (all / FILES).max(FILE_BYTES)
}

type NextFile = Option<(CompactedFile, (String, String))>;

/// Writes the next rows to a file of at least `target` bytes, of all rows of each key in it. Blocking.
fn next_file(
    sorted: &mut Sorted,
    run: &RunName,
    scratch: &Path,
    target: u64,
) -> Result<NextFile, CatalogError> {
    let mut writer = CompactedWriter::create(tempfile::tempfile_in(scratch)?)?;
    while let Some(row) = sorted.next() {
        let row = row?;
        writer.push(&row)?;
        if writer.bytes() >= target && !sorted.is_next(&row.entry.row.key) {
            break;
        }
    }
    let file = writer.finish(run)?;
    let keys = file.keys.clone();
    Ok(keys.map(|keys| (file, keys)))
}

#[cfg(test)]
mod tests;
