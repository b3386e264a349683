//! Existing manifests and dead letters on scratch. Each is whole, proven and read to its end before its first row is used:
//! what is damaged becomes part of no group.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufReader, Seek as _};
use std::path::PathBuf;
use std::sync::Arc;

use s3bundler_contract::group_manifest::{COLUMNS_METADATA, Columns, ColumnsError, Recorded};
use s3bundler_contract::{S3Address, Stage};

use super::{GroupError, Pass};
use crate::bundle::budget::Permit;
use crate::inventory::InventoryError;
use crate::inventory::ahead::{Ahead, Stopped};
use crate::s3::{ErrorKind, S3, S3Error, SpoolError};

/// Downloads of an object of which other bytes arrive than its listing has, or its writer recorded.
const DOWNLOADS: u32 = 3;

/// Objects on scratch, in order.
pub(super) type Objects<T> = Ahead<T, GroupError>;

impl From<Stopped> for GroupError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// The bytes of these objects among the manifests and dead letters of a run; 1,000 objects of the run a request.
pub(super) async fn sizes(s3: &S3, pass: Pass<'_>, addresses: &[S3Address]) -> Result<Vec<Option<u64>>, GroupError> {
    let mut sizes: BTreeMap<&str, Option<u64>> = addresses.iter().map(|address| (&*address.key, None)).collect();
    let mut missing = sizes.len();
    if missing == 0 {
        return Ok(Vec::new());
    }
    // Those of every stage lie under the prefix of the run's own groups.
    let prefix = Pass { stage: Stage::OWN, ..pass }.manifests();
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
    Ok(addresses.iter().map(|address| sizes.get(&*address.key).copied().flatten()).collect())
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
    /// MD5 of its bytes in hex.
    pub(super) md5: String,
    file: File,
    /// Its room, for as long as it is there; that of several objects if they are read side by side.
    _room: Arc<Permit>,
}

impl Spooler {
    /// An object of which a listing has this size, with this ETag if one is named. Bytes that have not the recorded MD5 are
    /// downloaded again, and given back if they stay so.
    pub(super) async fn spool(
        &self,
        address: S3Address,
        etag: Option<&str>,
        size: u64,
        room: impl Into<Arc<Permit>>,
    ) -> Result<Spooled, SpoolError> {
        let room = room.into();
        let mut downloads = 0;
        loop {
            let spooled = self.s3.spool(&address, etag, &self.directory).await?;
            downloads += 1;
            let recorded = Recorded::in_metadata(&spooled.metadata);
            let is_last = downloads == DOWNLOADS;
            if spooled.whole.size == size && (recorded.is_of(&spooled.whole.md5) || is_last) {
                let (md5, metadata) = (spooled.whole.md5, spooled.metadata);
                return Ok(Spooled { address, metadata, md5, file: spooled.file, _room: room });
            }
            if is_last {
                let detail = format!("{} bytes arrived, its listing has {size}", spooled.whole.size);
                return Err(S3Error::local("GetObject", address, ErrorKind::Transient, detail).into());
            }
        }
    }

    /// What an error of it is about.
    pub(super) fn failed(&self, error: SpoolError) -> GroupError {
        match error {
            SpoolError::S3(error) => GroupError::Read(error),
            SpoolError::Scratch(cause) => InventoryError::Scratch { directory: self.directory.clone(), cause }.into(),
        }
    }
}

impl Spooled {
    /// The columns that its metadata names, or else these.
    pub(super) fn columns_or(&self, columns: Columns) -> Result<Columns, ColumnsError> {
        self.metadata.get(COLUMNS_METADATA).map_or(Ok(columns), |named| named.parse())
    }

    /// Its bytes from the first. Only one reader at a time: they share a position.
    pub(super) fn bytes(&self) -> io::Result<BufReader<File>> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(BufReader::new(file))
    }
}
