//! What a run was asked to do, as far as it decides which objects end up in which bytes. Part of
//! the run's claim.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::size::ByteSize;

/// Which rows of the inventory go into groups.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SelectOptions {
    /// Key prefixes to take; empty takes all.
    pub include: Vec<String>,
    /// Key prefixes to leave out; wins over `include`.
    pub exclude: Vec<String>,
    /// Source storage classes to take; empty takes every class that can be read.
    pub storage_classes: Vec<String>,
    /// Take only rows modified before this instant (RFC 3339).
    pub modified_before: Option<String>,
    /// Take only rows of at least this size.
    pub min_size: Option<ByteSize>,
    /// Take only rows of at most this size.
    pub max_size: Option<ByteSize>,
    /// All versions instead of only the current ones.
    pub all_versions: bool,
    /// Take only GLACIER and DEEP_ARCHIVE rows, which somebody restored, instead of skipping them.
    pub only_restored: bool,
}

/// Where a group ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupOptions {
    /// Objects in a group, at most.
    pub max_objects: u64,
    /// A group closes once its objects reach this size.
    pub max_size: ByteSize,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self {
            max_objects: 65_000,
            max_size: ByteSize::gib(4),
        }
    }
}

/// How groups are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveOptions {
    /// The archives' format.
    pub format: ArchiveFormat,
    /// Larger objects are copied by the server instead.
    pub max_object_size: ByteSize,
    /// Storage class of archives, indexes and copied objects, as S3 spells it.
    pub storage_class: String,
    /// Whether keys carry a hash for request-rate partitions.
    pub key_layout: KeyLayout,
}

impl Default for ArchiveOptions {
    fn default() -> Self {
        Self {
            format: ArchiveFormat::Tar,
            max_object_size: ByteSize::gib(2),
            storage_class: "STANDARD".to_owned(),
            key_layout: KeyLayout::Hashed,
        }
    }
}

impl ArchiveOptions {
    /// Whether an object of this size in bytes is copied by the server instead of packed.
    pub const fn copies(&self, size: u64) -> bool {
        size > self.max_object_size.bytes()
    }
}

/// Format of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ArchiveFormat {
    /// POSIX pax tar.
    #[serde(rename = "tar")]
    Tar,
    /// The same in independent gzip members.
    #[serde(rename = "tar.gz")]
    TarGzip,
    /// The same in independent zstd frames.
    #[serde(rename = "tar.zst")]
    TarZstd,
}

impl ArchiveFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Tar, Self::TarGzip, Self::TarZstd];

    /// The extension of its keys, and its name on the command line.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::TarGzip => "tar.gz",
            Self::TarZstd => "tar.zst",
        }
    }

    /// The format of the archive with this key; `None` if it has another extension.
    pub fn of_key(key: &str) -> Option<Self> {
        // `.tar` is the end of no other extension.
        Self::ALL.into_iter().find(|format| {
            key.strip_suffix(format.extension())
                .is_some_and(|stem| stem.ends_with('.'))
        })
    }
}

impl fmt::Display for ArchiveFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.extension())
    }
}

impl FromStr for ArchiveFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|format| format.extension() == text)
            .ok_or_else(|| format!("{text:?} is not an archive format: tar, tar.gz or tar.zst"))
    }
}

/// How keys of archives and copied objects begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyLayout {
    /// With six hex digits of a hash.
    Hashed,
    /// Without.
    Plain,
}
