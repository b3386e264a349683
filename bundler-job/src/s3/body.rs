//! The body of a GET, which is proven or an error: a length that is not known is never taken for
//! one that is.
//!
//! ```text
//! headers ──► Length::Known ───────────────────────────────► read ──► checksums agree ──► Whole
//!     └─────► no Content-Length or no ETag: HEAD ────────────► ▲ │ broken, short, slow
//!                                                             └─┘ the rest, from another connection: same ETag, exact range
//! ```
//!
//! The SDK's retries end when headers arrive; a body that stops, is short or is slow is resumed
//! here.

use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::builders::HeadObjectFluentBuilder;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use bytes::Bytes;
use s3bundler_contract::{S3Address, etag};

use super::digest::{BodyDigest, md5_of_etag};
use super::error::{ErrorKind, S3Error};
use super::length::{
    Length, Rest, content_length, is_encoded, judge_rest, known_etag, total_of_range,
};
use super::min_rate::{MinRate, WINDOW};

/// Breaks in a row, with no byte between them, before a body is given up.
const MAX_BREAKS: u32 = 5;
/// Connections in a row that were too slow, before a body is given up: each has 30 s.
const MAX_SLOW: u32 = 2;
/// Code of an error: one connection after another was too slow.
const TOO_SLOW: &str = "TooSlow";
/// Code of an error: bytes, length or range are not those of the ETag.
const MISMATCH: &str = "BodyMismatch";
/// Code of an error: nothing proves that the bytes are the whole object.
const UNPROVEN: &str = "UnknownLength";

/// What a listing, such as a manifest, has of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The ETag without quotes.
    pub etag: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
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
    /// Only if the version was asked for by its id: the rest is pinned by its ETag, which needs no
    /// other permission.
    version_id: Option<String>,
    /// As the store wrote it.
    etag: Option<String>,
    /// Of objects that a manifest lists.
    listed: Option<Expected>,
    stream: ByteStream,
    digest: BodyDigest,
    /// Bytes read so far, from the start of the object.
    at: u64,
    length: Length,
    /// Whether the answer itself said how long it is, so that it ends there.
    announced: bool,
    /// The answer's Content-Encoding, until it is proven that the bytes of the object are meant.
    encoding: Option<String>,
    rate: MinRate,
    breaks: u32,
    slow: u32,
    whole: Option<Whole>,
}

impl Body {
    /// Continues from the headers of a GET of a whole object. Asks for the length and the ETag if
    /// they do not have them. An unchanged ETag with another length than `listed` is an error that
    /// [`S3Error::is_mismatch`].
    pub async fn new(
        client: Client,
        address: S3Address,
        version_id: Option<String>,
        listed: Option<Expected>,
        output: GetObjectOutput,
    ) -> Result<Self, S3Error> {
        let length = content_length(output.content_length());
        let encoding = output
            .content_encoding()
            .filter(|encoding| is_encoded(encoding))
            .map(str::to_owned);
        let range = output.content_range().map(str::to_owned);
        let modified = output.last_modified().copied();
        let mut body = Self {
            client,
            address,
            version_id,
            etag: known_etag(output.e_tag()),
            listed,
            digest: BodyDigest::new(&output),
            stream: output.body,
            at: 0,
            length,
            announced: matches!(length, Length::Known(_)),
            encoding,
            rate: MinRate::default(),
            breaks: 0,
            slow: 0,
            whole: None,
        };
        if body.etag.is_none() {
            body.identify(modified).await?;
        }
        body.find_length(range.as_deref()).await?;
        Ok(body)
    }

    /// A gateway may have taken the ETag away, or the answer may be of another server: a HEAD says
    /// whose bytes these are.
    async fn identify(&mut self, modified: Option<DateTime>) -> Result<(), S3Error> {
        let Some(modified) = modified else {
            return Err(self.error(
                ErrorKind::Foreign,
                "the answer has neither an ETag nor a Last-Modified",
            ));
        };
        // Without If-Unmodified-Since: some stores compare it with fractions of a second, which the
        // header does not have.
        let head = self.head().send().await;
        let head =
            head.map_err(|error| S3Error::new("HeadObject", self.address.clone(), &error))?;
        if head.last_modified() != Some(&modified) {
            return Err(self.replaced());
        }
        self.etag = known_etag(head.e_tag());
        self.digest.expect_md5(md5_of_etag(
            head.e_tag(),
            head.server_side_encryption(),
            head.sse_customer_algorithm(),
        ));
        match (self.length, content_length(head.content_length())) {
            (Length::Known(found), Length::Known(size)) if found != size => {
                Err(self.mismatch(format!("{found} bytes came, the object has {size}")))
            }
            (Length::Unknown, size) if self.encoding.is_none() => {
                self.length = size;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Compares the length of the answer with what is known of the object, or asks for it.
    async fn find_length(&mut self, range: Option<&str>) -> Result<(), S3Error> {
        let Length::Known(found) = self.length else {
            if let Some(total) = self.total().await? {
                self.length = Length::Known(total);
            }
            return Ok(());
        };
        if range.is_some_and(|range| total_of_range(range) != Some(found)) {
            return Err(self.mismatch("a part of it came, where all of it was asked for"));
        }
        if let Some(size) = self.expected_size() {
            if size != found {
                return Err(self.mismatch(format!(
                    "{found} bytes came, the listing has {size} for the same ETag"
                )));
            }
            self.encoding = None;
        }
        Ok(())
    }

    /// The size that the listing has, if it is of an object with the same ETag.
    fn expected_size(&self) -> Option<u64> {
        let Expected {
            etag: Some(listed),
            size,
        } = self.listed.as_ref()?
        else {
            return None;
        };
        size.filter(|_| !listed.is_empty() && listed == etag::opaque(self.etag.as_deref()))
    }

    /// Whether the only thing that speaks for a length is the answer, and something speaks against
    /// it.
    fn is_doubtful(&self) -> bool {
        let Some(listed) = &self.listed else {
            return false;
        };
        let differs =
            listed.size.is_some_and(|size| size != self.at) && self.expected_size().is_none();
        self.announced && (differs || self.at == 0)
    }

    /// How long it is.
    pub fn length(&self) -> Length {
        self.length
    }

    /// The ETag without quotes; empty if the store gave none.
    pub fn etag(&self) -> String {
        etag::unquoted(self.etag.as_deref()).to_owned()
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
            if let Some(came) = self.rate.too_slow() {
                self.slow += 1;
                self.resume(format!("{came} bytes came in {} s", WINDOW.as_secs()))
                    .await?;
                continue;
            }
            let begun = Instant::now();
            let read = tokio::time::timeout(self.rate.patience(), self.stream.next()).await;
            self.rate.waited(begun.elapsed());
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
                    if self.rate.came(length) {
                        self.slow = 0;
                    }
                    return Ok(Some(chunk));
                }
                // Its end is no sign yet: a connection that closes early looks the same.
                Ok(None) => match self.length {
                    Length::Known(end) if self.at < end => {
                        self.resume(format!("the body ended {} bytes early", end - self.at))
                            .await?;
                    }
                    Length::Known(_) | Length::Unknown => self.prove().await?,
                },
                Ok(Some(Err(_))) if self.length == Length::Known(self.at) => self.prove().await?,
                Ok(Some(Err(error))) => self.resume(error.to_string()).await?,
                // The rate says whether that was too slow.
                Err(_) => {}
            }
        }
    }

    /// All bytes came, as far as is known: they count if something independent says the same.
    async fn prove(&mut self) -> Result<(), S3Error> {
        let digested =
            std::mem::take(&mut self.digest)
                .finish()
                .map_err(|_| match self.length {
                    Length::Known(_) => {
                        self.mismatch("its bytes are not those of its ETag or checksum")
                    }
                    Length::Unknown => {
                        self.unproven("it came without Content-Length, and not all of it came")
                    }
                })?;
        if !digested.proven && (self.encoding.is_some() || self.is_doubtful()) {
            self.compare_total().await?;
        } else if !digested.proven && self.length == Length::Unknown {
            return Err(self.unproven(
                "it came without Content-Length, and nothing proves that all of it came",
            ));
        }
        self.whole = Some(Whole {
            size: self.at,
            md5: digested.md5,
            etag: self.etag(),
        });
        Ok(())
    }

    /// An answer may have been compressed or shortened on its way. It was not if it is as long as
    /// the object.
    async fn compare_total(&mut self) -> Result<(), S3Error> {
        let answered = if self.announced {
            self.length
        } else {
            Length::Known(self.at)
        };
        match self.total().await? {
            Some(total) if Length::Known(total) == answered => {
                self.encoding = None;
                Ok(())
            }
            Some(total) => Err(self.mismatch(format!(
                "the answer was changed on its way: the object has {total} bytes, not {answered}"
            ))),
            // Nothing but its encoding speaks against it.
            None if self.encoding.is_none() => Ok(()),
            None => Err(self.unproven(
                "the answer has a Content-Encoding, and nothing proves that it is the object's own",
            )),
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
            self.compare_total().await?;
        }
        self.breaks += 1;
        // A weak ETag is never equal for If-Match: such a body is read again from its start.
        let (Some(etag), Length::Known(end)) = (self.strong_etag().map(str::to_owned), self.length)
        else {
            return Err(self.error(ErrorKind::Transient, broken));
        };
        if self.slow > MAX_SLOW {
            return Err(S3Error {
                code: TOO_SLOW.to_owned(),
                ..self.error(ErrorKind::Transient, broken)
            });
        }
        if self.breaks > MAX_BREAKS {
            return Err(self.error(ErrorKind::Transient, broken));
        }
        tracing::debug!(bucket = self.address.bucket, key = ?self.address.key, at = self.at, cause = broken, "body \
            broke, resuming");
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
            Ok(output) => {
                match judge_rest(&etag, self.at, end, output.e_tag(), output.content_range()) {
                    Rest::Same => {
                        self.stream = output.body;
                        self.announced = true;
                        self.rate = MinRate::default();
                        Ok(())
                    }
                    Rest::Changed => Err(self.replaced()),
                    Rest::Other(detail) => Err(self.mismatch(detail)),
                }
            }
            Err(error) => {
                let error = S3Error::new("GetObject", self.address.clone(), &error);
                if is_out_of_range(&error) {
                    return Err(self.mismatch(format!(
                        "the answer announced {end} bytes, more than the object has"
                    )));
                }
                // Counted as one more break by the next read, which finds an empty stream.
                if error.kind.is_transient() {
                    Ok(())
                } else {
                    Err(error)
                }
            }
        }
    }

    /// The size of the object that has this body's ETag: from a listing, a HEAD, or the range of a
    /// single byte.
    async fn total(&self) -> Result<Option<u64>, S3Error> {
        if let Some(size) = self.expected_size() {
            return Ok(Some(size));
        }
        if self.etag.is_none() {
            return Ok(None);
        }
        let strong = self.strong_etag().map(str::to_owned);
        let head = self.head().set_if_match(strong.clone()).send().await;
        let head =
            head.map_err(|error| S3Error::new("HeadObject", self.address.clone(), &error))?;
        self.same(head.e_tag())?;
        if let Length::Known(size) = content_length(head.content_length())
            && head.content_encoding().is_none_or(|encoding| {
                self.encoding.as_deref() == Some(encoding) || !is_encoded(encoding)
            })
        {
            return Ok(Some(size));
        }
        let S3Address { bucket, key } = &self.address;
        let byte = self
            .client
            .get_object()
            .bucket(bucket)
            .key(key)
            .set_version_id(self.version_id.clone());
        let byte = byte.set_if_match(strong).range("bytes=0-0").send().await;
        let byte = byte.map_err(|error| S3Error::new("GetObject", self.address.clone(), &error));
        match byte {
            Ok(byte) => {
                self.same(byte.e_tag())?;
                Ok(byte.content_range().and_then(total_of_range))
            }
            // An empty object has no first byte (416).
            Err(error) if is_out_of_range(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn head(&self) -> HeadObjectFluentBuilder {
        let S3Address { bucket, key } = &self.address;
        self.client
            .head_object()
            .bucket(bucket)
            .key(key)
            .set_version_id(self.version_id.clone())
    }

    fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !etag::is_weak(etag))
    }

    fn same(&self, etag: Option<&str>) -> Result<(), S3Error> {
        if etag::opaque(etag) == etag::opaque(self.etag.as_deref()) {
            Ok(())
        } else {
            Err(self.replaced())
        }
    }

    fn replaced(&self) -> S3Error {
        self.error(ErrorKind::Precondition, "it was replaced while it was read")
    }

    fn mismatch(&self, detail: impl Into<String>) -> S3Error {
        S3Error {
            code: MISMATCH.to_owned(),
            ..self.error(ErrorKind::Transient, detail)
        }
    }

    fn unproven(&self, detail: impl Into<String>) -> S3Error {
        S3Error {
            code: UNPROVEN.to_owned(),
            ..self.error(ErrorKind::Transient, detail)
        }
    }

    fn error(&self, kind: ErrorKind, detail: impl Into<String>) -> S3Error {
        S3Error::local("GetObject", self.address.clone(), kind, detail)
    }
}

/// Whether an object has no byte where a request asked for some.
fn is_out_of_range(error: &S3Error) -> bool {
    matches!(error.code.as_str(), "InvalidRange" | "HTTP 416")
}

impl S3Error {
    /// Whether a body was too slow on one connection after another.
    pub fn is_slow(&self) -> bool {
        self.code == TOO_SLOW
    }

    /// Whether bytes, length or range that came are not those of the object's ETag.
    pub fn is_mismatch(&self) -> bool {
        self.code == MISMATCH
    }
}
