//! The inventory of a bucket as it is now: a listing with the inventory's columns.

use aws_sdk_s3::Client;
use jiff::Timestamp;

use super::{Column, Inventory, InventoryError, Published, Row};
use crate::client::ClientError;

/// Lists a bucket and writes its inventory into another: all versions if the columns ask for them.
/// Objects that are written later are not in it, as with S3.
pub async fn inventory_of_bucket(
    client: &Client,
    inventory: &Inventory,
) -> Result<Published, InventoryError> {
    let versions = inventory
        .columns
        .iter()
        .any(|column| column.is_of_versions());
    let rows = rows_of_bucket(client, &inventory.source_bucket, versions).await?;
    inventory.publish(client, rows).await
}

/// The rows of a bucket, in the server's order.
pub async fn rows_of_bucket(
    client: &Client,
    bucket: &str,
    versions: bool,
) -> Result<Vec<Row>, InventoryError> {
    Ok(if versions {
        list_versions(client, bucket).await?
    } else {
        list_objects(client, bucket).await?
    })
}

async fn list_objects(client: &Client, bucket: &str) -> Result<Vec<Row>, ClientError> {
    let mut pages = client
        .list_objects_v2()
        .bucket(bucket)
        .into_paginator()
        .send();
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| failed("ListObjectsV2", bucket, error))?;
        for object in page.contents() {
            let row = row(
                object.key(),
                object.size(),
                object.last_modified(),
                object.e_tag(),
            )
            .storage_class(
                object
                    .storage_class()
                    .map_or("STANDARD", |class| class.as_str()),
            );
            rows.push(match object.checksum_algorithm() {
                [algorithm, ..] => row.with(Column::ChecksumAlgorithm, algorithm.as_str()),
                [] => row,
            });
        }
    }
    Ok(rows)
}

async fn list_versions(client: &Client, bucket: &str) -> Result<Vec<Row>, ClientError> {
    let mut rows = Vec::new();
    let (mut key_marker, mut version_marker) = (None, None);
    loop {
        let page = client
            .list_object_versions()
            .bucket(bucket)
            .set_key_marker(key_marker)
            .set_version_id_marker(version_marker)
            .send()
            .await
            .map_err(|error| failed("ListObjectVersions", bucket, error))?;
        for version in page.versions() {
            rows.push(
                row(
                    version.key(),
                    version.size(),
                    version.last_modified(),
                    version.e_tag(),
                )
                .version(
                    version_id(version.version_id()),
                    version.is_latest().unwrap_or_default(),
                )
                .storage_class(
                    version
                        .storage_class()
                        .map_or("STANDARD", |class| class.as_str()),
                ),
            );
        }
        for marker in page.delete_markers() {
            let latest = marker.is_latest().unwrap_or_default();
            let row = Row::delete_marker(
                marker.key().unwrap_or_default(),
                version_id(marker.version_id()),
                latest,
            );
            rows.push(row.last_modified(date(marker.last_modified())));
        }
        if page.is_truncated() != Some(true) || page.next_key_marker().is_none() {
            break;
        }
        key_marker = page.next_key_marker;
        version_marker = page.next_version_id_marker;
    }
    // Versions of one key side by side, newest first, as S3 writes them.
    rows.sort_by(|a, b| {
        a.key
            .cmp(&b.key)
            .then(b.is_latest.cmp(&a.is_latest))
            .then(b.last_modified.cmp(&a.last_modified))
    });
    Ok(rows)
}

fn row(
    key: Option<&str>,
    size: Option<i64>,
    last_modified: Option<&aws_sdk_s3::primitives::DateTime>,
    etag: Option<&str>,
) -> Row {
    Row::new(
        key.unwrap_or_default(),
        size.and_then(|size| u64::try_from(size).ok())
            .unwrap_or_default(),
    )
    .etag(etag.unwrap_or_default().trim_matches('"'))
    .last_modified(date(last_modified))
}

/// S3 lists the null version as `null`; inventories leave its id empty.
fn version_id(id: Option<&str>) -> &str {
    id.filter(|id| *id != "null").unwrap_or_default()
}

fn date(date: Option<&aws_sdk_s3::primitives::DateTime>) -> Timestamp {
    date.and_then(|date| Timestamp::new(date.secs(), 0).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

fn failed(operation: &'static str, bucket: &str, error: impl std::error::Error) -> ClientError {
    let cause = aws_sdk_s3::error::DisplayErrorContext(error).to_string();
    ClientError {
        operation,
        target: bucket.to_owned(),
        cause,
    }
}
