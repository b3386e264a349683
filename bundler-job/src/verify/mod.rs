//! Proves from S3 alone that a run is whole: that every row of the inventory is in an archive, copied, failed with a
//! reason or left out with a reason, and that everything which says so agrees.
//!
//! ```text
//! claim, summary ──► listing: three sets of names ──► a group at a time: catalog ──► derive ──► HEADs ──► sums ──► Report
//!                                                                           └─ --full: archive ──► walk, MD5s
//! ```
//!
//! What is wrong is data (a [`Finding`]), not an error: a [`VerifyError`] means that verify itself could not go on.
//! Nothing of S3 is believed but what was read there now, and nothing is held but names, sums and the catalogs of the
//! groups at hand, which are in scratch.

mod archive;
mod finding;
mod group;
mod listing;
mod report;
mod rows;
mod tar;

use std::path::PathBuf;

use futures_util::{StreamExt, TryStreamExt, stream};
use s3bundler_contract::record::RecordError;
use s3bundler_contract::{ExitCode, RowDigest, RunClaim, RunName, RunSummary, S3Address};

use crate::args::Destination;
use crate::catalog::{CatalogError, PublishError};
use crate::s3::{ErrorKind, S3, S3Error};

pub use finding::{Finding, Part};
pub use report::{Figures, Inventory, Report};

use group::{Checked, Scope};
use listing::{Listing, Role};

/// A claim or a summary is some hundred bytes.
const RECORD_BYTES: u64 = 1 << 20;

/// What to verify, and how.
#[derive(Debug, Clone)]
pub struct VerifyRequest {
    /// Where the run is. Its layout of keys does not matter: catalogs name their archives.
    pub destination: Destination,
    /// The run.
    pub run: RunName,
    /// Read every archive and compare every row with its bytes.
    pub full: bool,
    /// Write index, dead letters and receipts again where they are missing or wrong and all else of their group is right.
    pub repair: bool,
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
    #[error("there is no run {run} in {destination}: neither claim nor summary, manifests, catalogs or receipts")]
    NoSuchRun {
        /// The run.
        run: RunName,
        /// Where it should be.
        destination: S3Address,
    },
    /// The claim or the summary cannot be read.
    #[error("cannot use {address}: {cause}")]
    Record {
        /// The record.
        address: S3Address,
        /// Why.
        cause: RecordError,
    },
    /// The claim or the summary is another run's.
    #[error("{address} is of run {found}")]
    OtherRun {
        /// The record.
        address: S3Address,
        /// Whose it is.
        found: RunName,
    },
    /// S3 could not be read.
    #[error(transparent)]
    Read(#[from] S3Error),
    /// An archive is in a tier that has to be restored before it can be read.
    #[error("{archive} cannot be read before somebody restores it; without --full its bytes are proved by checksum")]
    Archived {
        /// The archive.
        archive: S3Address,
    },
    /// A catalog or manifest could not be kept in scratch.
    #[error("{object}: {cause}")]
    Scratch {
        /// The object.
        object: S3Address,
        /// Why.
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
    /// What the process exits with.
    pub const fn exit(&self) -> ExitCode {
        match self {
            Self::NoSuchRun { .. } => ExitCode::Usage,
            Self::Record { .. } | Self::OtherRun { .. } => ExitCode::Unreadable,
            Self::Read(error) => error.reading(),
            Self::Archived { .. } => ExitCode::Download,
            Self::Scratch { cause, .. } => cause.exit(),
            Self::Repair(error) => error.exit(),
            Self::Stopped { .. } => ExitCode::Unexpected,
        }
    }
}

/// Verifies a run.
pub async fn verify(s3: &S3, request: &VerifyRequest) -> Result<Report, VerifyError> {
    let VerifyRequest { destination, run, .. } = request;
    let root = destination.address(destination.layout.root());
    let claim_at = destination.address(destination.layout.claim(run));
    let summary_at = destination.address(destination.layout.summary(run));
    let claim = record(s3, &claim_at, run, RunClaim::parse, |claim| &claim.run).await?;
    let summary = record(s3, &summary_at, run, RunSummary::parse, |summary| &summary.run).await?;
    let listing = Listing::read(s3, destination, run).await?;
    if claim.is_none() && summary.is_none() && listing.groups.is_empty() && listing.findings.is_empty() {
        return Err(VerifyError::NoSuchRun { run: run.clone(), destination: root });
    }
    // A run of foreign manifests has neither claim nor summary, and no manifests of its own.
    let grouped = claim.is_some() || summary.is_some() || listing.groups.keys().any(|it| it.number_in(run).is_some());
    let (tasks, mut findings) = listing::plan(listing, summary.as_ref(), destination, run);
    if grouped && claim.is_none() {
        findings.push(Finding::NoClaim { claim: claim_at });
    }
    if grouped && summary.is_none() {
        findings.push(Finding::GroupingUnfinished { summary: summary_at.clone() });
    }
    tracing::info!(%run, groups = tasks.len(), full = request.full, "verifying");

    let whole = findings.iter().all(|finding| !matches!(finding, Finding::NoCatalog { .. }));
    let mut sums = Sums { whole, ..Sums::default() };
    let mut report = Report {
        run: run.clone(),
        destination: root,
        full: request.full,
        inventory: summary.as_ref().map(|it| Inventory { rows: it.rows, left_out: it.left_out.clone() }),
        groups: tasks.len() as u64,
        objects: Figures::default(),
        retried: Figures::default(),
        unproven_checksums: 0,
        members_read: 0,
        repaired: Vec::new(),
        findings,
    };
    let scope = Scope { s3, request };
    let checks = stream::iter(tasks).map(|task| group::check(scope, task));
    let mut checked = checks.buffer_unordered(request.groups.max(1));
    while let Some(group) = checked.try_next().await? {
        sums.add(&group);
        add(&mut report, group);
    }
    if let Some(summary) = &summary {
        sums.compare(scope, summary, summary_at, &mut report.findings).await?;
    }
    report.findings.sort();
    report.repaired.sort();
    Ok(report)
}

async fn record<T>(
    s3: &S3,
    address: &S3Address,
    run: &RunName,
    parse: fn(&[u8]) -> Result<T, RecordError>,
    name: fn(&T) -> &RunName,
) -> Result<Option<T>, VerifyError> {
    let bytes = match s3.get_bytes(address, None, RECORD_BYTES).await {
        Ok((bytes, _)) => bytes,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let record = parse(&bytes).map_err(|cause| VerifyError::Record { address: address.clone(), cause })?;
    if name(&record) != run {
        return Err(VerifyError::OtherRun { address: address.clone(), found: name(&record).clone() });
    }
    Ok(Some(record))
}

fn add(report: &mut Report, group: Checked) {
    if let Some(totals) = &group.totals {
        match group.role {
            Role::Numbered => report.objects.add(totals),
            Role::Added => report.retried.add(totals),
        }
    }
    report.unproven_checksums += group.unproven;
    report.members_read += group.members;
    if group.repaired {
        report.repaired.push(group.group.clone());
    }
    report.findings.extend(group.findings.into_listed(&group.group));
}

/// What the catalogs of the run's own groups add up to.
#[derive(Default)]
struct Sums {
    /// Whether every group's catalog is there and can be read. Otherwise that is the finding, and sums say nothing more.
    whole: bool,
    rows: u64,
    digest: RowDigest,
    groups: Vec<rows::GroupDigest>,
}

impl Sums {
    fn add(&mut self, checked: &Checked) {
        if checked.role != Role::Numbered {
            return;
        }
        let Some(totals) = &checked.totals else {
            self.whole = false;
            return;
        };
        self.rows = self.rows.saturating_add(totals.rows());
        self.digest.merge(totals.digest);
        let group = checked.group.clone();
        self.groups.push(rows::GroupDigest { group, rows: totals.rows(), digest: totals.digest });
    }

    async fn compare(
        &self,
        scope: Scope<'_>,
        summary: &RunSummary,
        summary_at: S3Address,
        findings: &mut Vec<Finding>,
    ) -> Result<(), VerifyError> {
        let left_out = summary.left_out_rows();
        if summary.objects.checked_add(left_out) != Some(summary.rows) {
            let (rows, objects) = (summary.rows, summary.objects);
            findings.push(Finding::SummarySums { summary: summary_at, rows, objects, left_out });
        }
        if !self.whole || (self.rows == summary.objects && self.digest == summary.digest) {
            return Ok(());
        }
        findings.push(if self.rows == summary.objects {
            let (grouped, cataloged) = (summary.digest.to_string(), self.digest.to_string());
            Finding::RowDigest { grouped, cataloged }
        } else {
            Finding::RowCount { grouped: summary.objects, cataloged: self.rows }
        });
        // Only now is it worth reading every manifest: to say which group it is.
        findings.extend(rows::differing(scope, &self.groups).await?);
        Ok(())
    }
}
