//! The summary of a pass: written last by the grouper, so that it is there only when all groups
//! are.

use s3bundler_contract::RunSummary;

use super::conditional_put::{find_record, put_record, unreadable};
use super::{GroupError, Pass};
use crate::s3::S3;

/// The summary of the pass, where an earlier start wrote one.
pub(super) async fn find(s3: &S3, pass: Pass<'_>) -> Result<Option<RunSummary>, GroupError> {
    let address = pass.summary();
    let Some(json) = find_record(s3, &address).await? else {
        return Ok(None);
    };
    RunSummary::parse_of(&json, pass.run, pass.stage)
        .map(Some)
        .map_err(unreadable(&address))
}

/// Writes it, unless the same one is there; another one is an error.
pub(super) async fn write(s3: &S3, pass: Pass<'_>, summary: &RunSummary) -> Result<(), GroupError> {
    let address = pass.summary();
    let recorded = put_record(s3, &address, summary.to_json()).await?;
    let same = RunSummary::parse(&recorded.json).map_err(unreadable(&address))? == *summary;
    if same {
        Ok(())
    } else {
        Err(GroupError::ForeignSummary(address))
    }
}
