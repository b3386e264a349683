//! Group manifests of somebody else as the source of a run: they are read in the order of their
//! keys, selected from like an inventory, and cut into groups of the run's own. Rows of two
//! manifests never share one. Each is spooled to scratch and read to its end before its first row
//! is used, the next few while one is read; an empty one is skipped with a warning.

use std::io::Read;

use s3bundler_contract::group_manifest::{
    COLUMNS_METADATA, Columns, ColumnsError, KeyEncoding, RowError, RowProblem,
};
use s3bundler_contract::{ExistingManifests, InventoryRef, S3Address, SelectOptions};
use tokio::task::spawn_blocking;

use super::batch::{BATCH_BYTES, Batch, Observer};
use super::select::{OwnOutput, SelectError, Selection};
use super::spool::{Objects, Spooled, Spooler};
use super::{GroupError, RowsRequest};
use crate::budget::Permit;
use crate::bundle::{ContentProblem, Unproven, inflated};
use crate::inventory::{OwnFiles, Rows, Scratch};
use crate::s3::{ErrorKind, S3};

/// What is wrong with an existing manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestProblem {
    /// Its `columns` metadata is no list of columns.
    #[error("says which columns it has, but {0}")]
    Columns(ColumnsError),
    /// It lacks a column that the selection needs.
    #[error("cannot be selected from: {0}")]
    Select(SelectError),
    /// A row cannot be read.
    #[error("cannot be read, {0}")]
    Row(RowError),
    /// It is not what its writer recorded.
    #[error(transparent)]
    Content(ContentProblem),
}

/// The manifests under a prefix, listed.
#[derive(Debug)]
pub(super) struct Manifests {
    listed: Vec<Listed>,
    reference: InventoryRef,
    select: SelectOptions,
    own: OwnOutput,
}

#[derive(Debug)]
struct Listed {
    address: S3Address,
    etag: String,
    size: u64,
}

impl Manifests {
    /// Lists the manifests whose address begins with `prefix`.
    pub(super) async fn open(
        s3: &S3,
        prefix: &S3Address,
        request: RowsRequest<'_>,
    ) -> Result<Self, GroupError> {
        if let Some((destination, run)) = request.into
            && ExistingManifests::are_own(prefix, &destination.bucket, &destination.layout, run)
        {
            return Err(GroupError::OwnManifests {
                prefix: prefix.clone(),
                run: run.clone(),
            });
        }
        let mut found = ExistingManifests::under(prefix.clone());
        let mut listed = Vec::new();
        let listing = s3.list(&prefix.bucket, &prefix.key, |page| {
            for object in page {
                if found.add(&object.key, &object.etag) {
                    let address = S3Address::new(&prefix.bucket, object.key);
                    listed.push(Listed {
                        address,
                        etag: object.etag,
                        size: object.size,
                    });
                }
            }
            true
        });
        listing.await.map_err(|error| match error.kind {
            ErrorKind::NoBucket => GroupError::NoBucket(prefix.clone()),
            _ => GroupError::Read(error),
        })?;
        let reference = found
            .reference()
            .ok_or_else(|| GroupError::NoManifests(prefix.clone()))?;
        let own = OwnOutput::new(request.destination(), OwnFiles::default());
        Ok(Self {
            listed,
            reference,
            select: request.select.clone(),
            own,
        })
    }

    /// How the run's claim names them.
    pub(super) fn reference(&self) -> InventoryRef {
        self.reference.clone()
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.listed.len() as u64
    }

    /// Gives the rows, batch by batch, each with an observer that has seen it; `None` at the end. It
    /// blocks: not for the executor, but to be made inside a tokio runtime.
    pub(super) fn batches<O: Observer>(
        self,
        s3: &S3,
        scratch: &Scratch,
        observer: impl Fn() -> O + Send + 'static,
    ) -> impl FnMut() -> Result<Option<(Batch, O)>, GroupError> + Send + 'static {
        let Self {
            listed,
            select,
            own,
            ..
        } = self;
        let spooler = Spooler {
            s3: s3.clone(),
            directory: scratch.directory().to_owned(),
        };
        let wanted = listed.into_iter().map(|listed| {
            let size = listed.size;
            (listed, size)
        });
        let (downloads, mut checked): (_, Objects<Option<Checked>>) = Objects::start(
            wanted.collect(),
            scratch.size().bytes(),
            move |listed, room| {
                let (spooler, select, own) = (spooler.clone(), select.clone(), own.clone());
                async move { check(&spooler, listed, room, select, own).await }
            },
        );
        let mut reading: Option<Reading> = None;
        move || {
            // They end with the last batch, or when the reader is dropped.
            let _downloads = &downloads;
            let it = match &mut reading {
                Some(reading) => reading,
                none => match checked.next()? {
                    None => return Ok(None),
                    Some(None) => {
                        let nothing = Batch {
                            closes: true,
                            ..Batch::default()
                        };
                        return Ok(Some((nothing, observer())));
                    }
                    Some(Some(checked)) => none.insert(Reading::new(checked)?),
                },
            };
            let mut observer = observer();
            let batch = it.next_batch(&mut observer)?;
            if batch.closes {
                reading = None;
            }
            Ok(Some((batch, observer)))
        }
    }
}

/// Spools a manifest, the one that was listed and no later one, and reads it to its end. `None` if
/// it is empty.
async fn check(
    spooler: &Spooler,
    Listed {
        address,
        etag,
        size,
    }: Listed,
    room: Permit,
    select: SelectOptions,
    own: OwnOutput,
) -> Result<Option<Checked>, GroupError> {
    let etag = Some(&*etag).filter(|etag| !etag.is_empty());
    let spooled = spooler.spool(address.clone(), etag, size, room).await;
    let spooled = spooled.map_err(|error| match error {
        Unproven::Spool(error) => spooler.failed(error),
        Unproven::Content(problem) => wrong(&address, ManifestProblem::Content(problem)),
    })?;
    let columns = spooled.metadata.get(COLUMNS_METADATA).map(String::as_str);
    let columns = Columns::of_manifest(columns);
    let (columns, keys) =
        columns.map_err(|cause| wrong(&spooled.address, ManifestProblem::Columns(cause)))?;
    let selection = Selection::new(&select, &columns, own);
    let selection =
        selection.map_err(|cause| wrong(&spooled.address, ManifestProblem::Select(cause)))?;
    let checking = spawn_blocking(move || {
        Reading::new(Checked {
            spooled,
            columns,
            keys,
            selection,
        })?
        .check()
    });
    checking.await.map_err(|_| GroupError::Stopped)?
}

/// A manifest on scratch, every row of which can be used.
struct Checked {
    spooled: Spooled,
    columns: Columns,
    keys: KeyEncoding,
    selection: Selection,
}

/// The manifest at hand.
struct Reading {
    checked: Checked,
    rows: Rows<Box<dyn Read + Send>>,
}

impl Reading {
    fn new(checked: Checked) -> Result<Self, GroupError> {
        let Checked {
            spooled,
            columns,
            keys,
            ..
        } = &checked;
        let bytes = spooled.bytes().and_then(inflated);
        let bytes = bytes.map_err(|error| {
            wrong(
                &spooled.address,
                ManifestProblem::Row(RowError {
                    line: 1,
                    problem: RowProblem::Io(error),
                }),
            )
        })?;
        let rows = Rows::new(bytes, columns, *keys, 1);
        Ok(Self { checked, rows })
    }

    /// The next rows, which may be none.
    fn next_batch(&mut self, observer: &mut impl Observer) -> Result<Batch, GroupError> {
        let (rows, selection) = (&mut self.rows, &self.checked.selection);
        let mut batch = Batch::default();
        let filled = batch.fill(rows, selection, BATCH_BYTES, observer);
        batch.closes = filled
            .map_err(|error| wrong(&self.checked.spooled.address, ManifestProblem::Row(error)))?;
        Ok(batch)
    }

    /// Reads it to its end and compares the number of its rows with what its writer recorded.
    /// `None` if it has no rows.
    fn check(mut self) -> Result<Option<Checked>, GroupError> {
        let mut rows = 0;
        loop {
            let batch = self.next_batch(&mut ())?;
            rows += batch.rows;
            if batch.closes {
                break;
            }
        }
        let spooled = &self.checked.spooled;
        spooled
            .compare(rows)
            .map_err(|problem| wrong(&spooled.address, ManifestProblem::Content(problem)))?;
        if rows == 0 {
            tracing::warn!(manifest = %spooled.address, "the group manifest is empty, skipping it");
            return Ok(None);
        }
        Ok(Some(self.checked))
    }
}

fn wrong(manifest: &S3Address, problem: ManifestProblem) -> GroupError {
    GroupError::Manifest {
        manifest: manifest.clone(),
        problem,
    }
}
