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
//! The same inventory and options give the same groups, byte for byte: blocks of rows are parsed on
//! as many threads as there are cores, and cut on one, in the manifest's order. So whoever dies
//! anywhere here is followed by somebody who does the same again: what exists is compared instead
//! of written, groups with a receipt get no second message, and with the summary there the
//! inventory is not even read. Dropping the future stops everything.
//!
//! Existing group manifests take the inventory's place where somebody grouped already: [`Origin`].
//! The run of a Kubernetes resource is [acknowledged](acknowledgement) as soon as it has its claim.
//!
//! [`retry`] does the same with rows that failed: once a pass is whole, those of the chosen reasons
//! become the groups of the next pass, cut, published, announced and summarised by the same code.
//! [`redo`] does it with the rows of chosen groups.

mod acknowledgement;
mod announce;
mod batch;
mod claim;
mod conditional_put;
mod cut;
mod dead_letters;
mod dry_run;
mod error;
mod existing_manifests;
mod pass_complete;
mod publish;
mod receipts;
mod redo;
mod redone;
mod resume;
mod retry;
mod select;
mod spool;
mod stages;
mod summary;

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use s3bundler_contract::group_manifest::Column;
use s3bundler_contract::record::FORMAT_2;
use s3bundler_contract::{
    ArchiveOptions, GroupName, GroupOptions, InventoryRef, ResourceUid, RunClaim, RunName,
    RunSummary, S3Address, SelectOptions, Stage, etag,
};

pub(crate) use announce::MESSAGES_AT_A_TIME;
pub(crate) use batch::Observer;
pub(crate) use cut::CutGroup;
pub use dead_letters::{DeadLettersCount, DeadLettersProblem};
pub(crate) use dry_run::{Dry, DryOrigin, DryRequest, OriginFacts};
pub use error::GroupError;
pub use existing_manifests::ManifestProblem;
pub use pass_complete::Unplanned;
pub(crate) use pass_complete::reasons_of;
pub use redo::{RedoProblem, RedoRequest, redo};
pub use retry::{RetryRequest, retry};
pub use select::{OwnOutput, SelectError, Selection};
pub(crate) use stages::{Begun, accounts, begun};

use batch::Batch;
use existing_manifests::Manifests;
use publish::Earlier;

use crate::destination::Destination;
use crate::inventory::{Deliveries, Inventory, Scratch};
use crate::queue::Queue;
use crate::s3::S3;

/// Where the rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The manifest.json of a finished inventory.
    Inventory(S3Address),
    /// Group manifests that are there already, as awslabs/s3bundler wrote them: those whose address
    /// begins so.
    Manifests(S3Address),
}

impl Origin {
    fn address(&self) -> &S3Address {
        let (Self::Inventory(address) | Self::Manifests(address)) = self;
        address
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}

/// What to group, and how.
#[derive(Debug, Clone)]
pub struct GroupRequest {
    /// Where the rows come from.
    pub origin: Origin,
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
    /// The Kubernetes resource that the run is of, to be acknowledged.
    pub acknowledge: Option<ResourceUid>,
    /// Where data files of the inventory, or existing manifests, are kept until they are read.
    pub scratch: Scratch,
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

/// The stage whose groups are made, and where they go.
#[derive(Debug, Clone, Copy)]
struct Pass<'a> {
    run: &'a RunName,
    stage: Stage,
    destination: &'a Destination,
    manifest_storage_class: &'a str,
}

impl Pass<'_> {
    /// Its summary, in which nothing is counted yet.
    fn nothing(&self) -> RunSummary {
        let run = self.run.clone();
        match self.stage {
            Stage::Pass(pass) => RunSummary::of_pass(run, pass),
            Stage::Redo(redo) => RunSummary {
                format: FORMAT_2,
                redo,
                ..RunSummary::empty(run)
            },
        }
    }

    /// A group of it.
    fn group(&self, number: u64) -> GroupName {
        GroupName::of_stage(self.run, self.stage, number)
    }

    /// Where a group's manifest is.
    fn manifest(&self, group: &GroupName) -> S3Address {
        self.destination
            .address(self.destination.layout.group_manifest(self.run, group))
    }

    /// What the keys of its groups' manifests begin with, and those of their dead letters.
    fn manifests(&self) -> String {
        self.destination.layout.stage_groups(self.run, self.stage)
    }

    /// Where its summary is.
    fn summary(&self) -> S3Address {
        self.destination
            .address(self.destination.layout.stage_summary(self.run, self.stage))
    }
}

/// Which rows to group.
#[derive(Debug, Clone, Copy)]
struct RowsRequest<'a> {
    origin: &'a Origin,
    select: &'a SelectOptions,
    limits: &'a GroupOptions,
    /// Where the run writes, and its name: what lies there is never grouped.
    into: Option<(&'a Destination, &'a RunName)>,
}

impl<'a> RowsRequest<'a> {
    fn destination(&self) -> Option<&'a Destination> {
        self.into.map(|(destination, _)| destination)
    }
}

impl GroupRequest {
    fn rows(&self) -> RowsRequest<'_> {
        RowsRequest {
            origin: &self.origin,
            select: &self.select,
            limits: &self.group,
            into: Some((&self.destination, &self.run)),
        }
    }

    /// The claim of its run, for rows that a claim names so.
    fn claim(&self, inventory: InventoryRef) -> RunClaim {
        let Self {
            run,
            select,
            group,
            archive,
            owner,
            ..
        } = self;
        RunClaim::new(
            run.clone(),
            inventory,
            select.clone(),
            group.clone(),
            archive.clone(),
            owner.clone(),
        )
    }

    fn pass(&self) -> Pass<'_> {
        let Self {
            run,
            destination,
            manifest_storage_class,
            ..
        } = self;
        Pass {
            run,
            stage: Stage::OWN,
            destination,
            manifest_storage_class,
        }
    }
}

/// The rows of a run that takes the newest of some inventories: if its name is claimed in the
/// destination for one of them, that one, however many came since.
pub async fn newest(
    s3: &S3,
    into: Option<(&Destination, &RunName)>,
    deliveries: &Deliveries,
) -> Result<Origin, GroupError> {
    let claim = match into {
        Some((destination, run)) => claim::find(s3, destination, run).await?,
        None => None,
    };
    let claimed = claim.map(|claim| claim.inventory);
    if let Some(claimed) = claimed.filter(|inventory| deliveries.have(inventory)) {
        return Ok(Origin::Inventory(claimed.manifest));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let newest = deliveries.newest(s3, now.unwrap_or_default()).await?;
    tracing::info!(inventory = %newest, "found the newest inventory");
    Ok(Origin::Inventory(newest))
}

/// Groups the inventory or the existing manifests, sends one message a group to the queue where
/// there is one, and writes the summary. `on_group` sees every group once its manifest is in S3.
pub async fn group<Q: Queue>(
    s3: &S3,
    request: &GroupRequest,
    queue: Option<&Q>,
    mut on_group: impl FnMut(&GroupMade) + Send,
) -> Result<Grouped, GroupError> {
    let pass = request.pass();
    // What a restart needs is looked for before the inventory, which may have expired since.
    let found = claim::find(s3, &request.destination, &request.run).await?;
    if let Some(found) = &found {
        let named = InventoryRef {
            manifest: request.origin.address().clone(),
            ..found.inventory.clone()
        };
        claim::compare(&request.destination, &request.claim(named.clone()), found)?;
        if let Some(summary) = summary::find(s3, pass).await? {
            let reference = reference(s3, request, named).await?;
            claim::compare(&request.destination, &request.claim(reference), found)?;
            acknowledgement::write(s3, request, found).await?;
            tracing::info!(run = %request.run, groups = summary.groups, "the inventory is grouped \
                already");
            let archived = receipts::list(s3, &request.destination, &request.run).await?;
            let accounts = stages::later(s3, &request.destination, &request.run).await?;
            return resume::resume(
                s3,
                pass,
                summary,
                &accounts,
                &archived,
                queue,
                &mut on_group,
            )
            .await;
        }
    }
    // Boxed: the futures of its callers stay small.
    let rows = Box::pin(OpenOrigin::open(s3, request.rows()))
        .await
        .map_err(|cause| match &found {
            Some(_) => GroupError::Unfinished {
                run: request.run.clone(),
                cause: Box::new(cause),
            },
            None => cause,
        })?;
    let claim = request.claim(rows.reference());
    if let Some(found) = &found {
        claim::compare(&request.destination, &claim, found)?;
    }
    let mut resumed = found.is_some();
    // Before the name is taken: an inventory that cannot be read must not hold it.
    rows.check(s3).await?;
    if !resumed {
        resumed = claim::make(s3, &request.destination, &claim).await?;
    }
    acknowledgement::write(s3, request, &claim).await?;
    let earlier = if resumed {
        Earlier::Archived(receipts::list(s3, &request.destination, &request.run).await?)
    } else {
        Earlier::Nothing
    };
    let mut batches = rows.batches(s3, &request.scratch, || ());
    let batches = move || Ok(batches()?.map(|(batch, ())| batch));
    let limits = request.group.clone();
    let published =
        publish::publish(s3, pass, limits, earlier, batches, queue, &mut on_group).await?;
    summary::write(s3, pass, &published.summary).await?;
    Ok(Grouped {
        summary: published.summary,
        sent: published.sent,
        already_archived: published.already_archived,
        resumed,
    })
}

/// How a claim names the rows of a run that is grouped already: as they are now, or by their
/// address alone if they are gone, as `named`.
async fn reference(
    s3: &S3,
    request: &GroupRequest,
    named: InventoryRef,
) -> Result<InventoryRef, GroupError> {
    let gone = |cause: &dyn fmt::Display| {
        tracing::warn!(
            origin = %request.origin, %cause,
            "the run is grouped already, but its rows cannot be read again: only their address \
             was compared"
        );
    };
    match &request.origin {
        Origin::Inventory(address) => match s3.head(address).await {
            Ok(Some(head)) => {
                let etag =
                    Some(etag::unquoted(head.e_tag()).to_owned()).filter(|etag| !etag.is_empty());
                Ok(InventoryRef {
                    etag: etag.unwrap_or(named.etag),
                    ..named
                })
            }
            Ok(None) => {
                gone(&"it does not exist");
                Ok(named)
            }
            Err(error) => {
                gone(&error);
                Ok(named)
            }
        },
        Origin::Manifests(prefix) => match Manifests::open(s3, prefix, request.rows()).await {
            Ok(found) => Ok(found.reference()),
            Err(
                error
                @ (GroupError::Read(_) | GroupError::NoBucket(_) | GroupError::NoManifests(_)),
            ) => {
                gone(&error);
                Ok(named)
            }
            Err(error) => Err(error),
        },
    }
}

/// An origin that was found.
enum OpenOrigin {
    Inventory(Box<Inventory>, Selection),
    Manifests(Manifests),
}

impl OpenOrigin {
    async fn open(s3: &S3, request: RowsRequest<'_>) -> Result<Self, GroupError> {
        let address = match request.origin {
            Origin::Inventory(address) => address,
            Origin::Manifests(prefix) => {
                return Manifests::open(s3, prefix, request)
                    .await
                    .map(Self::Manifests);
            }
        };
        let inventory = Inventory::open(s3, address).await?;
        let own = OwnOutput::new(request.destination(), inventory.own_files());
        let source_bucket = &inventory.manifest().source_bucket;
        if own.is_everything_in(source_bucket) {
            return Err(GroupError::DestinationIsSource {
                bucket: source_bucket.clone(),
            });
        }
        let selection = Selection::new(request.select, inventory.columns(), own)?;
        if inventory.columns().position(&Column::Size).is_none() {
            tracing::warn!(
                inventory = %address, max_objects = request.limits.max_objects,
                "the inventory has no column Size, so --max-size cannot be kept: groups end at \
                 --max-objects"
            );
        }
        Ok(Self::Inventory(Box::new(inventory), selection))
    }

    /// How a claim names it.
    fn reference(&self) -> InventoryRef {
        match self {
            Self::Inventory(inventory, _) => inventory.reference(),
            Self::Manifests(found) => found.reference(),
        }
    }

    /// Whether all of it is there. Manifests were listed, so they are.
    async fn check(&self, s3: &S3) -> Result<(), GroupError> {
        match self {
            Self::Inventory(inventory, _) => Ok(inventory.check_files(s3).await?),
            Self::Manifests(_) => Ok(()),
        }
    }

    /// Gives the selected rows, batch by batch, each with an observer that has seen it; `None` at
    /// the end. It blocks: not for the executor.
    fn batches<O: Observer>(
        self,
        s3: &S3,
        scratch: &Scratch,
        observer: impl Fn() -> O + Send + Sync + 'static,
    ) -> NextBatch<O> {
        match self {
            Self::Inventory(inventory, selection) => {
                let mut batches = inventory.batches(s3, scratch, move |rows| {
                    let mut observer = observer();
                    let batch = Batch::of(rows, &selection, &mut observer)?;
                    Ok((batch, observer))
                });
                Box::new(move || Ok(batches.next_batch()?))
            }
            Self::Manifests(found) => Box::new(found.batches(s3, scratch, observer)),
        }
    }
}

/// Gives the next batch and what has seen its rows; `None` at the end.
type NextBatch<O> = Box<dyn FnMut() -> Result<Option<(Batch, O)>, GroupError> + Send>;
