//! One object of an inventory, on its way through groups, catalogs and dead letters.

use std::fmt;
use std::str::FromStr;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// Longest key S3 allows, in bytes of UTF-8 ("Creating object key names", S3 user guide).
pub const MAX_KEY_BYTES: usize = 1024;

/// What the inventory said of an object. Hours old: the GET knows better.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// The source bucket.
    pub bucket: String,
    /// The literal key.
    pub key: String,
    /// Bytes; absent in delete markers and in inventories without the column.
    pub size: Option<u64>,
    /// Absent where the inventory has no versions or where the object is the current null version;
    /// `null` for a null version that is not current, which only a request for that version can
    /// read.
    pub version_id: Option<String>,
    /// ISO 8601, as the inventory wrote it.
    pub last_modified: Option<String>,
    /// Without quotes.
    pub etag: Option<String>,
    /// As S3 spells it.
    pub storage_class: Option<String>,
}

/// The same object, borrowed from whatever read it: for paths that see a billion of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowRef<'a> {
    /// As [`Row::bucket`].
    pub bucket: &'a str,
    /// As [`Row::key`].
    pub key: &'a str,
    /// As [`Row::size`].
    pub size: Option<u64>,
    /// As [`Row::version_id`].
    pub version_id: Option<&'a str>,
    /// As [`Row::last_modified`].
    pub last_modified: Option<&'a str>,
    /// As [`Row::etag`].
    pub etag: Option<&'a str>,
    /// As [`Row::storage_class`].
    pub storage_class: Option<&'a str>,
}

impl RowRef<'_> {
    /// Whether S3 could hold such an object at all; if not, what is wrong with the row.
    pub fn impossible(&self) -> Option<&'static str> {
        if let Some(problem) = impossible_bucket(self.bucket) {
            Some(problem)
        } else if self.key.is_empty() {
            Some("it names no key")
        } else if self.key.len() > MAX_KEY_BYTES {
            Some("its key is longer than 1,024 bytes")
        } else {
            None
        }
    }

    /// A copy that stands on its own.
    pub fn to_row(&self) -> Row {
        let owned = |field: Option<&str>| field.map(str::to_owned);
        Row {
            bucket: self.bucket.to_owned(),
            key: self.key.to_owned(),
            size: self.size,
            version_id: owned(self.version_id),
            last_modified: owned(self.last_modified),
            etag: owned(self.etag),
            storage_class: owned(self.storage_class),
        }
    }
}

impl Row {
    /// The row, borrowed.
    pub fn borrowed(&self) -> RowRef<'_> {
        RowRef {
            bucket: &self.bucket,
            key: &self.key,
            size: self.size,
            version_id: self.version_id.as_deref(),
            last_modified: self.last_modified.as_deref(),
            etag: self.etag.as_deref(),
            storage_class: self.storage_class.as_deref(),
        }
    }

    /// As [`RowRef::impossible`].
    pub fn impossible(&self) -> Option<&'static str> {
        self.borrowed().impossible()
    }
}

/// Whether no bucket can have this name; if so, what is wrong with it. Bucket names become parts of
/// keys.
pub fn impossible_bucket(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it names no bucket")
    } else if name.contains('/') || name.chars().any(char::is_control) {
        Some("its bucket is not a bucket's name")
    } else {
        None
    }
}

/// An order-independent digest of a set of rows: the sum modulo 2^128 of a hash of bucket, key and
/// version.
///
/// One row lost and another doubled cannot balance, as they could in a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RowDigest(u128);

impl RowDigest {
    /// Adds a row.
    pub fn add(&mut self, bucket: &str, key: &str, version_id: Option<&str>) {
        // Lengths first, so that no two rows share an encoding.
        let mut hash = Md5::new();
        for part in [bucket, key, version_id.unwrap_or_default()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        self.0 = self
            .0
            .wrapping_add(u128::from_be_bytes(hash.finalize().into()));
    }

    /// Adds all the rows of another digest.
    pub fn merge(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

impl fmt::Display for RowDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for RowDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() != 32 {
            return Err(format!("{text:?} is not a row digest: 32 hex digits"));
        }
        u128::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| format!("{text:?} is not a row digest: 32 hex digits"))
    }
}

impl TryFrom<String> for RowDigest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RowDigest> for String {
    fn from(digest: RowDigest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests;
