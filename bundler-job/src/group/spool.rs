//! Existing manifests and dead letters on scratch. Each is whole, proven and read to its end before
//! its first row is used: what is damaged becomes part of no group.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufReader, Seek as _};
use std::path::PathBuf;
use std::sync::Arc;

use s3bundler_contract::group_manifest::{COLUMNS_METADATA, Columns, ColumnsError, Recorded};
use s3bundler_contract::{S3Address, Stage};

use super::{GroupError, Pass};
use crate::budget::Permit;
use crate::bundle::{ContentProblem, Known, Unproven, spool};
use crate::inventory::InventoryError;
use crate::inventory::prefetch::{Prefetch, Stopped};
use crate::s3::{S3, SpoolError};

/// Objects on scratch, in order.
pub(super) type Objects<T> = Prefetch<T, GroupError>;

impl From<Stopped> for GroupError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// The bytes of these objects among the manifests and dead letters of a run; 1,000 objects of the
/// run a request.
pub(super) async fn sizes(
    s3: &S3,
    pass: Pass<'_>,
    addresses: &[S3Address],
) -> Result<Vec<Option<u64>>, GroupError> {
    let mut sizes: BTreeMap<&str, Option<u64>> = addresses
        .iter()
        .map(|address| (&*address.key, None))
        .collect();
    let mut missing = sizes.len();
    if missing == 0 {
        return Ok(Vec::new());
    }
    // Those of every stage lie under the prefix of the run's own groups.
    let prefix = Pass {
        stage: Stage::OWN,
        ..pass
    }
    .manifests();
    let listing = s3.list(&pass.destination.bucket, &prefix, |page| {
        for object in &page {
            if let Some(size) = sizes.get_mut(&*object.key)
                && size.replace(object.size).is_none()
            {
                missing -= 1;
            }
        }
        missing > 0
    });
    listing.await.map_err(GroupError::Destination)?;
    Ok(addresses
        .iter()
        .map(|address| sizes.get(&*address.key).copied().flatten())
        .collect())
}

/// Reads objects to scratch.
#[derive(Debug, Clone)]
pub(super) struct Spooler {
    pub(super) s3: S3,
    pub(super) directory: PathBuf,
}

/// An object on scratch.
#[derive(Debug)]
pub(super) struct Spooled {
    pub(super) address: S3Address,
    pub(super) metadata: HashMap<String, String>,
    /// What its writer recorded of its content. Its bytes have the MD5.
    recorded: Recorded,
    file: File,
    /// Its room, for as long as it is there; that of several objects if they are read side by side.
    _room: Arc<Permit>,
}

impl Spooler {
    /// An object of which a listing has this size, with this ETag if one is named. Its bytes have
    /// the recorded MD5.
    pub(super) async fn spool(
        &self,
        address: S3Address,
        etag: Option<&str>,
        size: u64,
        room: impl Into<Arc<Permit>>,
    ) -> Result<Spooled, Unproven> {
        let room = room.into();
        let known = Known {
            etag,
            size: Some(size),
            recorded: Recorded::default(),
        };
        let (spooled, recorded) = spool(&self.s3, &address, &known, &self.directory).await?;
        Ok(Spooled {
            address,
            metadata: spooled.metadata,
            recorded,
            file: spooled.file,
            _room: room,
        })
    }

    /// What an error of it is about.
    pub(super) fn failed(&self, error: SpoolError) -> GroupError {
        match error {
            SpoolError::S3(error) => GroupError::Read(error),
            SpoolError::Scratch(cause) => InventoryError::Scratch {
                directory: self.directory.clone(),
                cause,
            }
            .into(),
        }
    }
}

impl Spooled {
    /// Whether so many rows are those that its writer recorded.
    pub(super) fn compare(&self, rows: u64) -> Result<(), ContentProblem> {
        ContentProblem::of_rows(&self.recorded, rows)
    }

    /// The columns that its metadata names, or else these.
    pub(super) fn columns_or(&self, columns: Columns) -> Result<Columns, ColumnsError> {
        self.metadata
            .get(COLUMNS_METADATA)
            .map_or(Ok(columns), |named| named.parse())
    }

    /// Its bytes from the first. Only one reader at a time: they share a position.
    pub(super) fn bytes(&self) -> io::Result<BufReader<File>> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(BufReader::new(file))
    }
}
