//! The catalog of a group: Parquet, one row for every row of the group manifest, and the one
//! authority on the group. Its PUT with If-None-Match is the commit; everything else about the
//! group is derived from it.
//!
//! ```text
//! bundle ──► CatalogWriter ──► file ──► PUT = commit ──► GET ──► Catalog ──► derive ──► index, dead letters, totals
//!                                                                              └──► publish ──► those, then the receipt
//! ```
//!
//! Index, dead letters and receipt are functions of the catalog's bytes alone, so that whoever
//! writes them (the winner of the commit, a loser, a redelivery, `verify --repair`) writes the same
//! bytes.

mod batches;
mod committed;
mod compacted;
mod derive;
mod error;
mod footer;
mod index;
mod outline;
mod positioned;
mod publish;
mod read;
mod record;
mod rows;
mod schema;
mod seal;
mod totals;
mod write;

use std::collections::BTreeMap;

use s3bundler_contract::{Reason, Row};

pub use committed::{Committed, ReadError, Unreferenced, Whole};
pub(crate) use compacted::{CompactedFile, CompactedReader, CompactedWriter};
pub use derive::{Derived, DerivedFile, derive};
pub use error::CatalogError;
pub use index::IndexWriter;
pub(crate) use outline::{Bounds, FileKind, GroupOf, GroupRow, Outline, first_read};
pub(crate) use positioned::Parts;
pub(crate) use publish::publish_derived;
pub use publish::{Publication, PublishError, publish};
pub use read::{Catalog, Entries};
pub use totals::Totals;
pub use write::CatalogWriter;

/// Names and values, in name order.
pub type Map = BTreeMap<String, String>;

/// One row of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The row of the group manifest, with size, ETag, version and last modified replaced by what
    /// the GET said.
    pub row: Row,
    /// Whether the group manifest named the version. Where it did not, `row` has the one that the
    /// GET returned (the digest of a run is over the rows as they stood in its group manifests).
    pub listed_version: bool,
    /// What became of it.
    pub outcome: Outcome,
    /// MD5 of the object's bytes, in hex; absent for copied and failed objects.
    pub md5: Option<String>,
    /// The source's own checksums: name as in `x-amz-checksum-<name>`, value in base64.
    pub checksums: Map,
    /// Content headers: `content-type`, `cache-control` and so on.
    pub headers: Map,
    /// User metadata, names in lower case without `x-amz-meta-`.
    pub metadata: Map,
    /// Tags.
    pub tags: Map,
    /// The error code of a dead letter, or a word for a failure without one; absent for other rows
    /// and in catalogs of earlier releases.
    pub detail: Option<String>,
    /// SHA-256 in hex of an archived object, if it was asked for; absent in catalogs of earlier
    /// releases.
    pub sha256: Option<String>,
}

impl Entry {
    /// The size, where it is one that a signed column holds. No object is larger, but an invalid
    /// row of an inventory may claim to be.
    fn credible_size(&self) -> Option<i64> {
        self.row.size.and_then(|size| i64::try_from(size).ok())
    }

    /// The version that the group manifest named.
    pub fn listed_version_id(&self) -> Option<&str> {
        self.row
            .version_id
            .as_deref()
            .filter(|_| self.listed_version)
    }
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// In the group's archive.
    Archived(Place),
    /// Copied by the server to this key of the destination bucket.
    Copied {
        /// The copy's key.
        key: String,
    },
    /// Dead-lettered.
    Failed(Reason),
}

/// Where an object's bytes are in the group's archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// First byte of the archive to GET.
    pub offset: u64,
    /// Bytes to GET.
    pub length: u64,
    /// Bytes to drop after decompressing; 0 in a plain tar, where `offset` is that of the data.
    pub skip: u64,
}

/// What the catalog says of the group as a whole: its file metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRecord {
    /// The group manifest's bucket.
    pub manifest_bucket: String,
    /// The group manifest's key.
    pub manifest_key: String,
    /// The group manifest's ETag.
    pub manifest_etag: String,
    /// The attempt that wrote this catalog.
    pub attempt: String,
    /// The archive; absent where every object failed or was copied.
    pub archive: Option<ArchiveRecord>,
    /// Storage class that archive and index are in.
    pub storage_class: String,
    /// Version of the program that wrote it.
    pub program: String,
    /// Whether the group takes the place of others: then the catalog has format 2, because a reader
    /// of format 1 would count those as well.
    pub redo: bool,
}

/// What the packer wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveRecord {
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// CRC64NVME of all its bytes.
    pub crc64nvme: u64,
}

#[cfg(test)]
mod tests;
