//! The acknowledgement of the Kubernetes resource that a run is of: it says that the pods of this
//! resource may write to the destination, and that the run's claim is theirs.

use s3bundler_contract::{Acknowledgement, RunClaim};

use super::conditional_put::{put_record, unreadable};
use super::{GroupError, GroupRequest};
use crate::s3::S3;

/// Writes the acknowledgement if the request names a resource. `claim` is the one that is in the
/// destination. Harmless to repeat; one of another inventory is an error.
pub(super) async fn write(
    s3: &S3,
    request: &GroupRequest,
    claim: &RunClaim,
) -> Result<(), GroupError> {
    let Some(uid) = &request.acknowledge else {
        return Ok(());
    };
    let GroupRequest {
        run, destination, ..
    } = request;
    let ours = Acknowledgement::of(claim, uid.clone());
    let address = destination.address(destination.layout.acknowledgement(run, uid));
    let recorded = put_record(s3, &address, ours.to_json()).await?;
    let found =
        Acknowledgement::parse_of(&recorded.json, run, uid).map_err(unreadable(&address))?;
    if found.inventory == ours.inventory {
        Ok(())
    } else {
        Err(GroupError::ForeignAcknowledgement(address))
    }
}
