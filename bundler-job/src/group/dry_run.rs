//! The groups that a run would have, without a run: the same rows are read, selected and cut by the
//! same code as in [`group`](super::group()), and nothing is written.
//!
//! ```text
//! inventory, manifests ──► OpenOrigin ─┐
//! LIST of a bucket ────────────────────┴─► batches ──► Cutter ──► groups ──► the caller
//!                                             └─► observer, a block at a time
//! ```

use std::sync::atomic::AtomicU64;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};

use s3bundler_contract::group_manifest::{Column, Columns, RowProblem};
use s3bundler_contract::{GroupOptions, RowRef, RunName, RunSummary, S3Address, SelectOptions};
use tokio::sync::mpsc;

use super::batch::{Batch, Observer};
use super::cut::{CutGroup, Cutter};
use super::publish::cut_all;
use super::select::OwnOutput;
use super::{GroupError, NextBatch, OpenOrigin, Origin, RowsRequest, Selection};
use crate::destination::Destination;
use crate::inventory::{InventoryRow, OwnFiles, Scratch};
use crate::s3::{ErrorKind, Listed, S3};

/// Pages of a listing ahead of the rows that are cut.
const PAGES_AHEAD: usize = 4;

/// Where the rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DryOrigin {
    /// As those of a run.
    Run(Origin),
    /// All objects whose address begins so, as LIST shows them.
    Listing(S3Address),
}

/// What to group.
#[derive(Debug, Clone)]
pub(crate) struct DryRequest {
    /// Where the rows come from.
    pub(crate) origin: DryOrigin,
    /// Which rows to take.
    pub(crate) select: SelectOptions,
    /// Where groups end.
    pub(crate) group: GroupOptions,
    /// The name of the run.
    pub(crate) run: RunName,
    /// Where the run would write, if that is known: what lies there is no source.
    pub(crate) destination: Option<Destination>,
    /// Where data files are kept until they are read.
    pub(crate) scratch: Scratch,
}

impl DryRequest {
    /// Whether the rows are those of a listing.
    pub(crate) const fn origin_is_listing(&self) -> bool {
        matches!(self.origin, DryOrigin::Listing(_))
    }
}

/// What is known of the origin beside its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OriginFacts {
    /// Data files of an inventory, or existing manifests.
    pub(crate) files: u64,
    /// Columns of an inventory or a listing; existing manifests have each their own.
    pub(crate) columns: Option<Columns>,
}

/// An origin that was found and is complete.
pub(crate) struct Dry {
    rows: DryRows,
    request: DryRequest,
}

enum DryRows {
    Run(OpenOrigin),
    Listing(S3Address, Selection),
}

impl Dry {
    /// Looks for the rows as a run does.
    pub(crate) async fn open(s3: &S3, request: DryRequest) -> Result<Self, GroupError> {
        let rows = match &request.origin {
            DryOrigin::Run(origin) => {
                let rows = RowsRequest {
                    origin,
                    select: &request.select,
                    limits: &request.group,
                    into: request
                        .destination
                        .as_ref()
                        .map(|destination| (destination, &request.run)),
                };
                let rows = OpenOrigin::open(s3, rows).await?;
                rows.check(s3).await?;
                DryRows::Run(rows)
            }
            DryOrigin::Listing(prefix) => {
                let own = OwnOutput::new(request.destination.as_ref(), OwnFiles::default());
                if own.is_everything_in(&prefix.bucket) {
                    return Err(GroupError::DestinationIsSource {
                        bucket: prefix.bucket.clone(),
                    });
                }
                let selection = Selection::new(&request.select, &columns_of_listings(), own)?;
                DryRows::Listing(prefix.clone(), selection)
            }
        };
        Ok(Self { rows, request })
    }

    /// What is known beside the rows.
    pub(crate) fn facts(&self) -> OriginFacts {
        match &self.rows {
            DryRows::Run(OpenOrigin::Inventory(inventory, _)) => OriginFacts {
                files: inventory.manifest().files.len() as u64,
                columns: Some(inventory.columns().clone()),
            },
            DryRows::Run(OpenOrigin::Manifests(manifests)) => OriginFacts {
                files: manifests.count(),
                columns: None,
            },
            DryRows::Listing(..) => OriginFacts {
                files: 0,
                columns: Some(columns_of_listings()),
            },
        }
    }

    /// Sends the groups as they are cut. Returns the summary that a run would write, and one
    /// observer of all rows: `merge` adds the rows that the second has seen to the first.
    pub(crate) async fn cut<O: Observer>(
        self,
        s3: &S3,
        observer: impl Fn() -> O + Send + Sync + 'static,
        merge: impl Fn(&mut O, O) + Send + 'static,
        groups: mpsc::Sender<CutGroup>,
    ) -> Result<(RunSummary, O), GroupError> {
        let Self { rows, request } = self;
        let seen = Arc::new(Mutex::new(observer()));
        let all = Arc::clone(&seen);
        let mut next = match rows {
            DryRows::Run(rows) => rows.batches(s3, &request.scratch, observer),
            DryRows::Listing(prefix, selection) => list(s3, prefix, selection, observer),
        };
        let batches = move || {
            Ok(next()?.map(|(batch, observer)| {
                merge(
                    &mut all.lock().unwrap_or_else(PoisonError::into_inner),
                    observer,
                );
                batch
            }))
        };
        let cutter = Cutter::new(RunSummary::empty(request.run), request.group);
        let cutting = tokio::task::spawn_blocking(move || {
            cut_all(batches, cutter, &groups, &AtomicU64::new(0))
        });
        let summary = cutting.await.map_err(|_| GroupError::Stopped)??;
        let seen = Arc::into_inner(seen).ok_or(GroupError::Stopped)?;
        Ok((
            summary,
            seen.into_inner().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

/// What LIST shows of an object.
fn columns_of_listings() -> Columns {
    let names = "Bucket,Key,Size,LastModifiedDate,ETag,StorageClass";
    names.parse().expect("columns with a bucket and a key")
}

/// The batches of a listing, a page each.
fn list<O: Observer>(
    s3: &S3,
    prefix: S3Address,
    selection: Selection,
    observer: impl Fn() -> O + Send + 'static,
) -> NextBatch<O> {
    // Not tokio's channel: the pages wait inside a callback that must not await.
    let (sender, pages) = sync_channel(PAGES_AHEAD);
    let (s3, under) = (s3.clone(), prefix.clone());
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        // It ends when the receiver of the pages is dropped.
        let listing = s3.list(&under.bucket, &under.key, |page| {
            sender.send(Ok(page)).is_ok()
        });
        if let Err(error) = runtime.block_on(listing) {
            let _ = sender.send(Err(error));
        }
    });
    Box::new(move || {
        let Ok(page) = pages.recv() else {
            return Ok(None);
        };
        let page = page.map_err(|error| match error.kind {
            ErrorKind::NoBucket => GroupError::NoBucket(prefix.clone()),
            _ => GroupError::Read(error),
        })?;
        let (mut batch, mut observer) = (Batch::default(), observer());
        for listed in &page {
            batch
                .add_listed(&prefix.bucket, listed, &selection, &mut observer)
                .map_err(|problem| GroupError::Listed {
                    object: S3Address::new(&prefix.bucket, &listed.key),
                    problem,
                })?;
        }
        Ok(Some((batch, observer)))
    })
}

impl Batch {
    fn add_listed(
        &mut self,
        bucket: &str,
        listed: &Listed,
        selection: &Selection,
        observer: &mut impl Observer,
    ) -> Result<(), RowProblem> {
        let modified = listed
            .modified
            .and_then(|at| jiff::Timestamp::try_from(at).ok())
            .map(|at| at.to_string());
        let row = RowRef {
            bucket,
            key: &listed.key,
            size: Some(listed.size),
            version_id: None,
            last_modified: modified.as_deref(),
            etag: Some(&*listed.etag).filter(|etag| !etag.is_empty()),
            storage_class: listed.storage_class.as_deref(),
        };
        let row = InventoryRow {
            row,
            is_latest: true,
            is_delete_marker: false,
            access_tier: None,
            encryption: None,
            bucket_key: None,
        };
        self.add(&row, selection, observer)
    }
}

/// Whether an origin has a column: existing manifests may have any.
impl OriginFacts {
    /// Whether its rows have this column, as far as is known.
    pub(crate) fn has(&self, column: &Column) -> bool {
        self.columns
            .as_ref()
            .is_none_or(|columns| columns.position(column).is_some())
    }
}
