//! Steps 3 to 7 of the commit protocol: one conditional PUT decides a group, and all that it names
//! already exists.
//!
//! ```text
//! PUT catalog, If-None-Match ──► GET catalog ──► names us: won │ another: lost │ nobody: again, or give back
//!                                    │
//!                                    └──► sweep ──► index, dead letters, receipt from what was read
//! ```

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use s3bundler_contract::{Group, Receipt, S3Address};

use super::BundleError;
use super::sweep::Sweeper;
use crate::catalog::{Committed, Publication, publish};
use crate::destination::Destination;
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
    /// Removes what other attempts have left.
    pub sweeper: Sweeper,
}

impl Committer {
    /// Step 1, and step 4's reading: the group's catalog, if it has one.
    pub async fn read(
        &self,
        group: &Group,
        scratch: &Path,
    ) -> Result<Option<Committed>, BundleError> {
        Ok(Committed::read(
            &self.s3,
            &self.destination,
            &group.run,
            &group.name,
            scratch,
        )
        .await?)
    }

    /// Steps 3 and 4: PUT, and read back whose catalog it is. `None`: nobody's, give the message
    /// back.
    pub async fn put(
        &self,
        group: &Group,
        catalog: &Arc<File>,
        scratch: &Path,
    ) -> Result<Option<Committed>, BundleError> {
        let address = self
            .destination
            .address(self.destination.layout.catalog(&group.run, &group.name));
        let mut failed = None;
        for n in 0..PUTS {
            let put = Put {
                if_none_match: true,
                content_type: Some("application/vnd.apache.parquet"),
                ..Put::default()
            };
            // Whatever the answer, the catalog in S3 decides: a 412 may be for our own retried PUT,
            // and a PUT whose answer was lost may have landed, or land later.
            let answer = self
                .s3
                .put(&address, PutBody::File(Arc::clone(catalog)), &put)
                .await;
            if let Err(error) = &answer
                && error.is_damaged_write()
            {
                // It names this attempt, and its rows are not those that were packed.
                return Err(BundleError::Upload(error.clone()));
            }
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

    /// Steps 5 to 7 for a group whose catalog was read from S3. Winner, loser and redelivery do the
    /// same.
    pub async fn finish(
        &self,
        committed: Committed,
        manifest: (&S3Address, &str),
        source_bucket: &str,
        scratch: &Path,
    ) -> Result<Receipt, BundleError> {
        check_manifest(&committed, manifest)?;
        // Before the receipt: a run that is started again does not come back to a group that has
        // one.
        self.sweeper.sweep(&committed, source_bucket).await;
        let publication = Publication {
            destination: self.destination.clone(),
            run: committed.group().run.clone(),
            group: committed.group().name.clone(),
            scratch: scratch.to_owned(),
        };
        publish(&self.s3, &publication, committed)
            .await
            .map_err(BundleError::Publish)
    }

    /// The same for a group that another attempt has committed. Its archive has to be there:
    /// otherwise the group fails, and what this attempt has archived (`ours`, if it came that far)
    /// is kept. It is deleted only once a catalog that names another attempt was read and the
    /// archive that it names was seen.
    pub async fn finish_anothers(
        &self,
        committed: Committed,
        ours: Option<&str>,
        manifest: (&S3Address, &str),
        source_bucket: &str,
        scratch: &Path,
    ) -> Result<Receipt, BundleError> {
        check_manifest(&committed, manifest)?;
        match committed
            .whole(&self.s3)
            .await
            .map_err(BundleError::ReadBack)?
        {
            Ok(whole) => {
                if let Some(ours) = ours {
                    self.sweeper.discard(&whole, ours).await;
                }
            }
            Err(archive) => {
                let ours = ours.map(|key| self.destination.address(key));
                let kept = match ours {
                    Some(ours) => self
                        .s3
                        .head(&ours)
                        .await
                        .map_err(BundleError::ReadBack)?
                        .map(|_| ours),
                    None => None,
                };
                let (catalog, archive) =
                    (committed.address(), self.destination.address(archive.key));
                return Err(BundleError::ArchiveMissing {
                    catalog,
                    archive,
                    kept,
                });
            }
        }
        self.finish(committed, manifest, source_bucket, scratch)
            .await
    }
}

/// Whether the catalog was made of this manifest, with this ETag.
fn check_manifest(committed: &Committed, manifest: (&S3Address, &str)) -> Result<(), BundleError> {
    let record = committed.record();
    let (theirs, their_etag) = (record.manifest(), record.manifest_etag.as_str());
    if (&theirs, their_etag) == manifest {
        return Ok(());
    }
    Err(BundleError::NameTaken {
        group: committed.group().name.clone(),
        ours: format!("{} with ETag {}", manifest.0, manifest.1),
        theirs: format!("{theirs} with ETag {their_etag}"),
    })
}
