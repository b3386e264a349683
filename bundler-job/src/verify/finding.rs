//! What is wrong with a run, as data: which object, what about it, and what to do.

use std::fmt;

use s3bundler_contract::{GroupName, S3Address};
use serde::Serialize;

use super::part::Part;

/// Findings that one group may add, so that an archive of 65,000 damaged members does not fill the
/// memory.
const MOST_OF_A_GROUP: usize = 1000;

/// Something of a run that is not as it should be. In the order in which a report shows them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(
    tag = "finding",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Finding {
    /// The run was never claimed, though there is something of it.
    NoClaim {
        /// Where the claim should be.
        claim: S3Address,
    },
    /// The grouper has not finished.
    GroupingUnfinished {
        /// Where its summary should be.
        summary: S3Address,
    },
    /// A retry pass that was begun and not finished, or left out.
    RetryUnfinished {
        /// The pass.
        pass: u32,
        /// Where its summary should be.
        summary: S3Address,
    },
    /// The summary contradicts itself.
    SummarySums {
        /// The summary.
        summary: S3Address,
        /// Rows of the inventory.
        rows: u64,
        /// Rows in groups.
        objects: u64,
        /// Rows in no group.
        left_out: u64,
    },
    /// A retry pass is not of the rows that the pass before left to it.
    RetryRows {
        /// The summary of the pass.
        summary: S3Address,
        /// Rows that are to be retried by the catalogs of the pass before.
        failed: u64,
        /// Rows in groups by the summary.
        retried: u64,
    },
    /// A redo that was begun and not finished, or left out.
    RedoUnfinished {
        /// The redo.
        redo: u32,
        /// Where its summary should be.
        summary: S3Address,
    },
    /// A redo is not of the rows of the groups that it replaces.
    RedoRows {
        /// The summary of the redo.
        summary: S3Address,
        /// Rows of those groups that no retry pass had taken.
        replaced: u64,
        /// Rows in groups by the summary.
        redone: u64,
    },
    /// More or fewer rows in the catalogs than in the groups.
    RowCount {
        /// The retry pass; 0 for the run's own groups.
        pass: u32,
        /// The redo; 0 and left out for all other groups.
        #[serde(skip_serializing_if = "is_none")]
        redo: u32,
        /// By the summary.
        grouped: u64,
        /// By the catalogs.
        cataloged: u64,
    },
    /// As many rows as there should be, but not the same ones.
    RowDigest {
        /// The retry pass; 0 for the run's own groups.
        pass: u32,
        /// The redo; 0 and left out for all other groups.
        #[serde(skip_serializing_if = "is_none")]
        redo: u32,
        /// By the summary.
        grouped: String,
        /// By the catalogs.
        cataloged: String,
    },
    /// A group whose catalog has not the rows of its manifest.
    GroupRows {
        catalog: S3Address,
        /// The group manifest.
        manifest: S3Address,
        /// How they differ.
        problem: String,
    },
    /// A manifest that is not what its writer recorded, so that no rows can be compared with it.
    DamagedManifest {
        manifest: S3Address,
        problem: String,
    },
    /// A group of the summary has no manifest.
    NoManifest {
        /// Where it should be.
        manifest: S3Address,
    },
    /// So many more groups of the summary are missing altogether.
    MoreGroupsMissing {
        /// How many.
        count: u64,
    },
    /// A numbered manifest that the summary does not count.
    StrayManifest { manifest: S3Address },
    /// A group was not archived.
    NoCatalog {
        /// Where its catalog should be.
        catalog: S3Address,
        /// Its manifest.
        manifest: S3Address,
    },
    /// A catalog of no group.
    StrayCatalog { catalog: S3Address },
    /// A catalog that cannot be read.
    UnreadableCatalog { catalog: S3Address, problem: String },
    /// A catalog that is of another group or run.
    ForeignCatalog {
        catalog: S3Address,
        /// How one sees it.
        problem: String,
    },
    /// A manifest that is not the one that the catalog was made of.
    ManifestChanged {
        manifest: S3Address,
        /// The ETag that the catalog names.
        cataloged: String,
        /// The ETag that it has; absent where it is gone.
        found: Option<String>,
    },
    /// A committed group without a receipt.
    NoReceipt {
        /// Where it should be.
        receipt: S3Address,
    },
    /// A group with several receipts.
    SeveralReceipts {
        group: GroupName,
        /// Their keys.
        receipts: Vec<String>,
    },
    /// A receipt whose figures are not the catalog's.
    WrongReceipt {
        /// The receipt.
        receipt: S3Address,
        /// What its name should be.
        expected: String,
    },
    /// A receipt of no group, or something that is no receipt.
    StrayReceipt {
        receipt: S3Address,
        /// Why it is one.
        problem: String,
    },
    /// Dead letters of a group without failed rows, or without a catalog.
    StrayDeadLetters {
        /// The dead letters.
        object: S3Address,
    },
    /// An object that the catalog names is not there.
    Missing {
        /// Its group.
        group: GroupName,
        part: Part,
        /// Where it should be.
        object: S3Address,
    },
    /// An object of another size.
    WrongSize {
        /// Its group.
        group: GroupName,
        part: Part,
        object: S3Address,
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// An object of other bytes.
    WrongChecksum {
        part: Part,
        object: S3Address,
        /// The CRC64NVME that it should have.
        expected: String,
        /// The CRC64NVME that it has.
        found: String,
    },
    /// An object with a checksum of a kind that the bundler does not give
    /// (docs/decisions/checksums-of-another-kind.md).
    OtherChecksum { part: Part, object: S3Address },
    /// An archive that is not a readable tar.
    DamagedArchive {
        archive: S3Address,
        /// Where, in bytes of the tar before compression.
        at: u64,
        problem: String,
    },
    /// A member of a tar that is in no row.
    UnknownMember {
        archive: S3Address,
        /// Where its data begins, in bytes of the tar before compression.
        at: u64,
    },
    /// A row whose bytes in the archive are not the object's.
    WrongMember {
        archive: S3Address,
        /// The source object.
        source: S3Address,
        problem: String,
    },
    /// An object that is not what the catalog says of it.
    WrongBytes {
        /// Its group.
        group: GroupName,
        part: Part,
        object: S3Address,
        /// What differs.
        problem: String,
    },
    /// An archive or an index of an attempt that lost.
    LostAttempt {
        object: S3Address,
        /// The catalog that names another attempt.
        catalog: S3Address,
    },
    /// An archive or an index of an attempt at a group that has no catalog.
    UncommittedAttempt {
        object: S3Address,
        /// Where the catalog should be.
        catalog: S3Address,
    },
    /// An upload of an attempt that is neither completed nor aborted.
    OpenUpload {
        /// Where to.
        object: S3Address,
        /// Its id.
        upload_id: String,
        /// Whether its group has a catalog.
        committed: bool,
    },
    /// So many more findings of one group.
    More {
        group: GroupName,
        /// How many.
        count: u64,
    },
}

/// How groups are archived again.
const REDO: &str = "with `s3bundler group --redo N --groups GROUP`";

impl Finding {
    /// Whether it is about something that follows from the catalog and can be written again.
    pub const fn is_derived(&self) -> bool {
        match self {
            Self::NoReceipt { .. } => true,
            Self::Missing { part, .. }
            | Self::OtherChecksum { part, .. }
            | Self::WrongSize { part, .. }
            | Self::WrongBytes { part, .. }
            | Self::WrongChecksum { part, .. } => {
                matches!(part, Part::Index | Part::DeadLetters)
            }
            _ => false,
        }
    }

    /// Whether it is only what an attempt that lost has left.
    pub const fn is_leftover(&self) -> bool {
        matches!(
            self,
            Self::LostAttempt { .. } | Self::UncommittedAttempt { .. } | Self::OpenUpload { .. }
        )
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoClaim { claim } => {
                write!(
                    f,
                    "{claim} is missing: the run has groups but no claim; another run may take \
                     its name"
                )
            }
            Self::GroupingUnfinished { summary } => write!(
                f,
                "{summary} is missing: the grouping is not finished; start `s3bundler group` (or \
                 `run`) again with the same options, and it resumes"
            ),
            Self::SummarySums {
                summary,
                rows,
                objects,
                left_out,
            } => write!(
                f,
                "{summary} does not add up: {objects} rows in groups and {left_out} left out are \
                 not the inventory's {rows}; group the inventory again under another name"
            ),
            Self::RetryUnfinished { pass, summary } => write!(
                f,
                "{summary} is missing: retry pass {pass} is not finished; start `s3bundler group \
                 --retry-pass {pass}` again, and it resumes"
            ),
            Self::RetryRows {
                summary,
                failed,
                retried,
            } if failed == retried => write!(
                f,
                "{summary} counts {retried} rows, but not those that the pass before left to be \
                 retried; see who wrote its dead letters, and do not delete the sources of failed \
                 rows"
            ),
            Self::RetryRows {
                summary,
                failed,
                retried,
            } => write!(
                f,
                "{summary} counts {retried} rows, but the pass before left {failed} to be \
                 retried; see who wrote its dead letters, and do not delete the sources of failed \
                 rows"
            ),
            Self::RedoUnfinished { redo, summary } => write!(
                f,
                "{summary} is missing: redo {redo} is not finished; repeat `s3bundler group \
                 --redo {redo}` with the same groups, and it resumes"
            ),
            Self::RedoRows {
                summary,
                replaced,
                redone,
            } => write!(
                f,
                "{summary} counts {redone} rows, and not the {replaced} of the groups that it \
                 replaces; archive the groups of this redo again, {REDO}, and do not delete the \
                 sources"
            ),
            Self::RowCount {
                pass,
                redo,
                grouped,
                cataloged,
            } => write!(
                f,
                "the groups{} have {grouped} rows and the catalogs {cataloged}; group the \
                 inventory again under another name and compare",
                of_stage(*pass, *redo)
            ),
            Self::RowDigest {
                pass,
                redo,
                grouped,
                cataloged,
            } => write!(
                f,
                "the catalogs{} have as many rows as the groups, but not the same ones (digest \
                 {cataloged}, not {grouped}): a row is lost and another doubled; the sources of \
                 such rows must not be deleted",
                of_stage(*pass, *redo)
            ),
            Self::GroupRows {
                catalog,
                manifest,
                problem,
            } => write!(
                f,
                "{catalog} has not the rows of {manifest}: {problem}; archive this group again \
                 while the sources exist, {REDO}"
            ),
            Self::DamagedManifest { manifest, problem } => write!(
                f,
                "{manifest} {problem}; the rows of its group cannot be compared with it: bring \
                 back an older version of it"
            ),
            Self::NoManifest { manifest } => write!(
                f,
                "{manifest} is missing: start `s3bundler group` again with the same options, and \
                 it writes the same"
            ),
            Self::MoreGroupsMissing { count } => write!(
                f,
                "{count} more groups of the summary are missing altogether"
            ),
            Self::StrayManifest { manifest } => {
                write!(
                    f,
                    "{manifest} is a group that the run's summary does not count; see who wrote it"
                )
            }
            Self::NoCatalog { catalog, manifest } => write!(
                f,
                "{catalog} is missing: the group is not archived; if no worker has it, send it \
                 again with `s3bundler submit {manifest}` or archive it with `s3bundler bundle \
                 --manifest {manifest}`"
            ),
            Self::StrayCatalog { catalog } => {
                write!(
                    f,
                    "{catalog} is the catalog of no group of this run; see who wrote it"
                )
            }
            Self::UnreadableCatalog { catalog, problem } => write!(
                f,
                "{catalog} cannot be read: {problem}; bring back an older version of it, or \
                 archive its group again while the sources exist, {REDO}"
            ),
            Self::ForeignCatalog { catalog, problem } => {
                write!(
                    f,
                    "{catalog} is of another group: {problem}; see who wrote it"
                )
            }
            Self::ManifestChanged {
                manifest,
                cataloged,
                found: Some(found),
            } => write!(
                f,
                "{manifest} was replaced after it was archived (ETag {found}, the catalog names \
                 {cataloged}); bring back the version that was archived, or archive it under \
                 another destination prefix"
            ),
            Self::ManifestChanged {
                manifest,
                cataloged,
                found: None,
            } => {
                write!(
                    f,
                    "{manifest} is gone; the catalog was made of it (ETag {cataloged})"
                )
            }
            Self::NoReceipt { receipt } => write!(
                f,
                "{receipt} is missing: the group is committed, but its worker ended before the \
                 receipt; verify --repair finishes it"
            ),
            Self::SeveralReceipts { group, receipts } => write!(
                f,
                "group {group} has {} receipts ({}): delete those that its catalog contradicts",
                receipts.len(),
                receipts.join(", ")
            ),
            Self::WrongReceipt { receipt, expected } => write!(
                f,
                "{receipt} is not what the catalog adds up to, {expected}: delete it, then verify \
                 --repair writes the right one"
            ),
            Self::StrayReceipt { receipt, problem } => {
                write!(f, "{receipt} {problem}; see who wrote it")
            }
            Self::StrayDeadLetters { object } => {
                write!(
                    f,
                    "{object} is there, but no catalog of its group has failed rows; do not feed \
                     it back in, delete it"
                )
            }
            Self::Missing {
                group,
                part,
                object,
            } => {
                let (part, remedy) = (part.name(), part.remedy(group.as_str(), object));
                write!(
                    f,
                    "{object}, the {part} of group {group}, is missing; {remedy}"
                )
            }
            Self::WrongSize {
                group,
                part,
                object,
                expected,
                found,
            } => {
                let (part, remedy) = (part.name(), part.remedy(group.as_str(), object));
                write!(
                    f,
                    "{object}, the {part} of group {group}, has {found} bytes instead of \
                     {expected}; {remedy}"
                )
            }
            Self::WrongChecksum {
                part,
                object,
                expected,
                found,
            } => write!(
                f,
                "{object}, the {} of its group, has other bytes: its CRC64NVME is {found} instead \
                 of {expected}; {}",
                part.name(),
                part.remedy("GROUP", object)
            ),
            Self::OtherChecksum { part, object } => write!(
                f,
                "{object}, the {} of its group, has a checksum of another kind than the bundler \
                 gives: something else wrote it; {}",
                part.name(),
                part.remedy("GROUP", object)
            ),
            Self::DamagedArchive {
                archive,
                at,
                problem,
            } => write!(
                f,
                "{archive} is not a tar that standard tools read: {problem} at byte {at}; objects \
                 without a finding of their own can still be restored by their byte ranges"
            ),
            Self::UnknownMember { archive, at } => {
                write!(
                    f,
                    "{archive} has a member at byte {at} that is in no row of the catalog; see \
                     who wrote it"
                )
            }
            Self::WrongMember {
                archive,
                source,
                problem,
            } => write!(
                f,
                "{source} cannot be restored from {archive}: {problem}; archive its group again \
                 while the source exists, {REDO}"
            ),
            Self::WrongBytes {
                group,
                part,
                object,
                problem,
            } => {
                let (part, remedy) = (part.name(), part.remedy(group.as_str(), object));
                write!(
                    f,
                    "{object}, the {part} of group {group}, is wrong: {problem}; {remedy}"
                )
            }
            Self::LostAttempt { object, catalog } => write!(
                f,
                "{object} is of an attempt that lost, {catalog} names another; verify --repair \
                 removes it if it is older than an hour"
            ),
            Self::UncommittedAttempt { object, catalog } => write!(
                f,
                "{object} is of an attempt that is not committed, {catalog} does not exist; it is \
                 kept, since a worker may still commit it"
            ),
            Self::OpenUpload {
                object,
                upload_id,
                committed: true,
            } => write!(
                f,
                "an upload to {object} is open (id {upload_id}), and its group is committed; \
                 verify --repair aborts it if it is older than an hour"
            ),
            Self::OpenUpload {
                object,
                upload_id,
                committed: false,
            } => write!(
                f,
                "an upload to {object} is open (id {upload_id}), and its group is not committed; \
                 it is kept, since a worker may still complete it"
            ),
            Self::More { group, count } => {
                write!(f, "{count} more findings of group {group} are not listed")
            }
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_none(number: &u32) -> bool {
    *number == 0
}

fn of_stage(pass: u32, redo: u32) -> String {
    match (pass, redo) {
        (0, 0) => String::new(),
        (pass, 0) => format!(" of retry pass {pass}"),
        (_, redo) => format!(" of redo {redo}"),
    }
}

/// The findings of one group, bounded.
#[derive(Debug, Default)]
pub(super) struct Findings {
    listed: Vec<Finding>,
    more: u64,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        if self.listed.len() < MOST_OF_A_GROUP {
            self.listed.push(finding);
        } else {
            self.more += 1;
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.more += other.more;
        for finding in other.listed {
            self.push(finding);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.listed.iter()
    }

    /// All of them, with a count of those that were too many.
    pub(super) fn into_listed(mut self, group: &GroupName) -> Vec<Finding> {
        if self.more > 0 {
            self.listed.push(Finding::More {
                group: group.clone(),
                count: self.more,
            });
        }
        self.listed
    }
}
