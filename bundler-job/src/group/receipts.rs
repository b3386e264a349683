//! The receipts of a run: which of its groups are archived already.

use std::collections::BTreeMap;

use s3bundler_contract::layout::GroupName;
use s3bundler_contract::{Receipt, RunName};

use super::GroupError;
use crate::args::Destination;
use crate::s3::S3;

/// Rows and bytes of an archived group, by its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Archived {
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

/// The groups of the run that have a receipt; 1,000 a request.
pub(super) async fn list(
    s3: &S3,
    destination: &Destination,
    run: &RunName,
) -> Result<BTreeMap<GroupName, Archived>, GroupError> {
    let prefix = destination.layout.receipts(run);
    let mut archived = BTreeMap::new();
    let listing = s3.list(&destination.bucket, &prefix, |page| {
        for object in page {
            match Receipt::parse(object.key.strip_prefix(&prefix).unwrap_or_default()) {
                Ok(receipt) => {
                    let bytes = receipt.archived_bytes.saturating_add(receipt.copied_bytes);
                    let bytes = bytes.saturating_add(receipt.failed_bytes);
                    let figures = Archived { objects: receipt.rows(), bytes };
                    archived.insert(receipt.group, figures);
                }
                Err(error) => tracing::warn!(key = object.key, %error, "not a receipt"),
            }
        }
        true
    });
    listing.await.map_err(GroupError::Destination)?;
    Ok(archived)
}
