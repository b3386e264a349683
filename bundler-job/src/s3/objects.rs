//! The plain operations on whole objects: everything outside the hot path goes through these.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek as _};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::{Request, Response};
use bytes::Bytes;
use s3bundler_common::listing::problem_of_page;
use s3bundler_contract::{S3Address, etag};
use tokio::io::AsyncWriteExt as _;

use super::length::{Rest, judge_part};
use super::{Body, ErrorKind, Length, S3, S3Error, Whole, content_length};

/// The code of an error of ours: an object has more bytes than its reader takes.
const TOO_LARGE: &str = "TooLarge";

/// Times that an object is read again, if its body broke or nothing proved it. Requests have the
/// SDK's own retries.
const BODY_RETRIES: u32 = 2;

/// Time for the first bytes of an object, from its headers on.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a part of an object, from its headers on.
const RANGE_TIMEOUT: Duration = Duration::from_mins(1);

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag without quotes.
    pub etag: String,
    /// When it was written.
    pub modified: Option<std::time::SystemTime>,
    /// As S3 spells it.
    pub storage_class: Option<String>,
}

/// Objects on a page of a listing, at most ("ListObjectsV2", S3 API reference).
pub(crate) const LISTED_AT_A_TIME: u64 = 1_000;

/// An object whose headers have come.
#[derive(Debug)]
pub struct Opened {
    /// Its bytes.
    pub body: Body,
    /// Its ETag without quotes.
    pub etag: String,
    /// User metadata.
    pub metadata: HashMap<String, String>,
}

/// An object in a file.
#[derive(Debug)]
pub struct Spooled {
    /// Nameless, at its start.
    pub file: File,
    /// Its proven size, MD5 and ETag.
    pub whole: Whole,
    /// User metadata.
    pub metadata: HashMap<String, String>,
}

/// Why an object is not in a file.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// S3 did not return it.
    #[error(transparent)]
    S3(#[from] S3Error),
    /// The file cannot be written.
    #[error("cannot write to the scratch directory: {0}")]
    Scratch(#[from] io::Error),
}

impl Opened {
    /// Reads the body into a nameless file of `directory`.
    pub async fn spool(mut self, directory: &Path) -> Result<Spooled, SpoolError> {
        let mut file = tokio::fs::File::from_std(tempfile::tempfile_in(directory)?);
        while let Some(chunk) = self.body.next().await? {
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        let mut file = file.into_std().await;
        file.rewind()?;
        let whole = self.body.into_whole()?;
        Ok(Spooled {
            file,
            whole,
            metadata: self.metadata,
        })
    }
}

impl S3Error {
    /// Whether an object exists and has more bytes than its reader takes.
    pub(crate) fn is_too_large(&self) -> bool {
        self.code == TOO_LARGE
    }
}

/// The first bytes of a body, in a limited time. Not every store knows ranges.
async fn read_up_to(
    mut body: ByteStream,
    most: usize,
    timeout: Duration,
    address: &S3Address,
) -> Result<Bytes, S3Error> {
    let broken =
        |cause: String| S3Error::local("GetObject", address.clone(), ErrorKind::Transient, cause);
    let mut bytes = Vec::new();
    let reading = async {
        while bytes.len() < most {
            let chunk = body.try_next().await;
            let Some(chunk) = chunk.map_err(|error| broken(error.to_string()))? else {
                break;
            };
            bytes.extend_from_slice(&chunk);
        }
        Ok(())
    };
    let read = tokio::time::timeout(timeout, reading).await;
    read.unwrap_or_else(|_| Err(broken("its bytes did not come in time".to_owned())))?;
    bytes.truncate(most);
    Ok(bytes.into())
}

/// Judges an answer to a request for some bytes of the object with `etag`, of `size` bytes: stores
/// may ignore If-Match, and a range that is all of the object.
fn judge_range(
    asked: &Range<u64>,
    size: u64,
    etag: &str,
    found: Option<&str>,
    range: Option<&str>,
) -> Rest {
    let whole = format!("bytes 0-{}/{size}", size.saturating_sub(1));
    let range = range.or_else(|| (*asked == (0..size)).then_some(whole.as_str()));
    judge_part(etag, asked.clone(), size, found, range)
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

impl S3 {
    /// GETs an object. With `if_match`, a bare ETag, another object than that is
    /// [`ErrorKind::Precondition`].
    pub async fn open(
        &self,
        address: &S3Address,
        if_match: Option<&str>,
    ) -> Result<Opened, S3Error> {
        // Boxed: the futures of its callers stay small.
        Box::pin(async move {
            let client = self.client(&address.bucket).await;
            let request = client
                .get_object()
                .bucket(&address.bucket)
                .key(&address.key)
                .set_if_match(if_match.map(quoted));
            let output = self.send_get(request).await;
            let mut output =
                output.map_err(|error| S3Error::new("GetObject", address.clone(), &error))?;
            // Not every store knows If-Match.
            if if_match.is_some_and(|wanted| wanted != etag::unquoted(output.e_tag())) {
                let detail = "it has another ETag than the one that was asked for";
                return Err(S3Error::local(
                    "GetObject",
                    address.clone(),
                    ErrorKind::Precondition,
                    detail,
                ));
            }
            let metadata = output.metadata.take().unwrap_or_default();
            let body = Body::new(client, address.clone(), None, None, output).await?;
            Ok(Opened {
                etag: body.etag(),
                metadata,
                body,
            })
        })
        .await
    }

    /// Sends a GET that also asks for the object's checksums, which prove its bytes if its ETag is
    /// not an MD5.
    pub(crate) async fn send_get(
        &self,
        request: GetObjectFluentBuilder,
    ) -> Result<GetObjectOutput, SdkError<GetObjectError, Response>> {
        if !self.knows_crc64nvme() {
            return request.send().await;
        }
        // By hand: with the SDK's own option it would hash every body a second time.
        let ask = |request: &mut Request| {
            request
                .headers_mut()
                .insert("x-amz-checksum-mode", "ENABLED");
        };
        request.customize().mutate_request(ask).send().await
    }

    /// The proven bytes and the ETag of an object of at most `limit` bytes.
    pub async fn get_bytes(
        &self,
        address: &S3Address,
        if_match: Option<&str>,
        limit: u64,
    ) -> Result<(Bytes, String), S3Error> {
        let mut tries = 0;
        loop {
            match Box::pin(self.get_bytes_once(address, if_match, limit)).await {
                Err(error) if error.kind.is_transient() && tries < BODY_RETRIES => tries += 1,
                result => return result,
            }
        }
    }

    async fn get_bytes_once(
        &self,
        address: &S3Address,
        if_match: Option<&str>,
        limit: u64,
    ) -> Result<(Bytes, String), S3Error> {
        let Opened { mut body, etag, .. } = self.open(address, if_match).await?;
        let too_large = |found: Length| {
            let detail =
                format!("it has {found} bytes, more than the {limit} that it can sensibly have");
            let error = S3Error::local("GetObject", address.clone(), ErrorKind::Rejected, detail);
            S3Error {
                code: TOO_LARGE.to_owned(),
                ..error
            }
        };
        let mut bytes = Vec::new();
        if let Length::Known(length) = body.length() {
            if length > limit {
                return Err(too_large(body.length()));
            }
            bytes.reserve_exact(usize::try_from(length).unwrap_or(0));
        }
        while let Some(chunk) = body.next().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > limit {
                return Err(too_large(Length::Known(bytes.len() as u64)));
            }
        }
        Ok((bytes.into(), etag))
    }

    /// Reads an object into a nameless file of `directory`. Its bytes are proven.
    pub async fn spool(
        &self,
        address: &S3Address,
        if_match: Option<&str>,
        directory: &Path,
    ) -> Result<Spooled, SpoolError> {
        let mut tries = 0;
        loop {
            let opened = self.open(address, if_match).await;
            let spooled = match opened {
                Ok(opened) => opened.spool(directory).await,
                Err(error) => Err(error.into()),
            };
            match spooled {
                Err(SpoolError::S3(error)) if error.kind.is_transient() && tries < BODY_RETRIES => {
                    tries += 1;
                }
                spooled => return spooled,
            }
        }
    }

    /// The first bytes of an object, `most` of them if it has so many, and its metadata. Nothing
    /// proves them.
    pub async fn first_bytes(
        &self,
        address: &S3Address,
        most: usize,
    ) -> Result<(Bytes, HashMap<String, String>), S3Error> {
        // Boxed: the futures of its callers stay small.
        Box::pin(async move {
            const ACTION: &str = "GetObject";
            let range = format!("bytes=0-{}", most.saturating_sub(1));
            let client = self.client(&address.bucket).await;
            let request = client
                .get_object()
                .bucket(&address.bucket)
                .key(&address.key)
                .range(range);
            let output = request
                .send()
                .await
                .map_err(|error| S3Error::new(ACTION, address.clone(), &error))?;
            let bytes = read_up_to(output.body, most, FIRST_BYTES_TIMEOUT, address).await?;
            Ok((bytes, output.metadata.unwrap_or_default()))
        })
        .await
    }

    /// Some bytes of the object with this bare ETag, of `size` bytes. Nothing proves them. Another
    /// object than that is [`ErrorKind::Precondition`].
    pub(crate) async fn range(
        &self,
        address: &S3Address,
        etag: &str,
        size: u64,
        range: Range<u64>,
    ) -> Result<Bytes, S3Error> {
        let mut tries = 0;
        loop {
            match Box::pin(self.range_once(address, etag, size, range.clone())).await {
                Err(error) if error.kind.is_transient() && tries < BODY_RETRIES => tries += 1,
                result => return result,
            }
        }
    }

    async fn range_once(
        &self,
        address: &S3Address,
        etag: &str,
        size: u64,
        range: Range<u64>,
    ) -> Result<Bytes, S3Error> {
        const ACTION: &str = "GetObject";
        let failed = |kind, problem: String| S3Error::local(ACTION, address.clone(), kind, problem);
        let Some(last) = range.end.checked_sub(1).filter(|last| *last >= range.start) else {
            return Ok(Bytes::new());
        };
        let client = self.client(&address.bucket).await;
        let request = client
            .get_object()
            .bucket(&address.bucket)
            .key(&address.key)
            .range(format!("bytes={}-{last}", range.start))
            .if_match(quoted(etag));
        let output = request
            .send()
            .await
            .map_err(|error| S3Error::new(ACTION, address.clone(), &error))?;
        match judge_range(&range, size, etag, output.e_tag(), output.content_range()) {
            Rest::Same => {}
            Rest::Changed => {
                let problem = "it has another ETag than the one that was asked for";
                return Err(failed(ErrorKind::Precondition, problem.to_owned()));
            }
            Rest::Other(problem) => return Err(failed(ErrorKind::Rejected, problem)),
        }
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let bytes = read_up_to(output.body, length, RANGE_TIMEOUT, address).await?;
        if bytes.len() < length {
            let problem = format!("{length} bytes were asked for, and {} came", bytes.len());
            return Err(failed(ErrorKind::Transient, problem));
        }
        Ok(bytes)
    }

    /// The first bytes of a version of an object, `most` of them if it has so many, and the number
    /// of tags that the answer shows. Nothing proves them.
    pub(crate) async fn peek(
        &self,
        address: &S3Address,
        version_id: Option<&str>,
        most: usize,
    ) -> Result<(Bytes, Option<i32>), S3Error> {
        // Boxed: the futures of its callers stay small.
        Box::pin(async move {
            const ACTION: &str = "GetObject";
            let client = self.client(&address.bucket).await;
            let request = client
                .get_object()
                .bucket(&address.bucket)
                .key(&address.key)
                .set_version_id(version_id.map(str::to_owned));
            // An empty object has no range.
            let ranged = request
                .clone()
                .range(format!("bytes=0-{}", most.saturating_sub(1)));
            let failed = |error| S3Error::new(ACTION, address.clone(), &error);
            let output = match ranged.send().await.map_err(failed) {
                Err(error) if matches!(error.code.as_str(), "InvalidRange" | "HTTP 416") => {
                    request.send().await.map_err(failed)?
                }
                output => output?,
            };
            let count = output.tag_count();
            let bytes = read_up_to(output.body, most, FIRST_BYTES_TIMEOUT, address).await?;
            Ok((bytes, count))
        })
        .await
    }

    /// HEADs an object, with its checksums; `None` where it is not there.
    pub async fn head(&self, address: &S3Address) -> Result<Option<HeadObjectOutput>, S3Error> {
        // Boxed: the futures of its callers stay small.
        Box::pin(async move {
            let client = self.client(&address.bucket).await;
            let request = client
                .head_object()
                .bucket(&address.bucket)
                .key(&address.key);
            // A store that does not know checksums may refuse to be asked for them.
            let request =
                request.set_checksum_mode(self.knows_crc64nvme().then_some(ChecksumMode::Enabled));
            match request.send().await {
                Ok(output) => Ok(Some(output)),
                Err(error) => match S3Error::new("HeadObject", address.clone(), &error) {
                    error if error.kind == ErrorKind::NotFound => Ok(None),
                    error => Err(error),
                },
            }
        })
        .await
    }

    /// Everything under a prefix, a page of at most 1,000 at a time, in key order. `each` says
    /// whether to go on.
    pub async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        mut each: impl FnMut(Vec<Listed>) -> bool,
    ) -> Result<(), S3Error> {
        self.pages(bucket, prefix, None, |page| {
            let page = page.contents.unwrap_or_default().into_iter().map(|object| {
                let etag = etag::unquoted(object.e_tag()).to_owned();
                let modified = object.last_modified().and_then(|at| (*at).try_into().ok());
                let storage_class = object.storage_class().map(|it| it.as_str().to_owned());
                match (content_length(object.size()), object.key) {
                    (Length::Known(size), Some(key)) => Ok(Listed {
                        key,
                        size,
                        etag,
                        modified,
                        storage_class,
                    }),
                    _ => Err("the listing has an object without a key or without a size"),
                }
            });
            Ok(each(page.collect::<Result<_, _>>()?))
        })
        .await
    }

    /// The folders under a prefix that ends in a slash: what keys have up to the next slash, in
    /// order. Keys without one are skipped.
    pub async fn folders(
        &self,
        bucket: &str,
        prefix: &str,
        mut each: impl FnMut(&str),
    ) -> Result<(), S3Error> {
        self.pages(bucket, prefix, Some("/"), |page| {
            let folders = page.common_prefixes().iter();
            folders.filter_map(|it| it.prefix()).for_each(&mut each);
            Ok(true)
        })
        .await
    }

    /// The pages of a listing, each of which is one that can be counted on. `each` says whether to
    /// go on, or what is wrong.
    async fn pages(
        &self,
        bucket: &str,
        prefix: &str,
        delimiter: Option<&str>,
        mut each: impl FnMut(ListObjectsV2Output) -> Result<bool, &'static str>,
    ) -> Result<(), S3Error> {
        const ACTION: &str = "ListObjectsV2";
        let client = self.client(bucket).await;
        let address = || S3Address::new(bucket, prefix);
        let unusable =
            |problem: &str| S3Error::local(ACTION, address(), ErrorKind::Transient, problem);
        let mut pages = client
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .set_delimiter(delimiter.map(str::to_owned))
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| S3Error::new(ACTION, address(), &error))?;
            let folders = page.common_prefixes().iter().filter_map(|it| it.prefix());
            let keys = page.contents().iter().filter_map(|object| object.key());
            if let Some(problem) = problem_of_page(
                prefix,
                keys.chain(folders),
                page.is_truncated(),
                page.next_continuation_token(),
            ) {
                return Err(unusable(problem));
            }
            if !each(page).map_err(unusable)? {
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
        let request = client
            .delete_object()
            .bucket(&address.bucket)
            .key(&address.key);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match S3Error::new("DeleteObject", address.clone(), &error) {
                error if error.kind == ErrorKind::NotFound => Ok(()),
                error => Err(error),
            },
        }
    }
}
