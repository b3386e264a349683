//! What the parts of S3 Bundler agree on, and nothing else: no I/O, no AWS, no Kubernetes.
//!
//! ```text
//! claim ──► group manifest ──► message ──► catalog ──► index, dead letters, receipt
//! record     group_manifest     message     (Parquet,    index      group_manifest  receipt
//!                                           bundler-job)
//! ```
//!
//! [`layout`] says under which key each of them lies, [`reason`] why an object may be missing from
//! an archive, and [`exit`] and [`termination`] how a process tells its end. Everything parses from untrusted bytes
//! without panicking and without allocating more than a small multiple of its input.

pub mod accounts;
pub mod acknowledgement;
pub mod address;
pub mod attempt;
pub mod compacted;
pub mod etag;
pub mod existing_manifests;
pub mod exit;
pub mod figures;
pub mod group_manifest;
pub mod index;
pub mod layout;
pub mod message;
pub mod options;
pub mod reason;
pub mod receipt;
pub mod record;
pub mod row;
pub mod size;
pub mod termination;

pub use accounts::{Accounts, Counted};
pub use acknowledgement::{Acknowledgement, ResourceUid};
pub use address::S3Address;
pub use attempt::{Attempt, Group};
pub use compacted::{CompactedManifest, CompactedRange};
pub use existing_manifests::ExistingManifests;
pub use exit::{ExitCode, HasExitCode};
pub use figures::Figures;
pub use layout::{GroupName, Layout, RunName, Stage};
pub use options::{ArchiveFormat, ArchiveOptions, GroupOptions, KeyLayout, SelectOptions};
pub use reason::{LeftOut, Reason};
pub use receipt::Receipt;
pub use record::{InventoryRef, Replaced, RunClaim, RunSummary};
pub use row::{Row, RowDigest, RowRef};
pub use size::ByteSize;
pub use termination::{Termination, Verification};
