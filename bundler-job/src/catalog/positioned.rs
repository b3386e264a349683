//! What Parquet reads by position. [`Positioned`] is a file: the standard library's `File` shares one
//! cursor between its clones, so two readers of one catalog would move each other. [`Parts`] are some
//! bytes of an object of which no more was read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Page headers are some tens of bytes.
const BUFFER: usize = 4096;

/// Bytes by position.
pub(super) trait ReadAt {
    /// The bytes from `at`; fails at the end of the file.
    fn read_exact(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Bytes in the file.
    fn size(&self) -> u64;
}

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
}

impl ReadAt for Positioned {
    fn read_exact(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)
    }

    fn size(&self) -> u64 {
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

/// Some bytes of an object of a known size.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    size: u64,
    /// By position. None overlaps another.
    parts: BTreeMap<u64, Bytes>,
}

impl Parts {
    /// None of the bytes of an object of this size.
    pub(crate) const fn none(size: u64) -> Self {
        Self {
            size,
            parts: BTreeMap::new(),
        }
    }

    /// Bytes of the object.
    pub(crate) const fn object_size(&self) -> u64 {
        self.size
    }

    /// Adds the bytes from `at`, in place of what was there.
    pub(crate) fn add(&mut self, at: u64, bytes: Bytes) {
        let end = at + bytes.len() as u64;
        self.parts
            .retain(|start, part| *start >= end || start + part.len() as u64 <= at);
        self.parts.insert(at, bytes);
    }

    /// The bytes of a range, if one part has them all.
    fn slice(&self, range: &Range<u64>) -> Option<Bytes> {
        let (start, part) = self.parts.range(..=range.start).next_back()?;
        let from = usize::try_from(range.start - start).ok()?;
        let length = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        let end = from.checked_add(length)?;
        (end <= part.len()).then(|| part.slice(from..end))
    }

    /// Whether one part has all bytes of a range.
    pub(crate) fn has(&self, range: &Range<u64>) -> bool {
        self.slice(range).is_some()
    }

    fn required(&self, at: u64, length: usize) -> io::Result<Bytes> {
        let end = at.saturating_add(length as u64);
        self.slice(&(at..end)).ok_or_else(|| {
            let problem = format!(
                "{length} bytes at {at} are not among those that were read of {} bytes",
                self.size
            );
            io::Error::new(io::ErrorKind::UnexpectedEof, problem)
        })
    }
}

impl ReadAt for Parts {
    fn read_exact(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut bytes = self.required(at, buffer.len())?;
        bytes.copy_to_slice(buffer);
        Ok(())
    }

    fn size(&self) -> u64 {
        self.size
    }
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Parts {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let part = self.parts.range(..=start).next_back();
        let rest = part.and_then(|(at, part)| {
            let from = usize::try_from(start - at).ok()?;
            (from <= part.len()).then(|| part.slice(from..))
        });
        Ok(rest.unwrap_or_default().reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.required(start, length)
            .map_err(|error| ParquetError::EOF(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_what_was_added_and_nothing_else() {
        let mut parts = Parts::none(100);
        parts.add(90, Bytes::from_static(b"0123456789"));
        parts.add(10, Bytes::from_static(b"abc"));
        assert!(parts.has(&(90..100)) && parts.has(&(11..13)) && parts.has(&(95..95)));
        for missing in [0..1, 9..11, 12..14, 89..91, 99..101] {
            assert!(!parts.has(&missing), "{missing:?}");
        }
        assert_eq!(parts.get_bytes(11, 2).expect("they are here"), "bc");
        assert!(parts.get_bytes(0, usize::MAX).is_err());
        let mut buffer = [0; 3];
        parts.read_exact(97, &mut buffer).expect("they are here");
        assert_eq!(&buffer, b"789");
        parts.add(85, Bytes::from_static(b"ABCDEFGHIJKLMNO"));
        assert_eq!(parts.get_bytes(97, 3).expect("they are here"), "MNO");
        assert!(parts.has(&(10..13)) && parts.has(&(85..100)));
    }
}
