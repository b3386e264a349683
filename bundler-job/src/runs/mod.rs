//! What is in a destination: its runs, and the groups of a run. LIST tells nearly all of it, because
//! the names of receipts carry the figures.
//!
//! ```text
//! LIST runs/, catalog/ ──► names of runs ──► each: summaries, LIST receipts ──► RunEntry
//! LIST groups/, catalog/, receipts/ of a run ──► GroupEntry ──► one group: the end of its catalog ──► GroupDetail
//! ```

mod groups;

use std::collections::BTreeMap;
use std::time::SystemTime;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use s3bundler_contract::{
    Accounts, ExitCode, Figures, GroupName, HasExitCode, Receipt, RunName, S3Address, Stage,
};
use serde::Serialize;

use crate::catalog::CatalogError;
use crate::destination::Destination;
use crate::group::{GroupError, accounts};
use crate::run_totals::RunTotals;
use crate::s3::{S3, S3Error};

pub use groups::{GroupDetail, GroupEntry, GroupState, GroupsReport, list_groups, show_group};

/// Runs that are counted at a time.
const AT_A_TIME: usize = 8;

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    /// S3 could not be read.
    #[error(transparent)]
    Read(#[from] S3Error),
    /// The records of a run cannot be read.
    #[error(transparent)]
    Records(#[from] GroupError),
    /// There is nothing of such a run.
    #[error(
        "there is no run {run} in {destination}: neither claim nor groups, catalogs or receipts"
    )]
    NoSuchRun {
        run: RunName,
        destination: S3Address,
    },
    /// The run has no such group.
    #[error("run {run} has no group {group}: neither manifest nor catalog or receipt")]
    NoSuchGroup { run: RunName, group: GroupName },
    /// The catalog of the group cannot be used.
    #[error("{catalog}: {cause}")]
    Catalog {
        catalog: S3Address,
        cause: CatalogError,
    },
}

impl HasExitCode for RunsError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Read(error) => error.reading(),
            Self::Records(error) => error.exit_code(),
            Self::NoSuchRun { .. } | Self::NoSuchGroup { .. } => ExitCode::Usage,
            Self::Catalog { cause, .. } => cause.exit_code(),
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RunState {
    /// It is claimed, and not all of its groups are written.
    Grouping,
    /// Groups have no receipt yet.
    Archiving,
    /// All groups have a receipt, and these agree with the inventory.
    Complete,
    /// Receipts contradict each other or the inventory; `verify` names them.
    Mismatch,
    /// It has neither claim nor summary: its groups are of manifests from elsewhere.
    Manifests,
}

impl RunState {
    /// As a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grouping => "grouping",
            Self::Archiving => "archiving",
            Self::Complete => "complete",
            Self::Mismatch => "mismatch",
            Self::Manifests => "manifests",
        }
    }

    /// The state of a run that has a claim or not, with these summaries and totals. Pure.
    fn of(is_claimed: bool, accounts: &Accounts, totals: &RunTotals) -> Self {
        if accounts.get(Stage::OWN).is_none() {
            return if is_claimed {
                Self::Grouping
            } else {
                Self::Manifests
            };
        }
        if totals.missing + totals.missing_of_passes > 0 {
            Self::Archiving
        } else if totals.add_up() {
            Self::Complete
        } else {
            Self::Mismatch
        }
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunEntry {
    pub run: RunName,
    pub state: RunState,
    /// When it was claimed, or the first receipt of a run without a claim was written.
    /// RFC 3339, UTC.
    pub began: Option<String>,
    /// Groups with a receipt.
    pub groups: u64,
    /// Groups that have none yet, as far as summaries tell.
    pub missing_groups: u64,
    /// What became of its rows: each counts once, and the failed ones are those that no pass could
    /// archive.
    pub objects: Figures,
    /// Rows of manifests from elsewhere that were archived under its name.
    pub manifests: Figures,
    /// Receipts that cannot be read or contradict others.
    pub defects: u64,
}

/// The runs of a destination, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunsReport {
    pub destination: S3Address,
    pub runs: Vec<RunEntry>,
    /// Of all runs.
    pub totals: Figures,
}

/// Lists the runs of a destination.
pub async fn list_runs(s3: &S3, destination: &Destination) -> Result<RunsReport, RunsError> {
    let names = names(s3, destination).await?;
    let runs = stream::iter(names)
        .map(|(run, claimed)| count(s3, destination, run, claimed))
        .buffer_unordered(AT_A_TIME);
    let mut runs: Vec<_> = runs.try_collect().await?;
    runs.sort_by(|a, b| (&b.began, &b.run).cmp(&(&a.began, &a.run)));
    let mut totals = Figures::default();
    for run in &runs {
        totals.add(&run.objects);
        totals.add(&run.manifests);
    }
    Ok(RunsReport {
        destination: destination.address(destination.layout.root()),
        runs,
        totals,
    })
}

/// The names of all runs, and when each was claimed.
async fn names(
    s3: &S3,
    destination: &Destination,
) -> Result<BTreeMap<RunName, Option<SystemTime>>, S3Error> {
    let layout = &destination.layout;
    let mut names = BTreeMap::new();
    let prefix = layout.all_catalogs();
    // Of `…catalog/run=r/`. Runs of manifests from elsewhere have no claim.
    let folders = s3.folders(&destination.bucket, &prefix, |folder| {
        let run = folder.strip_prefix(&prefix);
        let run = run.and_then(|run| run.trim_end_matches('/').parse::<RunName>().ok());
        names.extend(run.map(|run| (run, None)));
    });
    folders.await?;
    let records = layout.records();
    let claims = s3.list(&destination.bucket, &records, |page| {
        for object in page {
            let run = layout.parse_claim(&object.key);
            names.extend(run.map(|run| (run, object.modified)));
        }
        true
    });
    claims.await?;
    Ok(names)
}

/// Counts a run.
async fn count(
    s3: &S3,
    destination: &Destination,
    run: RunName,
    claimed: Option<SystemTime>,
) -> Result<RunEntry, RunsError> {
    let accounts = accounts(s3, destination, &run).await?;
    let prefix = destination.layout.receipts(&run);
    let (mut receipts, mut first) = (Vec::new(), None::<SystemTime>);
    let listing = s3.list(&destination.bucket, &prefix, |page| {
        for object in page {
            first = match (first, object.modified) {
                (Some(first), Some(modified)) => Some(first.min(modified)),
                (first, modified) => first.or(modified),
            };
            let name = object.key.strip_prefix(&prefix);
            receipts.push(name.unwrap_or(&object.key).to_owned());
        }
        true
    });
    listing.await?;
    let totals = RunTotals::of(&run, &accounts, receipts.iter().map(String::as_str));
    let state = RunState::of(claimed.is_some(), &accounts, &totals);
    Ok(RunEntry {
        state,
        began: claimed
            .or(first)
            .and_then(|at| Timestamp::try_from(at).ok())
            .map(|at| format!("{at:.0}")),
        groups: receipts.len() as u64,
        missing_groups: totals.missing + totals.missing_of_passes,
        manifests: of_manifests(&run, &accounts, &receipts),
        objects: totals.figures,
        defects: totals.defects.len() as u64,
        run,
    })
}

/// What the receipts of manifests from elsewhere add up to. Pure.
fn of_manifests(run: &RunName, accounts: &Accounts, receipts: &[String]) -> Figures {
    let mut figures = Figures::default();
    for receipt in receipts.iter().filter_map(|it| Receipt::parse(it).ok()) {
        let is_own = receipt.group.stage_in(run).is_some_and(|(stage, number)| {
            let counts = accounts.get(stage).is_some_and(|it| number < it.groups);
            counts || !receipt.group.may_be_foreign()
        });
        if !is_own && !accounts.is_replaced(&receipt.group) {
            figures.add(&receipt.figures);
        }
    }
    figures
}

#[cfg(test)]
mod tests;
