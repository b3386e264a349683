//! Group manifests that are given as the source of a run: all under a prefix, as awslabs/s3bundler
//! left them.
//!
//! A claim names an inventory by its address and ETag. Given manifests are named by their prefix
//! and by a digest of their keys and ETags in the order of LIST: one that is added, removed or
//! replaced makes another source of them.

use data_encoding::HEXLOWER;
use md5::{Digest, Md5};

use crate::address::S3Address;
use crate::layout::{Layout, MANIFEST_SUFFIX, RunName};
use crate::record::InventoryRef;

/// The group manifests under a prefix, added as a LIST shows them.
#[derive(Debug, Clone)]
pub struct ExistingManifests {
    prefix: S3Address,
    digest: Md5,
    count: u64,
}

impl ExistingManifests {
    /// None yet of those whose address begins with `prefix`.
    pub fn under(prefix: S3Address) -> Self {
        Self {
            prefix,
            digest: Md5::new(),
            count: 0,
        }
    }

    /// Adds the next object of the listing if it is a group manifest, and tells whether it is one,
    /// by its key alone: the seed's and ours end in `.index`. The ETag comes without quotes.
    pub fn add(&mut self, key: &str, etag: &str) -> bool {
        let is_one = key.ends_with(MANIFEST_SUFFIX);
        if is_one {
            // No ETag has a line break, so no two lists give the same bytes.
            self.digest.update(format!("{}:{key}:{etag}\n", key.len()));
            self.count += 1;
        }
        is_one
    }

    /// How a claim names them; `None` where there is no manifest.
    pub fn reference(self) -> Option<InventoryRef> {
        let etag = HEXLOWER.encode(&self.digest.finalize());
        (self.count > 0).then_some(InventoryRef {
            manifest: self.prefix,
            etag,
            creation_timestamp: None,
        })
    }

    /// Whether the manifests that a run's own grouper writes would be under the prefix, or the
    /// prefix among them.
    pub fn are_own(prefix: &S3Address, bucket: &str, layout: &Layout, run: &RunName) -> bool {
        let own = layout.groups(run);
        prefix.bucket == bucket && (own.starts_with(&prefix.key) || prefix.key.starts_with(&own))
    }
}

#[cfg(test)]
mod tests;
