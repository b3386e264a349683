//! Objects in manifest order to the bytes of an archive, cut into parts, and to the rows of its
//! catalog.
//!
//! ```text
//! Fetched ──► pax header, data, padding ──► plain │ gzip members │ zstd frames ──► parts ──► upload
//!     └─────► catalog row, once it is known where in the archive the bytes are
//! ```
//!
//! Runs on a thread of its own for each group: compression and the catalog's Parquet are all CPU.

use std::io::{self, Read as _, Write as _};

use s3bundler_contract::ArchiveFormat;

use super::doubt::Tally;
use super::header;
use super::name::{MemberNames, usual_name};
use super::part::{PartError, PartWriter};
use super::source::{Content, Facts, Fetched};
use crate::catalog::{CatalogError, CatalogWriter, Entry, Outcome, Place};

/// A frame closes at the first member boundary after this many bytes: what a GET of one small
/// object reads at most, before compression, beside the object itself.
const FRAME: u64 = 256 * 1024;
/// Bytes of a scratch file in memory.
const CHUNK: usize = 256 * 1024;
/// More is not worth the CPU for data that is read once, if ever.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;

/// Bytes that end a plain tar.
pub(crate) const END_BYTES: u64 = header::END.len() as u64;

/// Bytes of an object in a plain tar, under the name that it usually has.
pub(crate) fn member_bytes(bucket: &str, key: &str, size: u64) -> u64 {
    header::member(&usual_name(bucket, key), size)
}

/// A member as it stands in a plain tar, under the name that it usually has.
pub(crate) fn member(bucket: &str, key: &str, data: &[u8], mtime: u64) -> Vec<u8> {
    let (size, mut member) = (data.len() as u64, Vec::new());
    header::write(&usual_name(bucket, key), size, mtime, &mut member);
    member.extend_from_slice(data);
    member.extend_from_slice(&header::END[..header::padding(size)]);
    member
}

/// What was packed.
pub struct Packed {
    /// Bytes of the archive; 0 where no object got into it.
    pub size: u64,
    /// CRC64NVME of them all.
    pub crc64nvme: u64,
    /// The catalog, still open for the group's record.
    pub catalog: CatalogWriter,
    /// What came of the rows.
    pub tally: Tally,
}

/// Why packing ended.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A scratch file could not be read back, or compression failed.
    #[error("cannot pack {object}: {cause}")]
    Io { object: String, cause: io::Error },
    /// The catalog could not be written to scratch.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A part could not be sent.
    #[error(transparent)]
    Part(#[from] PartError),
}

/// Packs one archive.
pub struct Packer {
    encoder: Encoder,
    format: ArchiveFormat,
    parts: PartWriter,
    /// Where the current frame begins in the archive, and how many bytes went into it.
    frame_start: u64,
    frame_bytes: u64,
    /// Rows in order, whose place is known once their frame is closed.
    pending: Vec<Entry>,
    names: MemberNames,
    catalog: CatalogWriter,
    tally: Tally,
}

/// Why a member could not be written.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// Its bytes could not be read or compressed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// They could not go on.
    #[error(transparent)]
    Part(#[from] PartError),
}

impl Broken {
    fn at(self, object: impl FnOnce() -> String) -> PackError {
        match self {
            Self::Io(cause) => PackError::Io {
                object: object(),
                cause,
            },
            Self::Part(error) => error.into(),
        }
    }
}

enum Encoder {
    Plain,
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    /// Between two frames.
    None,
}

impl Encoder {
    /// At the beginning of a frame.
    fn of(format: ArchiveFormat) -> io::Result<Self> {
        Ok(match format {
            ArchiveFormat::Tar => Self::Plain,
            ArchiveFormat::TarGzip => Self::Gzip(flate2::write::GzEncoder::new(
                Vec::new(),
                flate2::Compression::new(GZIP_LEVEL),
            )),
            ArchiveFormat::TarZstd => {
                Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?)
            }
        })
    }
}

/// Bytes to which this format compresses members in frames, as an archive has them. Each member has
/// the bytes of its blocks.
pub(crate) fn compressed(
    format: ArchiveFormat,
    members: impl IntoIterator<Item = impl AsRef<[u8]>>,
) -> io::Result<u64> {
    let (mut sum, mut frame, mut in_frame) = (0, Vec::new(), 0);
    let close = |frame: &mut Vec<u8>| -> io::Result<u64> {
        let bytes = std::mem::take(frame);
        let compressed = match Encoder::of(format)? {
            Encoder::Gzip(mut gzip) => {
                gzip.write_all(&bytes)?;
                gzip.finish()?
            }
            Encoder::Zstd(mut zstd) => {
                zstd.write_all(&bytes)?;
                zstd.finish()?
            }
            Encoder::Plain | Encoder::None => bytes,
        };
        Ok(compressed.len() as u64)
    };
    for member in members {
        let member = member.as_ref();
        frame.extend_from_slice(member);
        in_frame += member.len() as u64;
        if in_frame >= FRAME {
            sum += close(&mut frame)?;
            in_frame = 0;
        }
    }
    if !frame.is_empty() {
        sum += close(&mut frame)?;
    }
    Ok(sum)
}

impl Packer {
    /// Packs into `parts`.
    pub fn new(format: ArchiveFormat, parts: PartWriter, catalog: CatalogWriter) -> Self {
        Self {
            encoder: if format == ArchiveFormat::Tar {
                Encoder::Plain
            } else {
                Encoder::None
            },
            format,
            parts,
            frame_start: 0,
            frame_bytes: 0,
            pending: Vec::new(),
            names: MemberNames::default(),
            catalog,
            tally: Tally::default(),
        }
    }

    /// Packs the next object of the manifest. Blocks while parts wait for the upload.
    pub fn add(&mut self, fetched: Fetched) -> Result<(), PackError> {
        let Fetched {
            row,
            listed_version,
            facts,
            mtime,
            content,
            held,
        } = fetched;
        let failed = if let Content::Failed(failure) = &content {
            Some(failure)
        } else {
            None
        };
        self.tally
            .add(&row.bucket, failed.map(|failure| failure.reason));
        if failed.is_some_and(|failure| failure.only_copy) {
            self.tally.can_be_read();
        }

        let size = row.size.unwrap_or(0);
        let detail = match &content {
            Content::Failed(failure) => Some(failure.detail.clone()),
            _ => None,
        };
        let placed = |outcome, facts: Facts| Entry {
            row: row.clone(),
            listed_version,
            outcome,
            md5: facts.md5,
            checksums: facts.checksums,
            headers: facts.headers,
            metadata: facts.metadata,
            tags: facts.tags,
            detail: detail.clone(),
            sha256: facts.sha256,
        };
        let name =
            |names: &mut MemberNames| names.name(&row.bucket, &row.key, row.version_id.as_deref());
        let (data, file) = match content {
            Content::Memory(data) => (data, None),
            Content::Scratch(file) => (Vec::new(), Some(file)),
            Content::Copied(key) => return self.record(placed(Outcome::Copied { key }, facts)),
            Content::Failed(failure) => {
                return self.record(placed(Outcome::Failed(failure.reason), facts));
            }
        };
        let io = |broken: Broken| broken.at(|| format!("s3://{}/{}", row.bucket, row.key));
        // A large member has a frame of its own: its GET reads nothing else.
        if size >= FRAME {
            self.close_frame().map_err(io)?;
            self.flush_rows()?;
        }
        let mut head = Vec::with_capacity(512);
        header::write(&name(&mut self.names), size, mtime, &mut head);
        self.write(&head).map_err(io)?;
        let place = match self.encoder {
            Encoder::Plain => Place {
                offset: self.parts.position(),
                length: size,
                skip: 0,
            },
            // Offset and length are the frame's, which is still open.
            _ => Place {
                offset: 0,
                length: 0,
                skip: self.frame_bytes,
            },
        };
        match file {
            None => self.write(&data).map_err(io)?,
            Some(file) => self.write_file(file, size).map_err(io)?,
        }
        drop((data, held));
        self.write(&header::END[..header::padding(size)])
            .map_err(io)?;
        self.record(placed(Outcome::Archived(place), facts))?;
        if self.frame_bytes >= FRAME {
            self.close_frame().map_err(io)?;
            self.flush_rows()?;
        }
        Ok(())
    }

    /// Ends the archive and sends the last part.
    pub fn finish(mut self) -> Result<Packed, PackError> {
        let io = |broken: Broken| broken.at(|| "the end of the archive".to_owned());
        if self.parts.position() > 0 || self.frame_bytes > 0 {
            self.write(&header::END).map_err(io)?;
            self.close_frame().map_err(io)?;
        }
        self.flush_rows()?;
        let (size, crc64nvme) = self.parts.finish()?;
        Ok(Packed {
            size,
            crc64nvme,
            catalog: self.catalog,
            tally: self.tally,
        })
    }

    /// Puts a row into the catalog, or in line for it.
    fn record(&mut self, entry: Entry) -> Result<(), PackError> {
        if self.pending.is_empty()
            && (self.format == ArchiveFormat::Tar || !matches!(entry.outcome, Outcome::Archived(_)))
        {
            return Ok(self.catalog.push(&entry)?);
        }
        self.pending.push(entry);
        Ok(())
    }

    fn flush_rows(&mut self) -> Result<(), PackError> {
        for entry in self.pending.drain(..) {
            self.catalog.push(&entry)?;
        }
        Ok(())
    }

    fn write_file(&mut self, mut file: std::fs::File, size: u64) -> Result<(), Broken> {
        let mut chunk = vec![0; CHUNK];
        let mut left = size;
        while left > 0 {
            let want = usize::try_from(left.min(CHUNK as u64)).unwrap_or(CHUNK);
            file.read_exact(&mut chunk[..want])?;
            self.write(&chunk[..want])?;
            left -= want as u64;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        if matches!(self.encoder, Encoder::None) {
            // Without what an encoder still holds, and there is none.
            self.frame_start = self.parts.position();
            self.encoder = Encoder::of(self.format)?;
        }
        let compressed = match &mut self.encoder {
            Encoder::Plain => return Ok(self.parts.write(bytes)?),
            Encoder::Gzip(gzip) => {
                gzip.write_all(bytes)?;
                std::mem::take(gzip.get_mut())
            }
            Encoder::Zstd(zstd) => {
                zstd.write_all(bytes)?;
                std::mem::take(zstd.get_mut())
            }
            Encoder::None => unreachable!("made above"),
        };
        self.frame_bytes += bytes.len() as u64;
        Ok(self.parts.write(&compressed)?)
    }

    /// Ends the frame, so that what comes next can be read without it, and gives its rows their
    /// place.
    fn close_frame(&mut self) -> Result<(), Broken> {
        let rest = match std::mem::replace(&mut self.encoder, Encoder::None) {
            Encoder::Plain => {
                self.encoder = Encoder::Plain;
                return Ok(());
            }
            Encoder::None => return Ok(()),
            Encoder::Gzip(gzip) => gzip.finish()?,
            Encoder::Zstd(zstd) => zstd.finish()?,
        };
        self.parts.write(&rest)?;
        self.frame_bytes = 0;
        let (offset, length) = (self.frame_start, self.parts.position() - self.frame_start);
        for entry in &mut self.pending {
            if let Outcome::Archived(place) = &mut entry.outcome {
                (place.offset, place.length) = (offset, length);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
