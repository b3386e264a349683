//! Where everything is written.

use clap::Args;
use s3bundler_common::failure::Failure;
use s3bundler_contract::{ExitCode, KeyLayout, S3Address};

use crate::destination::Destination;

/// Where everything is written.
#[derive(Debug, Args)]
pub struct DestinationArgs {
    /// Bucket and prefix to write everything under.
    #[arg(long, env = "S3BUNDLER_DESTINATION", value_name = "s3://BUCKET/PREFIX")]
    pub destination: S3Address,
}

impl DestinationArgs {
    /// The destination with this layout of keys.
    pub fn resolve(&self, keys: KeyLayout) -> Result<Destination, Failure> {
        Destination::new(&self.destination, keys)
            .map_err(|error| Failure::new(ExitCode::Usage, error))
    }
}
