//! Why a group was not archived, and what that means for the process.

use std::io;
use std::path::PathBuf;

use s3bundler_contract::group_manifest::RowError;
use s3bundler_contract::record::RecordError;
use s3bundler_contract::{ExitCode, GroupName, HasExitCode, S3Address};

use super::manifest::ManifestError;
use super::pack::PackError;
use super::part::{PartError, TooManyParts};
use super::source::FetchError;
use crate::budget::TooSmall;
use crate::catalog::{CatalogError, PublishError, ReadError};
use crate::queue::Disposition;
use crate::s3::{ErrorKind, S3Error};

/// Why a group was not archived. Nothing is half-committed: the same group can be tried again by
/// anybody.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The manifest could not be had.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A row of the manifest cannot be read.
    #[error("cannot read the group manifest {manifest}: {cause}")]
    Row {
        manifest: S3Address,
        /// Line and cause.
        cause: RowError,
    },
    /// The run's claim cannot be read.
    #[error("cannot read the run's claim {address}: {cause}")]
    Claim {
        address: S3Address,
        cause: RecordError,
    },
    /// Not enough memory for the group.
    #[error(transparent)]
    Memory(#[from] TooSmall),
    /// Trouble of the source that every object would have.
    #[error(transparent)]
    Fetch(FetchError),
    /// A source bucket is denied, and not only some of its objects.
    #[error(
        "{} in this group was denied; allow s3:GetObject (and s3:GetObjectVersion, \
         s3:GetObjectTagging, kms:Decrypt where they are used) to the credentials of the bundler",
        if *lost { format!("s3://{bucket} could be read at first, and then every object") }
        else { format!("every object of s3://{bucket}") }
    )]
    SourceDenied {
        /// The source bucket.
        bucket: String,
        /// Whether objects of the group were read before.
        lost: bool,
    },
    /// Objects were denied in one attempt after the other, and readable after each.
    #[error(
        "source objects of this group are denied at one time and readable at another; the group \
         is released until that ends"
    )]
    Unsettled,
    /// The archive is too large for an upload.
    #[error(transparent)]
    TooManyParts(TooManyParts),
    /// Packing failed on this machine.
    #[error(transparent)]
    Pack(PackError),
    /// The scratch directory cannot be used.
    #[error(
        "cannot use the scratch directory at {path}: {cause}; free space there or choose another \
         with --scratch"
    )]
    Scratch { path: PathBuf, cause: io::Error },
    /// The catalog cannot be written to scratch.
    #[error("cannot write the catalog to the scratch directory: {0}")]
    CatalogWrite(CatalogError),
    /// The archive or the catalog was not taken by the destination.
    #[error("cannot write to the destination: {0}")]
    Upload(S3Error),
    /// The catalog or the claim could not be read from the destination.
    #[error("cannot read from the destination: {0}")]
    ReadBack(S3Error),
    /// A catalog in S3 that is not one.
    #[error("the catalog {address} cannot be read: {cause}")]
    Catalog {
        address: S3Address,
        cause: CatalogError,
    },
    /// The group's name belongs to another manifest.
    #[error(
        "group {group} was archived from another manifest: {theirs}, not {ours}; use another run \
         name or prefix"
    )]
    NameTaken {
        group: GroupName,
        /// Our manifest.
        ours: String,
        /// The catalog's.
        theirs: String,
    },
    /// The catalog is of another group, or names an archive that is not this group's.
    #[error(
        "{address} is not the catalog of this group: {problem}; use another run name or prefix"
    )]
    Foreign {
        address: S3Address,
        /// What differs.
        problem: String,
    },
    /// The archive of the attempt that committed the group does not exist.
    #[error(
        "{catalog} names the archive {archive}, which does not exist or has another size; {}no \
         receipt is written; restore the archive, or archive the group again",
        .kept.as_ref().map(|kept| format!("this attempt's own archive {kept} is kept; ")).unwrap_or_default()
    )]
    ArchiveMissing {
        catalog: S3Address,
        /// The archive that it names.
        archive: S3Address,
        /// What this attempt archived.
        kept: Option<S3Address>,
    },
    /// The catalog was put, and still is not there.
    #[error("the catalog of group {0} was put and is not there; the group is given back")]
    Undecided(GroupName),
    /// Index, dead letters or receipt could not be written.
    #[error(transparent)]
    Publish(PublishError),
    /// The process is ending.
    #[error("cancelled")]
    Cancelled,
}

impl From<PackError> for BundleError {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Part(PartError::TooMany(error)) => Self::TooManyParts(error),
            error => Self::Pack(error),
        }
    }
}

impl From<ReadError> for BundleError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::S3(error) => Self::ReadBack(error),
            ReadError::Scratch { path, cause } => Self::Scratch { path, cause },
            ReadError::Catalog { address, cause } => Self::Catalog { address, cause },
            ReadError::Foreign { address, problem } => Self::Foreign { address, problem },
        }
    }
}

impl BundleError {
    /// What becomes of the group's message.
    pub fn disposition(&self) -> Disposition {
        let of_source = |error: &S3Error| match error.kind {
            // Bad credentials, or an endpoint that is down: every group would meet them.
            ErrorKind::Denied | ErrorKind::Credentials | ErrorKind::Unreachable => {
                Disposition::Fatal
            }
            _ => Disposition::GiveBack,
        };
        match self {
            Self::Manifest(ManifestError::S3(error)) => match error.kind {
                ErrorKind::NotFound | ErrorKind::NoBucket | ErrorKind::Precondition => {
                    Disposition::LeaveForRedrive
                }
                _ => Disposition::GiveBack,
            },
            Self::Manifest(ManifestError::Columns { .. } | ManifestError::Content { .. })
            | Self::Row { .. }
            | Self::Claim { .. }
            | Self::Catalog { .. }
            | Self::NameTaken { .. }
            | Self::Foreign { .. }
            | Self::ArchiveMissing { .. }
            | Self::TooManyParts(_)
            | Self::Memory(_) => Disposition::LeaveForRedrive,
            Self::Manifest(ManifestError::Scratch(_))
            | Self::Fetch(FetchError::Scratch { .. })
            | Self::Scratch { .. }
            | Self::Pack(_)
            | Self::CatalogWrite(_) => Disposition::Fatal,
            Self::Fetch(FetchError::Source(error) | FetchError::Destination(error)) => {
                of_source(error)
            }
            Self::Upload(error) | Self::ReadBack(error) => match error.kind {
                ErrorKind::Denied
                | ErrorKind::Credentials
                | ErrorKind::NoBucket
                | ErrorKind::WrongRegion
                | ErrorKind::Unreachable => Disposition::Fatal,
                _ => Disposition::GiveBack,
            },
            Self::Publish(error) if error.exit_code() == ExitCode::Permission => Disposition::Fatal,
            Self::Publish(_)
            | Self::SourceDenied { .. }
            | Self::Unsettled
            | Self::Undecided(_)
            | Self::Cancelled => Disposition::GiveBack,
        }
    }

    /// Whether credentials or configuration are most likely at fault, so that other groups would
    /// fail like this one. It ends a worker that has archived nothing yet
    /// (docs/decisions/worker-ends-where-denied.md).
    pub fn is_of_configuration(&self) -> bool {
        let is_elsewhere = match self {
            Self::Manifest(ManifestError::S3(error))
            | Self::Fetch(FetchError::Source(error) | FetchError::Destination(error))
            | Self::Upload(error)
            | Self::ReadBack(error) => error.kind == ErrorKind::WrongRegion,
            _ => false,
        };
        is_elsewhere || self.exit_code() == ExitCode::Permission
    }
}

impl HasExitCode for BundleError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Manifest(ManifestError::S3(error)) | Self::ReadBack(error) => error.reading(),
            Self::Manifest(ManifestError::Scratch(_))
            | Self::Scratch { .. }
            | Self::Pack(_)
            | Self::CatalogWrite(_) => ExitCode::Local,
            Self::Manifest(ManifestError::Columns { .. } | ManifestError::Content { .. })
            | Self::Row { .. }
            | Self::Claim { .. }
            | Self::Foreign { .. }
            | Self::ArchiveMissing { .. }
            | Self::Catalog { .. } => ExitCode::Unreadable,
            Self::Memory(_) | Self::TooManyParts(_) | Self::NameTaken { .. } => ExitCode::Usage,
            Self::Fetch(error) => error.exit_code(),
            Self::SourceDenied { .. } | Self::Unsettled => ExitCode::Permission,
            Self::Upload(error) => error.writing(),
            Self::Publish(error) => error.exit_code(),
            Self::Undecided(_) => ExitCode::Upload,
            Self::Cancelled => ExitCode::Terminated,
        }
    }
}
