//! The claim of a run's name: written before anything else, never replaced, compared by whoever
//! comes again.

use s3bundler_contract::{RunClaim, RunName};

use super::GroupError;
use super::conditional_put::{find_record, put_record, unreadable};
use crate::destination::Destination;
use crate::s3::S3;

/// The claim of a run, where there is one.
pub(super) async fn find(
    s3: &S3,
    destination: &Destination,
    run: &RunName,
) -> Result<Option<RunClaim>, GroupError> {
    let address = destination.address(destination.layout.claim(run));
    let found = find_record(s3, &address).await?;
    found
        .map(|json| RunClaim::parse_of(&json, run).map_err(unreadable(&address)))
        .transpose()
}

/// The claim of a run that has to have one.
pub(super) async fn get(
    s3: &S3,
    destination: &Destination,
    run: &RunName,
) -> Result<RunClaim, GroupError> {
    let claim = || destination.address(destination.layout.claim(run));
    find(s3, destination, run)
        .await?
        .ok_or_else(|| GroupError::NoClaim {
            run: run.clone(),
            claim: claim(),
        })
}

/// Whether a claim that was found is the same. Another one under this name is an error.
pub(super) fn compare(
    destination: &Destination,
    ours: &RunClaim,
    found: &RunClaim,
) -> Result<(), GroupError> {
    let Some(difference) = ours.difference(found) else {
        return Ok(());
    };
    let (run, owner) = (ours.run.clone(), found.owner.clone());
    let claim = destination.address(destination.layout.claim(&run));
    Err(GroupError::NameTaken {
        run,
        claim,
        difference,
        owner,
    })
}

/// Writes the claim. Gives whether somebody else did so meanwhile, with the same one; another one
/// is an error.
pub(super) async fn make(
    s3: &S3,
    destination: &Destination,
    claim: &RunClaim,
) -> Result<bool, GroupError> {
    let address = destination.address(destination.layout.claim(&claim.run));
    let recorded = put_record(s3, &address, claim.to_json()).await?;
    let found = RunClaim::parse(&recorded.json).map_err(unreadable(&address))?;
    compare(destination, claim, &found).map(|()| !recorded.written)
}
