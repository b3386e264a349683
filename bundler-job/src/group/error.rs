//! Why an inventory was not grouped, or a retry pass not planned.

use s3bundler_contract::group_manifest::RowProblem;
use s3bundler_contract::record::RecordError;
use s3bundler_contract::termination::{Bucket, Reason, Termination};
use s3bundler_contract::{ExitCode, GroupName, HasExitCode, RunName, S3Address};

use super::SelectError;
use super::dead_letters::DeadLettersProblem;
use super::existing_manifests::ManifestProblem;
use super::pass_complete::Unplanned;
use super::redo::RedoProblem;
use crate::inventory::InventoryError;
use crate::queue::QueueError;
use crate::s3::S3Error;

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The inventory cannot be read.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The selection cannot be applied.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The destination is the whole source bucket.
    #[error(
        "the destination s3://{bucket}/ is the inventory's source bucket without a prefix, so \
         that every object in it counts as own output: give the destination a prefix, or another \
         bucket"
    )]
    DestinationIsSource { bucket: String },
    /// A run that was claimed and not grouped to its end, whose rows cannot be had.
    #[error(
        "run {run} is claimed, but was not grouped to its end, and the rest of its rows cannot be \
         read: {cause}. Bring back what it is made of, or choose another --name"
    )]
    Unfinished {
        run: RunName,
        /// Why they cannot be read.
        cause: Box<GroupError>,
    },
    /// The run's name belongs to something else.
    #[error(
        "the name {run} is taken: {claim} is the claim of {difference}, made by {owner:?}. Choose \
         another --name, or repeat the options of that run to resume it"
    )]
    NameTaken {
        /// The name.
        run: RunName,
        /// The claim that is there.
        claim: S3Address,
        /// How it differs.
        difference: &'static str,
        /// Who made it.
        owner: String,
    },
    /// A claim or summary that this release cannot read.
    #[error("{address} cannot be used: {cause}")]
    Record {
        address: S3Address,
        cause: RecordError,
    },
    /// An acknowledgement of another inventory.
    #[error(
        "{0} names another inventory than the claim of the run: the claim was replaced after it \
         was written. Delete it, or create the run again"
    )]
    ForeignAcknowledgement(S3Address),
    /// A group manifest of another run, or of other rows.
    #[error(
        "{0} is there already with another content: it is another run's, or the inventory was \
         replaced after it was written. Choose another --name"
    )]
    ForeignManifest(S3Address),
    /// A summary of other groups.
    #[error(
        "{0} is there already with another content: another run used this name. Choose another \
         --name"
    )]
    ForeignSummary(S3Address),
    /// The manifests under the run's prefix are not those that its summary counts.
    #[error(
        "{summary} counts {expected} groups, but the manifest {missing} is not there: it was \
         deleted, or its bucket's lifecycle expired it. Bring back an older version of it, or \
         choose another --name and group again"
    )]
    MissingManifest {
        /// The summary.
        summary: S3Address,
        /// Groups that it counts.
        expected: u64,
        /// The first that is not there.
        missing: S3Address,
    },
    /// A retry pass of a run that nobody claimed.
    #[error(
        "there is no run {run} to retry: its claim {claim} is missing. The run's own groups are \
         made by `s3bundler group` without --retry-pass"
    )]
    NoClaim {
        run: RunName,
        /// Where its claim should be.
        claim: S3Address,
    },
    /// The pass before has no summary.
    #[error(
        "pass {before} of run {run} is not grouped to its end: {summary} is missing. Pass {} is \
         made of what it leaves",
        before + 1
    )]
    Ungrouped {
        run: RunName,
        /// The pass before.
        before: u32,
        /// Where its summary should be.
        summary: S3Address,
    },
    /// A group that is to be archived again has no manifest.
    #[error(
        "{manifest}, the manifest of group {group}, is missing, and no other object has all its \
         rows; restore an older version of it"
    )]
    NoGroupManifest {
        group: GroupName,
        /// Where its manifest should be.
        manifest: S3Address,
    },
    /// Groups of a redo without a summary: they may take the place of groups that a pass is made
    /// of.
    #[error(
        "{summary} is missing: redo {redo} of run {run} is not planned to its end, and may \
         replace groups that the retry pass is made of. Repeat the command with --redo {redo} \
         first"
    )]
    RedoUnfinished {
        run: RunName,
        /// The redo.
        redo: u32,
        /// Where its summary should be.
        summary: S3Address,
    },
    /// The redo cannot be planned.
    #[error("redo {redo} of run {run} cannot be planned: {cause}")]
    Redo {
        run: RunName,
        /// The redo.
        redo: u32,
        cause: RedoProblem,
    },
    /// The receipts of the pass before do not allow to plan the next.
    #[error("retry pass {} of run {run} cannot be planned: {cause}", before + 1)]
    Unplanned {
        run: RunName,
        /// The pass before.
        before: u32,
        cause: Unplanned,
    },
    /// Dead letters are not those of their group.
    #[error(
        "{address}, the dead letters of group {group}, {problem}. `s3bundler verify --repair` \
         writes them again from the group's catalog"
    )]
    DeadLetters {
        /// The dead letters.
        address: S3Address,
        group: GroupName,
        problem: DeadLettersProblem,
    },
    /// No group manifest is under the prefix.
    #[error("there is no group manifest under {0}: no key there ends in .index")]
    NoManifests(S3Address),
    /// The bucket of existing group manifests is not there.
    #[error("there is no bucket {bucket}, where the group manifests {0} should be", bucket = .0.bucket)]
    NoBucket(S3Address),
    /// What the run is to read is what it writes.
    #[error(
        "the group manifests under {prefix} are, or would be, those that run {run} writes itself: \
         give a prefix that has only the manifests to read"
    )]
    OwnManifests {
        /// The prefix.
        prefix: S3Address,
        run: RunName,
    },
    /// An existing group manifest cannot be used.
    #[error("the group manifest {manifest} {problem}")]
    Manifest {
        manifest: S3Address,
        problem: ManifestProblem,
    },
    /// An object of a listing cannot be selected.
    #[error("{object} cannot be selected: {problem}")]
    Listed {
        object: S3Address,
        problem: RowProblem,
    },
    /// Existing manifests or dead letters could not be listed or read.
    #[error(transparent)]
    Read(S3Error),
    /// S3 did not take something into the destination, or did not show what is there.
    #[error(transparent)]
    Destination(S3Error),
    /// The queue did not take a message.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A thread of this process is gone.
    #[error("grouping stopped unexpectedly")]
    Stopped,
}

impl GroupError {
    /// What the container of a grouper says at its end, if the run waits for something that may
    /// come.
    pub fn termination(&self) -> Option<Termination> {
        let message = || self.to_string();
        self.reason().map(|reason| Termination {
            reason,
            message: message(),
        })
    }

    fn reason(&self) -> Option<Reason> {
        match self {
            Self::Inventory(error) => error.reason(),
            Self::Unfinished { cause, .. } => cause.reason(),
            Self::NameTaken {
                difference, owner, ..
            } => Some(Reason::RunNameTaken {
                difference: (*difference).to_owned(),
                owner: owner.clone(),
            }),
            Self::NoManifests(_) => Some(Reason::NoManifests),
            Self::NoBucket(_) => Some(Reason::InventoryMissing),
            Self::Read(error) => error.reason(Bucket::Source),
            Self::Destination(error) => error.reason(Bucket::Destination),
            _ => None,
        }
    }
}

impl HasExitCode for GroupError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Inventory(error) => error.exit_code(),
            Self::Unfinished { cause, .. } => cause.exit_code(),
            Self::Select(_)
            | Self::DestinationIsSource { .. }
            | Self::NameTaken { .. }
            | Self::Record { .. }
            | Self::ForeignAcknowledgement(_)
            | Self::ForeignManifest(_)
            | Self::ForeignSummary(_)
            | Self::OwnManifests { .. }
            | Self::Manifest {
                problem: ManifestProblem::Select(_),
                ..
            }
            | Self::NoClaim { .. } => ExitCode::Usage,
            Self::MissingManifest { .. }
            | Self::DeadLetters { .. }
            | Self::NoGroupManifest { .. }
            | Self::NoManifests(_)
            | Self::NoBucket(_)
            | Self::Listed { .. }
            | Self::Manifest {
                problem:
                    ManifestProblem::Columns(_) | ManifestProblem::Row(_) | ManifestProblem::Content(_),
                ..
            } => ExitCode::Unreadable,
            // What is to be read is not there yet: the same command succeeds later, so a Job may
            // try again.
            Self::Ungrouped { .. } | Self::RedoUnfinished { .. } => ExitCode::Download,
            Self::Unplanned { cause, .. } => cause.exit_code(),
            Self::Redo { cause, .. } => cause.exit_code(),
            Self::Read(error) => error.reading(),
            Self::Destination(error) => error.writing(),
            Self::Queue(error) => error.exit_code(),
            Self::Stopped => ExitCode::Unexpected,
        }
    }
}

#[cfg(test)]
mod tests;
