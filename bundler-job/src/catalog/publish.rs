//! From a catalog, as read from S3, to everything that others read: the index, the dead letters
//! and, when both are there, the receipt (step 6 of the commit). Every object is a function of the
//! catalog's bytes and the catalog never changes, so whoever does this, however often, writes the
//! same.

use std::path::PathBuf;
use std::sync::Arc;

use aws_sdk_s3::types::StorageClass;
use bytes::Bytes;

use s3bundler_contract::attempt::{index_of, run_folder};
use s3bundler_contract::group_manifest::COLUMNS_METADATA;
use s3bundler_contract::layout::DEAD_LETTERS_SUFFIX;
use s3bundler_contract::{ExitCode, Group, GroupName, HasExitCode, Receipt, RunName, S3Address};

use super::{CatalogError, Committed, Derived, DerivedFile, GroupRecord, derive};
use crate::destination::Destination;
use crate::s3::{Put, PutBody, S3, S3Error};

/// The MIME type of indexes and dead letters (RFC 7111).
const CSV: &str = "text/csv; charset=utf-8";

/// Whose catalog it is, and where what follows from it goes.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The run's destination.
    pub destination: Destination,
    pub run: RunName,
    pub group: GroupName,
    /// For index and dead letters until they are uploaded.
    pub scratch: PathBuf,
}

/// Why a group could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The catalog cannot be read.
    #[error("{address}: {cause}")]
    Catalog {
        address: S3Address,
        cause: CatalogError,
    },
    /// S3 did not take an object.
    #[error(transparent)]
    S3(#[from] S3Error),
    /// The thread that read the catalog is gone.
    #[error("reading {address} ended unexpectedly: {cause}")]
    Stopped {
        address: S3Address,
        /// How.
        cause: tokio::task::JoinError,
    },
}

impl HasExitCode for PublishError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Catalog { cause, .. } => cause.exit_code(),
            Self::S3(error) => error.writing(),
            Self::Stopped { .. } => ExitCode::Unexpected,
        }
    }
}

impl GroupRecord {
    /// Where the group manifest is.
    pub fn manifest(&self) -> S3Address {
        S3Address::new(&self.manifest_bucket, &self.manifest_key)
    }

    /// Where earlier releases wrote the dead letters of a group of an existing manifest: beside the
    /// manifest. Two runs of one manifest share that key, so that it is only read.
    pub fn earlier_dead_letters(&self) -> S3Address {
        S3Address::new(
            &self.manifest_bucket,
            format!("{}{DEAD_LETTERS_SUFFIX}", self.manifest_key),
        )
    }

    /// What is wrong with it as the record of `group`; `None` where nothing is. A catalog is
    /// untrusted, and index and dead letters are written beside what it names.
    pub fn difference(
        &self,
        destination: &Destination,
        run: &RunName,
        group: &GroupName,
    ) -> Option<String> {
        let manifest = self.manifest();
        let of = Group::of(&manifest, &destination.bucket, &destination.layout, run);
        if (&of.run, &of.name) != (run, group) {
            return Some(format!("it was made of the group manifest {manifest}"));
        }
        let redo = of.is_redo();
        if redo != self.redo {
            return Some(format!(
                "it is of format {}",
                if self.redo {
                    "2, and not of a redo"
                } else {
                    "1, and of a redo"
                }
            ));
        }
        let archive = self.archive.as_ref()?;
        let file = archive.key.rsplit('/').next().unwrap_or_default();
        let stem = format!("{group}-{}.", self.attempt);
        let below = archive
            .key
            .strip_prefix(destination.layout.root())
            .is_some_and(|it| it.starts_with("archives/"));
        // Without a folder it is a key of an earlier release, or of a group that the run's own
        // grouper made.
        let of_run =
            run_folder(&archive.key).is_none_or(|folder| folder == run.as_str() && !of.own);
        (!below || !of_run || !file.starts_with(&stem)).then(|| {
            format!(
                "it names the archive {:?}, not one of attempt {}",
                archive.key, self.attempt
            )
        })
    }
}

impl Publication {
    /// Where the group's catalog is.
    pub fn catalog(&self) -> S3Address {
        self.destination
            .address(self.destination.layout.catalog(&self.run, &self.group))
    }

    /// Where the group's dead letters are, if there are any.
    pub fn dead_letters(&self) -> S3Address {
        self.destination
            .address(self.destination.layout.dead_letters(&self.run, &self.group))
    }
}

/// Writes index, dead letters and, last, the receipt of a group from its catalog as it was read
/// from S3: never from what this process remembers of it, since another attempt may have won.
pub async fn publish(
    s3: &S3,
    publication: &Publication,
    committed: Committed,
) -> Result<Receipt, PublishError> {
    let address = publication.catalog();
    let record = committed.record().clone();
    let scratch = publication.scratch.clone();
    let derived =
        match tokio::task::spawn_blocking(move || derive(committed.catalog(), &scratch, |_| ()))
            .await
        {
            Ok(Ok(derived)) => derived,
            Ok(Err(cause)) => return Err(PublishError::Catalog { address, cause }),
            Err(cause) => return Err(PublishError::Stopped { address, cause }),
        };
    publish_derived(s3, publication, &record, &derived).await
}

/// The same for what was derived already.
pub(crate) async fn publish_derived(
    s3: &S3,
    publication: &Publication,
    record: &GroupRecord,
    derived: &Derived,
) -> Result<Receipt, PublishError> {
    let Publication {
        destination,
        run,
        group,
        ..
    } = publication;
    if let (Some(index), Some(archive)) = (&derived.index, &record.archive) {
        let put = Put {
            storage_class: Some(&record.storage_class),
            content_type: Some(CSV),
            crc64nvme: Some(index.crc64nvme),
            tagged: true,
            confirm: true,
            ..Put::default()
        };
        put_file(
            s3,
            &destination.address(index_of(&archive.key)),
            index,
            &put,
        )
        .await?;
    }
    if let Some(dead_letters) = &derived.dead_letters {
        let columns = derived.dead_letter_columns.to_string();
        let put = Put {
            storage_class: Some(StorageClass::Standard.as_str()),
            metadata: &[(COLUMNS_METADATA, &columns)],
            content_type: Some(CSV),
            crc64nvme: Some(dead_letters.crc64nvme),
            confirm: true,
            ..Put::default()
        };
        put_file(s3, &publication.dead_letters(), dead_letters, &put).await?;
    }
    let receipt = derived.totals.receipt(run, group.clone());
    let put = Put {
        storage_class: Some(StorageClass::Standard.as_str()),
        confirm: true,
        ..Put::default()
    };
    s3.put(
        &destination.address(receipt.key(&destination.layout, run)),
        PutBody::Bytes(Bytes::new()),
        &put,
    )
    .await?;
    Ok(receipt)
}

async fn put_file(
    s3: &S3,
    address: &S3Address,
    derived: &DerivedFile,
    put: &Put<'_>,
) -> Result<(), S3Error> {
    s3.put(address, PutBody::File(Arc::clone(&derived.file)), put)
        .await
        .map(|_| ())
}

#[cfg(test)]
mod tests;
