//! The group manifest of a message, on scratch: its rows.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek as _};
use std::path::Path;

use s3bundler_contract::group_manifest::{COLUMNS_METADATA, Columns, ColumnsError, KeyEncoding, RowReader};
use s3bundler_contract::message::ManifestRef;

use crate::s3::{S3, S3Error, SpoolError, Spooled};

/// RFC 1952, section 2.3.1.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A group manifest on scratch.
#[derive(Debug)]
pub struct Manifest {
    file: File,
    /// Its ETag, without quotes.
    pub etag: String,
    columns: Columns,
    keys: KeyEncoding,
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
        let Spooled { file, whole, metadata } = s3.spool(&address, manifest.etag.as_deref(), scratch).await?;
        let columns = metadata.get(COLUMNS_METADATA).map(String::as_str);
        let (columns, keys) = match fieldnames {
            Some(fieldnames) => {
                let keys = if columns.is_some() { KeyEncoding::Literal } else { KeyEncoding::FormUrl };
                (fieldnames.clone(), keys)
            }
            None => Columns::of_manifest(columns)
                .map_err(|cause| ManifestError::Columns { manifest: address.to_string(), cause })?,
        };
        Ok(Self { file, etag: whole.etag, columns, keys })
    }

    /// Its rows, from the first.
    pub fn rows(&self) -> io::Result<RowReader<Box<dyn Read + Send>>> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(RowReader::new(inflated(BufReader::new(file))?, self.columns.clone(), self.keys))
    }
}

/// The bytes of a manifest, decompressed where it is gzip, which its magic bytes tell.
pub fn inflated(mut source: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut start = Vec::with_capacity(GZIP_MAGIC.len());
    source.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start)?;
    let gzip = start == GZIP_MAGIC;
    let whole = Cursor::new(start).chain(source);
    Ok(if gzip { Box::new(flate2::read::MultiGzDecoder::new(whole)) } else { Box::new(whole) })
}
