//! What the writer of a manifest recorded of its content.

use std::collections::HashMap;

use super::{MD5_METADATA, ROWS_METADATA};

/// Hex digits of an MD5.
const MD5_DIGITS: usize = 32;

/// The figures of a manifest by its metadata or by its message. What is absent is not known, which
/// is no error.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its rows.
    pub rows: Option<u64>,
    /// MD5 of its stored bytes, 32 hex digits.
    pub md5: Option<String>,
}

impl Recorded {
    /// Those in the metadata of the object. Other programs may use the same names for something
    /// else: what is not a whole number, or not 32 hex digits, is absent.
    pub fn in_metadata(metadata: &HashMap<String, String>) -> Self {
        let is_md5 = |md5: &&String| {
            md5.len() == MD5_DIGITS && md5.bytes().all(|digit| digit.is_ascii_hexdigit())
        };
        Self {
            rows: metadata
                .get(ROWS_METADATA)
                .and_then(|rows| rows.parse().ok()),
            md5: metadata.get(MD5_METADATA).filter(is_md5).cloned(),
        }
    }

    /// Whether bytes of this MD5 can be those that it was recorded of.
    pub fn is_of(&self, md5: &str) -> bool {
        self.md5
            .as_ref()
            .is_none_or(|recorded| recorded.eq_ignore_ascii_case(md5))
    }
}

#[cfg(test)]
mod tests;
