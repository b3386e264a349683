//! One file a command: from its arguments to its summary, and from its errors to an exit code.

pub mod bundle;
mod failures;
mod figures;
pub mod group;
mod output;
pub mod run;
pub mod submit;
pub mod verify;

use std::path::PathBuf;

use s3bundler_contract::group_manifest::Columns;
use s3bundler_contract::{ArchiveOptions, ByteSize, RunName};

use crate::args::{OriginArgs, WorkArgs};
use crate::budget::budget;
use crate::bundle::limiter::Limits;
use crate::bundle::parts::PartLimits;
use crate::bundle::{BundleError, Settings};
use crate::destination::Destination;
use crate::failure::Failure;
use crate::group::Origin;
use crate::inventory::Scratch;

/// Where data files of an inventory are kept.
fn scratch(directory: Option<PathBuf>, size: Option<ByteSize>) -> Result<Scratch, Failure> {
    Ok(Scratch::new(directory, size)?)
}

/// Where the rows come from, if the arguments name it.
fn origin(args: &OriginArgs) -> Option<Origin> {
    let inventory = args.inventory.clone().map(Origin::Inventory);
    inventory.or_else(|| args.manifests.clone().map(Origin::Manifests))
}

/// How groups are archived. Creates the scratch directory if it does not exist.
fn settings(
    destination: Destination,
    fallback_run: RunName,
    archive: ArchiveOptions,
    fieldnames: Option<Columns>,
    work: &WorkArgs,
) -> Result<Settings, BundleError> {
    let scratch = work.scratch.clone().unwrap_or_else(std::env::temp_dir);
    std::fs::create_dir_all(&scratch).map_err(|cause| BundleError::Scratch {
        path: scratch.clone(),
        cause,
    })?;
    Ok(Settings {
        destination,
        fallback_run,
        archive,
        fieldnames,
        groups: work.groups.into(),
        limits: Limits {
            concurrency: work.concurrency.map(usize::from),
        },
        memory: budget(work.memory),
        scratch,
        scratch_size: work.scratch_size,
        parts: PartLimits::default(),
        sha256: work.sha256,
    })
}
