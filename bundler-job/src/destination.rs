//! Where everything is written.

use s3bundler_contract::layout::LayoutError;
use s3bundler_contract::{KeyLayout, Layout, S3Address};

/// Bucket, prefix and layout of a destination.
#[derive(Debug, Clone)]
pub struct Destination {
    pub bucket: String,
    /// The keys under the prefix.
    pub layout: Layout,
}

impl Destination {
    /// The bucket and prefix of an address, with this layout of keys.
    pub fn new(address: &S3Address, keys: KeyLayout) -> Result<Self, LayoutError> {
        let layout = Layout::new(address.key.trim_end_matches('/'), keys)?;
        Ok(Self {
            bucket: address.bucket.clone(),
            layout,
        })
    }

    /// The same bucket and prefix with another layout of keys.
    #[must_use]
    pub fn with_keys(&self, keys: KeyLayout) -> Self {
        Self {
            bucket: self.bucket.clone(),
            layout: self.layout.with_keys(keys),
        }
    }

    /// Whether an object is one that this project's commands write there, other than group
    /// manifests and their dead letters.
    pub fn is_output(&self, object: &S3Address) -> bool {
        object.bucket == self.bucket && self.layout.is_output(&object.key)
    }

    /// A key of the destination as an address.
    pub fn address(&self, key: impl Into<String>) -> S3Address {
        S3Address::new(&self.bucket, key)
    }
}
