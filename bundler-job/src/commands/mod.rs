//! One file a command: from its arguments to its summary, and from its errors to an exit code.

pub mod bundle;
pub mod compact;
mod failures;
mod figures;
pub mod find;
pub mod group;
pub mod ls;
mod output;
pub mod plan;
pub mod run;
pub mod submit;
pub mod verify;

use std::path::PathBuf;

use s3bundler_common::failure::Failure;
use s3bundler_common::shutdown::Shutdown;
use s3bundler_contract::group_manifest::Columns;
use s3bundler_contract::{ArchiveOptions, ByteSize, ExitCode, RunName};

use crate::args::{OriginArgs, WorkArgs};
use crate::budget::budget;
use crate::bundle::limiter::Limits;
use crate::bundle::parts::PartLimits;
use crate::bundle::{BundleError, Settings};
use crate::destination::Destination;
use crate::group::{GroupError, Origin};
use crate::inventory::Scratch;
use crate::s3::S3;

/// Where data files of an inventory are kept.
fn scratch(directory: Option<PathBuf>, size: Option<ByteSize>) -> Result<Scratch, Failure> {
    Ok(Scratch::new(directory, size)?)
}

/// Where the rows of a run come from, if the arguments name it.
async fn origin(
    args: &OriginArgs,
    s3: &S3,
    into: Option<(&Destination, &RunName)>,
) -> Result<Option<Origin>, GroupError> {
    if let Some(deliveries) = args.deliveries() {
        return crate::group::newest(s3, into, &deliveries).await.map(Some);
    }
    let inventory = args.inventory.clone().map(Origin::Inventory);
    Ok(inventory.or_else(|| args.manifests.clone().map(Origin::Manifests)))
}

/// The end of a grouping that a signal ended.
fn ended_by(shutdown: &Shutdown) -> Failure {
    Failure::new(
        shutdown.by().unwrap_or(ExitCode::Terminated),
        "ended by a signal; the same command goes on where this one stopped",
    )
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
