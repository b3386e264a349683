//! What can be wrong with an object of a group, and what to do about it.

use std::fmt;

use s3bundler_contract::S3Address;
use s3bundler_contract::layout::METADATA_SUFFIX;
use serde::Serialize;

/// What an object is to its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    Archive,
    /// The copy of a large object.
    Copy,
    /// The description beside a copy.
    CopyMetadata,
    /// The index.
    Index,
    /// The dead letters.
    DeadLetters,
}

impl Part {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Copy => "copy",
            Self::CopyMetadata => "description of a copy",
            Self::Index => "index",
            Self::DeadLetters => "dead letters",
        }
    }

    /// What to do about it, in commands that can be pasted.
    pub(super) fn remedy(self, group: &str, object: &S3Address) -> String {
        let older = "bring back an older version of it if the bucket keeps versions";
        let redo = format!("`s3bundler group --redo N --groups {group}`");
        // No redo takes the place of such a group.
        let existing = "a group of an existing manifest: with `s3bundler bundle --manifest \
            MANIFEST` under the name of another run";
        match self {
            Self::Copy => format!(
                "{older}; otherwise delete it, because a copy that exists is never replaced: \
                 `{}`. Then archive its group again while the source exists, with {redo} \
                 ({existing})",
                Deletion(object)
            ),
            Self::Archive => {
                format!(
                    "{older}; otherwise archive its group again while the sources exist, with \
                     {redo} ({existing})"
                )
            }
            Self::CopyMetadata => format!(
                "its fields are in the catalog, too; to write it again while the source exists, \
                 archive its group again with {redo} ({existing})"
            ),
            Self::Index | Self::DeadLetters => {
                "verify --repair writes it again from the catalog".to_owned()
            }
        }
    }
}

/// The commands that delete a copy and its description.
struct Deletion<'a>(&'a S3Address);

impl fmt::Display for Deletion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As a shell reads it: keys may hold quotes.
        let quoted = self.0.to_string().replace('\'', r"'\''");
        write!(
            f,
            "aws s3 rm '{quoted}' && aws s3 rm '{quoted}{METADATA_SUFFIX}'"
        )
    }
}

#[cfg(test)]
mod tests;
