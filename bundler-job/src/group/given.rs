//! Group manifests of somebody else as the source of a run: they are read in the order of their keys, selected from like
//! an inventory, and cut into groups of the run's own. Rows of two manifests never share one.

use std::io::Read;

use s3bundler_contract::group_manifest::{COLUMNS_METADATA, Columns, ColumnsError, KeyEncoding, RowError, RowProblem};
use s3bundler_contract::{GivenManifests, InventoryRef, S3Address, SelectOptions};
use tokio::runtime::Handle;

use super::ahead::{Ahead, BlockingBody};
use super::batch::{BATCH_BYTES, Batch};
use super::select::{OwnOutput, SelectError, Selection};
use super::{GroupError, GroupRequest};
use crate::bundle::inflated;
use crate::inventory::{OwnFiles, Rows};
use crate::s3::{Body, ErrorKind, S3};

/// What is wrong with a given manifest.
#[derive(Debug, thiserror::Error)]
pub enum GivenProblem {
    /// Its `columns` metadata is no list of columns.
    #[error("says which columns it has, but {0}")]
    Columns(ColumnsError),
    /// It lacks a column that the selection needs.
    #[error("cannot be selected from: {0}")]
    Select(SelectError),
    /// A row cannot be read.
    #[error("cannot be read, {0}")]
    Row(RowError),
}

/// The manifests under a prefix, listed.
#[derive(Debug)]
pub(super) struct Given {
    manifests: Vec<Listed>,
    reference: InventoryRef,
    select: SelectOptions,
    own: OwnOutput,
}

#[derive(Debug)]
struct Listed {
    address: S3Address,
    etag: String,
}

impl Given {
    /// Lists the manifests whose address begins with `prefix`.
    pub(super) async fn open(s3: &S3, prefix: &S3Address, request: &GroupRequest) -> Result<Self, GroupError> {
        let destination = &request.destination;
        if GivenManifests::are_own(prefix, &destination.bucket, &destination.layout, &request.run) {
            return Err(GroupError::OwnManifests { prefix: prefix.clone(), run: request.run.clone() });
        }
        let mut given = GivenManifests::under(prefix.clone());
        let mut manifests = Vec::new();
        let listing = s3.list(&prefix.bucket, &prefix.key, |page| {
            for object in page {
                if given.add(&object.key, &object.etag) {
                    manifests.push(Listed { address: S3Address::new(&prefix.bucket, object.key), etag: object.etag });
                }
            }
            true
        });
        listing.await.map_err(|error| match error.kind {
            ErrorKind::NoBucket => GroupError::NoBucket(prefix.clone()),
            _ => GroupError::Read(error),
        })?;
        let reference = given.reference().ok_or_else(|| GroupError::NoManifests(prefix.clone()))?;
        let own = OwnOutput::new(destination, OwnFiles::default());
        Ok(Self { manifests, reference, select: request.select.clone(), own })
    }

    /// How the run's claim names them.
    pub(super) fn reference(&self) -> InventoryRef {
        self.reference.clone()
    }

    /// Gives the rows, batch by batch; `None` at the end. It blocks: not for the executor, but to be made inside a tokio
    /// runtime.
    pub(super) fn batches(self, s3: &S3) -> impl FnMut() -> Result<Option<Batch>, GroupError> + Send + 'static {
        let Self { manifests, select, own, .. } = self;
        let s3 = s3.clone();
        let mut opened = Ahead::start(manifests, move |manifest| {
            let s3 = s3.clone();
            async move { Opened::open(&s3, manifest).await }
        });
        let runtime = Handle::current();
        let mut reading: Option<Reading> = None;
        move || {
            let it = match &mut reading {
                Some(reading) => reading,
                none => {
                    let Some(opened) = opened.next()? else { return Ok(None) };
                    none.insert(Reading::new(opened, &select, own.clone(), runtime.clone())?)
                }
            };
            let batch = it.next_batch()?;
            if batch.closes {
                reading = None;
            }
            Ok(Some(batch))
        }
    }
}

/// A manifest whose first byte has come.
struct Opened {
    address: S3Address,
    columns: Columns,
    keys: KeyEncoding,
    body: Body,
}

impl Opened {
    /// Asks for the manifest that was listed, and no later one.
    async fn open(s3: &S3, Listed { address, etag }: Listed) -> Result<Self, GroupError> {
        let opened = s3.open(&address, Some(&etag)).await.map_err(GroupError::Read)?;
        let columns = opened.metadata.get(COLUMNS_METADATA).map(String::as_str);
        let (columns, keys) = Columns::of_manifest(columns)
            .map_err(|cause| GroupError::Given { manifest: address.clone(), problem: GivenProblem::Columns(cause) })?;
        Ok(Self { address, columns, keys, body: opened.body })
    }
}

/// The manifest at hand.
struct Reading {
    address: S3Address,
    rows: Rows<Box<dyn Read + Send>>,
    selection: Selection,
}

impl Reading {
    fn new(opened: Opened, select: &SelectOptions, own: OwnOutput, runtime: Handle) -> Result<Self, GroupError> {
        let Opened { address, columns, keys, body } = opened;
        let selection = Selection::new(select, &columns, own);
        let selection = selection.map_err(|cause| wrong(&address, GivenProblem::Select(cause)))?;
        let bytes = inflated(BlockingBody::new(body, runtime));
        let bytes = bytes.map_err(|error| failed(&address, RowError { line: 1, problem: RowProblem::Io(error) }))?;
        let rows = Rows::new(bytes, &columns, keys, 1);
        Ok(Self { address, rows, selection })
    }

    /// The next rows, which may be none.
    fn next_batch(&mut self) -> Result<Batch, GroupError> {
        let mut batch = Batch::default();
        let filled = batch.fill(&mut self.rows, &self.selection, BATCH_BYTES);
        batch.closes = filled.map_err(|error| failed(&self.address, error))?;
        Ok(batch)
    }
}

fn wrong(manifest: &S3Address, problem: GivenProblem) -> GroupError {
    GroupError::Given { manifest: manifest.clone(), problem }
}

fn failed(manifest: &S3Address, error: RowError) -> GroupError {
    GroupError::of_row(error, |error| wrong(manifest, GivenProblem::Row(error)))
}
