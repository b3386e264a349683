//! The bytes of objects: the sums of whole ones, and the chunks that a thread compares.

use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use s3bundler_contract::S3Address;
use tokio::sync::mpsc;

use super::VerifyError;
use super::scope::Scope;
use crate::s3::{Body, ErrorKind};

/// What all bytes of an object add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) size: u64,
    /// In hex.
    pub(super) md5: String,
    pub(super) crc64nvme: u64,
}

/// GETs an object. One in an archive tier has to be restored first.
pub(super) async fn open(scope: Scope<'_>, object: &S3Address) -> Result<Body, VerifyError> {
    match scope.s3.open(object, None).await {
        Ok(opened) => Ok(opened.body),
        Err(error) if error.kind == ErrorKind::Archived => Err(VerifyError::Archived {
            archive: object.clone(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// Reads an object to its end.
pub(super) async fn sums(scope: Scope<'_>, object: &S3Address) -> Result<Sums, VerifyError> {
    let mut body = open(scope, object).await?;
    let (mut md5, mut crc) = (
        Md5::new(),
        crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme),
    );
    let mut size: u64 = 0;
    while let Some(chunk) = body.next().await? {
        md5.update(&chunk);
        crc.update(&chunk);
        size += chunk.len() as u64;
    }
    Ok(Sums {
        size,
        md5: HEXLOWER.encode(&md5.finalize()),
        crc64nvme: crc.finalize(),
    })
}

/// Bytes that another task sends.
pub(super) struct Chunks {
    receiver: mpsc::Receiver<std::io::Result<bytes::Bytes>>,
    chunk: bytes::Bytes,
}

impl Chunks {
    /// What comes out of a channel.
    pub(super) const fn of(receiver: mpsc::Receiver<std::io::Result<bytes::Bytes>>) -> Self {
        Self {
            receiver,
            chunk: bytes::Bytes::new(),
        }
    }
}

impl std::io::Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        std::io::Read::read(&mut bytes::Buf::reader(&mut self.chunk), buffer)
    }
}
