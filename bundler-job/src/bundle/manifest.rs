//! The group manifest of a message, on scratch: its rows.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek as _};
use std::path::Path;

use s3bundler_contract::S3Address;
use s3bundler_contract::group_manifest::{
    COLUMNS_METADATA, Columns, ColumnsError, KeyEncoding, Recorded, RowReader,
};
use s3bundler_contract::message::ManifestRef;

use super::content::{ContentProblem, Known, Unproven, spool};
use crate::s3::{S3, S3Error, SpoolError, Spooled};

/// RFC 1952, section 2.3.1.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bytes that have the first row of any manifest: a key of 1,024 bytes, each escaped, is 3 KiB.
const FIRST_ROW: usize = 64 * 1024;

/// A group manifest on scratch. Its bytes have the recorded MD5, if one is recorded.
#[derive(Debug)]
pub struct Manifest {
    file: File,
    /// Its ETag, without quotes.
    pub etag: String,
    /// What its writer recorded of its content, in its metadata and in the message.
    recorded: [Recorded; 2],
    columns: Columns,
    keys: KeyEncoding,
}

/// Why a manifest could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// S3 did not give it.
    #[error("cannot read the group manifest: {0}")]
    S3(#[from] S3Error),
    /// It is not what its writer put there, or has no rows.
    #[error("the group manifest {manifest} {problem}")]
    Content {
        manifest: S3Address,
        problem: ContentProblem,
    },
    /// Its `columns` metadata is not a list of columns.
    #[error(
        "the group manifest {manifest} says which columns it has, but {cause}; --fieldnames says \
         it better"
    )]
    Columns {
        manifest: String,
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
    /// Reads a manifest with If-Match on the message's ETag, where it has one. Other bytes than
    /// those that were recorded are an error, whatever they say.
    pub async fn fetch(
        s3: &S3,
        manifest: &ManifestRef,
        fieldnames: Option<&Columns>,
        scratch: &Path,
    ) -> Result<Self, ManifestError> {
        let address = manifest.address();
        let recorded = manifest.recorded();
        let known = Known {
            etag: manifest.etag.as_deref(),
            size: None,
            recorded: recorded.clone(),
        };
        let spooled = spool(s3, &address, &known, scratch).await;
        let (spooled, in_metadata) = spooled.map_err(|error| match error {
            Unproven::Spool(error) => error.into(),
            Unproven::Content(problem) => ManifestError::Content {
                manifest: address.clone(),
                problem,
            },
        })?;
        let Spooled {
            file,
            whole,
            metadata,
        } = spooled;
        let (columns, keys) =
            columns_of(&metadata, fieldnames).map_err(|cause| ManifestError::Columns {
                manifest: address.to_string(),
                cause,
            })?;
        Ok(Self {
            file,
            etag: whole.etag,
            recorded: [in_metadata, recorded],
            columns,
            keys,
        })
    }

    /// Whether it has as many rows as its writer recorded in its metadata and in the message.
    pub fn compare(&self, rows: u64) -> Result<(), ContentProblem> {
        self.recorded
            .iter()
            .try_for_each(|recorded| ContentProblem::of_rows(recorded, rows))
    }

    /// Its rows, from the first.
    pub fn rows(&self) -> io::Result<RowReader<Box<dyn Read + Send>>> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(RowReader::new(
            inflated(BufReader::new(file))?,
            self.columns.clone(),
            self.keys,
        ))
    }
}

/// The columns of a manifest, and how its keys stand, by its metadata and by what the user says of
/// its columns.
fn columns_of(
    metadata: &HashMap<String, String>,
    fieldnames: Option<&Columns>,
) -> Result<(Columns, KeyEncoding), ColumnsError> {
    let columns = metadata.get(COLUMNS_METADATA).map(String::as_str);
    match fieldnames {
        Some(fieldnames) => {
            let keys = if columns.is_some() {
                KeyEncoding::Literal
            } else {
                KeyEncoding::FormUrl
            };
            Ok((fieldnames.clone(), keys))
        }
        None => Columns::of_manifest(columns),
    }
}

/// The bucket of a manifest's first row, from the manifest's first bytes; `None` if there is no
/// such row, or no manifest. Nothing proves these bytes: they only say which bucket to ask about.
pub async fn first_bucket(
    s3: &S3,
    manifest: &S3Address,
    fieldnames: Option<&Columns>,
) -> Option<String> {
    let (bytes, metadata) = s3.first_bytes(manifest, FIRST_ROW).await.ok()?;
    let (columns, keys) = columns_of(&metadata, fieldnames).ok()?;
    let mut rows = RowReader::new(inflated(Cursor::new(bytes)).ok()?, columns, keys);
    Some(rows.next()?.ok()?.bucket)
}

/// The bytes of a manifest, decompressed where it is gzip, which its magic bytes tell.
pub fn inflated(mut source: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut start = Vec::with_capacity(GZIP_MAGIC.len());
    source
        .by_ref()
        .take(GZIP_MAGIC.len() as u64)
        .read_to_end(&mut start)?;
    let gzip = start == GZIP_MAGIC;
    let whole = Cursor::new(start).chain(source);
    Ok(if gzip {
        Box::new(flate2::read::MultiGzDecoder::new(whole))
    } else {
        Box::new(whole)
    })
}
