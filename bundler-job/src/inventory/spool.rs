//! The data files on scratch: each is downloaded whole and compared with the manifest before its
//! first row is used, while earlier ones are decoded.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use s3bundler_contract::{ByteSize, S3Address};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};

use super::prefetch::Prefetch;
use super::{DataFile, Inventory, InventoryError};
use crate::budget::Permit;
use crate::s3::{ErrorKind, Opened, S3, S3Error};

/// Chunks between a GET and the thread that writes them: at some 16 to 64 KiB each, a megabyte at
/// most.
const CHUNKS_AHEAD: usize = 16;
/// Downloads of a file that did not come, or whose bytes are not those of the manifest. Each
/// request has the SDK's own retries besides.
pub(super) const DOWNLOADS: u32 = 3;
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(250);

/// Where data files, existing manifests and dead letters are kept until they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scratch {
    directory: PathBuf,
    size: ByteSize,
}

impl Scratch {
    /// Room for data files, unless it is chosen: three of the 2 GiB that S3 Inventory writes at
    /// most.
    pub const SIZE: ByteSize = ByteSize::gib(6);

    /// At most `size` bytes in `directory`, but always one file. The directory is created if it
    /// does not exist; default: that of temporary files.
    pub fn new(directory: Option<PathBuf>, size: Option<ByteSize>) -> Result<Self, InventoryError> {
        let directory = directory.unwrap_or_else(std::env::temp_dir);
        match std::fs::create_dir_all(&directory) {
            Ok(()) => Ok(Self {
                directory,
                size: size.unwrap_or(Self::SIZE),
            }),
            Err(cause) => Err(InventoryError::Scratch { directory, cause }),
        }
    }

    /// The directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Room there.
    pub(crate) const fn size(&self) -> ByteSize {
        self.size
    }
}

/// A data file that has the size and the MD5 of the manifest.
pub(super) struct Spooled {
    pub(super) address: S3Address,
    pub(super) bytes: File,
    /// Its room, until it is decoded.
    _room: Permit,
}

/// The data files, in order.
pub(super) type Files = Prefetch<Spooled, InventoryError>;

/// Starts to download the data files in order. Dropping the set stops it.
pub(super) fn start(s3: &S3, inventory: &Inventory, scratch: &Scratch) -> (JoinSet<()>, Files) {
    let files = inventory.manifest().files.iter();
    let files = files
        .map(|file| {
            (
                (file.clone(), inventory.file_address(file)),
                file.size.bytes(),
            )
        })
        .collect();
    let (s3, directory) = (s3.clone(), scratch.directory().to_owned());
    Prefetch::start(
        files,
        scratch.size().bytes(),
        move |(file, address), room| {
            let (s3, directory) = (s3.clone(), directory.clone());
            async move {
                let bytes = spool(&s3, &file, &address, &directory).await?;
                Ok(Spooled {
                    address,
                    bytes,
                    _room: room,
                })
            }
        },
    )
}

/// A file with the bytes that the manifest names. What came otherwise is downloaded again before it
/// is given up.
async fn spool(
    s3: &S3,
    file: &DataFile,
    address: &S3Address,
    directory: &Path,
) -> Result<File, InventoryError> {
    let mut downloads = 0;
    loop {
        let error = match download(s3, file, address, directory).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) => error,
        };
        downloads += 1;
        let allowed = match &error {
            InventoryError::FileChecksum { .. } | InventoryError::Damaged(_) => DOWNLOADS,
            InventoryError::Read(error) if error.kind == ErrorKind::Transient => DOWNLOADS,
            _ => 1,
        };
        if downloads >= allowed {
            return Err(error);
        }
        tracing::warn!(file = %address, %error, "downloading the data file again");
        tokio::time::sleep(FIRST_WAIT * 2_u32.pow(downloads - 1)).await;
    }
}

async fn download(
    s3: &S3,
    file: &DataFile,
    address: &S3Address,
    directory: &Path,
) -> Result<File, InventoryError> {
    let failed = |error: S3Error| match error.kind {
        ErrorKind::Precondition => InventoryError::FileReplaced(address.clone()),
        _ => InventoryError::Read(error),
    };
    let Opened { mut body, etag, .. } = s3.open(address, None).await.map_err(failed)?;
    let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
    let writing = {
        let directory = directory.to_owned();
        spawn_blocking(move || write(&directory, chunks))
    };
    let mut size = 0;
    while let Some(chunk) = body.next().await.map_err(failed)? {
        size += chunk.len() as u64;
        // What is longer must not fill the disk; a writer that is gone has failed.
        if size > file.size.bytes() || sender.send(chunk).await.is_err() {
            break;
        }
    }
    drop(sender);
    let written = writing.await.map_err(|_| InventoryError::Stopped)?;
    let (bytes, md5) = written.map_err(|cause| InventoryError::Scratch {
        directory: directory.to_owned(),
        cause,
    })?;
    compare(file, address, size, md5, &etag).map(|()| bytes)
}

/// Writes what comes into a nameless file, and hashes it.
fn write(directory: &Path, mut chunks: mpsc::Receiver<Bytes>) -> io::Result<(File, [u8; 16])> {
    let mut file = tempfile::tempfile_in(directory)?;
    let mut md5 = Md5::new();
    while let Some(chunk) = chunks.blocking_recv() {
        md5.update(&chunk);
        file.write_all(&chunk)?;
    }
    file.rewind()?;
    Ok((file, md5.finalize().into()))
}

/// Whether these are the bytes that the manifest names. The size in S3 was compared before, so that
/// another one is the transport's.
fn compare(
    file: &DataFile,
    address: &S3Address,
    size: u64,
    md5: [u8; 16],
    etag: &str,
) -> Result<(), InventoryError> {
    let damaged = |detail| {
        InventoryError::Damaged(S3Error::local(
            "GetObject",
            address.clone(),
            ErrorKind::Transient,
            detail,
        ))
    };
    if size != file.size.bytes() {
        let many = if size > file.size.bytes() {
            "more"
        } else {
            "fewer"
        };
        return Err(damaged(format!(
            "{many} bytes came than the {} of the manifest",
            file.size.bytes()
        )));
    }
    if md5 == file.md5 {
        return Ok(());
    }
    let (found, expected) = (HEXLOWER.encode(&md5), HEXLOWER.encode(&file.md5));
    // An ETag that is the MD5 of the manifest proves that S3 has the right bytes.
    if etag == expected {
        return Err(damaged(format!(
            "bytes with the MD5 {found} came, but the ETag is {expected}"
        )));
    }
    Err(InventoryError::FileChecksum {
        file: address.clone(),
        found,
        expected,
    })
}

#[cfg(test)]
mod tests;
