//! The receipts of a run: which of its groups are archived already.

use std::collections::BTreeMap;

use s3bundler_contract::layout::GroupName;
use s3bundler_contract::{Figures, Receipt, RunName};

use super::GroupError;
use crate::destination::Destination;
use crate::s3::S3;

/// An archived group, by its receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Archived {
    /// What became of its rows.
    pub(super) figures: Figures,
    /// Whether it has another receipt, which is a defect.
    pub(super) twice: bool,
}

impl From<Receipt> for Archived {
    fn from(receipt: Receipt) -> Self {
        Self {
            figures: receipt.figures,
            twice: false,
        }
    }
}

/// The groups of the run that have a receipt; 1,000 a request.
pub(super) async fn list(
    s3: &S3,
    destination: &Destination,
    run: &RunName,
) -> Result<BTreeMap<GroupName, Archived>, GroupError> {
    let prefix = destination.layout.receipts(run);
    let mut archived: BTreeMap<GroupName, Archived> = BTreeMap::new();
    let listing = s3.list(&destination.bucket, &prefix, |page| {
        for object in page {
            match Receipt::parse(object.key.strip_prefix(&prefix).unwrap_or_default()) {
                Ok(receipt) => {
                    let group = receipt.group.clone();
                    archived
                        .entry(group)
                        .and_modify(|it| it.twice = true)
                        .or_insert_with(|| receipt.into());
                }
                Err(error) => tracing::warn!(key = object.key, %error, "not a receipt"),
            }
        }
        true
    });
    listing.await.map_err(GroupError::Destination)?;
    Ok(archived)
}
