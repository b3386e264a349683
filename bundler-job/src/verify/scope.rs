//! The run that is verified, and where its objects are.

use s3bundler_contract::{GroupName, Receipt, S3Address};

use super::VerifyRequest;
use crate::progress::Progress;
use crate::s3::{S3, S3Error};

/// The run at hand.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) s3: &'a S3,
    pub(super) request: &'a VerifyRequest,
    pub(super) progress: &'a Progress,
}

impl Scope<'_> {
    /// Where a group's catalog is.
    pub(super) fn catalog(&self, group: &GroupName) -> S3Address {
        let destination = &self.request.destination;
        destination.address(destination.layout.catalog(&self.request.run, group))
    }

    /// The receipts of a group.
    pub(super) async fn receipts(&self, group: &GroupName) -> Result<Vec<Receipt>, S3Error> {
        let VerifyRequest {
            destination, run, ..
        } = self.request;
        let stem = Receipt::stem(&destination.layout, run, group);
        let listed = self.s3.list_all(&destination.bucket, &stem).await?;
        let names = listed
            .iter()
            .filter_map(|object| object.key.strip_prefix(&destination.layout.receipts(run)));
        Ok(names.filter_map(|name| Receipt::parse(name).ok()).collect())
    }
}
