//! The manifest of a run's compacted catalogs, `compact/run=<run>/manifest.json`: which catalogs they
//! are made of, and where each key is in them. It is written last, and names all of them, so that
//! they are replaced at once. The catalogs stay the authority.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::layout::{GroupName, RunName};
use crate::record::{FORMAT, RecordError, to_json};

/// The manifest of a run's compacted catalogs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompactedManifest {
    /// 1.
    pub format: u32,
    /// The run.
    pub run: RunName,
    /// The program and version that wrote it.
    pub program: String,
    /// Rows of all files.
    pub rows: u64,
    /// The catalogs whose rows they have, with the ETag of each without quotes.
    pub catalogs: BTreeMap<GroupName, String>,
    /// The files, in the order of their keys.
    pub files: Vec<CompactedRange>,
}

/// A file of compacted catalogs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompactedRange {
    /// The last part of its key.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Its ETag without quotes.
    pub etag: String,
    /// Rows.
    pub rows: u64,
    /// The first key of an object in it.
    pub first: String,
    /// The last key of an object in it.
    pub last: String,
}

impl CompactedManifest {
    /// Reads it, and checks that it is of this run.
    pub fn parse_of(bytes: &[u8], run: &RunName) -> Result<Self, RecordError> {
        let manifest: Self = serde_json::from_slice(bytes)?;
        if manifest.format != FORMAT {
            return Err(RecordError::Format(manifest.format));
        }
        if manifest.run != *run {
            return Err(RecordError::OtherRun(manifest.run));
        }
        Ok(manifest)
    }

    /// The bytes to put.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }
}

#[cfg(test)]
mod tests;
