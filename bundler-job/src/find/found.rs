//! What a search yields: a row of a catalog, with the group that it is of.

use std::sync::Arc;

use s3bundler_contract::{ArchiveFormat, GroupName, RunName, S3Address};

use crate::catalog::{Entry, Outcome, Place};

/// An object that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The run that has it.
    pub run: RunName,
    /// The group that has it.
    pub group: GroupName,
    /// The attempt at the group that won.
    pub attempt: Arc<str>,
    /// Its row: bucket, key, version, size, ETag, class, outcome, sums, headers, metadata, tags.
    pub entry: Entry,
    /// Where its bytes are; `None` if it failed.
    pub location: Option<Location>,
}

/// Where the bytes of an object are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In an archive.
    Member {
        archive: Arc<S3Address>,
        format: ArchiveFormat,
        /// The bytes of the archive to GET, and how many to drop after they are decompressed.
        place: Place,
    },
    /// An object of its own.
    Copy(S3Address),
}

impl Location {
    /// The object to GET from.
    pub fn address(&self) -> &S3Address {
        match self {
            Self::Member { archive, .. } => archive,
            Self::Copy(copy) => copy,
        }
    }

    /// The location of a row with this outcome, in an archive that is at this address.
    pub(super) fn of(
        outcome: &Outcome,
        bucket: &str,
        archive: Option<&Arc<S3Address>>,
    ) -> Option<Self> {
        match outcome {
            Outcome::Archived(place) => {
                let archive = Arc::clone(archive?);
                Some(Self::Member {
                    format: ArchiveFormat::of_key(&archive.key)?,
                    archive,
                    place: *place,
                })
            }
            Outcome::Copied { key } => Some(Self::Copy(S3Address::new(bucket, key))),
            Outcome::Failed(_) => None,
        }
    }
}
