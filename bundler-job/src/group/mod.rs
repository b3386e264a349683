//! Splits an inventory into groups and announces them: the first half of a run, harmless to repeat.
//!
//! ```text
//! claim ──► inventory ──► select ──► batch ──► cut ──► publish ──► messages ──► summary
//! runs/<run>.json         take or    manifest  groups  If-None-    10 at a      runs/<run>.done.json,
//!                         why not    lines     of one  Match, some time         last
//!                                              bucket  in flight
//!                         └ a thread a block ┘ └ one ┘
//! ```
//!
//! The same inventory and options give the same groups, byte for byte: blocks of rows are parsed on as many threads as
//! there are cores, and cut on one, in the manifest's order. So whoever dies anywhere here is followed by somebody who
//! does the same again: what exists is compared instead of written, groups with a receipt get no second message, and
//! with the summary there the inventory is not even read. Dropping the future stops everything.
//!
//! [`retry`] does the same with rows that failed: once a pass is whole, those that are worth another try become the
//! groups of the next pass, cut, published, announced and summarised by the same code.

mod announce;
mod barrier;
mod batch;
mod claim;
mod cut;
mod dead_letters;
mod error;
mod publish;
mod put;
mod receipts;
mod resume;
mod retry;
mod select;
mod summary;

use s3bundler_contract::layout::GroupName;
use s3bundler_contract::{ArchiveOptions, GroupOptions, RunClaim, RunName, RunSummary, S3Address, SelectOptions};

pub use barrier::Unplanned;
pub use dead_letters::{DeadLettersCount, DeadLettersProblem};
pub use error::GroupError;
pub use retry::{RetryRequest, retry};
pub use select::{OwnOutput, SelectError, Selection};

use batch::Batch;
use publish::Earlier;

use crate::args::Destination;
use crate::inventory::Inventory;
use crate::queue::Queue;
use crate::s3::S3;

/// What to group, and how.
#[derive(Debug, Clone)]
pub struct GroupRequest {
    /// The manifest.json of a finished inventory.
    pub inventory: S3Address,
    /// The run's name.
    pub run: RunName,
    /// Where everything is written.
    pub destination: Destination,
    /// Which rows to take.
    pub select: SelectOptions,
    /// Where groups end.
    pub group: GroupOptions,
    /// How workers are to write archives; part of the claim.
    pub archive: ArchiveOptions,
    /// Storage class of the group manifests, as S3 spells it.
    pub manifest_storage_class: String,
    /// Who asks, for people who read the claim.
    pub owner: String,
}

/// A group whose manifest is in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMade {
    /// Its name.
    pub name: GroupName,
    /// Its objects; `None` where an earlier start made it and no receipt tells.
    pub objects: Option<u64>,
    /// Their bytes, by the inventory; `None` as above.
    pub bytes: Option<u64>,
    /// Whether it has a receipt already, and so no message was sent.
    pub already_archived: bool,
}

/// A whole inventory in groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouped {
    /// The record that was written, or found.
    pub summary: RunSummary,
    /// Messages sent.
    pub sent: u64,
    /// Groups that have a receipt already.
    pub already_archived: u64,
    /// Whether an earlier start had claimed the run.
    pub resumed: bool,
}

/// The pass whose groups are made, and where they go.
#[derive(Debug, Clone, Copy)]
struct Pass<'a> {
    run: &'a RunName,
    /// 0 for the run's own groups.
    number: u32,
    destination: &'a Destination,
    manifest_storage_class: &'a str,
}

impl Pass<'_> {
    /// A group of it.
    fn group(&self, number: u64) -> GroupName {
        GroupName::retry(self.run, self.number, number)
    }

    /// Where a group's manifest is.
    fn manifest(&self, group: &GroupName) -> S3Address {
        self.destination.address(self.destination.layout.group_manifest(self.run, group))
    }

    /// What the keys of its groups' manifests begin with, and those of their dead letters.
    fn manifests(&self) -> String {
        self.destination.layout.pass_groups(self.run, self.number)
    }

    /// Where its summary is.
    fn summary(&self) -> S3Address {
        self.destination.address(self.destination.layout.pass_summary(self.run, self.number))
    }
}

impl GroupRequest {
    fn pass(&self) -> Pass<'_> {
        let Self { run, destination, manifest_storage_class, .. } = self;
        Pass { run, number: 0, destination, manifest_storage_class }
    }
}

/// Groups the inventory, sends one message a group to the queue where there is one, and writes the summary. `on_group`
/// sees every group once its manifest is in S3.
pub async fn group<Q: Queue>(
    s3: &S3,
    request: &GroupRequest,
    queue: Option<&Q>,
    mut on_group: impl FnMut(&GroupMade) + Send,
) -> Result<Grouped, GroupError> {
    let inventory = Inventory::open(s3, &request.inventory).await?;
    let own = OwnOutput::new(&request.destination, inventory.own_files());
    if own.is_everything_in(&inventory.manifest().source_bucket) {
        return Err(GroupError::DestinationIsSource { bucket: request.destination.bucket.clone() });
    }
    let selection = Selection::new(&request.select, inventory.columns(), own)?;
    let claim = RunClaim::new(
        request.run.clone(),
        inventory.reference(),
        request.select.clone(),
        request.group.clone(),
        request.archive.clone(),
        request.owner.clone(),
    );
    let mut resumed = claim::exists(s3, &request.destination, &claim).await?;
    let pass = request.pass();
    if resumed && let Some(summary) = summary::find(s3, pass).await? {
        tracing::info!(run = %request.run, groups = summary.groups, "the inventory is grouped already");
        let manifests = resume::manifests(s3, pass).await?;
        let archived = receipts::list(s3, &request.destination, &request.run).await?;
        return resume::resume(pass, summary, manifests, &archived, queue, &mut on_group).await;
    }
    // Before the name is taken: an inventory that cannot be read must not hold it.
    inventory.check_files(s3).await?;
    if !resumed {
        resumed = claim::make(s3, &request.destination, &claim).await?;
    }
    let earlier = if resumed {
        Earlier::Archived(receipts::list(s3, &request.destination, &request.run).await?)
    } else {
        Earlier::Nothing
    };
    let mut batches = inventory.batches(s3, move |rows| Batch::of(rows, &selection));
    let batches = move || Ok(batches.next_batch()?);
    let limits = request.group.clone();
    let published = publish::publish(s3, pass, limits, earlier, batches, queue, &mut on_group).await?;
    summary::write(s3, pass, &published.summary).await?;
    Ok(Grouped {
        summary: published.summary,
        sent: published.sent,
        already_archived: published.already_archived,
        resumed,
    })
}
