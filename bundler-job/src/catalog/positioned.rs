//! A file that Parquet reads by position. The standard library's `File` shares one cursor between
//! its clones, so two readers of one catalog would move each other.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Page headers are some tens of bytes.
const BUFFER: usize = 4096;

/// A file of a known length.
#[derive(Debug, Clone)]
pub(super) struct Positioned {
    file: Arc<File>,
    size: u64,
}

impl Positioned {
    /// Reads `file`, whatever its cursor.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self {
            file: Arc::new(file),
            size,
        })
    }

    /// The bytes from `at`; fails at the end of the file.
    pub(super) fn read_exact(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)
    }

    /// Bytes in it.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }
}

impl Length for Positioned {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Positioned {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::with_capacity(
            BUFFER,
            From {
                file: self.clone(),
                at: start,
            },
        ))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // Before allocating what a hostile header asks for.
        if start
            .checked_add(length as u64)
            .is_none_or(|end| end > self.size)
        {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} of a file of {} bytes",
                self.size
            )));
        }
        let mut buffer = vec![0; length];
        self.read_exact(start, &mut buffer)?;
        Ok(buffer.into())
    }
}

/// Reads on from a position.
pub(super) struct From {
    file: Positioned,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.file.read_at(buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}
