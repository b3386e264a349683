//! Objects too large for an archive: copied by the server, metadata, tags and content headers carried, the run's own
//! tags added, pinned to the version that was looked at.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::types::{
    CompletedMultipartUpload, CompletedPart, ServerSideEncryption, StorageClass, TaggingDirective,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use s3bundler_contract::layout::METADATA_SUFFIX;
use s3bundler_contract::{ArchiveOptions, Reason, Row, S3Address};
use tokio::sync::Mutex;

use super::facts::{Facts, facts};
use super::fetch::{FetchError, ObjectFailure};
use super::upload::{abort, open_uploads};
use super::verdict::{Verdict, reason};
use crate::args::Destination;
use crate::catalog::Map;
use crate::s3::{ErrorKind, Put, PutBody, S3, S3Error, Tags};

/// CopyObject stops here ("CopyObject", S3 API reference).
const MAX_COPY: u64 = 5 << 30;
/// Parts of a multipart copy: 10,000 of them reach S3's largest object with room to spare.
const PARTS: u64 = 9_000;
/// Part copies in flight for one object.
const IN_FLIGHT: usize = 4;
const CREATE: &str = "CreateMultipartUpload";

/// Keys and ids.
type OpenUploads = BTreeSet<(String, String)>;

/// Copies the large objects of one attempt to the destination.
#[derive(Debug, Clone)]
pub struct Copier {
    s3: S3,
    destination: Destination,
    options: ArchiveOptions,
    /// Larger objects are copied in parts of at least a tenth of it.
    max_copy: u64,
    /// Copies in parts; `None` once the attempt was given up. Locked while one is opened.
    open: Arc<Mutex<Option<OpenUploads>>>,
}

/// The object as a look at its first byte found it.
struct Source {
    address: S3Address,
    version_id: Option<String>,
    etag: String,
    size: u64,
}

impl Copier {
    /// A copier to a destination, from the size and in the storage class of `options`.
    pub fn new(s3: S3, destination: Destination, options: ArchiveOptions) -> Self {
        Self { s3, destination, options, max_copy: MAX_COPY, open: Arc::new(Mutex::new(Some(BTreeSet::new()))) }
    }

    /// How this attempt's archive is written.
    pub const fn options(&self) -> &ArchiveOptions {
        &self.options
    }

    /// Whether an object of this size is copied instead of packed.
    pub fn takes(&self, size: u64) -> bool {
        size > self.options.max_object_size.bytes()
    }

    /// Copies an object; gives the copy's key, or why the object failed. Fills in what the source said.
    pub async fn copy(&self, row: &mut Row, facts: &mut Facts) -> Result<Result<String, ObjectFailure>, FetchError> {
        let source = match self.look(row, facts).await {
            Ok(source) => source,
            Err(error) => return judge(error),
        };
        let version = source.version_id.as_deref();
        let key = self.destination.layout.copied_object(&row.bucket, &row.key, version, &source.etag);
        let copy = self.destination.address(key.clone());
        if !self.is_there(&source, &copy).await.map_err(FetchError::Destination)? {
            let tags = self.tags(&source, facts);
            let copied = if source.size <= self.max_copy {
                self.copy_whole(&source, &copy, &tags).await
            } else {
                self.copy_parts(&source, &copy, facts, &tags).await
            };
            if let Err(error) = copied {
                return judge_copy(error);
            }
        }
        if source.size > self.max_copy {
            self.sweep(&copy).await.map_err(FetchError::Destination)?;
        }
        let metadata = self.destination.address(format!("{key}{METADATA_SUFFIX}"));
        let put = Put { content_type: Some("application/json"), ..Put::default() };
        let body = PutBody::Bytes(describe(&source, row, facts).into());
        self.s3.put(&metadata, body, &put).await.map_err(FetchError::Destination)?;
        Ok(Ok(key))
    }

    /// Aborts the uploads that this attempt opened and did not complete, and lets it open no more. A failure is only
    /// logged: whoever copies the object next finds them again.
    pub async fn abort(&self) {
        let open = self.open.lock().await.take().unwrap_or_default();
        for (key, upload_id) in open {
            if let Err(error) = abort(&self.s3, &self.destination.address(key), &upload_id).await {
                tracing::warn!(%error, upload_id, "upload is left open");
            }
        }
    }

    /// Whether the copy is there already. Its key has a hash of the source's version and ETag: the size is enough.
    async fn is_there(&self, source: &Source, copy: &S3Address) -> Result<bool, S3Error> {
        let head = self.s3.head(copy).await?;
        let size = head.and_then(|head| head.content_length()).and_then(|size| u64::try_from(size).ok());
        Ok(size == Some(source.size))
    }

    /// Aborts what killed workers left open under the key of a copy that is there: nobody needs it any more.
    async fn sweep(&self, copy: &S3Address) -> Result<(), S3Error> {
        for (key, upload_id) in open_uploads(&self.s3, copy).await?.known() {
            if key == copy.key {
                abort(&self.s3, copy, &upload_id).await?;
            }
        }
        Ok(())
    }

    /// GETs one byte: unlike HEAD it says why it fails, and it gives metadata, headers and the number of tags.
    async fn look(&self, row: &mut Row, facts_out: &mut Facts) -> Result<Source, S3Error> {
        let address = S3Address::new(&row.bucket, &row.key);
        let client = self.s3.client(&row.bucket).await;
        let request = client.get_object().bucket(&row.bucket).key(&row.key).range("bytes=0-0");
        let output = request.set_version_id(row.version_id.clone()).send().await;
        let mut output: GetObjectOutput = output.map_err(|error| S3Error::new("GetObject", address.clone(), &error))?;
        let size = output.content_range().and_then(|range| range.rsplit('/').next()).and_then(|size| size.parse().ok());
        let etag = output.e_tag().unwrap_or_default().trim_matches('"').to_owned();
        let version_id = output.version_id().map(str::to_owned);
        *facts_out = facts(&mut output);
        // The ETag of such an object is not the MD5 of its bytes: `verify` has to know.
        if let Some(kms @ (ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse)) =
            output.server_side_encryption()
        {
            facts_out.headers.insert("x-amz-server-side-encryption".to_owned(), kms.as_str().to_owned());
        }
        // Of the one byte, if of anything.
        facts_out.checksums = Map::new();
        if output.tag_count().is_some_and(|count| count > 0) {
            let tags = client.get_object_tagging().bucket(&row.bucket).key(&row.key);
            let tags = tags.set_version_id(version_id.clone()).send().await;
            let tags = tags.map_err(|error| S3Error::new("GetObjectTagging", address.clone(), &error))?;
            facts_out.tags = tags.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect();
        }
        let size = size.or(row.size).unwrap_or(0);
        row.size = Some(size);
        row.etag = Some(etag.clone());
        if row.version_id.is_none() {
            row.version_id.clone_from(&version_id);
        }
        if let Some(class) = output.storage_class() {
            row.storage_class = Some(class.as_str().to_owned());
        }
        if let Some(modified) = output.last_modified() {
            row.last_modified = modified.fmt(aws_smithy_types::date_time::Format::DateTime).ok();
        }
        Ok(Source { address, version_id, etag, size })
    }

    /// The copy's tags: those of the run and, as far as they fit, the source's.
    fn tags(&self, source: &Source, facts: &Facts) -> Tags {
        let (tags, left_out) = self.s3.tags().and_of_source(&facts.tags);
        if left_out > 0 {
            let S3Address { bucket, key } = &source.address;
            tracing::debug!(%bucket, %key, left_out, "the source's tags do not all fit on the copy");
        }
        tags
    }

    async fn copy_whole(&self, source: &Source, copy: &S3Address, tags: &Tags) -> Result<(), S3Error> {
        let client = self.s3.client(&copy.bucket).await;
        // Without tags to add S3 copies the source's, whoever may read them.
        let tagging = (!self.s3.tags().is_empty()).then(|| tags.header()).flatten();
        client
            .copy_object()
            .bucket(&copy.bucket)
            .key(&copy.key)
            .copy_source(source.header())
            .copy_source_if_match(source.quoted_etag())
            .storage_class(StorageClass::from(self.options.storage_class.as_str()))
            .set_tagging_directive(tagging.is_some().then_some(TaggingDirective::Replace))
            .set_tagging(tagging)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| S3Error::new("CopyObject", source.address.clone(), &error))
    }

    /// UploadPartCopy carries neither metadata nor tags nor content headers: they go into the upload.
    async fn copy_parts(&self, source: &Source, copy: &S3Address, facts: &Facts, tags: &Tags) -> Result<(), S3Error> {
        let client = self.s3.client(&copy.bucket).await;
        let header = |name: &str| facts.headers.get(name).cloned();
        let request = client
            .create_multipart_upload()
            .bucket(&copy.bucket)
            .key(&copy.key)
            .storage_class(StorageClass::from(self.options.storage_class.as_str()))
            .set_metadata(Some(facts.metadata.clone().into_iter().collect()))
            .set_tagging(tags.header())
            .set_cache_control(header("cache-control"))
            .set_content_disposition(header("content-disposition"))
            .set_content_encoding(header("content-encoding"))
            .set_content_language(header("content-language"))
            .set_content_type(header("content-type"))
            .set_website_redirect_location(header("website-redirect-location"));
        // A task of its own: dropped in the middle, this would leave an upload open whose id nobody learns.
        let (open, address) = (Arc::clone(&self.open), copy.clone());
        let opening = tokio::spawn(async move {
            let mut open = open.lock_owned().await;
            let given_up = || S3Error::local(CREATE, address.clone(), ErrorKind::Transient, "its group was given up");
            let open = open.as_mut().ok_or_else(given_up)?;
            let upload = request.send().await.map_err(|error| S3Error::new(CREATE, address.clone(), &error))?;
            let upload_id = upload.upload_id().unwrap_or_default().to_owned();
            open.insert((address.key, upload_id.clone()));
            Ok::<_, S3Error>(upload_id)
        });
        let upload_id = opening.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        let copied = self.copy_ranges(source, copy, &upload_id).await;
        if let Some(open) = self.open.lock().await.as_mut() {
            open.remove(&(copy.key.clone(), upload_id.clone()));
        }
        let Err(error) = copied else { return Ok(()) };
        // A Complete whose answer was lost is answered NoSuchUpload when it is sent again.
        if self.is_there(source, copy).await? {
            return Ok(());
        }
        if let Err(error) = abort(&self.s3, copy, &upload_id).await {
            tracing::warn!(%error, upload_id, "upload is left open");
        }
        Err(error)
    }

    async fn copy_ranges(&self, source: &Source, copy: &S3Address, upload_id: &str) -> Result<(), S3Error> {
        let client = &self.s3.client(&copy.bucket).await;
        let part = source.size.div_ceil(PARTS).max(self.max_copy / 10).next_multiple_of(1 << 20);
        let parts: Vec<CompletedPart> =
            stream::iter((1..).zip((0..source.size).step_by(usize::try_from(part).unwrap_or(usize::MAX))))
                .map(|(number, start)| async move {
                    let end = (start + part).min(source.size) - 1;
                    let output = client
                        .upload_part_copy()
                        .bucket(&copy.bucket)
                        .key(&copy.key)
                        .upload_id(upload_id)
                        .part_number(number)
                        .copy_source(source.header())
                        .copy_source_if_match(source.quoted_etag())
                        .copy_source_range(format!("bytes={start}-{end}"))
                        .send()
                        .await
                        .map_err(|error| S3Error::new("UploadPartCopy", source.address.clone(), &error))?;
                    let etag = output.copy_part_result().and_then(|result| result.e_tag()).map(str::to_owned);
                    Ok(CompletedPart::builder().part_number(number).set_e_tag(etag).build())
                })
                .buffered(IN_FLIGHT)
                .try_collect()
                .await?;
        client
            .complete_multipart_upload()
            .bucket(&copy.bucket)
            .key(&copy.key)
            .upload_id(upload_id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .send()
            .await
            .map(|_| ())
            .map_err(|error| S3Error::new("CompleteMultipartUpload", copy.clone(), &error))
    }
}

impl Source {
    /// `bucket/key?versionId=…` with the key URL-encoded ("CopyObject", `x-amz-copy-source`).
    fn header(&self) -> String {
        let key = percent_encoding::utf8_percent_encode(&self.address.key, UNRESERVED);
        let version = self.version_id.as_deref().map(|version| format!("?versionId={version}")).unwrap_or_default();
        format!("{}/{key}{version}", self.address.bucket)
    }

    fn quoted_etag(&self) -> String {
        format!("\"{}\"", self.etag)
    }
}

/// RFC 3986's unreserved characters and the slash stay as they are.
const UNRESERVED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// What lies beside a copy, for the day when nothing else is left.
fn describe(source: &Source, row: &Row, facts: &Facts) -> Vec<u8> {
    let record = serde_json::json!({
        "format": s3bundler_contract::record::FORMAT,
        "bucket": source.address.bucket,
        "key": source.address.key,
        "versionId": row.version_id,
        "size": source.size,
        "etag": source.etag,
        "lastModified": row.last_modified,
        "storageClass": row.storage_class,
        "headers": facts.headers,
        "metadata": facts.metadata,
        "tags": facts.tags,
    });
    format!("{record:#}\n").into_bytes()
}

/// The source could be read: what is denied now is the copy, and so is every other. An upload that somebody aborted is
/// worth another pass.
fn judge_copy(error: S3Error) -> Result<Result<String, ObjectFailure>, FetchError> {
    match (error.kind, error.code.as_str()) {
        (ErrorKind::Denied | ErrorKind::Credentials | ErrorKind::NoBucket | ErrorKind::WrongRegion, _) => {
            Err(FetchError::Destination(error))
        }
        (ErrorKind::NotFound, "NoSuchUpload") => Ok(Err(ObjectFailure::new(Reason::Retry, error.code))),
        _ => judge(error),
    }
}

/// A failed look is the object's trouble, worth another pass, or everybody's.
fn judge(error: S3Error) -> Result<Result<String, ObjectFailure>, FetchError> {
    match reason(&error) {
        Verdict::Object(reason) => Ok(Err(ObjectFailure::new(reason, error.code))),
        Verdict::Changed => Ok(Err(ObjectFailure::new(Reason::Changed, error.code))),
        Verdict::Again => Ok(Err(ObjectFailure::new(Reason::Retry, error.code))),
        Verdict::Group => Err(FetchError::Source(error)),
    }
}

#[cfg(test)]
mod tests;
