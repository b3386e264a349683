//! Steps 3 to 7 of the commit protocol: one conditional PUT decides a group, and all that it names already exists.
//!
//! ```text
//! PUT catalog, If-None-Match ──► GET catalog ──► names us: won │ another: lost │ nobody: again, or give back
//!                                    │
//!                                    └──► sweep ──► index, dead letters, receipt from what was read
//! ```

use std::path::Path;
use std::time::Duration;

use s3bundler_contract::{Receipt, S3Address};
use tokio::io::AsyncWriteExt as _;

use super::BundleError;
use super::manifest::Group;
use super::sweep::sweep;
use crate::args::Destination;
use crate::catalog::{Catalog, Publication, publish};
use crate::s3::{ErrorKind, Put, PutBody, S3};

/// PUTs of the catalog before the group is given back. Each has the SDK's own retries inside.
const PUTS: u32 = 3;

/// Commits groups to a destination.
#[derive(Debug, Clone)]
pub struct Committer {
    /// Where to.
    pub s3: S3,
    /// Under which prefix.
    pub destination: Destination,
}

/// A committed catalog on scratch.
#[derive(Debug)]
pub struct Committed(Catalog);

impl Committed {
    /// The attempt that won.
    pub fn attempt(&self) -> &str {
        &self.0.record().attempt
    }
}

impl Committer {
    /// Step 1, and step 4's reading: the group's catalog, where it has one.
    pub async fn read(&self, group: &Group, scratch: &Path) -> Result<Option<Committed>, BundleError> {
        let address = self.destination.address(self.destination.layout.catalog(&group.run, &group.name));
        let mut body = match self.s3.open(&address, None).await {
            Ok((body, _)) => body,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BundleError::ReadBack(error)),
        };
        let scratch_error = |cause| BundleError::Scratch { path: scratch.to_owned(), cause };
        let file = tempfile::tempfile_in(scratch).map_err(scratch_error)?;
        let mut sink = tokio::fs::File::from_std(file);
        while let Some(chunk) = body.next().await.map_err(BundleError::ReadBack)? {
            sink.write_all(&chunk).await.map_err(scratch_error)?;
        }
        sink.flush().await.map_err(scratch_error)?;
        let catalog = Catalog::open(sink.into_std().await);
        catalog.map(|catalog| Some(Committed(catalog))).map_err(|cause| BundleError::Catalog { address, cause })
    }

    /// Steps 3 and 4: PUT, and read back whose catalog it is. `None`: nobody's, give the message back.
    pub async fn put(&self, group: &Group, catalog: &Path, scratch: &Path) -> Result<Option<Committed>, BundleError> {
        let address = self.destination.address(self.destination.layout.catalog(&group.run, &group.name));
        let mut failed = None;
        for n in 0..PUTS {
            let put =
                Put { if_none_match: true, content_type: Some("application/vnd.apache.parquet"), ..Put::default() };
            // Whatever the answer, the catalog in S3 decides: a 412 may be for our own retried PUT, and a PUT whose
            // answer was lost may have landed, or land later.
            let answer = self.s3.put(&address, PutBody::File(catalog), &put).await;
            if let Some(committed) = self.read(group, scratch).await? {
                return Ok(Some(committed));
            }
            let Err(error) = answer else { continue };
            if !error.kind.is_transient() && error.kind != ErrorKind::Precondition {
                return Err(BundleError::Upload(error));
            }
            tracing::debug!(%error, "catalog was not put, trying again");
            failed = Some(error);
            tokio::time::sleep(Duration::from_millis(500 << n)).await;
        }
        match failed {
            Some(error) => Err(BundleError::Upload(error)),
            None => Ok(None),
        }
    }

    /// Steps 5 to 7 for a group whose catalog was read from S3. Winner, loser and redelivery do the same.
    pub async fn finish(
        &self,
        group: &Group,
        Committed(catalog): Committed,
        manifest: (&S3Address, &str),
        source_bucket: &str,
        scratch: &Path,
    ) -> Result<Receipt, BundleError> {
        let record = catalog.record();
        let (theirs, their_etag) = (record.manifest(), record.manifest_etag.as_str());
        if (&theirs, their_etag) != manifest {
            return Err(BundleError::NameTaken {
                group: group.name.clone(),
                ours: format!("{} with ETag {}", manifest.0, manifest.1),
                theirs: format!("{theirs} with ETag {their_etag}"),
            });
        }
        // Before the receipt: a run that is started again does not come back to a group that has one.
        let swept = sweep(&self.s3, &self.destination, &group.name, source_bucket, &record.attempt).await;
        swept.map_err(BundleError::Sweep)?;
        let publication = Publication {
            destination: self.destination.clone(),
            run: group.run.clone(),
            group: group.name.clone(),
            scratch: scratch.to_owned(),
        };
        publish(&self.s3, &publication, catalog).await.map_err(BundleError::Publish)
    }

    /// Deletes an archive of ours that lost. Only after a catalog that names another was read.
    pub async fn discard(&self, archive: &str) -> Result<(), BundleError> {
        self.s3.delete(&self.destination.address(archive)).await.map_err(BundleError::Sweep)
    }
}
