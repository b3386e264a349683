//! Where an inventory goes: a bucket, or a folder with the same layout below it.

use std::fs;
use std::path::{Path, PathBuf};

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::{InventoryError, encode_key};
use crate::client::{self, ClientError};

/// A place for inventories.
#[derive(Debug, Clone)]
pub enum Store {
    /// The destination bucket on a server.
    S3(aws_sdk_s3::Client),
    /// A folder instead of the destination bucket: keys become paths.
    Folder(PathBuf),
}

impl From<&aws_sdk_s3::Client> for Store {
    fn from(client: &aws_sdk_s3::Client) -> Self {
        Self::S3(client.clone())
    }
}

impl From<&Path> for Store {
    fn from(folder: &Path) -> Self {
        Self::Folder(folder.to_owned())
    }
}

impl Store {
    pub(super) async fn put(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
    ) -> Result<(), InventoryError> {
        match self {
            Self::S3(s3) => Ok(client::put_object(s3, bucket, key, bytes).await?),
            Self::Folder(folder) => {
                let path = path_below(folder, key)?;
                fs::write(&path, bytes).map_err(|source| InventoryError::File { path, source })
            }
        }
    }

    pub(super) async fn put_file(
        &self,
        bucket: &str,
        key: &str,
        file: &Path,
    ) -> Result<(), InventoryError> {
        match self {
            Self::S3(s3) => {
                let failed = |cause: String| ClientError {
                    operation: "PutObject",
                    target: format!("{bucket}/{key}"),
                    cause,
                };
                let body = ByteStream::from_path(file)
                    .await
                    .map_err(|error| failed(error.to_string()))?;
                let put = s3
                    .put_object()
                    .bucket(bucket)
                    .key(key)
                    .body(body)
                    .send()
                    .await;
                put.map_err(|error| {
                    failed(aws_sdk_s3::error::DisplayErrorContext(error).to_string())
                })?;
                Ok(())
            }
            Self::Folder(folder) => {
                let path = path_below(folder, key)?;
                fs::copy(file, &path)
                    .map(|_| ())
                    .map_err(|source| InventoryError::File { path, source })
            }
        }
    }

    /// Copies an object inside its bucket.
    pub(super) async fn copy(
        &self,
        bucket: &str,
        from: &str,
        to: &str,
    ) -> Result<(), InventoryError> {
        match self {
            Self::S3(s3) => {
                let copy = s3
                    .copy_object()
                    .bucket(bucket)
                    .copy_source(format!("{bucket}/{}", encode_key(from)))
                    .key(to);
                copy.send().await.map_err(|error| ClientError {
                    operation: "CopyObject",
                    target: format!("{bucket}/{from}"),
                    cause: aws_sdk_s3::error::DisplayErrorContext(error).to_string(),
                })?;
                Ok(())
            }
            Self::Folder(folder) => {
                let path = path_below(folder, to)?;
                fs::copy(folder.join(from), &path)
                    .map(|_| ())
                    .map_err(|source| InventoryError::File { path, source })
            }
        }
    }

    /// `s3://bucket/key`, or the file's path.
    pub(super) fn address(&self, bucket: &str, key: &str) -> String {
        match self {
            Self::S3(_) => format!("s3://{bucket}/{key}"),
            Self::Folder(folder) => folder.join(key).display().to_string(),
        }
    }
}

fn path_below(folder: &Path, key: &str) -> Result<PathBuf, InventoryError> {
    let path = folder.join(key);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|source| InventoryError::File {
            path: parent.to_owned(),
            source,
        })?;
    }
    Ok(path)
}
