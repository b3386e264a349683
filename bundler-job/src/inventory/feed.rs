//! The data files' compressed bytes: GETs on the executor, a blocking reader on the decoding thread, a bounded channel
//! between them.

use std::io::{self, BufRead, Read};

use bytes::{Buf, Bytes};
use md5::{Digest, Md5};
use s3bundler_contract::S3Address;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{DataFile, Inventory, InventoryError};
use crate::s3::{ErrorKind, S3, S3Error};

/// Chunks between a GET and the decoder: at some 16 to 64 KiB each, a megabyte at most.
const CHUNKS_AHEAD: usize = 16;
/// Data files handed to the decoder before it asks: while one is decoded, the next one's bytes are already coming.
const FILES_AHEAD: usize = 1;

/// A data file on its way to the decoder.
pub(super) struct Fed {
    pub(super) file: DataFile,
    pub(super) address: S3Address,
    pub(super) bytes: FeedReader,
}

/// An empty chunk ends a file, so that a feeder that died is not taken for the end.
type Chunk = Result<Bytes, S3Error>;

/// Starts to GET the data files in order. Dropping the set stops it.
pub(super) fn start(s3: &S3, inventory: &Inventory) -> (JoinSet<()>, mpsc::Receiver<Fed>) {
    let (sender, receiver) = mpsc::channel(FILES_AHEAD);
    let files: Vec<_> =
        inventory.manifest().files.iter().map(|file| (file.clone(), inventory.file_address(file))).collect();
    let mut feeder = JoinSet::new();
    feeder.spawn(feed(s3.clone(), files, sender));
    (feeder, receiver)
}

async fn feed(s3: S3, files: Vec<(DataFile, S3Address)>, sender: mpsc::Sender<Fed>) {
    let mut downloads = JoinSet::new();
    for (file, address) in files {
        let (chunks, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let bytes = FeedReader::new(receiver);
        // Waits until the decoder has begun the last one: two downloads at a time.
        if sender.send(Fed { file, address: address.clone(), bytes }).await.is_err() {
            return;
        }
        downloads.spawn(download(s3.clone(), address, chunks));
        while downloads.try_join_next().is_some() {}
    }
    while downloads.join_next().await.is_some() {}
}

async fn download(s3: S3, address: S3Address, chunks: mpsc::Sender<Chunk>) {
    let outcome = async {
        let mut body = s3.open(&address, None).await?.body;
        while let Some(chunk) = body.next().await? {
            if !chunk.is_empty() && chunks.send(Ok(chunk)).await.is_err() {
                return Ok(());
            }
        }
        let _ = chunks.send(Ok(Bytes::new())).await;
        Ok(())
    };
    if let Err(error) = outcome.await {
        // Nobody listens any more where this cannot be sent.
        let _ = chunks.send(Err(error)).await;
    }
}

/// Reads a data file's bytes on a blocking thread, and counts and hashes them on the way.
pub(super) struct FeedReader {
    chunks: mpsc::Receiver<Chunk>,
    current: Bytes,
    md5: Md5,
    size: u64,
    ended: bool,
    failure: Option<S3Error>,
    stopped: bool,
}

impl FeedReader {
    fn new(chunks: mpsc::Receiver<Chunk>) -> Self {
        Self { chunks, current: Bytes::new(), md5: Md5::new(), size: 0, ended: false, failure: None, stopped: false }
    }

    /// Bytes that came so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// MD5 of all bytes, once the end came.
    pub(super) fn md5(&self) -> [u8; 16] {
        self.md5.clone().finalize().into()
    }

    /// What a failed read was really about; `None` where the bytes themselves are at fault.
    pub(super) fn failure(&mut self, file: &S3Address) -> Option<InventoryError> {
        match self.failure.take()? {
            error if error.kind == ErrorKind::Precondition => Some(InventoryError::FileReplaced(file.clone())),
            error => Some(InventoryError::Read(error)),
        }
    }

    /// Whether the feeder is gone before the end came.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }
}

impl BufRead for FeedReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.is_empty() && !self.ended {
            match self.chunks.blocking_recv() {
                Some(Ok(chunk)) if chunk.is_empty() => self.ended = true,
                Some(Ok(chunk)) => {
                    self.md5.update(&chunk);
                    self.size += chunk.len() as u64;
                    self.current = chunk;
                }
                Some(Err(error)) => {
                    self.failure = Some(error);
                    return Err(io::Error::other("the download failed"));
                }
                None => {
                    self.stopped = true;
                    return Err(io::Error::other("the download stopped"));
                }
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current.advance(amount);
    }
}

impl Read for FeedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}
