//! The summaries of a run's stages: its own groups, retry passes and redos.

use s3bundler_contract::{Accounts, RunName, RunSummary, Stage};

use super::{GroupError, Pass, resume, summary};
use crate::destination::Destination;
use crate::s3::S3;

/// All summaries of a run: a LIST, and a GET for each.
pub(crate) async fn accounts(
    s3: &S3,
    destination: &Destination,
    run: &RunName,
) -> Result<Accounts, GroupError> {
    let mut accounts = later(s3, destination, run).await?;
    accounts.extend(find(s3, destination, run, Stage::OWN).await?);
    Ok(accounts)
}

/// The same without the summary of the run's own groups.
pub(super) async fn later(
    s3: &S3,
    destination: &Destination,
    run: &RunName,
) -> Result<Accounts, GroupError> {
    let layout = &destination.layout;
    let mut stages = Vec::new();
    let prefix = layout.stage_summaries(run);
    let listing = s3.list(&destination.bucket, &prefix, |page| {
        stages.extend(
            page.iter()
                .filter_map(|object| layout.parse_stage_summary(&object.key, run)),
        );
        true
    });
    listing.await.map_err(GroupError::Destination)?;
    let mut accounts = Accounts::default();
    for stage in stages {
        accounts.extend(find(s3, destination, run, stage).await?);
    }
    Ok(accounts)
}

async fn find(
    s3: &S3,
    destination: &Destination,
    run: &RunName,
    stage: Stage,
) -> Result<Option<RunSummary>, GroupError> {
    summary::find(
        s3,
        Pass {
            run,
            stage,
            destination,
            manifest_storage_class: "",
        },
    )
    .await
}

/// How far the grouping of a stage has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// There is nothing of it.
    No,
    /// It has manifests and no summary.
    Partly,
    /// It has a summary.
    Whole,
}

/// How far the grouping of a stage has come; a LIST if it has no summary.
pub(crate) async fn begun(
    s3: &S3,
    destination: &Destination,
    run: &RunName,
    accounts: &Accounts,
    stage: Stage,
) -> Result<Begun, GroupError> {
    if accounts.get(stage).is_some() {
        return Ok(Begun::Whole);
    }
    let pass = Pass {
        run,
        stage,
        destination,
        manifest_storage_class: "",
    };
    Ok(if resume::manifests(s3, pass).await?.is_empty() {
        Begun::No
    } else {
        Begun::Partly
    })
}

/// The retry pass and the redo that were planned last; 0 is none.
pub(super) fn last_planned(accounts: &Accounts) -> (u32, u32) {
    accounts
        .summaries()
        .fold((0, 0), |(pass, redo), summary| match summary.stage() {
            Stage::Pass(of) => (pass.max(of), redo),
            Stage::Redo(of) => (pass, redo.max(of)),
        })
}
