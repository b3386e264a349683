//! Why an inventory cannot be read.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use s3bundler_contract::group_manifest::RowError;
use s3bundler_contract::termination::{Bucket, Reason};
use s3bundler_contract::{ExitCode, HasExitCode, S3Address};

use super::ManifestProblem;
use super::prefetch::Stopped;
use super::spool::DOWNLOADS;
use crate::s3::{ErrorKind, S3Error};

/// What is wrong with an inventory, and where.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The address does not end in `.json`.
    #[error("{0} is not an inventory manifest: give the address of a manifest.json")]
    NotAManifest(S3Address),
    /// Nothing is at the manifest's address.
    #[error(
        "there is no inventory manifest {0}: give the address of the manifest.json of a finished \
         S3 Inventory"
    )]
    NoManifest(S3Address),
    /// The bucket is not there.
    #[error("there is no bucket {bucket}, where the inventory manifest {0} should be", bucket = .0.bucket)]
    NoBucket(S3Address),
    /// manifest.checksum is not there.
    #[error(
        "the inventory {manifest} is not finished: its manifest.checksum, which S3 writes last, \
         is not there yet. Wait for it, or take an earlier inventory"
    )]
    Unfinished {
        /// The address of manifest.json.
        manifest: S3Address,
    },
    /// No inventory under a prefix is finished.
    #[error(
        "there is no finished inventory under {0}: give the address above the inventories' dates, \
         or wait for the first inventory"
    )]
    NoneFinished(S3Address),
    /// The newest inventory is too old.
    #[error(
        "the newest finished inventory, {manifest}, is {} hours old and may be {} hours old at \
         most: wait for a newer one",
        hours(*age),
        hours(*max)
    )]
    TooOld {
        /// The address of its manifest.json.
        manifest: S3Address,
        age: Duration,
        /// How old it may be.
        max: Duration,
    },
    /// manifest.json does not agree with manifest.checksum.
    #[error(
        "the manifest {manifest} has the MD5 {found}, but its manifest.checksum says \
         {expected:?}: one was replaced"
    )]
    ManifestChecksum {
        /// The address of manifest.json.
        manifest: S3Address,
        /// Its MD5 in hex.
        found: String,
        /// What manifest.checksum holds.
        expected: String,
    },
    /// manifest.json is not what it should be.
    #[error("the manifest {manifest} cannot be used: {problem}")]
    Manifest {
        /// The address of manifest.json.
        manifest: S3Address,
        problem: ManifestProblem,
    },
    /// A data file is not there.
    #[error(
        "the data file {file} of the inventory is not there (S3 delivered this inventory to the \
         bucket {delivered_to}; data files are looked for where the manifest is)"
    )]
    FileMissing {
        /// The data file.
        file: S3Address,
        /// The manifest's destinationBucket.
        delivered_to: String,
    },
    /// A data file has another size than the manifest says.
    #[error(
        "the data file {file} has {found} bytes where the manifest says {expected}: it was cut \
         off or replaced"
    )]
    FileSize {
        /// The data file.
        file: S3Address,
        /// Its size.
        found: u64,
        /// What the manifest says.
        expected: u64,
    },
    /// A data file has another MD5 than the manifest says.
    #[error(
        "the data file {file} has the MD5 {found} where the manifest says {expected}: it was \
         damaged or replaced"
    )]
    FileChecksum {
        /// The data file.
        file: S3Address,
        /// Its MD5 in hex.
        found: String,
        /// What the manifest says.
        expected: String,
    },
    /// What came is not what S3 has, several times.
    #[error(
        "{0}, {DOWNLOADS} times; something between S3 and this program changes or cuts off what \
         it sends"
    )]
    Damaged(S3Error),
    /// A data file was overwritten between two looks at it.
    #[error("the data file {0} was replaced while it was read")]
    FileReplaced(S3Address),
    /// A data file is not compressed.
    #[error("the data file {0} is not gzip")]
    NotGzip(S3Address),
    /// A data file's compressed stream stops early.
    #[error("the data file {0} is truncated: its gzip stream ends early")]
    Truncated(S3Address),
    /// A data file's compressed stream is broken.
    #[error("the data file {file} cannot be decompressed: {cause}")]
    Corrupt {
        /// The data file.
        file: S3Address,
        cause: io::Error,
    },
    /// A row cannot be used.
    #[error("the data file {file} cannot be used: {error}")]
    Row {
        /// The data file.
        file: S3Address,
        /// The line and what is wrong with it.
        error: RowError,
    },
    /// The scratch directory cannot be used.
    #[error(
        "cannot use the scratch directory at {}: {cause}; free space there or choose another with \
         --scratch",
        directory.display()
    )]
    Scratch {
        /// The directory.
        directory: PathBuf,
        cause: io::Error,
    },
    /// S3 did not give what was asked for.
    #[error("{0}{next}", next = next_step(.0))]
    Read(#[from] S3Error),
    /// A thread of this process is gone.
    #[error("reading the inventory stopped unexpectedly")]
    Stopped,
}

/// What to do about a file that S3 did not give. Who may not list a bucket is told 403 of what is
/// not there ("GetObject", S3 API reference).
const fn next_step(error: &S3Error) -> &'static str {
    match error.kind {
        ErrorKind::Denied => {
            "; allow s3:GetObject on the inventory, and s3:ListBucket on its bucket: without \
             that, what is not there is denied too"
        }
        _ => "",
    }
}

/// Whole hours.
const fn hours(age: Duration) -> u64 {
    age.as_secs() / 3600
}

impl InventoryError {
    /// What a run waits for that could not begin because of this.
    pub(crate) fn reason(&self) -> Option<Reason> {
        match self {
            Self::NoManifest(_)
            | Self::NoBucket(_)
            | Self::Manifest {
                problem: ManifestProblem::Json(_) | ManifestProblem::CreationTimestamp(_),
                ..
            } => Some(Reason::InventoryMissing),
            Self::Unfinished { .. } => Some(Reason::InventoryUnfinished),
            Self::NoneFinished(_) => Some(Reason::NoInventory),
            Self::TooOld { age, .. } => Some(Reason::InventoryTooOld { hours: hours(*age) }),
            Self::Read(error) => error.reason(Bucket::Source),
            _ => None,
        }
    }
}

impl From<Stopped> for InventoryError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl HasExitCode for InventoryError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::NotAManifest(_) => ExitCode::Usage,
            Self::Read(error) | Self::Damaged(error) => error.reading(),
            Self::Scratch { .. } => ExitCode::Local,
            Self::Stopped => ExitCode::Unexpected,
            Self::NoManifest(_)
            | Self::NoBucket(_)
            | Self::Unfinished { .. }
            | Self::NoneFinished(_)
            | Self::TooOld { .. }
            | Self::ManifestChecksum { .. }
            | Self::Manifest { .. }
            | Self::FileMissing { .. }
            | Self::FileSize { .. }
            | Self::FileChecksum { .. }
            | Self::FileReplaced(_)
            | Self::NotGzip(_)
            | Self::Truncated(_)
            | Self::Corrupt { .. }
            | Self::Row { .. } => ExitCode::Unreadable,
        }
    }
}
