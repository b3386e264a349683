//! The source of a copy as its first byte told it, and the condition that pins every later request
//! to it.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ChecksumMode, ServerSideEncryption};
use aws_smithy_types::date_time::Format;
use s3bundler_contract::{Layout, Row, S3Address, etag};

use super::Trouble;
use crate::bundle::source::{Facts, facts};
use crate::bundle::tags::{Known, TagTrouble, Tagged, Tags};
use crate::catalog::Map;
use crate::s3::{ErrorKind, S3, S3Error, md5_of_etag};

/// Seconds of age from which an object has settled, whatever the clocks (RFC 9110, section
/// 8.8.2.2).
const YOUNG: i64 = 60;
/// Seconds that S3 lets a clock be wrong ("Common request headers", S3 API reference,
/// `RequestTimeTooSkewed`).
const SKEW: i64 = 15 * 60;
/// More than the second that Last-Modified counts.
const SETTLES: Duration = Duration::from_secs(2);

/// A source object that is copied.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) address: S3Address,
    /// The version that the manifest lists. Only then it goes with requests: a run over current
    /// versions may lack the permissions that it needs.
    listed_version: Option<String>,
    /// The version that S3 returned.
    version: Option<String>,
    /// Without quotes, empty if there is none.
    pub(super) etag: String,
    /// The MD5 that the ETag is, if it is one.
    pub(super) md5: Option<String>,
    pub(super) size: u64,
    pub(super) pin: Pin,
    last_modified: Option<DateTime>,
    /// What is known of its tags.
    pub(super) tags: Known,
}

/// What a later request demands of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pin {
    /// This ETag, in quotes.
    ETag(String),
    /// Not modified since, for sources without a strong ETag.
    UnmodifiedSince(DateTime),
}

impl Pin {
    /// Weak ETags are never equal for If-Match (RFC 9110, section 13.1.1). `None`: the object
    /// cannot be pinned.
    pub(super) fn of(etag: Option<&str>, last_modified: Option<&DateTime>) -> Option<Self> {
        match etag::unquoted(etag) {
            bare if !bare.is_empty() && !etag::is_weak(bare) => {
                Some(Self::ETag(format!("\"{bare}\"")))
            }
            _ => last_modified.copied().map(Self::UnmodifiedSince),
        }
    }

    /// Whether an answer with these headers is of the pinned object, which was read with that
    /// Last-Modified; `None` if nothing tells.
    fn is_of(
        &self,
        read: Option<&DateTime>,
        etag: Option<&str>,
        last_modified: Option<&DateTime>,
    ) -> Option<bool> {
        match (self, etag::opaque(etag)) {
            (Self::ETag(pinned), found) if !found.is_empty() => {
                Some(etag::opaque(Some(pinned.as_str())) == found)
            }
            _ => Some(read?.secs() == last_modified?.secs()),
        }
    }

    /// How long to wait before the object is read again, so that another one cannot have the same
    /// Last-Modified: it counts seconds, so that an object is told from one that replaces it in the
    /// same second by its ETag alone. `None` if its age at `now` is enough (RFC 9110, section
    /// 8.8.2.2).
    fn settles_in(&self, now: SystemTime) -> Option<Duration> {
        let Self::UnmodifiedSince(modified) = self else {
            return None;
        };
        let age = DateTime::from(now).secs() - modified.secs();
        (-SKEW..YOUNG).contains(&age).then_some(SETTLES)
    }

    pub(super) fn etag(&self) -> Option<String> {
        match self {
            Self::ETag(etag) => Some(etag.clone()),
            Self::UnmodifiedSince(_) => None,
        }
    }

    pub(super) const fn unmodified_since(&self) -> Option<DateTime> {
        match self {
            Self::ETag(_) => None,
            Self::UnmodifiedSince(instant) => Some(*instant),
        }
    }
}

impl Source {
    /// Looks at the source, and once more if it is too young to be pinned. `None`: the object is
    /// empty.
    pub(super) async fn read(
        by: (&S3, &Tags),
        row: &mut Row,
        listed_version: Option<&str>,
        facts: &mut Facts,
    ) -> Result<Option<Self>, Trouble> {
        let first = Self::look_once(by, row, listed_version, facts).await?;
        let Some((source, wait)) = first
            .as_ref()
            .and_then(|it| Some((it, it.pin.settles_in(SystemTime::now())?)))
        else {
            return Ok(first);
        };
        tokio::time::sleep(wait).await;
        let pin = source.pin.clone();
        match Self::look_once(by, row, listed_version, facts).await? {
            Some(source) if source.pin != pin => Err(Trouble::Changed),
            settled => Ok(settled),
        }
    }

    /// GETs one byte: unlike HEAD it says why it fails, and it has metadata, headers and the number
    /// of tags. Fills in row and facts. `None`: the object is empty, of which there is no range.
    async fn look_once(
        (s3, tags): (&S3, &Tags),
        row: &mut Row,
        listed_version: Option<&str>,
        facts_out: &mut Facts,
    ) -> Result<Option<Self>, Trouble> {
        let address = S3Address::new(&row.bucket, &row.key);
        let client = s3.client(&row.bucket).await;
        let request = client
            .get_object()
            .bucket(&row.bucket)
            .key(&row.key)
            .range("bytes=0-0");
        let output = request
            .set_version_id(listed_version.map(str::to_owned))
            .send()
            .await;
        let mut output: GetObjectOutput = match output {
            Ok(output) => output,
            Err(error) => {
                let error = S3Error::new("GetObject", address, &error);
                let empty = matches!(error.code.as_str(), "InvalidRange" | "HTTP 416");
                return if empty {
                    Ok(None)
                } else {
                    Err(Trouble::judge(error))
                };
            }
        };
        let size = output
            .content_range()
            .and_then(|range| range.rsplit('/').next())
            .and_then(|size| size.parse().ok());
        let again = |detail: &str| {
            Trouble::Again(S3Error::local(
                "GetObject",
                address.clone(),
                ErrorKind::Transient,
                detail.to_owned(),
            ))
        };
        let pin = Pin::of(output.e_tag(), output.last_modified());
        let pin = pin.ok_or_else(|| again("it has neither an ETag nor a Last-Modified"))?;
        let encryption = (
            output.server_side_encryption(),
            output.sse_customer_algorithm(),
        );
        let mut source = Self {
            address: address.clone(),
            listed_version: listed_version.map(str::to_owned),
            version: output.version_id().map(str::to_owned),
            etag: etag::unquoted(output.e_tag()).to_owned(),
            md5: md5_of_etag(output.e_tag(), encryption.0, encryption.1),
            size: 0,
            pin,
            last_modified: output.last_modified().copied(),
            tags: Known::All,
        };
        source.size = match size {
            Some(size) => size,
            // The store does not know ranges. The length of this answer is not to be trusted: it
            // may be that of one byte.
            None => {
                source
                    .head(s3)
                    .await
                    .map_err(Trouble::judge)?
                    .ok_or_else(|| again("its size is not known"))?
                    .0
            }
        };
        *facts_out = facts(&mut output);
        // The ETag of such an object is not the MD5 of its bytes: `verify` has to know.
        if let Some(kms @ (ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse)) =
            output.server_side_encryption()
        {
            facts_out.headers.insert(
                "x-amz-server-side-encryption".to_owned(),
                kms.as_str().to_owned(),
            );
        }
        // Of the one byte, if of anything.
        facts_out.checksums = Map::new();
        let tagged = Tagged {
            row,
            asked: listed_version,
            read: source.version.as_deref(),
            count: output.tag_count(),
        };
        source.tags = tags
            .read_alone(tagged, facts_out)
            .await
            .map_err(|error| match error {
                TagTrouble::Changed => Trouble::Changed,
                TagTrouble::Judge(error) => Trouble::judge(error),
            })?;
        row.size = Some(source.size);
        row.etag = Some(source.etag.clone());
        if listed_version.is_none() {
            row.version_id.clone_from(&source.version);
        }
        if let Some(class) = output.storage_class() {
            row.storage_class = Some(class.as_str().to_owned());
        }
        if let Some(modified) = output.last_modified() {
            row.last_modified = modified.fmt(Format::DateTime).ok();
        }
        Ok(Some(source))
    }

    /// HEADs the pinned source; the size comes first. `None` if it has no usable length.
    pub(super) async fn head(&self, s3: &S3) -> Result<Option<(u64, HeadObjectOutput)>, S3Error> {
        let S3Address { bucket, key } = &self.address;
        let request = s3
            .client(bucket)
            .await
            .head_object()
            .bucket(bucket)
            .key(key);
        let head = request
            .set_version_id(self.listed_version.clone())
            .set_if_match(self.pin.etag())
            .set_if_unmodified_since(self.pin.unmodified_since())
            .set_checksum_mode(s3.knows_crc64nvme().then_some(ChecksumMode::Enabled))
            .send()
            .await
            .map_err(|error| S3Error::new("HeadObject", self.address.clone(), &error))?;
        // Not every store knows conditions.
        let unlike = |kind, detail: &str| {
            Err(S3Error::local(
                "HeadObject",
                self.address.clone(),
                kind,
                detail,
            ))
        };
        match self.pin.is_of(
            self.last_modified.as_ref(),
            head.e_tag(),
            head.last_modified(),
        ) {
            Some(true) => {}
            Some(false) => {
                return unlike(
                    ErrorKind::Precondition,
                    "it is not the object that was asked for",
                );
            }
            None => {
                return unlike(
                    ErrorKind::Transient,
                    "nothing in the answer tells which object it is",
                );
            }
        }
        Ok(head
            .content_length()
            .and_then(|size| u64::try_from(size).ok())
            .map(|size| (size, head)))
    }

    /// The key of its copy. The same object has the same copy in every run.
    pub(super) fn copied_to(&self, layout: &Layout) -> String {
        let S3Address { bucket, key } = &self.address;
        match &self.pin {
            Pin::ETag(_) => layout.copied_object(bucket, key, self.version.as_deref(), &self.etag),
            Pin::UnmodifiedSince(modified) => {
                // An instant that HTTP can express has a form in RFC 3339.
                let modified = modified.fmt(Format::DateTime).unwrap_or_default();
                let version = self.version.as_deref();
                layout.copied_object_without_etag(
                    bucket, key, version, &self.etag, &modified, self.size,
                )
            }
        }
    }

    /// `bucket/key?versionId=…` with the key URL-encoded ("CopyObject", `x-amz-copy-source`).
    pub(super) fn header(&self) -> String {
        let key = percent_encoding::utf8_percent_encode(&self.address.key, UNRESERVED);
        let version = self
            .listed_version
            .as_deref()
            .map(|version| format!("?versionId={version}"))
            .unwrap_or_default();
        format!("{}/{key}{version}", self.address.bucket)
    }
}

/// RFC 3986's unreserved characters and the slash stay as they are.
const UNRESERVED: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

#[cfg(test)]
mod tests;
