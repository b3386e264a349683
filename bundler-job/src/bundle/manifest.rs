//! The group manifest of a message, on scratch: its rows.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek as _};
use std::path::Path;

use s3bundler_contract::S3Address;
use s3bundler_contract::group_manifest::{COLUMNS_METADATA, Columns, ColumnsError, KeyEncoding, Recorded, RowReader};
use s3bundler_contract::message::ManifestRef;

use crate::s3::{S3, S3Error, SpoolError, Spooled};

/// RFC 1952, section 2.3.1.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Downloads of a manifest whose MD5 is not the recorded one.
const DOWNLOADS: u32 = 3;

/// Bytes that have the first row of any manifest: a key of 1,024 bytes, each escaped, is 3 KiB.
const FIRST_ROW: usize = 64 * 1024;

/// A group manifest on scratch.
#[derive(Debug)]
pub struct Manifest {
    file: File,
    /// Its ETag, without quotes.
    pub etag: String,
    /// MD5 of its bytes in hex.
    md5: String,
    /// What its writer recorded of its content, in its metadata and in the message.
    recorded: Vec<Recorded>,
    columns: Columns,
    keys: KeyEncoding,
}

/// Content that is not what the writer of a manifest put there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentProblem {
    /// Other bytes.
    #[error("has the MD5 {found}, but its writer recorded {expected}: it was damaged or replaced")]
    Md5 {
        /// Of what was read.
        found: String,
        /// Of what was written.
        expected: String,
    },
    /// Another number of rows.
    #[error("has {found} rows, but its writer recorded {expected}: it was damaged or replaced")]
    Rows {
        /// Rows that were read.
        found: u64,
        /// Rows that were written.
        expected: u64,
    },
    /// No rows.
    #[error("has no rows: an empty manifest is not a group")]
    Empty,
}

impl ContentProblem {
    /// Compares content with what was recorded of it. What is absent is not compared.
    pub fn compare(recorded: &Recorded, rows: u64, md5: &str) -> Result<(), Self> {
        if let Some(expected) = recorded.md5.as_ref().filter(|_| !recorded.is_of(md5)) {
            return Err(Self::Md5 { found: md5.to_owned(), expected: expected.clone() });
        }
        match recorded.rows {
            Some(expected) if expected != rows => Err(Self::Rows { found: rows, expected }),
            _ => Ok(()),
        }
    }
}

/// Why a manifest could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// S3 did not give it.
    #[error("cannot read the group manifest: {0}")]
    S3(#[from] S3Error),
    /// Its `columns` metadata is not a list of columns.
    #[error("the group manifest {manifest} says which columns it has, but {cause}; --fieldnames says it better")]
    Columns {
        /// Which.
        manifest: String,
        /// What is wrong.
        cause: ColumnsError,
    },
    /// Scratch cannot be written.
    #[error("cannot keep the group manifest on scratch: {0}")]
    Scratch(#[from] io::Error),
}

impl From<SpoolError> for ManifestError {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::S3(error) => Self::S3(error),
            SpoolError::Scratch(error) => Self::Scratch(error),
        }
    }
}

impl Manifest {
    /// Reads a manifest with If-Match on the message's ETag, where it has one.
    pub async fn fetch(
        s3: &S3,
        manifest: &ManifestRef,
        fieldnames: Option<&Columns>,
        scratch: &Path,
    ) -> Result<Self, ManifestError> {
        let address = manifest.address();
        let mut downloads = 0;
        let (Spooled { file, whole, metadata }, recorded) = loop {
            let spooled = s3.spool(&address, manifest.etag.as_deref(), scratch).await?;
            downloads += 1;
            let recorded = vec![Recorded::in_metadata(&spooled.metadata), manifest.recorded()];
            // Another MD5 is told by `compare` if it stays.
            if downloads == DOWNLOADS || recorded.iter().all(|recorded| recorded.is_of(&spooled.whole.md5)) {
                break (spooled, recorded);
            }
            tracing::warn!(manifest = %address, md5 = spooled.whole.md5, "downloading the group manifest again: its MD5 is not the recorded one");
        };
        let (columns, keys) = columns_of(&metadata, fieldnames)
            .map_err(|cause| ManifestError::Columns { manifest: address.to_string(), cause })?;
        Ok(Self { file, etag: whole.etag, md5: whole.md5, recorded, columns, keys })
    }

    /// Whether it is what its writer recorded in its metadata and in the message, by the number of its rows.
    pub fn compare(&self, rows: u64) -> Result<(), ContentProblem> {
        self.recorded.iter().try_for_each(|recorded| ContentProblem::compare(recorded, rows, &self.md5))
    }

    /// Its rows, from the first.
    pub fn rows(&self) -> io::Result<RowReader<Box<dyn Read + Send>>> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(RowReader::new(inflated(BufReader::new(file))?, self.columns.clone(), self.keys))
    }
}

/// The columns of a manifest, and how its keys stand, by its metadata and by what the user says of its columns.
fn columns_of(
    metadata: &HashMap<String, String>,
    fieldnames: Option<&Columns>,
) -> Result<(Columns, KeyEncoding), ColumnsError> {
    let columns = metadata.get(COLUMNS_METADATA).map(String::as_str);
    match fieldnames {
        Some(fieldnames) => {
            let keys = if columns.is_some() { KeyEncoding::Literal } else { KeyEncoding::FormUrl };
            Ok((fieldnames.clone(), keys))
        }
        None => Columns::of_manifest(columns),
    }
}

/// The bucket of a manifest's first row, from the manifest's first bytes; `None` if there is no such row, or no manifest.
/// Nothing proves these bytes: they only say which bucket to ask about.
pub async fn first_bucket(s3: &S3, manifest: &S3Address, fieldnames: Option<&Columns>) -> Option<String> {
    let (bytes, metadata) = s3.first_bytes(manifest, FIRST_ROW).await.ok()?;
    let (columns, keys) = columns_of(&metadata, fieldnames).ok()?;
    let mut rows = RowReader::new(inflated(Cursor::new(bytes)).ok()?, columns, keys);
    Some(rows.next()?.ok()?.bucket)
}

/// The bytes of a manifest, decompressed where it is gzip, which its magic bytes tell.
pub fn inflated(mut source: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut start = Vec::with_capacity(GZIP_MAGIC.len());
    source.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start)?;
    let gzip = start == GZIP_MAGIC;
    let whole = Cursor::new(start).chain(source);
    Ok(if gzip { Box::new(flate2::read::MultiGzDecoder::new(whole)) } else { Box::new(whole) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_compared_and_what_is_absent_is_not() {
        let (rows, md5) = (Some(3), Some("0cc175b9c0f1b6a831c399e269772661".to_owned()));
        let found = "0cc175b9c0f1b6a831c399e269772661";
        for (recorded, right) in [
            (Recorded::default(), true),
            (Recorded { rows, md5: md5.clone() }, true),
            (Recorded { rows, md5: None }, true),
            (Recorded { rows: Some(4), md5 }, false),
            (Recorded { rows: Some(0), md5: None }, false),
            (Recorded { rows, md5: Some("92eb5ffee6ae2fec3ad71c777531578f".to_owned()) }, false),
        ] {
            assert_eq!(ContentProblem::compare(&recorded, 3, found).is_ok(), right, "{recorded:?}");
        }
    }
}
