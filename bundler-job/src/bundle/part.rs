//! The bytes of an archive, cut into parts. A part of the planned size is filled in memory. Larger
//! ones are written to a nameless file of the scratch directory and sent from there, so that memory
//! does not grow with them.
//!
//! There are three parts at a time: one is filled while two are in flight. Each takes a slot when
//! its first byte comes and returns it when it is dropped, sent or not.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use crc_fast::CrcAlgorithm;
use s3bundler_contract::ByteSize;
use tokio::sync::mpsc;

use super::parts::PartPlan;
use super::scratch::Aside;
use crate::budget::PARTS_IN_FLIGHT;
use crate::s3::{Crc64Writer, PutBody};

/// Parts that there are at a time.
pub const PARTS_AT_A_TIME: u64 = PARTS_IN_FLIGHT as u64 + 1;
/// Bytes of a part on scratch in memory.
const CHUNK: usize = 256 * 1024;

/// A part of the archive, in order.
#[derive(Debug)]
pub struct Part {
    /// From 1, as S3 counts.
    pub number: u32,
    /// Its bytes.
    pub body: PutBody,
    /// Their number.
    pub size: u64,
    /// Their CRC64NVME.
    pub crc64nvme: u64,
    _slot: Slot,
}

/// The archive would need more parts than an upload can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the archive needs more than {most} parts: its manifest has objects for about {planned}, and \
     {packed} are packed; group the objects again under another run name, with a lower \
     --max-objects or --max-size{}",
    match kept_small {
        KeptSmall::No => "",
        KeptSmall::ByRoom => ", or raise --scratch-size, which keeps the parts small",
        KeptSmall::ByStore => "; this store demands parts of one size, which --memory raises to \
            16MiB at most",
    }
)]
pub struct TooManyParts {
    most: u32,
    planned: ByteSize,
    packed: ByteSize,
    kept_small: KeptSmall,
}

/// What keeps parts from growing as far as they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptSmall {
    /// Nothing.
    No,
    /// The room in the scratch directory.
    ByRoom,
    /// The store, which demands parts of one size.
    ByStore,
}

/// Why the bytes of an archive cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The scratch directory cannot be written.
    #[error(
        "cannot write a part to the scratch directory {directory}: {cause}; free space there or \
         choose another with --scratch"
    )]
    Scratch {
        /// The directory.
        directory: PathBuf,
        cause: io::Error,
    },
    /// There would be too many parts.
    #[error(transparent)]
    TooMany(#[from] TooManyParts),
    /// The upload ended before the packing did; its own error says why.
    #[error("the upload ended early")]
    UploadGone,
}

/// Cuts the bytes of an archive into parts. Blocking.
pub struct PartWriter {
    plan: PartPlan,
    /// About how large the archive is by its manifest.
    planned: u64,
    scratch: PathBuf,
    /// The room of parts in the scratch directory, if room there is limited.
    aside: Option<Aside>,
    kept_small: KeptSmall,
    slots: Slots,
    parts: mpsc::Sender<Part>,
    open: Option<Open>,
    number: u32,
    /// The size that parts have by now.
    size: u64,
    /// Bytes before the open part, and their CRC.
    sent: u64,
    crc: u64,
}

/// The part that is being filled.
struct Open {
    bytes: Crc64Writer<Buffer>,
    left: u64,
    slot: Slot,
}

enum Buffer {
    Memory(Vec<u8>),
    Scratch(BufWriter<File>),
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Memory(buffer) => buffer.write(bytes),
            Self::Scratch(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Scratch(file) => file.flush(),
        }
    }
}

impl PartWriter {
    /// Sends parts by this plan, for an archive of about `planned` bytes. Those that are larger
    /// than planned go through `scratch`, and through the room that is set aside there, if it is
    /// limited. `kept_small` is for the error.
    pub fn new(
        plan: PartPlan,
        planned: u64,
        scratch: PathBuf,
        (aside, kept_small): (Option<Aside>, KeptSmall),
        parts: mpsc::Sender<Part>,
    ) -> Self {
        let size = plan.planned();
        Self {
            plan,
            planned,
            scratch,
            aside,
            kept_small,
            slots: Slots::new(),
            parts,
            open: None,
            number: 0,
            size,
            sent: 0,
            crc: 0,
        }
    }

    /// Bytes of the archive so far.
    pub fn position(&self) -> u64 {
        self.sent + self.open.as_ref().map_or(0, |open| open.bytes.size())
    }

    /// Adds bytes. Waits while parts wait for the upload.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), PartError> {
        while !bytes.is_empty() {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.begin()?,
            };
            let now = usize::try_from(open.left)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            open.bytes
                .write_all(&bytes[..now])
                .map_err(|cause| self.scratch_error(cause))?;
            open.left -= now as u64;
            bytes = &bytes[now..];
            if open.left == 0 {
                self.send(open)?;
            } else {
                self.open = Some(open);
            }
        }
        Ok(())
    }

    /// Sends the last part. Returns the size of the archive and its CRC64NVME.
    pub fn finish(mut self) -> Result<(u64, u64), PartError> {
        if let Some(open) = self.open.take() {
            self.send(open)?;
        }
        Ok((self.sent, self.crc))
    }

    fn begin(&mut self) -> Result<Open, PartError> {
        let number = self.number + 1;
        let Some(size) = self.plan.size(number) else {
            let (most, kept_small) = (self.plan.most(), self.kept_small);
            let (planned, packed) = (ByteSize(self.planned), ByteSize(self.sent));
            return Err(TooManyParts {
                most,
                planned,
                packed,
                kept_small,
            }
            .into());
        };
        // This never waits for room: members that have it wait for the packer.
        let room = |aside: &mut Aside| aside.has(size.saturating_mul(PARTS_AT_A_TIME));
        if size > self.size && self.aside.as_mut().is_none_or(room) {
            if self.size == self.plan.planned() {
                tracing::warn!(
                    planned_bytes = self.planned,
                    packed_bytes = self.sent,
                    "the archive is larger than its manifest says, so --max-size could not be \
                     kept; its parts grow"
                );
            }
            self.size = size;
        }
        let slot = self.slots.take()?;
        let buffer = if self.size > self.plan.planned() {
            let file =
                tempfile::tempfile_in(&self.scratch).map_err(|cause| self.scratch_error(cause))?;
            Buffer::Scratch(BufWriter::with_capacity(CHUNK, file))
        } else {
            Buffer::Memory(Vec::with_capacity(usize::try_from(self.size).unwrap_or(0)))
        };
        self.number = number;
        Ok(Open {
            bytes: Crc64Writer::new(buffer),
            left: self.size,
            slot,
        })
    }

    fn send(&mut self, open: Open) -> Result<(), PartError> {
        let (buffer, size, crc64nvme) = open.bytes.finish();
        let body = match buffer {
            Buffer::Memory(bytes) => PutBody::Bytes(bytes.into()),
            Buffer::Scratch(file) => {
                let file = file
                    .into_inner()
                    .map_err(|error| self.scratch_error(error.into_error()))?;
                PutBody::File(Arc::new(file))
            }
        };
        self.crc = if self.sent == 0 {
            crc64nvme
        } else {
            crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, self.crc, crc64nvme, size)
        };
        self.sent += size;
        let part = Part {
            number: self.number,
            body,
            size,
            crc64nvme,
            _slot: open.slot,
        };
        self.parts
            .blocking_send(part)
            .map_err(|_| PartError::UploadGone)
    }

    fn scratch_error(&self, cause: io::Error) -> PartError {
        PartError::Scratch {
            directory: self.scratch.clone(),
            cause,
        }
    }
}

/// The slots of parts.
struct Slots {
    free: mpsc::UnboundedReceiver<()>,
    returned: mpsc::UnboundedSender<()>,
}

/// Returned when it is dropped.
#[derive(Debug)]
struct Slot(mpsc::UnboundedSender<()>);

impl Slots {
    fn new() -> Self {
        let (returned, free) = mpsc::unbounded_channel();
        for _ in 0..PARTS_AT_A_TIME {
            drop(Slot(returned.clone()));
        }
        Self { free, returned }
    }

    /// Waits for one. Parts of an upload that has ended return theirs, too.
    fn take(&mut self) -> Result<Slot, PartError> {
        self.free.blocking_recv().ok_or(PartError::UploadGone)?;
        Ok(Slot(self.returned.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // If the packer has ended, the slot is not needed.
        let _ = self.0.send(());
    }
}

#[cfg(test)]
mod tests;
