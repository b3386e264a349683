//! SDK clients for the servers, and the handful of S3 calls that every test makes: fill a bucket,
//! list it, read an object, look for uploads that nobody finished.

use std::time::Duration;

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, ResponseChecksumValidation, SharedHttpClient,
};
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use thiserror::Error;

use crate::servers::Access;

/// Tries of a call: on a busy machine a server may not answer at first.
const ATTEMPTS: u32 = 10;
/// Longest pause between two of them, which makes some 5 s in all.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// PUTs in flight in [`put_objects`]: enough to hide latency, few enough for moto.
const PUTS_AT_A_TIME: usize = 16;

/// A call that a test needed to succeed did not.
#[derive(Debug, Error)]
#[error("{operation} {target}: {cause}")]
pub struct ClientError {
    /// The API operation.
    pub operation: &'static str,
    /// `bucket` or `bucket/key`.
    pub target: String,
    /// The SDK's error with all its causes.
    pub cause: String,
}

impl ClientError {
    fn new(
        operation: &'static str,
        target: impl Into<String>,
        cause: impl std::error::Error,
    ) -> Self {
        Self {
            operation,
            target: target.into(),
            cause: DisplayErrorContext(cause).to_string(),
        }
    }
}

/// An S3 client for a server: path style, the keys of the access. It reads what is damaged, too; and
/// without its C library moto says that a CRC32 of something else is the CRC64NVME of a multipart
/// object.
pub fn s3(access: &Access) -> aws_sdk_s3::Client {
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&access.endpoint)
        .region(Region::new(access.region.clone()))
        .credentials_provider(credentials(access))
        .retry_config(retries())
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .force_path_style(true);
    if let Some(http) = https(access) {
        config = config.http_client(http);
    }
    aws_sdk_s3::Client::from_conf(config.build())
}

/// An SQS client for a server.
pub fn sqs(access: &Access) -> aws_sdk_sqs::Client {
    let mut config = aws_sdk_sqs::Config::builder()
        .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
        .endpoint_url(&access.endpoint)
        .region(Region::new(access.region.clone()))
        .credentials_provider(credentials(access))
        .retry_config(retries());
    if let Some(http) = https(access) {
        config = config.http_client(http);
    }
    aws_sdk_sqs::Client::from_conf(config.build())
}

fn credentials(access: &Access) -> Credentials {
    Credentials::new(
        &access.access_key,
        &access.secret_key,
        access.session_token.clone(),
        None,
        "testbed",
    )
}

fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(Duration::from_millis(50))
        .with_max_backoff(LONGEST_PAUSE)
}

/// A client that trusts the access's own authority; none if the endpoint needs none. An unreadable
/// file trusts nobody, which the first request then says.
fn https(access: &Access) -> Option<SharedHttpClient> {
    let file = access.certificate_authority.as_ref()?;
    let store = TrustStore::empty().with_pem_certificate(std::fs::read(file).unwrap_or_default());
    let context = TlsContext::builder().with_trust_store(store).build().ok()?;
    Some(
        aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(context)
            .build_https(),
    )
}

/// Makes a bucket.
pub async fn create_bucket(client: &aws_sdk_s3::Client, bucket: &str) -> Result<(), ClientError> {
    client
        .create_bucket()
        .bucket(bucket)
        .send()
        .await
        .map(|_| ())
        .map_err(|error| ClientError::new("CreateBucket", bucket, error))
}

/// Makes a bucket that keeps all versions.
pub async fn create_versioned_bucket(
    client: &aws_sdk_s3::Client,
    bucket: &str,
) -> Result<(), ClientError> {
    use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
    create_bucket(client, bucket).await?;
    let enabled = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    client
        .put_bucket_versioning()
        .bucket(bucket)
        .versioning_configuration(enabled)
        .send()
        .await
        .map(|_| ())
        .map_err(|error| ClientError::new("PutBucketVersioning", bucket, error))
}

/// Writes one object.
pub async fn put_object(
    client: &aws_sdk_s3::Client,
    bucket: &str,
    key: &str,
    body: impl Into<Bytes>,
) -> Result<(), ClientError> {
    client
        .put_object()
        .bucket(bucket)
        .key(key)
        .body(ByteStream::from(body.into()))
        .send()
        .await
        .map(|_| ())
        .map_err(|error| ClientError::new("PutObject", format!("{bucket}/{key}"), error))
}

/// Writes any number of objects, several at a time. The iterator is pulled only as fast as they are
/// written.
pub async fn put_objects<K, B>(
    client: &aws_sdk_s3::Client,
    bucket: &str,
    objects: impl IntoIterator<Item = (K, B)>,
) -> Result<(), ClientError>
where
    K: Into<String>,
    B: Into<Bytes>,
{
    stream::iter(objects)
        .map(|(key, body)| {
            let (key, body) = (key.into(), body.into());
            async move { put_object(client, bucket, &key, body).await }
        })
        .buffer_unordered(PUTS_AT_A_TIME)
        .try_collect::<()>()
        .await
}

/// All keys under a prefix, in the server's order.
pub async fn list_keys(
    client: &aws_sdk_s3::Client,
    bucket: &str,
    prefix: &str,
) -> Result<Vec<String>, ClientError> {
    let mut pages = client
        .list_objects_v2()
        .bucket(bucket)
        .prefix(prefix)
        .into_paginator()
        .send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| {
            ClientError::new("ListObjectsV2", format!("{bucket}/{prefix}"), error)
        })?;
        keys.extend(
            page.contents
                .unwrap_or_default()
                .into_iter()
                .filter_map(|object| object.key),
        );
    }
    Ok(keys)
}

/// Multipart uploads that are neither completed nor aborted, as (key, upload id).
pub async fn list_open_uploads(
    client: &aws_sdk_s3::Client,
    bucket: &str,
) -> Result<Vec<(String, String)>, ClientError> {
    let mut uploads = Vec::new();
    let (mut key_marker, mut upload_marker) = (None, None);
    loop {
        let page = client
            .list_multipart_uploads()
            .bucket(bucket)
            .set_key_marker(key_marker)
            .set_upload_id_marker(upload_marker)
            .send()
            .await
            .map_err(|error| ClientError::new("ListMultipartUploads", bucket, error))?;
        for upload in page.uploads() {
            uploads.push((
                upload.key().unwrap_or_default().to_owned(),
                upload.upload_id().unwrap_or_default().to_owned(),
            ));
        }
        if page.is_truncated() != Some(true) || page.next_key_marker().is_none() {
            return Ok(uploads);
        }
        key_marker = page.next_key_marker;
        upload_marker = page.next_upload_id_marker;
    }
}

/// The body of an object.
pub async fn get_bytes(
    client: &aws_sdk_s3::Client,
    bucket: &str,
    key: &str,
) -> Result<Bytes, ClientError> {
    let target = || format!("{bucket}/{key}");
    let object = client
        .get_object()
        .bucket(bucket)
        .key(key)
        .send()
        .await
        .map_err(|error| ClientError::new("GetObject", target(), error))?;
    let body = object
        .body
        .collect()
        .await
        .map_err(|error| ClientError::new("GetObject", target(), error))?;
    Ok(body.into_bytes())
}

/// Makes a queue and gives its URL.
pub async fn create_queue(client: &aws_sdk_sqs::Client, name: &str) -> Result<String, ClientError> {
    let queue = client
        .create_queue()
        .queue_name(name)
        .send()
        .await
        .map_err(|error| ClientError::new("CreateQueue", name, error))?;
    queue.queue_url.ok_or_else(|| ClientError {
        operation: "CreateQueue",
        target: name.to_owned(),
        cause: "the answer has no QueueUrl".to_owned(),
    })
}
