//! One file a command: from its arguments to its summary, and from its errors to an exit code.

pub mod bundle;
mod failures;
mod figures;
pub mod group;
pub mod run;
pub mod submit;
pub mod verify;

use std::path::PathBuf;

use s3bundler_contract::ByteSize;

use crate::failure::Failure;
use crate::inventory::Scratch;

/// Where data files of an inventory are kept.
fn scratch(directory: Option<PathBuf>, size: Option<ByteSize>) -> Result<Scratch, Failure> {
    Ok(Scratch::new(directory, size)?)
}
