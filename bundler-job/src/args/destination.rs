//! Where everything is written.

use clap::Args;
use s3bundler_contract::{KeyLayout, Layout, S3Address};

use crate::failure::Failure;

/// Where everything is written.
#[derive(Debug, Args)]
pub struct DestinationArgs {
    /// Bucket and prefix to write everything under.
    #[arg(long, env = "S3BUNDLER_DESTINATION", value_name = "s3://BUCKET/PREFIX")]
    pub destination: S3Address,
}

/// Bucket, prefix and layout of a destination.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The bucket.
    pub bucket: String,
    /// The keys under the prefix.
    pub layout: Layout,
}

impl DestinationArgs {
    /// The destination with this layout of keys.
    pub fn resolve(&self, keys: KeyLayout) -> Result<Destination, Failure> {
        let prefix = self.destination.key.trim_end_matches('/');
        let layout =
            Layout::new(prefix, keys).map_err(|error| Failure::new(s3bundler_contract::ExitCode::Usage, error))?;
        Ok(Destination { bucket: self.destination.bucket.clone(), layout })
    }
}

impl Destination {
    /// The same bucket and prefix with another layout of keys.
    #[must_use]
    pub fn with_keys(&self, keys: KeyLayout) -> Self {
        Self { bucket: self.bucket.clone(), layout: self.layout.with_keys(keys) }
    }

    /// Whether an object is one that this project's commands write there, other than group manifests and their dead
    /// letters.
    pub fn is_output(&self, object: &S3Address) -> bool {
        object.bucket == self.bucket && self.layout.is_output(&object.key)
    }

    /// A key of the destination as an address.
    pub fn address(&self, key: impl Into<String>) -> S3Address {
        S3Address::new(&self.bucket, key)
    }
}
