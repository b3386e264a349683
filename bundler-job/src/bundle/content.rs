//! Manifests and dead letters on scratch. No row is used before its bytes have the MD5 that its
//! writer recorded: what is damaged says nothing, least of all about its rows.

use std::path::Path;
use std::time::Duration;

use s3bundler_contract::S3Address;
use s3bundler_contract::group_manifest::Recorded;

use crate::s3::{ErrorKind, S3, S3Error, SpoolError, Spooled, Whole};

/// Downloads of an object whose bytes are not those that its writer recorded, or not as many as its
/// listing has.
const DOWNLOADS: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(250);

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
    /// Other bytes than the store itself says.
    #[error("was damaged: {0}")]
    Store(String),
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
    /// Compares the MD5 of bytes with what was recorded of them. What is absent is not compared.
    fn of_bytes(recorded: &Recorded, md5: &str) -> Result<(), Self> {
        match recorded.md5.as_ref().filter(|_| !recorded.is_of(md5)) {
            Some(expected) => Err(Self::Md5 {
                found: md5.to_owned(),
                expected: expected.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Compares the number of rows, of bytes that [`spool`] returned, with what was recorded of it.
    pub(crate) fn of_rows(recorded: &Recorded, rows: u64) -> Result<(), Self> {
        match recorded.rows {
            Some(expected) if expected != rows => Err(Self::Rows {
                found: rows,
                expected,
            }),
            _ => Ok(()),
        }
    }
}

/// Why an object is not on scratch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unproven {
    /// S3 did not return it, or scratch cannot be written.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Its bytes are not those that its writer recorded, in any download.
    #[error("it {0}")]
    Content(#[from] ContentProblem),
}

/// What is known of an object before it is read.
#[derive(Debug, Default)]
pub(crate) struct Known<'a> {
    /// Its ETag without quotes: another object is not read.
    pub(crate) etag: Option<&'a str>,
    /// Its bytes by a listing.
    pub(crate) size: Option<u64>,
    /// What a message says of its content.
    pub(crate) recorded: Recorded,
}

impl Known<'_> {
    fn compare(
        &self,
        address: &S3Address,
        whole: &Whole,
        metadata: &Recorded,
    ) -> Result<(), Unproven> {
        if let Some(size) = self.size.filter(|size| *size != whole.size) {
            let detail = format!("{} bytes arrived, its listing has {size}", whole.size);
            let error = S3Error::local("GetObject", address.clone(), ErrorKind::Transient, detail);
            return Err(SpoolError::S3(error).into());
        }
        for recorded in [metadata, &self.recorded] {
            ContentProblem::of_bytes(recorded, &whole.md5)?;
        }
        Ok(())
    }
}

/// Reads an object into a nameless file of `directory`. Bytes that are not those that its writer
/// recorded may have been damaged on their way: they are downloaded again before that is an error.
pub(crate) async fn spool(
    s3: &S3,
    address: &S3Address,
    known: &Known<'_>,
    directory: &Path,
) -> Result<(Spooled, Recorded), Unproven> {
    let mut downloads = 0;
    loop {
        // It was read three times.
        let spooled =
            s3.spool(address, known.etag, directory)
                .await
                .map_err(|error| match error {
                    SpoolError::S3(error) if error.is_mismatch() => {
                        Unproven::Content(ContentProblem::Store(error.detail))
                    }
                    error => error.into(),
                })?;
        let recorded = Recorded::in_metadata(&spooled.metadata);
        let Err(problem) = known.compare(address, &spooled.whole, &recorded) else {
            return Ok((spooled, recorded));
        };
        downloads += 1;
        if downloads == DOWNLOADS {
            return Err(problem);
        }
        tracing::warn!(object = %address, %problem, "downloading again: these are not the bytes \
            that were written");
        tokio::time::sleep(FIRST_WAIT * 2_u32.pow(downloads - 1)).await;
    }
}

#[cfg(test)]
mod tests;
