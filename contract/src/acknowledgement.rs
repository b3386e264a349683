//! The proof that the pods of a Kubernetes resource may write to a destination: a record at a key
//! that only the resource's own grouper is given. The operator reads nothing else of a destination
//! before it has seen it, so a resource that names the destination of another tenant learns nothing
//! of that tenant's runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::layout::RunName;
use crate::record::{FORMAT, InventoryRef, RecordError, RunClaim, to_json};

/// Longest UID: Kubernetes' own have 36 characters.
const MAX_UID: usize = 64;

/// Not a UID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the UID of a resource: lower-case letters, digits and hyphens, 64 at most")]
pub struct InvalidUid(String);

/// The UID of a Kubernetes resource. No two resources have the same one, also if they have the same
/// name one after the other ("Object Names and IDs", Kubernetes documentation).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceUid(String);

impl ResourceUid {
    /// The UID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ResourceUid {
    type Err = InvalidUid;

    fn from_str(text: &str) -> Result<Self, InvalidUid> {
        let alphabet = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if text.is_empty() || text.len() > MAX_UID || !alphabet {
            return Err(InvalidUid(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ResourceUid {
    type Error = InvalidUid;

    fn try_from(text: String) -> Result<Self, InvalidUid> {
        text.parse()
    }
}

impl From<ResourceUid> for String {
    fn from(uid: ResourceUid) -> Self {
        uid.0
    }
}

impl fmt::Display for ResourceUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What the grouper of a resource writes once the run's claim is known to be its own. A resource
/// that is created again writes another one beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledgement {
    /// 1.
    pub format: u32,
    /// The run.
    pub run: RunName,
    /// The resource.
    pub uid: ResourceUid,
    /// The inventory of the claim.
    pub inventory: InventoryRef,
    /// `optionsDigest` of the claim.
    pub options_digest: String,
}

impl Acknowledgement {
    /// That of the resource with this UID, whose run has this claim.
    pub fn of(claim: &RunClaim, uid: ResourceUid) -> Self {
        Self {
            format: FORMAT,
            run: claim.run.clone(),
            uid,
            inventory: claim.inventory.clone(),
            options_digest: claim.options_digest.clone(),
        }
    }

    /// Reads an acknowledgement.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let found: Self = serde_json::from_slice(bytes)?;
        if found.format == FORMAT {
            Ok(found)
        } else {
            Err(RecordError::Format(found.format))
        }
    }

    /// Reads that of a resource and its run.
    pub fn parse_of(bytes: &[u8], run: &RunName, uid: &ResourceUid) -> Result<Self, RecordError> {
        let found = Self::parse(bytes)?;
        if found.run != *run {
            Err(RecordError::OtherRun(found.run))
        } else if found.uid != *uid {
            Err(RecordError::OtherResource(found.uid))
        } else {
            Ok(found)
        }
    }

    /// The bytes to put.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }
}

#[cfg(test)]
mod tests;
