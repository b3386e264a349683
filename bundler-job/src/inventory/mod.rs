//! Reads a finished S3 Inventory: its manifest, the checksums of everything, and the rows of its
//! data files in order.
//!
//! ```text
//! manifest.json ──► manifest ──► check_files: every data file is there, with the size it should have
//! manifest.checksum                  │
//!                                    ▼
//! spool: GETs to scratch, ──► decode: gunzip, split at ──► rows, parsed in parallel ──► batches, in the file's order
//! size and MD5 compared       row ends (one thread)         (a thread a block)           (the caller)
//! (as many ahead as fit)
//! ```
//!
//! Memory is that of a few blocks, whatever the inventory's size; scratch is that of the files
//! ahead. Data files are read from the bucket that the manifest was read from: S3 delivers both
//! into one bucket, and a copy of an inventory (replicated, or in another account) is read where
//! the user points, not where `destinationBucket` says it once was. [`Deliveries`] finds the newest
//! inventory.
//!
//! No row of a file is used before the whole file agreed with the manifest. A file that was damaged
//! on the way is downloaded again, so it fails the reader only if it stays so. Rows of earlier
//! files may be out by then: the reader must not call a run whole before the end came without an
//! error.

mod block;
mod decode;
mod error;
mod latest;
mod manifest;
mod open;
pub(crate) mod prefetch;
mod rows;
mod spool;

pub use decode::{Batches, DataFileError, read_data_file};
pub use error::InventoryError;
pub use latest::Deliveries;
pub use manifest::{DataFile, Manifest, ManifestProblem};
pub use open::{Inventory, OwnFiles};
pub use rows::{InventoryRow, Rows};
pub use spool::Scratch;
