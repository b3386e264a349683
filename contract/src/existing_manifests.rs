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
mod tests {
    use super::*;
    use crate::options::KeyLayout;

    fn reference(manifests: &[(&str, &str)]) -> Option<InventoryRef> {
        let mut given = ExistingManifests::under(S3Address::new("b", "seed/"));
        for (key, etag) in manifests {
            given.add(key, etag);
        }
        given.reference()
    }

    #[test]
    fn any_other_list_of_manifests_is_another_source() {
        let all = [("seed/a.0.index", "e"), ("seed/a.1.index", "f")];
        let named = reference(&all).expect("there are two");
        assert_eq!(
            (&named.manifest, named.creation_timestamp),
            (&S3Address::new("b", "seed/"), None)
        );
        assert_eq!(
            reference(&[all[0], ("seed/a.0.index.dlq", "g"), all[1]]),
            Some(named.clone()),
            "no manifest"
        );
        for other in [
            &all[..1],
            &[all[0], ("seed/a.1.index", "g")],
            &[all[0], ("seed/b.index", "f")],
        ] {
            assert_ne!(reference(other), Some(named.clone()), "{other:?}");
        }
        assert_eq!(reference(&[("seed/readme", "e")]), None);
    }

    #[test]
    fn a_run_does_not_read_what_it_writes() {
        let layout = Layout::new("arch", KeyLayout::Hashed).expect("a prefix");
        let run: RunName = "logs".parse().expect("a name");
        for (prefix, own) in [
            ("s3://dst", true),
            ("s3://dst/arch/groups/", true),
            ("s3://dst/arch/groups/logs/logs.0", true),
            ("s3://dst/arch/groups/seed/", false),
            ("s3://dst/seed/", false),
            ("s3://other/arch/groups/", false),
        ] {
            let prefix = prefix.parse().expect("an address");
            assert_eq!(
                ExistingManifests::are_own(&prefix, "dst", &layout, &run),
                own,
                "{prefix}"
            );
        }
    }
}
