//! The claim of a run's name: written before anything else, never replaced, compared by whoever comes again.

use bytes::Bytes;
use s3bundler_contract::{RunClaim, RunName, S3Address};

use super::GroupError;
use super::put::{find_record, put_record, unreadable};
use crate::args::Destination;
use crate::s3::S3;

/// The claim of a run, where there is one.
pub(super) async fn find(s3: &S3, destination: &Destination, run: &RunName) -> Result<Option<RunClaim>, GroupError> {
    let address = destination.address(destination.layout.claim(run));
    let found = find_record(s3, &address).await?;
    found.map(|json| RunClaim::parse(&json).map_err(unreadable(&address))).transpose()
}

/// Whether the same claim is there already. Another one under this name is an error.
pub(super) async fn exists(s3: &S3, destination: &Destination, claim: &RunClaim) -> Result<bool, GroupError> {
    let address = destination.address(destination.layout.claim(&claim.run));
    match find_record(s3, &address).await? {
        Some(found) => compare(&address, claim, &found).map(|()| true),
        None => Ok(false),
    }
}

/// Writes the claim. Gives whether somebody else did so meanwhile, with the same one; another one is an error.
pub(super) async fn make(s3: &S3, destination: &Destination, claim: &RunClaim) -> Result<bool, GroupError> {
    let address = destination.address(destination.layout.claim(&claim.run));
    let recorded = put_record(s3, &address, claim.to_json()).await?;
    compare(&address, claim, &recorded.json).map(|()| !recorded.written)
}

fn compare(address: &S3Address, ours: &RunClaim, found: &Bytes) -> Result<(), GroupError> {
    let found = RunClaim::parse(found).map_err(unreadable(address))?;
    match ours.difference(&found) {
        None => Ok(()),
        Some(difference) => {
            Err(GroupError::NameTaken { run: ours.run.clone(), claim: address.clone(), difference, owner: found.owner })
        }
    }
}
