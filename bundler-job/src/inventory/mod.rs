//! Reads a finished S3 Inventory: its manifest, the checksums of everything, and the rows of its data files in order.
//!
//! ```text
//! manifest.json ──► manifest ──► check_files: every data file is there, with the size it should have
//! manifest.checksum                  │
//!                                    ▼
//! feed: GETs ──► decode: MD5, gunzip, split at row ends ──► rows, parsed in parallel ──► batches, in the file's order
//! (2 at a time)   (one thread)                               (a thread a block)           (whoever asked)
//! ```
//!
//! Memory is that of a few blocks, whatever the inventory's size. Data files are read from the bucket that the manifest
//! was read from: S3 delivers both into one bucket, and a copy of an inventory (replicated, or in another account) is
//! read where the user points, not where `destinationBucket` says it once was.
//!
//! Sizes are compared before the first row is given, MD5s at the end of each file: rows of a file that was replaced by
//! another of the same size may be out by then. Whoever reads must not call a run whole before the end came without an
//! error.

mod block;
mod decode;
mod error;
mod feed;
mod manifest;
mod open;
mod rows;

pub use decode::{Batches, DataFileError, read_data_file};
pub use error::InventoryError;
pub use manifest::{DataFile, Manifest, ManifestProblem};
pub use open::{Inventory, OwnFiles};
pub use rows::{InventoryRow, Rows};
