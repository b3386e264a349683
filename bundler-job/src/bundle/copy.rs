//! Objects too large for an archive: copied by the server, metadata, tags and content headers
//! carried, the run's own tags added, pinned to the object that the first GET returned, and
//! believed only once a HEAD has proved the copy.
//!
//! ```text
//! GET one byte ──► small: archive it │ HEAD copy ──► there ──────────────────────────► .metadata
//!      ▲                             │      └──► CopyObject or parts ──► HEAD copy ──► there
//!      └── once more if the source changed, or the answer contradicts the GET ◄─┘
//! ```
//!
//! Copies are shared between runs: they are never replaced, and no command deletes them.

mod denial;
mod description;
mod proof;
mod source;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, StorageClass, TaggingDirective};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use s3bundler_contract::{ArchiveOptions, Reason, Row, S3Address};
use tokio::sync::Mutex;

use super::source::{Facts, FetchError, ObjectFailure, Verdict, reason};
use super::tags::{self, Known};
use crate::destination::Destination;
use crate::s3::{ErrorKind, S3, S3Error, Tags};
use denial::Side;
use proof::{Proof, prove};
use source::Source;

/// CopyObject stops here ("CopyObject", S3 API reference).
const MAX_COPY: u64 = 5 << 30;
/// Parts of a multipart copy: 10,000 of them reach S3's largest object with room to spare.
const PARTS: u64 = 9_000;
/// Part copies in flight for one object.
const IN_FLIGHT: usize = 4;
/// Looks at a source that was replaced meanwhile, as often as GETs are tried.
const LOOKS: u32 = 2;
/// More tries of a copy that failed in a way that the SDK does not try again: after 0.2, 0.8 and
/// 3.2 s. One such answer alone says nothing.
const TRIES: u32 = 3;
/// The same of a copy in parts, of which every try may copy terabytes.
const TRIES_IN_PARTS: u32 = 1;
const PAUSE: Duration = Duration::from_millis(200);
const CREATE: &str = "CreateMultipartUpload";

/// Keys and ids.
type OpenUploads = BTreeSet<(String, String)>;

/// Copies the large objects of one attempt to the destination.
#[derive(Debug, Clone)]
pub struct Copier {
    s3: S3,
    destination: Destination,
    options: ArchiveOptions,
    /// See [`Copier::with_max_copy`].
    max_copy: u64,
    tags_of_sources: tags::Tags,
    /// Copies in parts; `None` once the attempt was given up. Locked while one is opened.
    open: Arc<Mutex<Option<OpenUploads>>>,
    /// Whether the store was found to refuse If-None-Match of copies.
    unconditional: Arc<AtomicBool>,
}

/// What became of an object that was to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Copied {
    /// It was copied to this key.
    To(String),
    /// It failed.
    Failed(ObjectFailure),
    /// It is not large by now: archive it as any other.
    Small,
}

/// Why an object was not copied.
#[derive(Debug)]
enum Trouble {
    /// For good.
    Object(ObjectFailure),
    /// The copy failed for a reason that a GET of the source contradicts, such as a source that
    /// does not exist.
    Contradicted(ObjectFailure),
    /// Perhaps not the next time.
    Again(S3Error),
    /// The source was replaced meanwhile.
    Changed,
    /// The object at the key of the copy is not what the source was said to be.
    OtherCopy { copy: S3Address, difference: String },
    /// Not this object's trouble.
    Group(FetchError),
}

impl Trouble {
    /// Whose trouble a failed read of the source is.
    fn judge(error: S3Error) -> Self {
        match reason(&error) {
            Verdict::Object(reason) => Self::Object(ObjectFailure::new(reason, error.code)),
            Verdict::Changed => Self::Changed,
            Verdict::Again => Self::Again(error),
            Verdict::Group => Self::Group(FetchError::Source(error)),
        }
    }

    const fn destination(error: S3Error) -> Self {
        Self::Group(FetchError::Destination(error))
    }
}

/// Number of parts in which an object of this size is copied; `None` if one request copies it.
pub(crate) fn parts_of_copy(size: u64) -> Option<u64> {
    (size > MAX_COPY).then(|| size.div_ceil(part_of_copy(size, MAX_COPY)))
}

/// Bytes of each part but the last of a copy in parts.
fn part_of_copy(size: u64, max_copy: u64) -> u64 {
    size.div_ceil(PARTS)
        .max(max_copy / 10)
        .next_multiple_of(1 << 20)
}

/// Whether the SDK has sent the request several times. It does not if the answer is one that a
/// repeated request usually gets, too, or if the error is ours.
fn was_sent_again(error: &S3Error) -> bool {
    error.kind.is_transient() && error.kind != ErrorKind::Conflict && !error.is_local()
}

impl Copier {
    /// A copier to a destination, from the size and in the storage class of `options`.
    pub fn new(
        s3: S3,
        destination: Destination,
        options: ArchiveOptions,
        tags_of_sources: tags::Tags,
    ) -> Self {
        let open = Arc::new(Mutex::new(Some(BTreeSet::new())));
        Self {
            s3,
            destination,
            options,
            max_copy: MAX_COPY,
            tags_of_sources,
            open,
            unconditional: Arc::default(),
        }
    }

    /// Sets the size in bytes above which an object is copied in parts, each of at least a tenth of
    /// it. Default: 5 GiB, the limit of CopyObject.
    #[must_use]
    pub fn with_max_copy(mut self, bytes: u64) -> Self {
        self.max_copy = bytes;
        self
    }

    /// How this attempt's archive is written.
    pub const fn options(&self) -> &ArchiveOptions {
        &self.options
    }

    /// Whether an object of this size is copied instead of packed.
    pub fn takes(&self, size: u64) -> bool {
        self.options.copies(size)
    }

    /// Copies an object, and fills in what the source said. The row's version goes with requests if
    /// it has one.
    pub async fn copy(&self, row: &mut Row, facts: &mut Facts) -> Result<Copied, FetchError> {
        let listed_version = row.version_id.clone();
        let (mut looks, mut tries) = (1, 0);
        loop {
            match self.try_once(row, listed_version.as_deref(), facts).await {
                Ok(copied) => return Ok(copied),
                Err(Trouble::Object(failure)) => return Ok(Copied::Failed(failure)),
                Err(Trouble::Contradicted(failure)) if looks == LOOKS => {
                    return Ok(Copied::Failed(failure));
                }
                Err(Trouble::Group(error)) => return Err(error),
                Err(Trouble::Again(error)) if self.is_spent(&row.bucket) => {
                    return Err(FetchError::Source(error));
                }
                Err(Trouble::Again(error))
                    if tries < self.more_tries(row) && !was_sent_again(&error) =>
                {
                    tracing::debug!(%error, "object was not copied yet");
                    tokio::time::sleep(PAUSE * 4_u32.pow(tries)).await;
                    tries += 1;
                }
                Err(Trouble::Again(error)) => {
                    tracing::debug!(%error, "object was not copied");
                    return Ok(Copied::Failed(ObjectFailure::new(
                        Reason::Retry,
                        error.code,
                    )));
                }
                Err(Trouble::Changed) if looks == LOOKS => {
                    return Ok(Copied::Failed(ObjectFailure::new(
                        Reason::Changed,
                        "PreconditionFailed",
                    )));
                }
                Err(Trouble::OtherCopy { copy, difference }) if looks == LOOKS => {
                    tracing::warn!(
                        source = %S3Address::new(&row.bucket, &row.key), %copy, difference,
                        "the object at the key of a copy is not the copy; the source was not \
                         copied: delete that object and retry the source"
                    );
                    return Ok(Copied::Failed(ObjectFailure::new(
                        Reason::ChecksumMismatch,
                        "OtherCopy",
                    )));
                }
                // One answer may have been wrong of the source.
                Err(Trouble::Changed | Trouble::Contradicted(_) | Trouble::OtherCopy { .. }) => {
                    looks += 1;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// How often a copy is tried again, by the size that the source had.
    fn more_tries(&self, row: &Row) -> u32 {
        if row.size.is_some_and(|size| size > self.max_copy) {
            TRIES_IN_PARTS
        } else {
            TRIES
        }
    }

    /// Whether source or destination was down for longer than is waited for, which is not this
    /// object's trouble.
    fn is_spent(&self, source: &str) -> bool {
        [source, &self.destination.bucket]
            .into_iter()
            .any(|bucket| self.s3.outages().is_spent(bucket))
    }

    async fn try_once(
        &self,
        row: &mut Row,
        listed_version: Option<&str>,
        facts: &mut Facts,
    ) -> Result<Copied, Trouble> {
        let Some(source) = Source::read(
            (&self.s3, &self.tags_of_sources),
            row,
            listed_version,
            facts,
        )
        .await?
        else {
            return Ok(Copied::Small);
        };
        if !self.takes(source.size) {
            return Ok(Copied::Small);
        }
        let key = source.copied_to(&self.destination.layout);
        let copy = self.destination.address(key.clone());
        if !self.is_there(&source, &copy).await? {
            let tags = self.tags(&source, facts);
            let copied = if source.size <= self.max_copy {
                self.copy_whole(&source, &copy, facts, &tags).await
            } else {
                self.copy_parts(&source, &copy, facts, &tags).await
            };
            // An answer, 200 included, is not believed. A copy whose answer was lost is there, and
            // so may be one of another worker, which a 412 tells.
            let there = self.is_there(&source, &copy).await;
            match (copied, there) {
                (_, Ok(true)) => {}
                (Err(error), Ok(false)) => {
                    return Err(self.judge_copy(error, &source, &copy, &tags).await);
                }
                (_, Err(trouble)) => return Err(trouble),
                (Ok(()), Ok(false)) => {
                    let lost = "the store answered that it was copied, but the copy does not exist";
                    return Err(Trouble::Again(S3Error::local(
                        "CopyObject",
                        copy,
                        ErrorKind::Transient,
                        lost,
                    )));
                }
            }
        }
        if source.size > self.max_copy {
            self.sweep(&copy).await;
        }
        self.describe(&source, row, facts, &key).await?;
        Ok(Copied::To(key))
    }

    /// Aborts the uploads that this attempt opened and did not complete, and lets it open no more.
    /// A failure is only logged: whoever copies the object next finds them again.
    pub async fn abort(&self) {
        let open = self.open.lock().await.take().unwrap_or_default();
        for (key, upload_id) in open {
            if let Err(error) = self
                .s3
                .abort_upload(&self.destination.address(key), &upload_id)
                .await
            {
                tracing::warn!(%error, upload_id, "upload is left open");
            }
        }
    }

    /// Whether the copy exists. Something else at its key is never replaced, since other runs may
    /// refer to it.
    async fn is_there(&self, source: &Source, copy: &S3Address) -> Result<bool, Trouble> {
        match prove(&self.s3, source, copy).await? {
            Proof::Copy => Ok(true),
            Proof::Absent => Ok(false),
            Proof::Other(difference) => Err(Trouble::OtherCopy {
                copy: copy.clone(),
                difference,
            }),
        }
    }

    /// Aborts what killed workers left open under the key of a copy that exists: no process needs
    /// it any more. A failure does not fail the group.
    async fn sweep(&self, copy: &S3Address) {
        let swept = async {
            for (key, upload_id) in self.s3.open_uploads(copy).await?.known() {
                if key == copy.key {
                    self.s3.abort_upload(copy, &upload_id).await?;
                }
            }
            Ok::<_, S3Error>(())
        };
        if let Err(error) = swept.await {
            tracing::warn!(%error, "uploads of earlier copies may be left open");
        }
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

    /// Whose trouble a copy is that was not made.
    async fn judge_copy(
        &self,
        error: S3Error,
        source: &Source,
        copy: &S3Address,
        tags: &Tags,
    ) -> Trouble {
        match (error.kind, error.code.as_str()) {
            (ErrorKind::Denied, _) => match reason(&error) {
                Verdict::Object(reason) => {
                    match self.denied_by(&error, &source.address, copy, tags).await {
                        Side::Source => {
                            let failure = ObjectFailure::new(reason, error.code);
                            Trouble::Contradicted(ObjectFailure {
                                only_copy: true,
                                ..failure
                            })
                        }
                        Side::Destination => Trouble::destination(error),
                    }
                }
                _ => Trouble::destination(error),
            },
            // The source was read just now.
            (ErrorKind::Credentials | ErrorKind::NoBucket | ErrorKind::WrongRegion, _)
            | (_, "InvalidStorageClass") => Trouble::destination(S3Error {
                address: copy.clone(),
                ..error
            }),
            (ErrorKind::Rejected, _) if error.action == CREATE => Trouble::destination(error),
            // Another process aborted it: worth another pass.
            (ErrorKind::NotFound, "NoSuchUpload") => Trouble::Again(error),
            // The destination's condition was not met, but by the time of the HEAD the object does
            // not exist.
            (ErrorKind::Precondition, _) if error.action == "CompleteMultipartUpload" => {
                Trouble::Again(error)
            }
            _ => match Trouble::judge(error) {
                Trouble::Object(failure) => Trouble::Contradicted(failure),
                trouble => trouble,
            },
        }
    }

    /// Sends a request with If-None-Match, and without if the store does not know it there.
    async fn conditionally<F>(&self, send: impl Fn(Option<String>) -> F) -> Result<(), S3Error>
    where
        F: Future<Output = Result<(), S3Error>>,
    {
        if self.unconditional.load(Ordering::Relaxed) {
            return send(None).await;
        }
        match send(Some("*".to_owned())).await {
            Err(error) if matches!(error.kind, ErrorKind::Rejected | ErrorKind::Unsupported) => {
                // Remembered only if that was the reason.
                let answer = send(None).await;
                self.unconditional.store(answer.is_ok(), Ordering::Relaxed);
                answer
            }
            answer => answer,
        }
    }

    async fn copy_whole(
        &self,
        source: &Source,
        copy: &S3Address,
        facts: &Facts,
        tags: &Tags,
    ) -> Result<(), S3Error> {
        let client = self.s3.client(&copy.bucket).await;
        // S3 copies the source's tags itself if there are none to add, and refuses to if they are
        // denied ("CopyObject", S3 API reference).
        let replaces = !self.s3.tags().is_empty() || source.tags == Known::Denied;
        let request = client
            .copy_object()
            .bucket(&copy.bucket)
            .key(&copy.key)
            .copy_source(source.header())
            .set_copy_source_if_match(source.pin.etag())
            .set_copy_source_if_unmodified_since(source.pin.unmodified_since())
            .storage_class(StorageClass::from(self.options.storage_class.as_str()))
            // The only content header that S3 does not copy ("CopyObject", S3 API reference).
            .set_website_redirect_location(facts.headers.get("website-redirect-location").cloned())
            .set_tagging_directive(replaces.then_some(TaggingDirective::Replace))
            .set_tagging(tags.header().filter(|_| replaces));
        self.conditionally(|condition| {
            let request = request.clone().set_if_none_match(condition);
            async {
                let answer = request.send().await;
                answer
                    .map(|_| ())
                    .map_err(|error| S3Error::new("CopyObject", source.address.clone(), &error))
            }
        })
        .await
    }

    /// The beginning of an upload to a copy's key.
    async fn create_upload(&self, copy: &S3Address) -> CreateMultipartUploadFluentBuilder {
        let request = self
            .s3
            .client(&copy.bucket)
            .await
            .create_multipart_upload()
            .bucket(&copy.bucket)
            .key(&copy.key);
        request.storage_class(StorageClass::from(self.options.storage_class.as_str()))
    }

    /// UploadPartCopy carries neither metadata nor tags nor content headers: they go into the
    /// upload.
    async fn copy_parts(
        &self,
        source: &Source,
        copy: &S3Address,
        facts: &Facts,
        tags: &Tags,
    ) -> Result<(), S3Error> {
        let header = |name: &str| facts.headers.get(name).cloned();
        let expires = header("expires");
        let request = self
            .create_upload(copy)
            .await
            .set_metadata(Some(facts.metadata.clone().into_iter().collect()))
            .set_tagging(tags.header())
            .set_cache_control(header("cache-control"))
            .set_content_disposition(header("content-disposition"))
            .set_content_encoding(header("content-encoding"))
            .set_content_language(header("content-language"))
            .set_content_type(header("content-type"))
            .set_website_redirect_location(header("website-redirect-location"))
            .customize()
            .mutate_request(move |request| {
                // As the source has it, which need not be a date.
                if let Some(expires) = &expires {
                    let _ = request.headers_mut().try_insert("expires", expires.clone());
                }
            });
        // A task of its own: dropped in the middle, this would leave an upload open whose id nobody
        // learns.
        let (open, address) = (Arc::clone(&self.open), copy.clone());
        let opening = tokio::spawn(async move {
            let mut open = open.lock_owned().await;
            let given_up = || {
                S3Error::local(
                    CREATE,
                    address.clone(),
                    ErrorKind::Transient,
                    "its group was given up",
                )
            };
            let open = open.as_mut().ok_or_else(given_up)?;
            let upload = request
                .send()
                .await
                .map_err(|error| S3Error::new(CREATE, address.clone(), &error))?;
            let upload_id = upload.upload_id().unwrap_or_default().to_owned();
            open.insert((address.key, upload_id.clone()));
            Ok::<_, S3Error>(upload_id)
        });
        let upload_id = opening
            .await
            .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        let copied = self.copy_ranges(source, copy, &upload_id).await;
        if copied.is_err()
            && let Err(error) = self.s3.abort_upload(copy, &upload_id).await
        {
            tracing::warn!(%error, upload_id, "upload is left open");
            return copied;
        }
        // Only now: dropped before, this upload is aborted with the attempt.
        if let Some(open) = self.open.lock().await.as_mut() {
            open.remove(&(copy.key.clone(), upload_id));
        }
        copied
    }

    async fn copy_ranges(
        &self,
        source: &Source,
        copy: &S3Address,
        upload_id: &str,
    ) -> Result<(), S3Error> {
        let client = &self.s3.client(&copy.bucket).await;
        let part = part_of_copy(source.size, self.max_copy);
        let parts: Vec<CompletedPart> = stream::iter(
            (1..).zip((0..source.size).step_by(usize::try_from(part).unwrap_or(usize::MAX))),
        )
        .map(|(number, start)| async move {
            let end = (start + part).min(source.size) - 1;
            let output = client
                .upload_part_copy()
                .bucket(&copy.bucket)
                .key(&copy.key)
                .upload_id(upload_id)
                .part_number(number)
                .copy_source(source.header())
                .set_copy_source_if_match(source.pin.etag())
                .set_copy_source_if_unmodified_since(source.pin.unmodified_since())
                .copy_source_range(format!("bytes={start}-{end}"))
                .send()
                .await
                .map_err(|error| S3Error::new("UploadPartCopy", source.address.clone(), &error))?;
            let etag = output
                .copy_part_result()
                .and_then(|result| result.e_tag())
                .map(str::to_owned);
            Ok(CompletedPart::builder()
                .part_number(number)
                .set_e_tag(etag)
                .build())
        })
        .buffered(IN_FLIGHT)
        .try_collect()
        .await?;
        let request = client
            .complete_multipart_upload()
            .bucket(&copy.bucket)
            .key(&copy.key)
            .upload_id(upload_id)
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(parts))
                    .build(),
            );
        self.conditionally(|condition| {
            let request = request.clone().set_if_none_match(condition);
            async {
                let answer = request.send().await;
                answer
                    .map(|_| ())
                    .map_err(|error| S3Error::new("CompleteMultipartUpload", copy.clone(), &error))
            }
        })
        .await
    }
}
