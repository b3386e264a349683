//! How a grouper or a verifier ended, for the program that started it: one line of JSON in the
//! termination message of its container ("Determine the Reason for Pod Failure", Kubernetes
//! documentation). Exit codes say whether another try may help, this says what a run waits for, or
//! what was verified. A message without a reason or a report that is known here is no such line:
//! what the container logged last says more.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Where a container's termination message is read from, unless its spec names another file.
pub const PATH: &str = "/dev/termination-log";
/// Bytes of the message for people. With every other text, and each byte escaped, the line fits into
/// the 4,096 bytes that the kubelet reads.
const MESSAGE_BYTES: usize = 1200;
/// Bytes of an owner, which a claim may have of any length.
const OWNER_BYTES: usize = 300;
/// Bytes of a finding.
const FINDING_BYTES: usize = 600;
/// Bytes of all findings of a report, as JSON.
const FINDINGS_BYTES: usize = 3700;

/// Why a grouper could not begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all_fields = "camelCase")]
pub enum Reason {
    /// The inventory's manifest.json, the bucket, or every group manifest does not exist; or
    /// manifest.json is not the manifest of an inventory.
    InventoryMissing,
    /// manifest.checksum, which S3 writes last, does not exist.
    InventoryUnfinished,
    /// There is no finished inventory under the prefix.
    NoInventory,
    /// The newest inventory under the prefix is older than it may be.
    InventoryTooOld {
        /// Its age.
        hours: u64,
    },
    /// There is no group manifest under the prefix.
    NoManifests,
    /// The run's name has the claim of another run.
    RunNameTaken {
        /// How that claim differs.
        difference: String,
        /// Who made it.
        owner: String,
    },
    /// A bucket denied a request.
    AccessDenied {
        /// Which.
        bucket: Bucket,
    },
    /// A bucket is in another region than the configured one.
    OtherRegion {
        /// Which.
        bucket: Bucket,
    },
    /// The bucket of the destination does not exist.
    NoDestination,
}

/// One of the buckets of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bucket {
    /// That of the inventory or of the existing group manifests.
    Source,
    /// That of the destination.
    Destination,
}

/// The end of a grouper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Termination {
    /// Why it could not begin.
    #[serde(flatten)]
    pub reason: Reason,
    /// The error, for people.
    pub message: String,
}

impl Termination {
    /// Reads a termination message; `None` if it is another text, or of a reason that this release
    /// does not know.
    pub fn parse(text: &str) -> Option<Self> {
        parse(text)
    }

    /// The line to write. Texts that are too long end early.
    pub fn to_line(&self) -> String {
        let mut line = self.clone();
        cut(&mut line.message, MESSAGE_BYTES);
        if let Reason::RunNameTaken { difference, owner } = &mut line.reason {
            cut(difference, OWNER_BYTES);
            cut(owner, OWNER_BYTES);
        }
        line_of(&line)
    }
}

/// What a verifier has found, and how much it has checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Whether every archive was read.
    pub full: bool,
    /// Groups.
    pub groups: u64,
    /// Objects that are archived or copied.
    pub objects: u64,
    /// Objects without proof of all that they hold, because the store keeps no checksum of them.
    pub unproven: u64,
    /// What is wrong.
    pub findings: u64,
    /// What attempts that lost have left: archives, indexes and open uploads that nothing names. They
    /// cost money, and nothing is wrong with what is archived.
    pub leftovers: u64,
    /// The first of all these, for people: first what is wrong.
    pub first: Vec<String>,
}

impl Verification {
    /// Reads a termination message; `None` if it is another text.
    pub fn parse(text: &str) -> Option<Self> {
        parse(text)
    }

    /// The line to write: with as many findings as have room, each of which may end early.
    pub fn to_line(&self) -> String {
        let mut room = FINDINGS_BYTES;
        let shortened = self.first.iter().map(|finding| {
            let mut finding = finding.clone();
            cut(&mut finding, FINDING_BYTES);
            finding
        });
        let first = shortened.take_while(|finding| {
            let left = room.checked_sub(serde_json::json!(finding).to_string().len() + 1);
            room = left.unwrap_or(0);
            left.is_some()
        });
        line_of(&Self {
            first: first.collect(),
            ..self.clone()
        })
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text.trim()).ok()
}

fn line_of(fields: &impl Serialize) -> String {
    serde_json::to_string(fields).expect("plain fields are JSON") + "\n"
}

/// Cuts a text at the end of a character.
fn cut(text: &mut String, bytes: usize) {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

#[cfg(test)]
mod tests;
