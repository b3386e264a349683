//! Why a row of the inventory is not in an archive: left out by the grouper, or failed in the
//! bundler.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! names {
    ($(#[$doc:meta])* $type:ident, $error:ident { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $type { $($(#[$variant_doc])* $variant),+ }

        impl $type {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name, as it stands in records and columns.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        /// A name that is none of them.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("{0:?} is not one of {names}", names = $type::ALL.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", "))]
        pub struct $error(pub String);

        impl FromStr for $type {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                Self::ALL.iter().copied().find(|it| it.as_str() == text).ok_or_else(|| $error(text.to_owned()))
            }
        }
    };
}

names! {
    /// Why an object of a group was dead-lettered.
    Reason, UnknownReason {
        /// Throttled or failed to the end of its retry budget: worth another pass.
        Retry,
        /// The object or version is gone.
        NoSuchKey,
        /// In an archive tier and not restored.
        Glacier,
        /// S3 or KMS denied the read.
        AccessDenied,
        /// Replaced while being read, twice.
        Changed,
        /// The bytes do not agree with the source's own checksum.
        ChecksumMismatch,
        /// Encrypted with a key that only the customer has (SSE-C): can never be read.
        SseC,
        /// A row that cannot be an object.
        Invalid,
    }
}

names! {
    /// Why the grouper left a row of the inventory out of every group.
    LeftOut, UnknownLeftOut {
        /// A delete marker has no data.
        DeleteMarker,
        /// An older version, and only current versions were asked for.
        NotLatest,
        /// Its key starts with none of the included prefixes.
        NotIncluded,
        /// Its key starts with an excluded prefix.
        Excluded,
        /// Its storage class was not asked for.
        StorageClass,
        /// In a tier that cannot be read without restoring it.
        Glacier,
        /// Only restored archive-tier objects were asked for, and this one is in another class.
        NotGlacier,
        /// Modified at or after the given time.
        ModifiedSince,
        /// Smaller than the given size.
        TooSmall,
        /// Larger than the given size.
        TooLarge,
        /// Written by this run or by S3 Inventory itself.
        OwnOutput,
    }
}

#[cfg(test)]
mod tests;
