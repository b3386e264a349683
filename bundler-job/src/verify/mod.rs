//! Proves from S3 alone that a run is whole: that every row of the inventory is in an archive,
//! copied, failed with a reason or left out with a reason, and that everything which says so
//! agrees.
//!
//! ```text
//! claim, summaries ──► listing: three sets of names ──► a group at a time: catalog ──► derive ──► HEADs ──► sums ──► Report
//!                                                                           └─ --full: archive ──► walk, MD5s
//! ```
//!
//! What is wrong is data (a [`Finding`]), not an error: a [`VerifyError`] means that verify itself
//! could not go on. Nothing of S3 is believed but what was read there now, and nothing is held but
//! names, sums and the catalogs of the groups at hand, which are in scratch.

mod archive;
mod bytes;
mod copied;
mod digest;
mod finding;
mod group;
mod listing;
mod orphan;
mod part;
mod report;
mod rows;
mod scope;
mod tally;
mod tar;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use s3bundler_contract::record::RecordError;
use s3bundler_contract::{
    Accounts, ExitCode, Figures, HasExitCode, RunClaim, RunName, RunSummary, S3Address, Stage,
};

use crate::catalog::{CatalogError, PublishError};
use crate::destination::Destination;
use crate::progress::Progress;
use crate::s3::{ErrorKind, S3, S3Error};

pub use finding::Finding;
pub use part::Part;
pub use report::{Inventory, Report};

use listing::{Listing, Plan};
use scope::Scope;
use tally::Tally;

/// No claim or summary is larger; prefixes are what makes a claim grow.
const RECORD_BYTES: u64 = 4 << 20;

/// Age from which `--repair` removes what attempts that lost have left: much more than a worker
/// needs between reading a catalog and deleting its own archive, and more than any clocks differ.
pub const ORPHAN_AGE: Duration = Duration::from_hours(1);

/// What to verify, and how.
#[derive(Debug, Clone)]
pub struct VerifyRequest {
    /// Where the run is. Its layout of keys does not matter: catalogs name their archives.
    pub destination: Destination,
    pub run: RunName,
    /// Read every archive and compare every row with its bytes.
    pub full: bool,
    /// Write index, dead letters and receipts again where they are missing or wrong and all else of
    /// their group is right.
    pub repair: bool,
    /// Age from which a repair removes what attempts that lost have left.
    pub orphan_age: Duration,
    /// Groups to look into at a time.
    pub groups: usize,
    /// For catalogs and what is derived from them.
    pub scratch: PathBuf,
    /// Whether the store knows CRC64NVME.
    pub crc64nvme: bool,
}

/// Why a run could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is nothing of such a run.
    #[error(
        "there is no run {run} in {destination}: neither claim nor summary, manifests, catalogs \
         or receipts"
    )]
    NoSuchRun {
        run: RunName,
        /// Where it should be.
        destination: S3Address,
    },
    /// The claim or the summary cannot be read.
    #[error("cannot use {address}: {cause}")]
    Record {
        address: S3Address,
        cause: RecordError,
    },
    /// The claim or the summary has other bytes than the store itself says.
    #[error("{address} is damaged: {problem}")]
    Damaged {
        address: S3Address,
        /// What contradicts its bytes.
        problem: String,
    },
    /// S3 could not be read.
    #[error(transparent)]
    Read(#[from] S3Error),
    /// An archive is in a tier that has to be restored before it can be read.
    #[error(
        "{archive} cannot be read before somebody restores it; without --full its bytes are \
         proved by checksum"
    )]
    Archived { archive: S3Address },
    /// A catalog or manifest could not be kept in scratch.
    #[error("{object}: {cause}")]
    Scratch {
        object: S3Address,
        cause: CatalogError,
    },
    /// The repair could not be written.
    #[error("repair: {0}")]
    Repair(#[from] PublishError),
    /// A thread that read is gone.
    #[error("reading {address} ended unexpectedly: {cause}")]
    Stopped {
        /// What it read.
        address: S3Address,
        /// How.
        cause: tokio::task::JoinError,
    },
}

impl VerifyError {
    /// Whether the same request may succeed later.
    const fn is_transient(&self) -> bool {
        matches!(self, Self::Read(error) if error.kind.is_transient())
    }

    /// What contradicts the bytes of an object that was read, if that is the error.
    fn damage(self) -> Result<String, Self> {
        match self {
            Self::Read(error) if error.is_mismatch() => Ok(error.detail),
            error => Err(error),
        }
    }
}

impl HasExitCode for VerifyError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::NoSuchRun { .. } => ExitCode::Usage,
            Self::Record { .. } | Self::Damaged { .. } => ExitCode::Unreadable,
            Self::Read(error) => error.reading(),
            Self::Archived { .. } => ExitCode::Download,
            Self::Scratch { cause, .. } => cause.exit_code(),
            Self::Repair(error) => error.exit_code(),
            Self::Stopped { .. } => ExitCode::Unexpected,
        }
    }
}

/// Verifies a run. `progress` counts rows of catalogs, and with `full` members of archives, as they
/// are read.
pub async fn verify(
    s3: &S3,
    request: &VerifyRequest,
    progress: &Progress,
) -> Result<Report, VerifyError> {
    let VerifyRequest {
        destination, run, ..
    } = request;
    let root = destination.address(destination.layout.root());
    let claim_at = destination.address(destination.layout.claim(run));
    let summary_at = destination.address(destination.layout.summary(run));
    let claim = record(s3, &claim_at, |json| RunClaim::parse_of(json, run)).await?;
    let summary = record(s3, &summary_at, |json| {
        RunSummary::parse_of(json, run, Stage::OWN)
    })
    .await?;
    let listing = Box::pin(Listing::read(s3, destination, run)).await?;
    let mut accounts = Accounts::of(summary.clone());
    for stage in &listing.summaries {
        let address = destination.address(destination.layout.stage_summary(run, *stage));
        accounts
            .extend(record(s3, &address, |json| RunSummary::parse_of(json, run, *stage)).await?);
    }
    if claim.is_none()
        && summary.is_none()
        && listing.groups.is_empty()
        && listing.findings.is_empty()
    {
        return Err(VerifyError::NoSuchRun {
            run: run.clone(),
            destination: root,
        });
    }
    // A run of foreign manifests has neither claim nor summary, and no manifests of its own.
    let grouped = claim.is_some() || summary.is_some() || listing.has_own(run);
    let unfinished = listing::unfinished(&listing, run);
    let Plan {
        tasks,
        mut findings,
        torn,
    } = listing::plan(listing, &accounts, destination, run);
    if grouped && claim.is_none() {
        findings.push(Finding::NoClaim { claim: claim_at });
    }
    if grouped && summary.is_none() {
        findings.push(Finding::GroupingUnfinished {
            summary: summary_at,
        });
    }
    for stage in unfinished {
        let summary = destination.address(destination.layout.stage_summary(run, stage));
        findings.push(match stage {
            Stage::Pass(pass) => Finding::RetryUnfinished { pass, summary },
            Stage::Redo(redo) => Finding::RedoUnfinished { redo, summary },
        });
    }
    tracing::info!(%run, groups = tasks.len(), full = request.full, "verifying");

    let report = Report {
        run: run.clone(),
        destination: root,
        full: request.full,
        inventory: summary.as_ref().map(|it| Inventory {
            rows: it.rows,
            left_out: it.left_out.clone(),
        }),
        groups: tasks.len() as u64,
        objects: Figures::default(),
        retried: Figures::default(),
        failed_in_the_end: BTreeMap::new(),
        redone: Figures::default(),
        replaced: accounts.replaced().iter().cloned().collect(),
        foreign: Figures::default(),
        unproven_checksums: 0,
        missing_tags: 0,
        members_read: 0,
        repaired: Vec::new(),
        removed: Vec::new(),
        findings,
    };
    let sum = |figure: fn(&RunSummary) -> u64| {
        accounts
            .summaries()
            .map(figure)
            .fold(0, u64::saturating_add)
    };
    let (objects, bytes) = (sum(|summary| summary.objects), sum(|summary| summary.bytes));
    progress.expect(tasks.len() as u64, objects, bytes);
    let scope = Scope {
        s3,
        request,
        progress,
    };
    let mut tally = Tally::new(report, torn, accounts);
    tally.check(scope, tasks).await?;
    tally.compare(scope).await?;
    Ok(tally.into_report())
}

async fn record<T>(
    s3: &S3,
    address: &S3Address,
    parse: impl FnOnce(&[u8]) -> Result<T, RecordError>,
) -> Result<Option<T>, VerifyError> {
    let bytes = match s3.get_bytes(address, None, RECORD_BYTES).await {
        Ok((bytes, _)) => bytes,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.is_mismatch() => {
            return Err(VerifyError::Damaged {
                address: address.clone(),
                problem: error.detail,
            });
        }
        Err(error) => return Err(error.into()),
    };
    parse(&bytes)
        .map(Some)
        .map_err(|cause| VerifyError::Record {
            address: address.clone(),
            cause,
        })
}
