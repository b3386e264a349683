//! One row of a group manifest to the bytes and facts of its object: one GET for an untagged object, whatever its size.
//!
//! Per-object trouble stays with the object and becomes a [`Reason`]; trouble that every object would have is a
//! [`FetchError`] and fails the group. Retries are owned here, from the request to the last byte: the client tries once,
//! so that every throttling is seen and slows the bucket down.

use std::io::{self, Seek as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use s3bundler_contract::{ExitCode, Reason, Row, S3Address};
use tokio::io::AsyncWriteExt as _;

use super::budget::{Budget, Held};
use super::checksum::{BodyDigest, source_checksums};
use super::copy::Copier;
use super::limiter::{Answer, Limiters};
use super::tries::{self, Next, Tries};
use super::verdict::{Verdict, reason};
use crate::catalog::Map;
use crate::s3::{Body, ErrorKind, S3, S3Error};

/// Held for a member beside its data: up to 2 KiB of user metadata, 10 tags, headers, the row, the task.
pub const OVERHEAD: u64 = 6 * 1024;
/// Held for a member that goes to scratch: what is between socket and file.
const SPILLING: u64 = 256 * 1024;

/// An object on its way into the archive, or what became of it instead.
#[derive(Debug)]
pub struct Fetched {
    /// The row, with what the GET said where there was one.
    pub row: Row,
    /// Whether the version came from the manifest.
    pub listed_version: bool,
    /// What the catalog keeps of the object.
    pub facts: Facts,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Its bytes.
    pub content: Content,
    /// The memory and scratch that they take.
    pub held: Held,
}

/// What the catalog keeps of an object beside its row.
#[derive(Debug, Default)]
pub struct Facts {
    /// MD5 in hex.
    pub md5: Option<String>,
    /// The source's own checksums.
    pub checksums: Map,
    /// Content headers.
    pub headers: Map,
    /// User metadata.
    pub metadata: Map,
    /// Tags.
    pub tags: Map,
}

/// Where an object's bytes are.
#[derive(Debug)]
pub enum Content {
    /// In memory.
    Memory(Vec<u8>),
    /// In a nameless file of the scratch directory, read from its start.
    Scratch(std::fs::File),
    /// Copied by the server to this key of the destination.
    Copied(String),
    /// Nowhere.
    Failed(ObjectFailure),
}

/// Why an object is not archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFailure {
    /// What the dead letter says.
    pub reason: Reason,
    /// S3's error code, or a word of ours if there was none.
    pub detail: String,
}

impl ObjectFailure {
    /// A failure for this reason, with S3's error code or a word of ours.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// Trouble that every object of the group would have.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The scratch directory cannot be written.
    #[error("cannot write to the scratch directory {path}: {cause}; free space there or choose another with --scratch")]
    Scratch {
        /// The directory.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Nobody answers, the bucket is not there, or the credentials are not good.
    #[error("cannot read source objects: {0}")]
    Source(S3Error),
    /// A copy of a large object could not be written.
    #[error("cannot write to the destination: {0}")]
    Destination(S3Error),
}

impl FetchError {
    /// What the process exits with when this ends it.
    pub const fn exit(&self) -> ExitCode {
        match self {
            Self::Scratch { .. } => ExitCode::Local,
            Self::Source(error) => error.reading(),
            Self::Destination(error) => error.writing(),
        }
    }
}

/// How one try at an object ended, when not well.
enum Trouble {
    /// For good.
    Object(ObjectFailure),
    /// Perhaps not the next time.
    Again(S3Error),
    /// Its bytes changed while they were read.
    Changed,
    /// Its bytes were not those of its checksum.
    Mismatch,
    /// Not this object's trouble.
    Group(FetchError),
}

impl Trouble {
    /// The error code, or a word of ours if there is none.
    fn detail(&self) -> String {
        match self {
            Self::Object(failure) => failure.detail.clone(),
            Self::Again(error) => error.code.clone(),
            Self::Changed => "PreconditionFailed".to_owned(),
            Self::Mismatch => "ChecksumMismatch".to_owned(),
            Self::Group(_) => String::new(),
        }
    }
}

/// Fetches the objects of groups.
#[derive(Debug, Clone)]
pub struct Fetcher {
    /// Where from.
    pub s3: S3,
    /// How many at a time.
    pub limiters: Arc<Limiters>,
    /// Where large members wait.
    pub scratch: PathBuf,
    /// Who copies objects that are too large.
    pub copier: Copier,
}

impl Fetcher {
    /// Memory to take before fetching `row`, where members up to `in_memory` bytes stay in memory.
    pub fn reserve(row: &Row, in_memory: u64) -> u64 {
        match row.size {
            Some(size) if size <= in_memory => size + OVERHEAD,
            // Unknown sizes are small or go to scratch.
            _ => SPILLING + OVERHEAD,
        }
    }

    /// Bytes that `row` takes of the scratch directory, as far as the manifest tells: objects that are larger by now, and
    /// those whose size it does not have, are not foreseen.
    pub fn spills(&self, row: &Row, in_memory: u64) -> Option<u64> {
        row.size.filter(|size| *size > in_memory && !self.copier.takes(*size))
    }

    /// Fetches one object. `budget` is asked, without waiting, for more memory than is held where the object has grown.
    pub async fn fetch(
        &self,
        row: Row,
        held: Held,
        reserved: u64,
        budget: Budget,
        in_memory: u64,
    ) -> Result<Fetched, FetchError> {
        let listed_version = row.version_id.is_some();
        let fetched = Fetched {
            row,
            listed_version,
            facts: Facts::default(),
            mtime: 0,
            content: Content::Failed(ObjectFailure::new(Reason::Invalid, "BadRow")),
            held,
        };
        if fetched.row.impossible().is_some() {
            return Ok(fetched);
        }
        if fetched.row.size.is_some_and(|size| self.copier.takes(size)) {
            return self.copy(fetched).await;
        }
        self.try_to_the_end(fetched, reserved, budget, in_memory).await
    }

    /// Tries until the object was read, or its failure is believed. A slot is held during a request and its body, not
    /// between tries.
    async fn try_to_the_end(
        &self,
        mut fetched: Fetched,
        reserved: u64,
        budget: Budget,
        in_memory: u64,
    ) -> Result<Fetched, FetchError> {
        let limiter = self.limiters.of(&fetched.row.bucket);
        let (turn, begun) = (limiter.turn(), Instant::now());
        let mut tries = Tries::new(false);
        loop {
            let room = Room { reserved, in_memory, budget: &budget };
            let slot = limiter.slot(turn).await;
            let tried = self.try_once(&mut fetched, room).await;
            drop(slot);
            let trouble = match tried {
                Ok(Done::Read) => return Ok(fetched),
                Ok(Done::TooLarge) => return self.copy(fetched).await,
                Err(trouble) => trouble,
            };
            let trouble_of_try = match &trouble {
                Trouble::Group(_) => None,
                Trouble::Object(failure) => Some(tries::Trouble::Object(failure.reason)),
                Trouble::Again(error) if error.kind == ErrorKind::Throttled => {
                    Some(tries::Trouble::Throttled { silent_for: limiter.silent_for() })
                }
                Trouble::Again(_) => Some(tries::Trouble::Again),
                Trouble::Changed => Some(tries::Trouble::Changed),
                Trouble::Mismatch => Some(tries::Trouble::Mismatch),
            };
            let detail = trouble.detail();
            let next = trouble_of_try.map(|trouble| tries.after(trouble, begun.elapsed()));
            let reason = match (next, trouble) {
                (_, Trouble::Group(error)) => return Err(error),
                (Some(Next::Pause(pause)), _) => {
                    tokio::time::sleep(pause).await;
                    continue;
                }
                (Some(Next::WhenAccepted) | None, _) => continue,
                (Some(Next::Doubt(_)), Trouble::Again(error)) if error.kind == ErrorKind::Unreachable => {
                    return Err(FetchError::Source(error));
                }
                (Some(Next::Doubt(reason) | Next::Failed(reason)), _) => reason,
            };
            tracing::debug!(bucket = fetched.row.bucket, key = ?fetched.row.key, %reason, detail, "object failed");
            fetched.content = Content::Failed(ObjectFailure::new(reason, detail));
            return Ok(fetched);
        }
    }

    async fn copy(&self, mut fetched: Fetched) -> Result<Fetched, FetchError> {
        match self.copier.copy(&mut fetched.row, &mut fetched.facts).await? {
            Ok(key) => fetched.content = Content::Copied(key),
            Err(failure) => fetched.content = Content::Failed(failure),
        }
        Ok(fetched)
    }

    async fn try_once(&self, fetched: &mut Fetched, room: Room<'_>) -> Result<Done, Trouble> {
        let row = &fetched.row;
        let address = S3Address::new(&row.bucket, &row.key);
        let client = self.s3.client_once(&row.bucket).await;
        let mut request = client.get_object().bucket(&row.bucket).key(&row.key);
        if fetched.listed_version {
            request = request.set_version_id(row.version_id.clone());
        }
        let output = if self.s3.knows_crc64nvme() {
            // Asked for by hand: with the SDK's own option it would hash every body a second time.
            let ask = |request: &mut aws_smithy_runtime_api::http::Request| {
                request.headers_mut().insert("x-amz-checksum-mode", "ENABLED");
            };
            request.customize().mutate_request(ask).send().await
        } else {
            request.send().await
        };
        let output = output.map_err(|error| S3Error::new("GetObject", address.clone(), &error));
        self.limiter_sees(&row.bucket, output.as_ref().err());
        let mut output = output.map_err(trouble)?;

        let size = output.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        if self.copier.takes(size) {
            fetched.row.size = Some(size);
            return Ok(Done::TooLarge);
        }
        let mut facts = facts(&mut output);
        let tags = output.tag_count().is_some_and(|count| count > 0);
        let version = output.version_id().map(str::to_owned);
        let modified = output.last_modified().copied();
        let etag = output.e_tag().map(|etag| etag.trim_matches('"').to_owned());
        let storage_class = output.storage_class().map(|class| class.as_str().to_owned());
        let mut digest = BodyDigest::new(&output);
        let mut body = Body::new(client.clone(), address, version.clone(), output);

        let more = (size + OVERHEAD).saturating_sub(room.reserved);
        let in_memory = size <= room.in_memory
            && match (more, room.budget.try_take(more)) {
                (0, _) => true,
                (_, Some(extra)) => {
                    fetched.held.memory.merge(extra);
                    true
                }
                (_, None) => false,
            };
        fetched.content = if in_memory {
            let mut data = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            while let Some(chunk) = body.next().await.map_err(trouble)? {
                digest.update(&chunk);
                data.extend_from_slice(&chunk);
            }
            Content::Memory(data)
        } else {
            Content::Scratch(self.spill(&mut body, &mut digest).await?)
        };
        facts.md5 = Some(digest.finish().map_err(|_| Trouble::Mismatch)?);
        if tags {
            let version = if fetched.listed_version { fetched.row.version_id.clone() } else { version.clone() };
            facts.tags = self.tags(&fetched.row, version).await?;
        }

        fetched.facts = facts;
        let row = &mut fetched.row;
        row.size = Some(size);
        row.etag = etag;
        row.storage_class = storage_class.or_else(|| row.storage_class.take());
        if !fetched.listed_version {
            row.version_id = version;
        }
        if let Some(modified) = modified {
            fetched.mtime = u64::try_from(modified.secs()).unwrap_or(0);
            row.last_modified = modified.fmt(aws_smithy_types::date_time::Format::DateTime).ok();
        }
        Ok(Done::Read)
    }

    async fn spill(&self, body: &mut Body, digest: &mut BodyDigest) -> Result<std::fs::File, Trouble> {
        let failed = |cause| Trouble::Group(FetchError::Scratch { path: self.scratch.clone(), cause });
        let file = tempfile::tempfile_in(&self.scratch).map_err(failed)?;
        let mut file = tokio::fs::File::from_std(file);
        while let Some(chunk) = body.next().await.map_err(trouble)? {
            digest.update(&chunk);
            file.write_all(&chunk).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        let mut file = file.into_std().await;
        file.rewind().map_err(failed)?;
        Ok(file)
    }

    /// Tags of the version that was read, under its literal key.
    async fn tags(&self, row: &Row, version: Option<String>) -> Result<Map, Trouble> {
        let client = self.s3.client_once(&row.bucket).await;
        let request = client.get_object_tagging().bucket(&row.bucket).key(&row.key).set_version_id(version);
        self.limiters.of(&row.bucket).pass().await;
        let address = S3Address::new(&row.bucket, &row.key);
        let output = request.send().await.map_err(|error| S3Error::new("GetObjectTagging", address, &error));
        self.limiter_sees(&row.bucket, output.as_ref().err());
        let output = output.map_err(trouble)?;
        Ok(output.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect())
    }

    /// Tells a bucket's limiter of an answer; a request without an answer says nothing of how busy the bucket is.
    fn limiter_sees(&self, bucket: &str, error: Option<&S3Error>) {
        let answer = match error.map(|error| error.kind) {
            Some(ErrorKind::Throttled) => Answer::Refused,
            Some(ErrorKind::Transient | ErrorKind::Unreachable) => return,
            _ => Answer::Accepted,
        };
        self.limiters.of(bucket).answered(answer);
    }
}

enum Done {
    Read,
    TooLarge,
}

#[derive(Clone, Copy)]
struct Room<'a> {
    reserved: u64,
    in_memory: u64,
    budget: &'a Budget,
}

/// Whose trouble an answer of the source is.
fn trouble(error: S3Error) -> Trouble {
    match reason(&error) {
        Verdict::Object(reason) => Trouble::Object(ObjectFailure::new(reason, error.code)),
        Verdict::Again => Trouble::Again(error),
        Verdict::Changed => Trouble::Changed,
        Verdict::Group => Trouble::Group(FetchError::Source(error)),
    }
}

/// Everything in the headers that is worth keeping.
pub fn facts(output: &mut GetObjectOutput) -> Facts {
    let missing = output.missing_meta().filter(|n| *n > 0).map(|n| n.to_string());
    let headers = [
        ("cache-control", output.cache_control()),
        ("content-disposition", output.content_disposition()),
        ("content-encoding", output.content_encoding()),
        ("content-language", output.content_language()),
        ("content-type", output.content_type()),
        ("expires", output.expires_string()),
        ("website-redirect-location", output.website_redirect_location()),
        // Metadata that cannot be given as headers: say that it is not in the catalog.
        ("x-amz-missing-meta", missing.as_deref()),
    ];
    let headers = headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    Facts {
        md5: None,
        checksums: source_checksums(output),
        headers,
        metadata: output.metadata.take().unwrap_or_default().into_iter().collect(),
        tags: Map::new(),
    }
}
