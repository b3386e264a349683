//! CRC64NVME, the checksum that S3 keeps of a whole object and tells in HEAD, whatever its storage
//! class.

use std::io::{self, Write};

use crc_fast::{CrcAlgorithm, Digest};

/// As S3 writes it in `x-amz-checksum-crc64nvme`: base64 of the eight bytes, the highest first
/// ("Checking object integrity", S3 user guide).
pub fn crc64nvme_to_base64(crc: u64) -> String {
    data_encoding::BASE64.encode(&crc.to_be_bytes())
}

/// Reads what S3 wrote; `None` where it is no CRC64NVME.
pub fn crc64nvme_from_base64(text: &str) -> Option<u64> {
    let bytes = data_encoding::BASE64.decode(text.as_bytes()).ok()?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// Counts and sums the bytes that pass through it.
pub struct Crc64Writer<W> {
    sink: W,
    digest: Digest,
    size: u64,
}

impl<W: Write> Crc64Writer<W> {
    /// Passes on to `sink`.
    pub fn new(sink: W) -> Self {
        Self {
            sink,
            digest: Digest::new(CrcAlgorithm::Crc64Nvme),
            size: 0,
        }
    }

    /// The bytes that passed.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The sink, the bytes that passed and their CRC64NVME.
    pub fn finish(self) -> (W, u64, u64) {
        (self.sink, self.size, self.digest.finalize())
    }
}

impl<W: Write> Write for Crc64Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.sink.write(bytes)?;
        self.digest.update(&bytes[..n]);
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

#[cfg(test)]
mod tests;
