//! The bytes of an archive, cut into parts. A part of the planned size is filled in memory. Larger ones are written to a
//! nameless file of the scratch directory and sent from there, so that memory does not grow with them.
//!
//! There are three parts at a time: one is filled while two are in flight. Each takes a slot when its first byte comes
//! and returns it when it is dropped, sent or not.

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
    "the archive needs more than {most} parts: its manifest has objects for about {planned}, and {packed} are packed; group \
     the objects again under another run name, with a lower --max-objects or --max-size{}",
    match kept_small {
        KeptSmall::No => "",
        KeptSmall::ByRoom => ", or raise --scratch-size, which keeps the parts small",
        KeptSmall::ByStore => "; this store demands parts of one size, which --memory raises to 16MiB at most",
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
        "cannot write a part to the scratch directory {directory}: {cause}; free space there or choose another with --scratch"
    )]
    Scratch {
        /// The directory.
        directory: PathBuf,
        /// Why.
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
    /// Sends parts by this plan, for an archive of about `planned` bytes. Those that are larger than planned go through
    /// `scratch`, and through the room that is set aside there, if it is limited. `kept_small` is for the error.
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
            let now = usize::try_from(open.left).unwrap_or(usize::MAX).min(bytes.len());
            open.bytes.write_all(&bytes[..now]).map_err(|cause| self.scratch_error(cause))?;
            open.left -= now as u64;
            bytes = &bytes[now..];
            if open.left == 0 { self.send(open)? } else { self.open = Some(open) }
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
            return Err(TooManyParts { most, planned, packed, kept_small }.into());
        };
        // This never waits for room: members that have it wait for the packer.
        let room = |aside: &mut Aside| aside.has(size.saturating_mul(PARTS_AT_A_TIME));
        if size > self.size && self.aside.as_mut().is_none_or(room) {
            if self.size == self.plan.planned() {
                tracing::warn!(
                    planned_bytes = self.planned,
                    packed_bytes = self.sent,
                    "the archive is larger than its manifest says, so --max-size could not be kept; its parts grow"
                );
            }
            self.size = size;
        }
        let slot = self.slots.take()?;
        let buffer = if self.size > self.plan.planned() {
            let file = tempfile::tempfile_in(&self.scratch).map_err(|cause| self.scratch_error(cause))?;
            Buffer::Scratch(BufWriter::with_capacity(CHUNK, file))
        } else {
            Buffer::Memory(Vec::with_capacity(usize::try_from(self.size).unwrap_or(0)))
        };
        self.number = number;
        Ok(Open { bytes: Crc64Writer::new(buffer), left: self.size, slot })
    }

    fn send(&mut self, open: Open) -> Result<(), PartError> {
        let (buffer, size, crc64nvme) = open.bytes.finish();
        let body = match buffer {
            Buffer::Memory(bytes) => PutBody::Bytes(bytes.into()),
            Buffer::Scratch(file) => {
                let file = file.into_inner().map_err(|error| self.scratch_error(error.into_error()))?;
                PutBody::File(Arc::new(file))
            }
        };
        self.crc = if self.sent == 0 {
            crc64nvme
        } else {
            crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, self.crc, crc64nvme, size)
        };
        self.sent += size;
        let part = Part { number: self.number, body, size, crc64nvme, _slot: open.slot };
        self.parts.blocking_send(part).map_err(|_| PartError::UploadGone)
    }

    fn scratch_error(&self, cause: io::Error) -> PartError {
        PartError::Scratch { directory: self.scratch.clone(), cause }
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
mod tests {
    use super::super::parts::PartLimits;
    use super::super::scratch::Scratch;
    use super::*;

    /// 100, 100, 200, 400, 400, 400.
    fn plan() -> PartPlan {
        PartPlan::new(100, 1, PartLimits { most: 6, step: 1, largest: 400 })
    }

    fn writer(aside: Option<Aside>) -> (PartWriter, mpsc::Receiver<Part>, tempfile::TempDir) {
        let (parts, received) = mpsc::channel(1);
        let directory = tempfile::tempdir().expect("a directory");
        (
            PartWriter::new(plan(), 1, directory.path().to_owned(), (aside, KeptSmall::ByRoom), parts),
            received,
            directory,
        )
    }

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at % 251).expect("small")).collect()
    }

    /// Of every part its size and whether it is on scratch; the bytes of all.
    fn collect(mut received: mpsc::Receiver<Part>) -> (Vec<(u64, bool)>, Vec<u8>) {
        let (mut sizes, mut all) = (Vec::new(), Vec::new());
        while let Some(part) = received.blocking_recv() {
            assert_eq!(part.number as usize, sizes.len() + 1);
            let (of_part, scratch) = match &part.body {
                PutBody::Bytes(bytes) => (bytes.to_vec(), false),
                PutBody::File(file) => {
                    let mut bytes = vec![0; usize::try_from(part.size).expect("small")];
                    std::os::unix::fs::FileExt::read_exact_at(&**file, &mut bytes, 0).expect("all of it");
                    (bytes, true)
                }
            };
            assert_eq!(part.crc64nvme, crc_fast::checksum(CrcAlgorithm::Crc64Nvme, &of_part));
            assert_eq!(part.size, of_part.len() as u64);
            sizes.push((part.size, scratch));
            all.extend(of_part);
        }
        (sizes, all)
    }

    #[test]
    fn parts_that_are_larger_than_planned_go_through_scratch_and_nothing_is_lost() {
        for chunk in [1, 7, 100, 333, 2_000] {
            let (mut writer, received, directory) = writer(None);
            let collecting = std::thread::spawn(move || collect(received));
            let written = bytes(1_150);
            for bytes in written.chunks(chunk) {
                writer.write(bytes).expect("room");
            }
            assert_eq!(writer.position(), 1_150);
            let (size, crc64nvme) = writer.finish().expect("sent");
            let (sizes, all) = collecting.join().expect("parts");
            assert_eq!(sizes, [(100, false), (100, false), (200, true), (400, true), (350, true)], "{chunk}");
            assert!(all == written && size == 1_150, "{chunk}");
            assert_eq!(crc64nvme, crc_fast::checksum(CrcAlgorithm::Crc64Nvme, &written), "parts' CRCs combined");
            assert_eq!(std::fs::read_dir(directory.path()).expect("there").count(), 0, "no names");
        }
    }

    #[test]
    fn an_archive_of_more_parts_fails_with_the_options_to_change() {
        let (mut writer, received, _directory) = writer(None);
        let collecting = std::thread::spawn(move || collect(received));
        writer.write(&bytes(1_600)).expect("exactly six parts");
        let error = writer.write(&[0]).expect_err("one too many");
        assert!(
            matches!(error, PartError::TooMany(TooManyParts { most: 6, packed: ByteSize(1_600), .. })),
            "{error:?}"
        );
        for option in ["--max-objects", "--max-size", "--scratch-size"] {
            assert!(error.to_string().contains(option), "{error}");
        }
        drop(writer);
        assert_eq!(collecting.join().expect("parts").0.len(), 6);
    }

    #[test]
    fn parts_keep_their_size_in_memory_until_members_have_left_room_on_scratch() {
        // A quarter of it is three parts of 400.
        let scratch = Scratch::new(4_800);
        let (mut first, mut second) = (scratch.place(), scratch.place());
        first.try_take(4_000).expect("free");
        first.settle();
        second.try_take(400).expect("free");
        let (mut writer, received, _directory) = writer(Some(scratch.aside()));
        let collecting = std::thread::spawn(move || collect(received));
        // 4,400 are taken: 600 for parts of 200 are not free.
        writer.write(&bytes(300)).expect("written");
        drop(first);
        writer.write(&bytes(400 + 110)).expect("written");
        writer.finish().expect("sent");
        let sizes = collecting.join().expect("parts").0;
        assert_eq!(sizes, [(100, false), (100, false), (100, false), (400, true), (110, true)]);
        drop(second);
    }

    #[test]
    fn there_are_three_parts_at_a_time_and_those_of_an_upload_that_ended_block_no_other() {
        let (parts, mut received) = mpsc::channel(10);
        let mut writer = PartWriter::new(plan(), 1, std::env::temp_dir(), (None, KeptSmall::No), parts);
        writer.write(&bytes(100 + 100 + 200)).expect("written");
        assert!(writer.slots.free.try_recv().is_err(), "a fourth waits");
        drop(received.try_recv().expect("a part"));
        writer.write(&bytes(400)).expect("written");
        assert!(writer.slots.free.try_recv().is_err());
        drop(received);
        assert!(matches!(writer.write(&bytes(400)), Err(PartError::UploadGone)));
    }
}
