//! Existing manifests and dead letters on scratch. Each is whole, proven and read to its end before its first row is used:
//! what is damaged becomes part of no group.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Seek as _};
use std::path::PathBuf;

use s3bundler_contract::S3Address;

use super::GroupError;
use crate::bundle::budget::Permit;
use crate::inventory::InventoryError;
use crate::inventory::ahead::{Ahead, Stopped};
use crate::s3::{ErrorKind, S3, S3Error, SpoolError};

/// Downloads of an object of which another number of bytes arrives than its listing has.
const DOWNLOADS: u32 = 3;

/// Objects on scratch, in order.
pub(super) type Objects<T> = Ahead<T, GroupError>;

impl From<Stopped> for GroupError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
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
    /// Its room, for as long as it is there.
    _room: Permit,
}

impl Spooler {
    /// An object of which a listing has this size, with this ETag if one is named.
    pub(super) async fn spool(
        &self,
        address: S3Address,
        etag: Option<&str>,
        size: u64,
        room: Permit,
    ) -> Result<Spooled, SpoolError> {
        let mut downloads = 0;
        loop {
            let spooled = self.s3.spool(&address, etag, &self.directory).await?;
            if spooled.whole.size == size {
                let (md5, metadata) = (spooled.whole.md5, spooled.metadata);
                return Ok(Spooled { address, metadata, md5, file: spooled.file, _room: room });
            }
            downloads += 1;
            if downloads == DOWNLOADS {
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
    /// Its bytes from the first. Only one reader at a time: they share a position.
    pub(super) fn bytes(&self) -> io::Result<BufReader<File>> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(BufReader::new(file))
    }
}
