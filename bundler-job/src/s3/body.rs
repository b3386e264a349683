//! The body of a GET, which is proven or an error: a length that is not known is never taken for one that is.
//!
//! ```text
//! headers ──► Length::Known ───────────────────────────────► read ──► checksums agree ──► Whole
//!     └─────► no Content-Length: HEAD of the same ETag ──────► ▲ │ broken, short, slow
//!                                                             └─┘ the rest, from another connection: same ETag, exact range
//! ```
//!
//! The SDK's retries end when headers arrive; a body that stops, is short or is slow is resumed here.

use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use s3bundler_contract::S3Address;

use super::digest::BodyDigest;
use super::error::{ErrorKind, S3Error};
use super::length::{Length, Rest, bare_etag, content_length, is_encoded, rest, total_of_range};
use super::pace::Pace;

/// Breaks in a row, with no byte between them, before a body is given up.
const MAX_BREAKS: u32 = 5;
/// Code of an error: bytes, length or range are not those of the ETag.
const MISMATCH: &str = "BodyMismatch";
/// Code of an error: nothing proves that the bytes are the whole object.
const UNPROVEN: &str = "UnknownLength";

/// The size that a listing, such as a manifest, has for an ETag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The ETag without quotes.
    pub etag: String,
    /// Bytes.
    pub size: u64,
}

/// A body that was read to its end, and that is the object's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Bytes.
    pub size: u64,
    /// MD5 in hex.
    pub md5: String,
    /// The ETag without quotes; empty if the store gave none.
    pub etag: String,
}

/// The body of one object version, read in order.
#[derive(Debug)]
pub struct Body {
    client: Client,
    address: S3Address,
    /// Only if the version was asked for by its id: the rest is pinned by its ETag, which needs no other permission.
    version_id: Option<String>,
    /// As the store wrote it.
    etag: Option<String>,
    expected: Option<Expected>,
    stream: ByteStream,
    digest: BodyDigest,
    /// Bytes read so far, from the start of the object.
    at: u64,
    length: Length,
    /// Whether the answer itself said how long it is, so that it ends there.
    announced: bool,
    /// The answer's Content-Encoding, until it is proven that the bytes of the object are meant.
    encoding: Option<String>,
    pace: Pace,
    breaks: u32,
    slow: u32,
    whole: Option<Whole>,
}

impl Body {
    /// Continues from the headers of a GET of a whole object. Asks for the length if they do not have it. An unchanged
    /// ETag with another length than `expected` is an error that [`S3Error::is_mismatch`].
    pub async fn new(
        client: Client,
        address: S3Address,
        version_id: Option<String>,
        expected: Option<Expected>,
        output: GetObjectOutput,
    ) -> Result<Self, S3Error> {
        let length = content_length(output.content_length());
        let announced = matches!(length, Length::Known(_));
        let etag = output.e_tag().map(str::to_owned);
        let expected = expected.filter(|expected| expected.etag == bare_etag(output.e_tag()));
        let encoding = output.content_encoding().filter(|encoding| is_encoded(encoding)).map(str::to_owned);
        let range = output.content_range().map(str::to_owned);
        let digest = BodyDigest::new(&output);
        let mut body = Self {
            client,
            address,
            version_id,
            etag,
            expected,
            stream: output.body,
            digest,
            at: 0,
            length,
            announced,
            encoding,
            pace: Pace::default(),
            breaks: 0,
            slow: 0,
            whole: None,
        };
        if let Length::Known(found) = body.length {
            if range.is_some_and(|range| total_of_range(&range) != Some(found)) {
                return Err(body.mismatch("a part of it came, where all of it was asked for"));
            }
            if let Some(expected) = &body.expected {
                if expected.size != found {
                    let detail = format!("{found} bytes came, the listing has {} for the same ETag", expected.size);
                    return Err(body.mismatch(detail));
                }
                body.encoding = None;
            }
        } else if let Some(total) = body.total().await? {
            body.length = Length::Known(total);
        }
        Ok(body)
    }

    /// How long it is.
    pub fn length(&self) -> Length {
        self.length
    }

    /// The ETag without quotes; empty if the store gave none.
    pub fn etag(&self) -> String {
        bare_etag(self.etag.as_deref())
    }

    /// What was read. An error before [`Body::next`] has come to the end.
    pub fn into_whole(self) -> Result<Whole, S3Error> {
        match self.whole {
            Some(whole) => Ok(whole),
            None => Err(self.unproven("it was not read to its end")),
        }
    }

    /// The next bytes; `None` once the whole body has come and is proven. A replaced object is
    /// [`ErrorKind::Precondition`], a body that nothing proves is transient.
    pub async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        loop {
            if self.whole.is_some() {
                return Ok(None);
            }
            if self.length == Length::Known(self.at) && self.announced {
                self.prove().await?;
                continue;
            }
            if let Some(too_slow) = self.pace.too_slow() {
                self.slow += 1;
                self.resume(too_slow).await?;
                continue;
            }
            let begun = Instant::now();
            let read = tokio::time::timeout(self.pace.patience(), self.stream.next()).await;
            self.pace.waited(begun.elapsed());
            match read {
                Ok(Some(Ok(chunk))) if chunk.is_empty() => {}
                Ok(Some(Ok(chunk))) => {
                    let length = chunk.len() as u64;
                    self.at += length;
                    if matches!(self.length, Length::Known(end) if self.at > end) {
                        return Err(self.mismatch("the body is longer than the object"));
                    }
                    self.digest.update(&chunk);
                    self.breaks = 0;
                    if self.pace.came(length) {
                        self.slow = 0;
                    }
                    return Ok(Some(chunk));
                }
                // Its end is no sign yet: a connection that closes early looks the same.
                Ok(None) => match self.length {
                    Length::Known(end) if self.at < end => {
                        self.resume(format!("the body ended {} bytes early", end - self.at)).await?;
                    }
                    Length::Known(_) | Length::Unknown => self.prove().await?,
                },
                Ok(Some(Err(_))) if self.length == Length::Known(self.at) => self.prove().await?,
                Ok(Some(Err(error))) => self.resume(error.to_string()).await?,
                // The pace says whether that was too slow.
                Err(_) => {}
            }
        }
    }

    /// All bytes came, as far as is known: they count if something independent says the same.
    async fn prove(&mut self) -> Result<(), S3Error> {
        let digested = std::mem::take(&mut self.digest).finish().map_err(|_| match self.length {
            Length::Known(_) => self.mismatch("its bytes are not those of its ETag or checksum"),
            Length::Unknown => self.unproven("it came without Content-Length, and not all of it came"),
        })?;
        if !digested.proven && self.encoding.is_some() {
            self.explain_encoding().await?;
        } else if !digested.proven && self.length == Length::Unknown {
            return Err(self.unproven("it came without Content-Length, and nothing proves that all of it came"));
        }
        self.whole = Some(Whole { size: self.at, md5: digested.md5, etag: self.etag() });
        Ok(())
    }

    /// An answer with a Content-Encoding may have been compressed on its way. It was not if it is as long as the object.
    async fn explain_encoding(&mut self) -> Result<(), S3Error> {
        let answered = if self.announced { self.length } else { Length::Known(self.at) };
        match self.total().await? {
            Some(total) if Length::Known(total) == answered => {
                self.encoding = None;
                Ok(())
            }
            Some(total) => Err(self
                .mismatch(format!("the answer is encoded on its way: the object has {total} bytes, not {answered}"))),
            None => {
                Err(self.unproven("the answer has a Content-Encoding, and nothing proves that it is the object's own"))
            }
        }
    }

    async fn resume(&mut self, broken: String) -> Result<(), S3Error> {
        // This connection is not used again.
        self.stream = ByteStream::default();
        if self.encoding.is_some() {
            // The rest of the object would be added to compressed bytes.
            if !self.announced {
                return Err(self.mismatch(format!("an encoded answer broke: {broken}")));
            }
            self.explain_encoding().await?;
        }
        self.breaks += 1;
        let (Some(etag), Length::Known(end)) = (self.etag.clone(), self.length) else {
            return Err(self.error(ErrorKind::Transient, broken));
        };
        if self.breaks > MAX_BREAKS || self.slow > MAX_BREAKS {
            return Err(self.error(ErrorKind::Transient, broken));
        }
        tracing::debug!(bucket = self.address.bucket, key = ?self.address.key, at = self.at, cause = broken, "body broke, resuming");
        tokio::time::sleep(Duration::from_millis(100 << self.breaks)).await;
        let output = self
            .client
            .get_object()
            .bucket(&self.address.bucket)
            .key(&self.address.key)
            .set_version_id(self.version_id.clone())
            .if_match(&etag)
            .range(format!("bytes={}-{}", self.at, end - 1))
            .send()
            .await;
        match output {
            Ok(output) => match rest(&etag, self.at, end, output.e_tag(), output.content_range()) {
                Rest::Same => {
                    self.stream = output.body;
                    self.announced = true;
                    self.pace = Pace::default();
                    Ok(())
                }
                Rest::Changed => Err(self.error(ErrorKind::Precondition, "it was replaced while it was read")),
                Rest::Other(detail) => Err(self.mismatch(detail)),
            },
            Err(error) => {
                let error = S3Error::new("GetObject", self.address.clone(), &error);
                // Counted as one more break by the next read, which finds an empty stream.
                if error.kind.is_transient() { Ok(()) } else { Err(error) }
            }
        }
    }

    /// The size of the object that has this body's ETag: from a listing, a HEAD, or the range of a single byte.
    async fn total(&self) -> Result<Option<u64>, S3Error> {
        if let Some(expected) = &self.expected {
            return Ok(Some(expected.size));
        }
        let Some(etag) = &self.etag else { return Ok(None) };
        let S3Address { bucket, key } = &self.address;
        let head = self.client.head_object().bucket(bucket).key(key).set_version_id(self.version_id.clone());
        let head = head.if_match(etag).send().await;
        let head = head.map_err(|error| S3Error::new("HeadObject", self.address.clone(), &error))?;
        self.same(head.e_tag())?;
        if let Length::Known(size) = content_length(head.content_length())
            && head
                .content_encoding()
                .is_none_or(|encoding| self.encoding.as_deref() == Some(encoding) || !is_encoded(encoding))
        {
            return Ok(Some(size));
        }
        let byte = self.client.get_object().bucket(bucket).key(key).set_version_id(self.version_id.clone());
        let byte = byte.if_match(etag).range("bytes=0-0").send().await;
        let byte = byte.map_err(|error| S3Error::new("GetObject", self.address.clone(), &error));
        match byte {
            Ok(byte) => {
                self.same(byte.e_tag())?;
                Ok(byte.content_range().and_then(total_of_range))
            }
            // An empty object has no first byte (416).
            Err(error) if matches!(error.code.as_str(), "InvalidRange" | "HTTP 416") => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn same(&self, etag: Option<&str>) -> Result<(), S3Error> {
        if bare_etag(etag) == self.etag() {
            return Ok(());
        }
        Err(self.error(ErrorKind::Precondition, "it was replaced while it was read"))
    }

    fn mismatch(&self, detail: impl Into<String>) -> S3Error {
        S3Error { code: MISMATCH.to_owned(), ..self.error(ErrorKind::Transient, detail) }
    }

    fn unproven(&self, detail: impl Into<String>) -> S3Error {
        S3Error { code: UNPROVEN.to_owned(), ..self.error(ErrorKind::Transient, detail) }
    }

    fn error(&self, kind: ErrorKind, detail: impl Into<String>) -> S3Error {
        S3Error::local("GetObject", self.address.clone(), kind, detail)
    }
}

impl S3Error {
    /// Whether bytes, length or range that came are not those of the object's ETag.
    pub fn is_mismatch(&self) -> bool {
        self.code == MISMATCH
    }
}
