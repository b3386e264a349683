//! The plain operations on whole objects: everything outside the hot path goes through these.

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::ChecksumMode;
use bytes::Bytes;
use s3bundler_contract::S3Address;

use super::{Body, ErrorKind, S3, S3Error};

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag without quotes.
    pub etag: String,
    /// When it was written.
    pub modified: Option<std::time::SystemTime>,
}

/// An ETag as it is compared and stored: without quotes.
pub(super) fn bare_etag(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

impl S3 {
    /// GETs an object and gives a body that resumes, and its ETag without quotes.
    pub async fn open(&self, address: &S3Address, if_match: Option<&str>) -> Result<(Body, String), S3Error> {
        let client = self.client(&address.bucket).await;
        let output: GetObjectOutput = client
            .get_object()
            .bucket(&address.bucket)
            .key(&address.key)
            .set_if_match(if_match.map(quoted))
            .send()
            .await
            .map_err(|error| S3Error::new("GetObject", address.clone(), &error))?;
        let etag = bare_etag(output.e_tag());
        Ok((Body::new(client, address.clone(), None, output), etag))
    }

    /// The bytes and the ETag of an object of at most `limit` bytes.
    pub async fn get_bytes(
        &self,
        address: &S3Address,
        if_match: Option<&str>,
        limit: u64,
    ) -> Result<(Bytes, String), S3Error> {
        let (mut body, etag) = self.open(address, if_match).await?;
        if body.remaining() > limit {
            let detail = format!("it has {} bytes, more than the {limit} that it can sensibly have", body.remaining());
            return Err(S3Error::local("GetObject", address.clone(), ErrorKind::Rejected, detail));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(body.remaining()).unwrap_or(0));
        while let Some(chunk) = body.next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok((bytes.into(), etag))
    }

    /// HEADs an object, with its checksums; `None` where it is not there.
    pub async fn head(&self, address: &S3Address) -> Result<Option<HeadObjectOutput>, S3Error> {
        let client = self.client(&address.bucket).await;
        let request =
            client.head_object().bucket(&address.bucket).key(&address.key).checksum_mode(ChecksumMode::Enabled);
        match request.send().await {
            Ok(output) => Ok(Some(output)),
            Err(error) => match S3Error::new("HeadObject", address.clone(), &error) {
                error if error.kind == ErrorKind::NotFound => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Everything under a prefix, a page of at most 1,000 at a time, in key order. `each` says whether to go on.
    pub async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        mut each: impl FnMut(Vec<Listed>) -> bool,
    ) -> Result<(), S3Error> {
        let client = self.client(bucket).await;
        let mut pages = client.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| S3Error::new("ListObjectsV2", S3Address::new(bucket, prefix), &error))?;
            let page = page.contents.unwrap_or_default().into_iter().map(|object| Listed {
                size: object.size().and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
                etag: bare_etag(object.e_tag()),
                modified: object.last_modified().and_then(|at| (*at).try_into().ok()),
                key: object.key.unwrap_or_default(),
            });
            if !each(page.collect()) {
                break;
            }
        }
        Ok(())
    }

    /// Everything under a prefix that is known to be small.
    pub async fn list_all(&self, bucket: &str, prefix: &str) -> Result<Vec<Listed>, S3Error> {
        let mut all = Vec::new();
        self.list(bucket, prefix, |page| {
            all.extend(page);
            true
        })
        .await?;
        Ok(all)
    }

    /// Deletes an object; one that is not there is deleted already.
    pub async fn delete(&self, address: &S3Address) -> Result<(), S3Error> {
        let client = self.client(&address.bucket).await;
        let request = client.delete_object().bucket(&address.bucket).key(&address.key);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match S3Error::new("DeleteObject", address.clone(), &error) {
                error if error.kind == ErrorKind::NotFound => Ok(()),
                error => Err(error),
            },
        }
    }
}
