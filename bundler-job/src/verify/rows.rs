//! Which group's rows are not those of its manifest, once the sums of a run have shown that there
//! is one.

use futures_util::{StreamExt, TryStreamExt, stream};
use s3bundler_contract::message::ManifestRef;
use s3bundler_contract::{GroupName, RowDigest, S3Address};

use super::scope::Scope;
use super::{Finding, VerifyError};
use crate::bundle::ContentProblem;
use crate::bundle::manifest::{Manifest, ManifestError};
use crate::s3::ErrorKind;

/// What a group's catalog adds up to.
pub(super) struct GroupDigest {
    pub(super) group: GroupName,
    pub(super) rows: u64,
    pub(super) digest: RowDigest,
}

/// Reads the manifests of the groups and tells those that differ.
pub(super) async fn differing(
    scope: Scope<'_>,
    groups: &[GroupDigest],
) -> Result<Vec<Finding>, VerifyError> {
    let compared = stream::iter(groups).map(|group| differs(scope, group));
    let found: Vec<Option<Finding>> = compared
        .buffer_unordered(scope.request.groups.max(1))
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

async fn differs(scope: Scope<'_>, group: &GroupDigest) -> Result<Option<Finding>, VerifyError> {
    let destination = &scope.request.destination;
    let address = destination.address(
        destination
            .layout
            .group_manifest(&scope.request.run, &group.group),
    );
    let finding = |problem: String| {
        let (catalog, manifest) = (scope.catalog(&group.group), address.clone());
        Some(Finding::GroupRows {
            catalog,
            manifest,
            problem,
        })
    };
    let wanted = ManifestRef::new(address.clone(), None);
    let manifest = match Manifest::fetch(scope.s3, &wanted, None, &scope.request.scratch).await {
        Ok(manifest) => manifest,
        // The names have told of it.
        Err(ManifestError::S3(error)) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(ManifestError::S3(error)) => return Err(error.into()),
        Err(ManifestError::Scratch(cause)) => {
            return Err(VerifyError::Scratch {
                object: address.clone(),
                cause: cause.into(),
            });
        }
        Err(ManifestError::Content { problem, .. }) => return Ok(Some(damaged(address, &problem))),
        Err(error @ ManifestError::Columns { .. }) => return Ok(finding(error.to_string())),
    };
    let read = tokio::task::spawn_blocking(move || sum(&manifest)).await;
    let read = read.map_err(|cause| VerifyError::Stopped {
        address: address.clone(),
        cause,
    })?;
    Ok(match read {
        Err(problem) => finding(format!("the manifest cannot be read, {problem}")),
        Ok(Err(problem)) => Some(damaged(address, &problem)),
        Ok(Ok((rows, _))) if rows != group.rows => finding(format!(
            "{rows} in the manifest, {} in the catalog",
            group.rows
        )),
        Ok(Ok((_, digest))) if digest != group.digest => {
            finding("as many, but not the same ones".to_owned())
        }
        Ok(Ok(_)) => None,
    })
}

/// A manifest that is not what its writer recorded says nothing about the catalog.
fn damaged(manifest: S3Address, problem: &ContentProblem) -> Finding {
    Finding::DamagedManifest {
        manifest,
        problem: problem.to_string(),
    }
}

/// What its rows add up to, if it has as many as its writer recorded.
fn sum(manifest: &Manifest) -> Result<Result<(u64, RowDigest), ContentProblem>, String> {
    let mut reader = manifest.rows().map_err(|error| error.to_string())?;
    let (mut rows, mut digest) = (0, RowDigest::default());
    while let Some((row, _)) = reader.next_ref().map_err(|error| error.to_string())? {
        rows += 1;
        digest.add(row.bucket, row.key, row.version_id);
    }
    Ok(manifest.compare(rows).map(|()| (rows, digest)))
}
