//! The JSON records of a run: its claim, written first, and its summary, written last by the
//! grouper. Every retry pass has a summary too. A run of Kubernetes also has an
//! [acknowledgement](crate::acknowledgement).

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use crate::acknowledgement::ResourceUid;
use crate::address::S3Address;
use crate::figures::sum;
use crate::layout::{GroupName, RunName, Stage};
use crate::options::{ArchiveOptions, GroupOptions, SelectOptions};
use crate::reason::{LeftOut, Reason};
use crate::row::RowDigest;

/// The format of records, catalogs and manifests that this release writes.
pub const FORMAT: u32 = 1;
/// The format of what a reader of format 1 would count wrong: retry passes of other reasons than
/// Retry, and redos (docs/decisions/names-and-fields.md).
pub const FORMAT_2: u32 = 2;

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not the JSON it should be.
    #[error("it is not the record it should be: {0}")]
    Json(#[from] serde_json::Error),
    /// From a release that writes another format.
    #[error("its format is {0}; this release reads up to format {FORMAT_2}")]
    Format(u32),
    /// It is at the key of another run's record.
    #[error("it is of run {0}")]
    OtherRun(RunName),
    /// It is at the key of the summary of other groups.
    #[error("it is the summary of {0}")]
    OtherStage(Stage),
    /// It is at the key of another resource's acknowledgement.
    #[error("it is of the resource with UID {0}")]
    OtherResource(ResourceUid),
}

/// The inventory a run reads, or the group manifests it was [given](crate::existing_manifests).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryRef {
    /// Where its manifest.json is; the prefix of given group manifests.
    pub manifest: S3Address,
    /// The ETag of manifest.json; a digest of given group manifests.
    pub etag: String,
    /// Milliseconds since 1970 at which S3 began the inventory; nothing of given group manifests.
    pub creation_timestamp: Option<u64>,
}

/// Who owns a run's name, and for what. Put with If-None-Match before anything else is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunClaim {
    /// 1.
    pub format: u32,
    /// The run.
    pub run: RunName,
    /// Its inventory.
    pub inventory: InventoryRef,
    /// Which rows it takes.
    pub select: SelectOptions,
    /// Where its groups end.
    pub group: GroupOptions,
    /// How its archives are written.
    pub archive: ArchiveOptions,
    /// MD5 of the three above, in hex.
    pub options_digest: String,
    /// Who made it, for people. Part of the comparison only if both are [resources](resource_owner).
    pub owner: String,
}

/// What the owner begins with if a Kubernetes resource made the claim.
const RESOURCE: &str = "ArchiveRun ";

/// The owner of the claims of a Kubernetes resource. Two resources never share a run: each would
/// count the receipts of the other.
pub fn resource_owner(namespace: &str, name: &str, cluster: &str) -> String {
    format!("{RESOURCE}{namespace}/{name} in cluster {cluster}")
}

impl RunClaim {
    /// The claim of `run` for `inventory`.
    pub fn new(
        run: RunName,
        inventory: InventoryRef,
        select: SelectOptions,
        group: GroupOptions,
        archive: ArchiveOptions,
        owner: String,
    ) -> Self {
        let options = serde_json::to_vec(&(&select, &group, &archive)).unwrap_or_default();
        let options_digest = data_encoding::HEXLOWER.encode(&Md5::digest(options));
        Self {
            format: FORMAT,
            run,
            inventory,
            select,
            group,
            archive,
            options_digest,
            owner,
        }
    }

    /// How `other`, found under the same name, differs: `None` where it is the same run, to be
    /// resumed. The command line resumes whatever it finds, a resource not what another one began.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        if self.run != other.run {
            Some("another run")
        } else if self.inventory != other.inventory {
            Some("another inventory")
        } else if self.select != other.select {
            Some("another selection of objects")
        } else if self.group != other.group {
            Some("other group limits")
        } else if self.archive != other.archive {
            Some("other archive options")
        } else if self.is_of_a_resource() && other.is_of_a_resource() && self.owner != other.owner {
            Some("another resource")
        } else {
            None
        }
    }

    fn is_of_a_resource(&self) -> bool {
        self.owner.starts_with(RESOURCE)
    }

    /// Reads a claim.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let claim: Self = serde_json::from_slice(bytes)?;
        if claim.format == FORMAT {
            Ok(claim)
        } else {
            Err(RecordError::Format(claim.format))
        }
    }

    /// Reads the claim of a run.
    pub fn parse_of(bytes: &[u8], run: &RunName) -> Result<Self, RecordError> {
        let claim = Self::parse(bytes)?;
        if claim.run == *run {
            Ok(claim)
        } else {
            Err(RecordError::OtherRun(claim.run))
        }
    }

    /// The bytes to put.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }
}

/// A group whose place the groups of a redo take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replaced {
    /// The group.
    pub group: GroupName,
    /// The last part of its receipt's key; empty if it had none, or several.
    pub receipt: String,
    /// Rows of its manifest.
    pub rows: u64,
    /// Digest of those rows.
    pub digest: RowDigest,
    /// Its rows that retry passes took before the redo, by the reason for which they had failed:
    /// they are in no group of the redo.
    pub taken: BTreeMap<Reason, u64>,
}

/// What the grouper made of the inventory. The same inventory and options give the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// 1; 2 of a redo, and of a retry pass of other reasons than Retry alone.
    pub format: u32,
    /// The run.
    pub run: RunName,
    /// The retry pass; 0 and left out if it is the run's own summary. Of a redo the last pass that
    /// was planned before it: the next one takes what the redo leaves.
    #[serde(default, skip_serializing_if = "is_none")]
    pub pass: u32,
    /// The redo, from 1; 0 and left out of every other summary.
    #[serde(default, skip_serializing_if = "is_none")]
    pub redo: u32,
    /// Group manifests written.
    pub groups: u64,
    /// Rows in them.
    pub objects: u64,
    /// Bytes of those rows, by the inventory.
    pub bytes: u64,
    /// Rows of the inventory: objects + left out. Of a retry pass the rows that were to be tried
    /// again, all of them objects.
    pub rows: u64,
    /// Rows in no group, by reason; no zeros. Of a retry pass none.
    pub left_out: BTreeMap<LeftOut, u64>,
    /// Digest of the rows in groups.
    pub digest: RowDigest,
    /// The reasons of a retry pass, in order. Left out if it is Retry alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// Rows of a retry pass by the reason for which they had failed. Left out as `reasons`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rows_by_reason: BTreeMap<Reason, u64>,
    /// The groups whose place a redo takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<Replaced>,
}

impl RunSummary {
    /// The summary of a run in which nothing is counted yet.
    pub fn empty(run: RunName) -> Self {
        Self::of_pass(run, 0)
    }

    /// The summary of a pass over a run, in which nothing is counted yet.
    pub fn of_pass(run: RunName, pass: u32) -> Self {
        Self {
            format: FORMAT,
            run,
            pass,
            redo: 0,
            groups: 0,
            objects: 0,
            bytes: 0,
            rows: 0,
            left_out: BTreeMap::new(),
            digest: RowDigest::default(),
            reasons: Vec::new(),
            rows_by_reason: BTreeMap::new(),
            replaces: Vec::new(),
        }
    }

    /// Which groups it is the summary of.
    pub const fn stage(&self) -> Stage {
        if self.redo > 0 {
            Stage::Redo(self.redo)
        } else {
            Stage::Pass(self.pass)
        }
    }

    /// The reasons for which the rows of this retry pass had failed; none of the run's own groups
    /// and of redos.
    pub fn retried_reasons(&self) -> &[Reason] {
        match self.stage() {
            Stage::OWN | Stage::Redo(_) => &[],
            Stage::Pass(_) if self.reasons.is_empty() => &[Reason::Retry],
            Stage::Pass(_) => &self.reasons,
        }
    }

    /// The rows of this retry pass, by the reason for which they had failed.
    pub fn retried_rows(&self) -> BTreeMap<Reason, u64> {
        if self.retried_reasons() == [Reason::Retry] {
            return [(Reason::Retry, self.objects)].into();
        }
        self.rows_by_reason.clone()
    }

    /// The first so many of these rows, reason by reason in the order of the list: what is known of
    /// the reasons while the pass is not whole.
    pub fn first_retried_rows(&self, rows: u64) -> BTreeMap<Reason, u64> {
        let mut left = rows;
        let of_reason = |(reason, count): (Reason, u64)| {
            let taken = count.min(left);
            left -= taken;
            (taken > 0).then_some((reason, taken))
        };
        self.retried_rows()
            .into_iter()
            .filter_map(of_reason)
            .collect()
    }

    /// Rows in no group, for any reason.
    pub fn left_out_rows(&self) -> u64 {
        sum(self.left_out.values())
    }

    /// Reads a summary.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let summary: Self = serde_json::from_slice(bytes)?;
        if matches!(summary.format, FORMAT | FORMAT_2) {
            Ok(summary)
        } else {
            Err(RecordError::Format(summary.format))
        }
    }

    /// Reads the summary of a stage of a run.
    pub fn parse_of(bytes: &[u8], run: &RunName, stage: Stage) -> Result<Self, RecordError> {
        let summary = Self::parse(bytes)?;
        if summary.run != *run {
            return Err(RecordError::OtherRun(summary.run));
        }
        if summary.stage() == stage {
            Ok(summary)
        } else {
            Err(RecordError::OtherStage(summary.stage()))
        }
    }

    /// The bytes to put.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_none(number: &u32) -> bool {
    *number == 0
}

pub(crate) fn to_json(record: &impl Serialize) -> Vec<u8> {
    // No record has a map with keys that are not strings, which is all that could fail.
    let mut json = serde_json::to_vec_pretty(record).expect("a record of plain fields is JSON");
    json.push(b'\n');
    json
}

#[cfg(test)]
mod tests;
