//! Reads an archive once, from its first byte to its last, and compares it with its catalog in two
//! independent ways: a walk through the tar, as an extracting tool would, and the bytes at every
//! row's place, as a restore would GET them. A broken header must not hide which objects are lost,
//! and intact objects do not prove that tar can list them.
//!
//! ```text
//! bytes ──► units (tar: one; gz, zst: a row's range, or what lies between two) ──► decompress ──┬──► walk ──► members
//!                                                                                              └──► digests of each row's
//! ```

use std::collections::VecDeque;
use std::io::{self, BufReader, Read};

use s3bundler_contract::{ArchiveFormat, S3Address};

use super::digest::RowDigest;
use super::finding::{Finding, Findings};
use super::part::Part;
use super::tar::{Member, Walk};
use crate::catalog::{ArchiveRecord, Catalog, CatalogError, Entries, Entry, Outcome, Place};
use crate::s3::crc64nvme_to_base64;

/// Bytes that are looked at together.
const BUFFER: usize = 128 << 10;
/// Largest window of a zstd frame, as a power of two: 16 MiB, twice what any level that the packer
/// could use asks for, and a sixteenth of what a hostile frame could.
const ZSTD_WINDOW_LOG: u32 = 24;

/// What reading an archive showed.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) findings: Findings,
    /// Rows whose bytes were found to be the object's.
    pub(super) members: u64,
}

/// Why it was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadingError {
    /// The bytes stopped coming.
    #[error(transparent)]
    Source(io::Error),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// Compares `bytes`, those of the archive at `address`, with `catalog`. Tells `each` the size of
/// every member that it comes to. Blocking; holds a few buffers.
pub(super) fn compare<'a>(
    catalog: &'a Catalog,
    record: &ArchiveRecord,
    address: &S3Address,
    bytes: impl Read,
    each: impl FnMut(u64) + 'a,
) -> Result<Reading, ReadingError> {
    let compressed = ArchiveFormat::ALL
        .into_iter()
        .filter(|it| *it != ArchiveFormat::Tar);
    let format = compressed
        .into_iter()
        .find(|it| record.key.ends_with(&format!(".{it}")));
    let mut source = Source {
        bytes,
        digest: crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme),
        failed: None,
    };
    let mut rows = Rows {
        entries: catalog.entries()?,
        next: None,
        each: Box::new(each),
    };
    rows.advance()?;
    let mut check = Check::new(address);
    match format {
        None => check.plain(&mut source, &mut rows)?,
        Some(format) => check.compressed(format, record.size, &mut source, &mut rows)?,
    }
    check.finish(&mut rows)?;
    let crc = source.digest.finalize();
    if crc != record.crc64nvme {
        let (expected, found) = (
            crc64nvme_to_base64(record.crc64nvme),
            crc64nvme_to_base64(crc),
        );
        check.found.push(Finding::WrongChecksum {
            part: Part::Archive,
            object: address.clone(),
            expected,
            found,
        });
    }
    Ok(Reading {
        findings: check.found,
        members: check.members,
    })
}

/// The archive's bytes, summed. Remembers a failure of its own, which no decoder must turn into
/// damage.
struct Source<R> {
    bytes: R,
    digest: crc_fast::Digest,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.bytes.read(buffer) {
            Ok(n) => {
                self.digest.update(&buffer[..n]);
                Ok(n)
            }
            Err(error) => {
                let told = io::Error::new(error.kind(), error.to_string());
                self.failed = Some(error);
                Err(told)
            }
        }
    }
}

impl<R: Read> Source<R> {
    /// What a decoder over it said: damage, unless the source itself failed.
    fn damage(&mut self, error: &io::Error) -> Result<String, ReadingError> {
        match self.failed.take() {
            Some(failed) => Err(ReadingError::Source(failed)),
            None => Ok(error.to_string()),
        }
    }
}

/// The archived rows, in order.
struct Rows<'a> {
    entries: Entries<'a>,
    next: Option<(Entry, Place)>,
    each: Box<dyn FnMut(u64) + 'a>,
}

impl Rows<'_> {
    fn advance(&mut self) -> Result<(), CatalogError> {
        if let Some((entry, _)) = self.next.take() {
            (self.each)(entry.row.size.unwrap_or(0));
        }
        for entry in self.entries.by_ref() {
            let entry = entry?;
            if let Outcome::Archived(place) = entry.outcome {
                self.next = Some((entry, place));
                break;
            }
        }
        Ok(())
    }
}

/// Which rows may begin in the bytes at hand, and where.
#[derive(Clone, Copy)]
enum Unit {
    /// All, at their offset: the archive is the tar.
    Plain,
    /// Those of this range, `skip` bytes after where its decompressed bytes begin.
    Range {
        offset: u64,
        length: u64,
        begins: u64,
    },
    /// None: bytes between ranges.
    Between,
}

impl Unit {
    fn start(self, place: Place) -> Option<u64> {
        match self {
            Self::Plain => Some(place.offset),
            Self::Range {
                offset,
                length,
                begins,
            } if (offset, length) == (place.offset, place.length) => begins.checked_add(place.skip),
            _ => None,
        }
    }
}

/// A row whose bytes are going by.
struct Current {
    source: S3Address,
    digest: RowDigest,
    left: u64,
}

struct Check<'a> {
    archive: &'a S3Address,
    found: Findings,
    members: u64,
    /// Bytes of the tar so far.
    at: u64,
    walk: Option<Walk>,
    /// Members that the walk told and no row has claimed yet.
    told: VecDeque<Member>,
    current: Option<Current>,
}

impl<'a> Check<'a> {
    fn new(archive: &'a S3Address) -> Self {
        Self {
            archive,
            found: Findings::default(),
            members: 0,
            at: 0,
            walk: Some(Walk::new()),
            told: VecDeque::new(),
            current: None,
        }
    }

    fn plain(
        &mut self,
        source: &mut Source<impl Read>,
        rows: &mut Rows<'_>,
    ) -> Result<(), ReadingError> {
        match self.drain(&mut *source, Unit::Plain, rows) {
            Ok(()) => Ok(()),
            Err(Stop::Catalog(error)) => Err(error.into()),
            Err(Stop::Io(error)) => source
                .damage(&error)
                .map(|problem| self.damaged(self.at, problem)),
        }
    }

    fn compressed(
        &mut self,
        format: ArchiveFormat,
        size: u64,
        source: &mut Source<impl Read>,
        rows: &mut Rows<'_>,
    ) -> Result<(), ReadingError> {
        let mut position = 0;
        loop {
            let (unit, length) = match rows.next.as_ref().map(|(_, place)| *place) {
                Some(Place { offset, length, .. }) if offset == position => (
                    Unit::Range {
                        offset,
                        length,
                        begins: self.at,
                    },
                    length,
                ),
                Some(Place { offset, .. }) if offset > position => {
                    (Unit::Between, offset - position)
                }
                Some(_) => {
                    self.wrong(rows, "its byte range begins inside that of an earlier row")?;
                    continue;
                }
                None if position < size => (Unit::Between, size - position),
                None => return Ok(()),
            };
            if length > 0 {
                let mut range = BufReader::new(Read::take(&mut *source, length));
                let decoded = match format {
                    ArchiveFormat::TarGzip => {
                        self.drain(flate2::bufread::MultiGzDecoder::new(&mut range), unit, rows)
                    }
                    _ => match zstd_decoder(&mut range) {
                        Ok(decoder) => self.drain(decoder, unit, rows),
                        Err(error) => Err(Stop::Io(error)),
                    },
                };
                // What a decoder that gave up has not taken.
                let rest = io::copy(&mut range, &mut io::sink());
                match decoded {
                    Err(Stop::Catalog(error)) => return Err(error.into()),
                    Err(Stop::Io(error)) => {
                        let problem = source.damage(&error)?;
                        self.damaged(
                            self.at,
                            format!(
                                "bytes {position} to {} do not decompress: {problem}",
                                position + length
                            ),
                        );
                    }
                    Ok(()) => {}
                }
                if let Err(error) = rest {
                    source.damage(&error)?;
                }
            }
            self.unit_ended(unit, rows)?;
            position += length;
        }
    }

    /// Takes all that a decoder gives.
    fn drain(
        &mut self,
        mut decoder: impl Read,
        unit: Unit,
        rows: &mut Rows<'_>,
    ) -> Result<(), Stop> {
        let mut buffer = vec![0; BUFFER];
        loop {
            match decoder.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => self.feed(&buffer[..n], unit, rows)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Stop::Io(error)),
            }
        }
    }

    fn feed(&mut self, bytes: &[u8], unit: Unit, rows: &mut Rows<'_>) -> Result<(), CatalogError> {
        if let Some(walk) = &mut self.walk
            && let Err(error) = walk.feed(bytes, |member| self.told.push_back(member))
        {
            self.damaged(error.at, error.problem);
        }
        let end = self.at + bytes.len() as u64;
        let mut rest = bytes;
        loop {
            if self.current.is_none() {
                let at = end - rest.len() as u64;
                let Some((entry, place)) = &rows.next else {
                    break;
                };
                let Some(start) = unit.start(*place) else {
                    break;
                };
                if start > end {
                    break;
                }
                if start < at {
                    self.wrong(rows, "its bytes begin inside those of an earlier row")?;
                    continue;
                }
                let size = entry.row.size.unwrap_or(0);
                self.claim(start, size, entry);
                let source = S3Address::new(&entry.row.bucket, &entry.row.key);
                self.current = Some(Current {
                    source,
                    digest: RowDigest::of(entry),
                    left: size,
                });
                rows.advance()?;
                rest = usize::try_from(start - at)
                    .ok()
                    .and_then(|skip| rest.get(skip..))
                    .unwrap_or_default();
            }
            let Some(current) = &mut self.current else {
                break;
            };
            let taken =
                usize::try_from(current.left).map_or(rest.len(), |left| left.min(rest.len()));
            current.digest.update(&rest[..taken]);
            current.left -= taken as u64;
            rest = &rest[taken..];
            if current.left > 0 {
                break;
            }
            self.complete();
        }
        self.at = end;
        Ok(())
    }

    /// Compares a row's place with what the walk told of the tar.
    fn claim(&mut self, start: u64, size: u64, entry: &Entry) {
        while let Some(member) = self.told.front().filter(|member| member.start < start) {
            self.found.push(Finding::UnknownMember {
                archive: self.archive.clone(),
                at: member.start,
            });
            self.told.pop_front();
        }
        if self.walk.is_none() {
            return;
        }
        let problem = match self.told.front() {
            Some(member) if *member == (Member { start, size }) => {
                self.told.pop_front();
                return;
            }
            Some(member) if member.start == start => {
                let problem = format!("the tar gives it {} bytes instead of {size}", member.size);
                self.told.pop_front();
                problem
            }
            _ => format!("no member of the tar begins at byte {start}"),
        };
        let source = S3Address::new(&entry.row.bucket, &entry.row.key);
        self.found.push(Finding::WrongMember {
            archive: self.archive.clone(),
            source,
            problem,
        });
    }

    fn complete(&mut self) {
        let Some(current) = self.current.take() else {
            return;
        };
        match current.digest.compare() {
            Ok(()) => self.members += 1,
            Err(problem) => {
                let (archive, source) = (self.archive.clone(), current.source);
                self.found.push(Finding::WrongMember {
                    archive,
                    source,
                    problem,
                });
            }
        }
    }

    /// The next row cannot be where it says.
    fn wrong(&mut self, rows: &mut Rows<'_>, problem: &str) -> Result<(), CatalogError> {
        if let Some((entry, _)) = &rows.next {
            let source = S3Address::new(&entry.row.bucket, &entry.row.key);
            let problem = problem.to_owned();
            self.found.push(Finding::WrongMember {
                archive: self.archive.clone(),
                source,
                problem,
            });
        }
        rows.advance()
    }

    /// The tar is none from here on; only rows are looked at any more.
    fn damaged(&mut self, at: u64, problem: String) {
        if self.walk.take().is_some() {
            self.told.clear();
            self.found.push(Finding::DamagedArchive {
                archive: self.archive.clone(),
                at,
                problem,
            });
        }
    }

    /// No row of this unit goes on after it.
    fn unit_ended(&mut self, unit: Unit, rows: &mut Rows<'_>) -> Result<(), CatalogError> {
        const SHORT: &str = "its byte range ends before its last byte";
        if let Some(current) = self.current.take() {
            let (archive, source) = (self.archive.clone(), current.source);
            self.found.push(Finding::WrongMember {
                archive,
                source,
                problem: SHORT.to_owned(),
            });
        }
        while rows
            .next
            .as_ref()
            .is_some_and(|(_, place)| unit.start(*place).is_some())
        {
            self.wrong(rows, SHORT)?;
        }
        Ok(())
    }

    fn finish(&mut self, rows: &mut Rows<'_>) -> Result<(), CatalogError> {
        self.unit_ended(Unit::Plain, rows)?;
        if let Some(Err(error)) = self.walk.as_ref().map(Walk::finish) {
            self.damaged(error.at, error.problem);
        }
        while let Some(member) = self.told.pop_front() {
            self.found.push(Finding::UnknownMember {
                archive: self.archive.clone(),
                at: member.start,
            });
        }
        Ok(())
    }
}

/// Why a decoder was left before its end.
enum Stop {
    Io(io::Error),
    Catalog(CatalogError),
}

impl From<CatalogError> for Stop {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}

fn zstd_decoder<R: io::BufRead>(source: R) -> io::Result<zstd::stream::read::Decoder<'static, R>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

#[cfg(test)]
mod tests;
