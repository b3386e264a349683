//! S3 inventories as AWS writes them, by a writer that shares no code with the programs that read
//! them.
//!
//! ```text
//! rows (given, listed, synthetic) ──► shards (quoted CSV, gzip) ──► manifest.json ──► manifest.checksum, last
//!   <prefix>/<source bucket>/<configuration>/data/<uuid>.csv.gz
//!   <prefix>/<source bucket>/<configuration>/2024-05-07T01-00Z/manifest.{json,checksum}
//! ```
//!
//! Facts are from «Amazon S3 Inventory» in the S3 user guide and from inventories that S3 itself
//! delivered: values are all quoted, there is no header row, keys are form-url-encoded (space is
//! `+`, `/` stays), lines end in LF, dates are ISO 8601 with milliseconds and `Z`, ETags have no
//! quotes, the null version's id is empty, and delete markers have neither size nor ETag.

mod column;
mod listing;
mod manifest;
mod row;
mod shard;
mod store;
mod synthetic;
mod writer;

use std::path::PathBuf;

use thiserror::Error;

pub use column::Column;
pub use listing::{inventory_of_bucket, rows_of_bucket};
pub use manifest::{Manifest, ManifestFile, checksum_of};
pub use row::Row;
pub use shard::{encode_key, gzip, shard_of};
pub use store::Store;
pub use synthetic::Synthetic;
pub use writer::{Checksum, Inventory, Published, RawShard};

use crate::client::ClientError;

/// Why an inventory was not written.
#[derive(Debug, Error)]
pub enum InventoryError {
    /// S3 refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A local file could not be written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A shard could not be encoded.
    #[error("writing a shard: {0}")]
    Shard(std::io::Error),
    /// The manifest could not be encoded.
    #[error("writing the manifest: {0}")]
    Manifest(#[from] serde_json::Error),
}
