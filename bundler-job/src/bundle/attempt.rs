//! Step 2 of the commit protocol: one attempt at a group, from its rows to an archive in S3 that
//! nothing names yet.
//!
//! ```text
//! rows ──► permit ──► fetch … fetch ──► packer (own thread) ──► parts ──► upload ──► HEAD
//!  in manifest order   any order         in manifest order       2 in flight
//! ```

use std::fs::File;
use std::path::Path;

use aws_sdk_s3::types::CompletedPart;
use s3bundler_contract::group_manifest::RowError;
use s3bundler_contract::{ArchiveOptions, Attempt, Row, S3Address};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::BundleError;
use super::doubt::Sample;
use super::fetch::Fetcher;
use super::header;
use super::manifest::{Manifest, ManifestError};
use super::pack::{Packed, Packer};
use super::part::{KeptSmall, PARTS_AT_A_TIME, PartWriter};
use super::parts::{PartLimits, PartPlan};
use super::scratch::Scratch;
use super::source::{FetchError, Fetched, Held};
use super::upload::Upload;
use crate::budget::{Budgets, Share};
use crate::catalog::CatalogWriter;
use crate::progress::Progress;

/// Objects fetched ahead of the packer, at most, whatever their size.
const READ_AHEAD: usize = 1024;
/// Header, padding and pax records of a member, for the estimate of the archive's size.
const MEMBER_OVERHEAD: u64 = 1536;

/// What a group's manifest says before anything is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The bucket of its first row; archives lie under it.
    pub source_bucket: String,
    /// Its rows.
    pub rows: u64,
    /// Their bytes, as far as they are listed.
    pub listed_bytes: u64,
    /// Some of them.
    pub sample: Vec<Row>,
    /// About how large a plain tar of it is.
    pub archive: u64,
}

/// About how large a plain tar of rows is, by the sizes that their manifest has: what the sizes of
/// parts are planned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Estimate(u64);

impl Default for Estimate {
    fn default() -> Self {
        Self(header::END.len() as u64)
    }
}

impl Estimate {
    /// Adds a row of this size. One that is copied takes no room.
    pub(crate) fn add(&mut self, size: u64, options: &ArchiveOptions) {
        if !options.copies(size) {
            let member = size.saturating_add(MEMBER_OVERHEAD);
            self.0 = self.0.saturating_add(member);
        }
    }

    /// In bytes.
    pub(crate) const fn bytes(self) -> u64 {
        self.0
    }
}

impl Outline {
    /// Reads every row once, so that a manifest with a bad row fails before anything is uploaded.
    pub fn of(
        rows: impl Iterator<Item = Result<Row, RowError>>,
        options: &ArchiveOptions,
    ) -> Result<Self, RowError> {
        let mut outline = Self {
            source_bucket: String::new(),
            rows: 0,
            listed_bytes: 0,
            sample: Vec::new(),
            archive: 0,
        };
        let (mut sample, mut estimate) = (Sample::default(), Estimate::default());
        for row in rows {
            let row = row?;
            outline.rows += 1;
            let packed = row.size.unwrap_or(0);
            outline.listed_bytes = outline.listed_bytes.saturating_add(packed);
            estimate.add(packed, options);
            if outline.source_bucket.is_empty() {
                outline.source_bucket.clone_from(&row.bucket);
            }
            sample.add(row);
        }
        outline.sample = sample.into_rows();
        outline.archive = estimate.bytes();
        Ok(outline)
    }
}

/// The sizes of the parts of an archive of about `archive` bytes, and what keeps them small.
/// `scratch` is the room of the group in the scratch directory, if that is limited.
pub(crate) fn plan_parts(
    share: Share,
    archive: u64,
    limits: PartLimits,
    scratch: Option<u64>,
) -> (PartPlan, KeptSmall) {
    let room = scratch.map_or(u64::MAX, |bytes| {
        Scratch::most_aside(bytes) / PARTS_AT_A_TIME
    });
    let kept_small = match limits.largest {
        0 => KeptSmall::ByStore,
        largest if room < largest => KeptSmall::ByRoom,
        _ => KeptSmall::No,
    };
    let limits = PartLimits {
        largest: limits.largest.min(room),
        ..limits
    };
    (PartPlan::new(share.part, archive, limits), kept_small)
}

enum Step {
    Object(AbortOnDropHandle<Result<Fetched, FetchError>>),
    /// The manifest is at its end; without it the packer was left in the middle.
    End,
}

/// What one attempt needs.
pub struct Work<'a> {
    /// Where the manifest is, for errors.
    pub address: &'a S3Address,
    /// The rows.
    pub manifest: &'a Manifest,
    /// How the archive is written.
    pub options: &'a ArchiveOptions,
    /// The memory of this group.
    pub share: Share,
    /// Where its use is shown.
    pub budgets: &'a Budgets,
    /// About how large the archive is, by the manifest.
    pub archive: u64,
    /// How many parts there may be, and of which size.
    pub parts: PartLimits,
    /// The scratch directory.
    pub directory: &'a Path,
    /// Bytes there that its objects and parts may take, if that is limited.
    pub scratch: Option<u64>,
    /// Who fetches.
    pub fetcher: &'a Fetcher,
    /// Who uploads.
    pub upload: &'a Upload,
    /// Who hears of every object.
    pub progress: &'a Progress,
}

impl Work<'_> {
    /// Packs the group and uploads its parts, which the caller completes, or aborts: on an error,
    /// and when this future is dropped, too.
    pub async fn run(&self, catalog: File) -> Result<(Packed, Vec<CompletedPart>), BundleError> {
        let (steps, steps_in) = mpsc::channel(READ_AHEAD);
        let (parts, parts_in) = mpsc::channel(1);
        let writer = CatalogWriter::create(catalog, &self.upload.archive().key)
            .map_err(BundleError::CatalogWrite)?;
        let scratch = self.scratch.map(Scratch::new);
        let aside = scratch.as_ref().map(Scratch::aside);
        let (plan, kept_small) = plan_parts(self.share, self.archive, self.parts, self.scratch);
        let parts = PartWriter::new(
            plan,
            self.archive,
            self.directory.to_owned(),
            (aside, kept_small),
            parts,
        );
        let packer = Packer::new(self.options.format, parts, writer);
        let packing = pack(packer, steps_in, self.progress.clone());
        let (produced, packed, uploaded) = tokio::join!(
            self.produce(scratch, steps),
            packing,
            self.upload.send(parts_in)
        );
        // The first cause first: a failed upload or fetch ends the packer, which ends the producer.
        let parts = uploaded.map_err(BundleError::Upload)?;
        let packed = packed?;
        produced?;
        Ok((packed, parts))
    }

    async fn produce(
        &self,
        scratch: Option<Scratch>,
        steps: mpsc::Sender<Step>,
    ) -> Result<(), BundleError> {
        let budget = self.budgets.budget(self.share.members);
        let rows = self.manifest.rows().map_err(ManifestError::Scratch)?;
        for row in rows {
            let row = row.map_err(|cause| BundleError::Row {
                manifest: self.address.clone(),
                cause,
            })?;
            let reserved = Fetcher::reserve(&row, self.share.in_memory);
            let mut place = scratch.as_ref().map(Scratch::place);
            if let (Some(place), Some(bytes)) =
                (&mut place, self.fetcher.spills(&row, self.share.in_memory))
            {
                place.take(bytes).await;
            }
            let held = Held {
                memory: budget.take(reserved).await,
                scratch: place,
            };
            let (fetcher, budget, in_memory) =
                (self.fetcher.clone(), budget.clone(), self.share.in_memory);
            let fetch =
                tokio::spawn(
                    async move { fetcher.fetch(row, held, reserved, budget, in_memory).await },
                );
            if steps
                .send(Step::Object(AbortOnDropHandle::new(fetch)))
                .await
                .is_err()
            {
                // The packer has ended; its error says why.
                return Ok(());
            }
        }
        let _ = steps.send(Step::End).await;
        Ok(())
    }
}

async fn pack(
    mut packer: Packer,
    mut steps: mpsc::Receiver<Step>,
    progress: Progress,
) -> Result<Packed, BundleError> {
    let runtime = tokio::runtime::Handle::current();
    let packing = tokio::task::spawn_blocking(move || {
        loop {
            match steps.blocking_recv() {
                Some(Step::Object(fetch)) => {
                    let fetched = match runtime.block_on(fetch) {
                        Ok(fetched) => fetched.map_err(BundleError::Fetch)?,
                        Err(error) if error.is_cancelled() => return Err(BundleError::Cancelled),
                        Err(error) => std::panic::resume_unwind(error.into_panic()),
                    };
                    let size = fetched.row.size.unwrap_or(0);
                    packer.add(fetched)?;
                    progress.object(size);
                }
                Some(Step::End) => return Ok(packer.finish()?),
                None => return Err(BundleError::Cancelled),
            }
        }
    });
    match packing.await {
        Ok(packed) => packed,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// A new attempt's name.
pub fn new_attempt() -> Attempt {
    Attempt::from_bits(rand::random())
}
