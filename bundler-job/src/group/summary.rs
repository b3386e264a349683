//! The summary of a run: written last by the grouper, so that it is there only when all groups are.

use s3bundler_contract::{RunName, RunSummary};

use super::GroupError;
use super::put::{find_record, put_record, unreadable};
use crate::args::Destination;
use crate::s3::S3;

/// The summary of the run, where an earlier start wrote one.
pub(super) async fn find(s3: &S3, destination: &Destination, run: &RunName) -> Result<Option<RunSummary>, GroupError> {
    let address = destination.address(destination.layout.summary(run));
    let found = find_record(s3, &address).await?;
    found.map(|json| RunSummary::parse(&json).map_err(unreadable(&address))).transpose()
}

/// Writes it, unless the same one is there; another one is an error.
pub(super) async fn write(s3: &S3, destination: &Destination, summary: &RunSummary) -> Result<(), GroupError> {
    let address = destination.address(destination.layout.summary(&summary.run));
    match put_record(s3, &address, summary.to_json()).await? {
        None => Ok(()),
        Some(found) if RunSummary::parse(&found).map_err(unreadable(&address))? == *summary => Ok(()),
        Some(_) => Err(GroupError::ForeignSummary(address)),
    }
}
