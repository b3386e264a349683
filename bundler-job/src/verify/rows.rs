//! Which group's rows are not those of its manifest, once the sums of a run have shown that there is one.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use futures_util::{StreamExt, TryStreamExt, stream};
use s3bundler_contract::group_manifest::{COLUMNS_METADATA, Columns, KeyEncoding, RowReader};
use s3bundler_contract::{GroupName, RowDigest, S3Address};

use super::group::Scope;
use super::{Finding, VerifyError};
use crate::s3::ErrorKind;

/// First bytes of a gzip file (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What a group's catalog adds up to.
pub(super) struct GroupDigest {
    pub(super) group: GroupName,
    pub(super) rows: u64,
    pub(super) digest: RowDigest,
}

/// Reads the manifests of the groups and tells those that differ.
pub(super) async fn differing(scope: Scope<'_>, groups: &[GroupDigest]) -> Result<Vec<Finding>, VerifyError> {
    let compared = stream::iter(groups).map(|group| differs(scope, group));
    let found: Vec<Option<Finding>> = compared.buffer_unordered(scope.request.groups.max(1)).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

async fn differs(scope: Scope<'_>, group: &GroupDigest) -> Result<Option<Finding>, VerifyError> {
    let manifest = scope.manifest(&group.group);
    let finding = |problem: String| {
        let (catalog, manifest) = (scope.catalog(&group.group), manifest.clone());
        Some(Finding::GroupRows { catalog, manifest, problem })
    };
    let head = scope.s3.head(&manifest).await?;
    let columns = head.as_ref().and_then(|head| Some(head.metadata()?.get(COLUMNS_METADATA)?.clone()));
    let file = match scope.fetch(&manifest).await {
        Ok(file) => file,
        // The names have told of it.
        Err(VerifyError::Read(error)) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let address = manifest.clone();
    let read = tokio::task::spawn_blocking(move || sum(file, columns.as_deref()));
    Ok(match read.await.map_err(|cause| VerifyError::Stopped { address, cause })? {
        Err(problem) => finding(format!("the manifest cannot be read, {problem}")),
        Ok((rows, _)) if rows != group.rows => {
            finding(format!("{rows} in the manifest, {} in the catalog", group.rows))
        }
        Ok((_, digest)) if digest != group.digest => finding("as many, but not the same ones".to_owned()),
        Ok(_) => None,
    })
}

fn sum(mut file: std::fs::File, columns: Option<&str>) -> Result<(u64, RowDigest), String> {
    let (columns, encoding) = match columns {
        Some(columns) => (columns.parse().map_err(|error| format!("{error}"))?, KeyEncoding::Literal),
        None => (Columns::seed(), KeyEncoding::FormUrl),
    };
    let io = |error: io::Error| error.to_string();
    let mut magic = Vec::new();
    Read::take(&mut file, GZIP.len() as u64).read_to_end(&mut magic).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let text: Box<dyn Read> = if magic == GZIP {
        Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(file)))
    } else {
        Box::new(file)
    };
    let mut reader = RowReader::new(text, columns, encoding);
    let (mut rows, mut digest) = (0, RowDigest::default());
    while let Some((row, _)) = reader.next_ref().map_err(|error| error.to_string())? {
        rows += 1;
        digest.add(row.bucket, row.key, row.version_id);
    }
    Ok((rows, digest))
}

impl Scope<'_> {
    /// Where the manifest of one of the run's own groups is.
    pub(super) fn manifest(&self, group: &GroupName) -> S3Address {
        let destination = &self.request.destination;
        destination.address(destination.layout.group_manifest(&self.request.run, group))
    }
}
