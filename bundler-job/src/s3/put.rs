//! Everything that is written goes through here: every PUT and every part carries a checksum, which
//! no caller can forget. Buckets with a default retention refuse a PUT without one ("Using S3
//! Object Lock", S3 user guide). Stores that ignore checksums show by the ETag what they stored.

use std::fs::File;
use std::io;
use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedPart, StorageClass};
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use data_encoding::{BASE64, HEXLOWER};
use md5::{Digest as _, Md5};
use s3bundler_contract::{S3Address, etag};

use super::crc64nvme_to_base64;
use super::digest::md5_of_etag;
use super::file_body::{self, CHUNK, FromStart};
use super::length::known_etag;
use super::{Checksum, ErrorKind, Length, S3, S3Error, content_length};

/// Code of an error: other bytes were stored than those that were sent.
const DAMAGED: &str = "DamagedWrite";
const OTHER_BYTES: &str = "other bytes were stored than those that were sent";
/// PUTs of an object or a part whose answers are not the store's, or whose bytes were damaged on
/// their way. Each has the SDK's own retries inside.
const PUTS: u32 = 3;
/// Larger bodies are hashed on a thread that may block.
const HASHED_INLINE: usize = 64 * 1024;

/// Bytes to put.
#[derive(Debug, Clone)]
pub enum PutBody {
    /// From memory.
    Bytes(Bytes),
    /// All of a file.
    File(Arc<File>),
}

impl PutBody {
    fn size(&self) -> io::Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::File(file) => Ok(file.metadata()?.len()),
        }
    }
}

/// What goes with a PUT.
#[derive(Debug, Default)]
pub struct Put<'a> {
    /// Whether the PUT fails with [`ErrorKind::Precondition`] if the key exists.
    pub if_none_match: bool,
    /// As S3 spells it; `None` is the bucket's default.
    pub storage_class: Option<&'a str>,
    /// User metadata.
    pub metadata: &'a [(&'a str, &'a str)],
    /// MIME type.
    pub content_type: Option<&'a str>,
    /// CRC64NVME of the bytes, if it is known. Otherwise they are read once more to compute it.
    pub crc64nvme: Option<u64>,
    /// Whether the object gets the run's tags.
    pub tagged: bool,
    /// Whether a HEAD has to find the object before the answer is believed. For what nothing reads
    /// afterwards.
    pub confirm: bool,
}

/// The checksum of a body as the headers of its request.
#[derive(Debug, Default)]
struct BodyChecksum {
    crc64nvme: Option<String>,
    content_md5: Option<String>,
}

impl S3 {
    /// PUTs an object with a checksum; returns its ETag without quotes. An answer without an ETag
    /// is believed only if a HEAD finds the object: it may be the page of a proxy. If the PUT is to
    /// be confirmed, a HEAD has to find the object after every answer, and an object that the store
    /// lost is written again. If the ETag is the MD5 of other bytes, the PUT is repeated, and
    /// replaces nothing but the object with that ETag.
    ///
    /// With `--single-writer` no condition is sent. A HEAD before the PUT looks for the key
    /// instead.
    pub async fn put(
        &self,
        address: &S3Address,
        body: PutBody,
        put: &Put<'_>,
    ) -> Result<String, S3Error> {
        let (mut puts, mut damaged) = (1, None);
        loop {
            match self
                .put_once(address, body.clone(), put, damaged.as_deref())
                .await
            {
                Err(Unwritten::NotThere(_)) if puts < PUTS => {}
                Err(Unwritten::Damaged { etag, .. }) if puts < PUTS => {
                    tracing::warn!(object = %address, etag, "{OTHER_BYTES}, writing them again");
                    damaged = Some(etag);
                }
                answer => return answer.map_err(Unwritten::into_error),
            }
            puts += 1;
        }
    }

    /// `damaged` is the ETag of the object that an earlier PUT wrote, whose bytes were damaged on
    /// their way.
    async fn put_once(
        &self,
        address: &S3Address,
        body: PutBody,
        put: &Put<'_>,
        damaged: Option<&str>,
    ) -> Result<String, Unwritten> {
        // Boxed: the futures of its callers stay small.
        Box::pin(async move {
            const ACTION: &str = "PutObject";
            if put.if_none_match
                && damaged.is_none()
                && self.single_writer()
                && self.head(address).await?.is_some()
            {
                return Err(S3Error::local(
                    ACTION,
                    address.clone(),
                    ErrorKind::Precondition,
                    "the key exists",
                )
                .into());
            }
            let local = |error: io::Error| {
                S3Error::local(
                    ACTION,
                    address.clone(),
                    ErrorKind::Rejected,
                    error.to_string(),
                )
            };
            let checksum = BodyChecksum::of(self.checksum(), &body, put.crc64nvme)
                .await
                .map_err(local)?;
            let carried = checksum.crc64nvme.is_some();
            let size = body.size().map_err(local)?;
            let mut request = self
                .client(&address.bucket)
                .await
                .put_object()
                .bucket(&address.bucket)
                .key(&address.key)
                .body(stream(body.clone()).map_err(local)?)
                .set_storage_class(put.storage_class.map(StorageClass::from))
                .set_content_type(put.content_type.map(str::to_owned))
                .set_tagging(put.tagged.then(|| self.tags().header()).flatten())
                .set_content_md5(checksum.content_md5.clone())
                .set_checksum_crc64_nvme(checksum.crc64nvme.clone());
            for (name, value) in put.metadata {
                request = request.metadata(*name, *value);
            }
            match damaged {
                Some(etag) if put.if_none_match && !self.single_writer() => {
                    request = request.if_match(format!("\"{etag}\""));
                }
                None if put.if_none_match => request = request.if_none_match("*"),
                _ => {}
            }
            let output = request.send().await.map_err(|error| {
                S3Error::new(ACTION, address.clone(), &error).with_crc64nvme(carried)
            })?;
            let Some(etag) = known_etag(output.e_tag()) else {
                return match self.head(address).await? {
                    Some(head) if content_length(head.content_length()) == Length::Known(size) => {
                        Ok(etag::unquoted(head.e_tag()).to_owned())
                    }
                    _ => Err(Unwritten::NotThere(S3Error::local(
                        ACTION,
                        address.clone(),
                        ErrorKind::Foreign,
                        "the answer has no ETag, and the object was not written",
                    ))),
                };
            };
            let etag = etag::unquoted(Some(&etag)).to_owned();
            let md5 = md5_of_etag(
                output.e_tag(),
                output.server_side_encryption(),
                output.sse_customer_algorithm(),
            );
            let stored = Stored {
                crc64nvme: output.checksum_crc64_nvme(),
                md5,
            };
            if stored.is_of(&checksum, &body).await.map_err(local)? {
                if put.confirm {
                    self.confirm(address, size).await?;
                }
                return Ok(etag);
            }
            Err(Unwritten::Damaged {
                error: damaged_write(ACTION, address),
                etag,
            })
        })
        .await
    }

    /// Looks for an object whose PUT was answered with its ETag. Some stores return no length, above
    /// all of empty objects.
    async fn confirm(&self, address: &S3Address, size: u64) -> Result<(), Unwritten> {
        let head = self.head(address).await?;
        let problem = match head.map(|head| content_length(head.content_length())) {
            Some(Length::Unknown) => return Ok(()),
            Some(Length::Known(found)) if found == size => return Ok(()),
            Some(Length::Known(found)) => format!("has {found} bytes instead of {size}"),
            None => "does not exist".to_owned(),
        };
        Err(Unwritten::NotThere(S3Error::local(
            "PutObject",
            address.clone(),
            ErrorKind::Transient,
            format!("the store answered that the object was written, but it {problem}"),
        )))
    }

    /// Uploads a part with a checksum, and again if other bytes were stored. `crc64nvme` is that of
    /// its bytes.
    pub async fn put_part(
        &self,
        address: &S3Address,
        upload_id: &str,
        number: i32,
        body: PutBody,
        crc64nvme: u64,
    ) -> Result<CompletedPart, S3Error> {
        // Boxed: the futures of its callers stay small.
        Box::pin(async move {
            const ACTION: &str = "UploadPart";
            let local = |error: io::Error| {
                S3Error::local(
                    ACTION,
                    address.clone(),
                    ErrorKind::Rejected,
                    error.to_string(),
                )
            };
            let checksum = BodyChecksum::of(self.checksum(), &body, Some(crc64nvme))
                .await
                .map_err(local)?;
            let carried = checksum.crc64nvme.is_some();
            let mut puts = 1;
            loop {
                let output = self
                    .client(&address.bucket)
                    .await
                    .upload_part()
                    .bucket(&address.bucket)
                    .key(&address.key)
                    .upload_id(upload_id)
                    .part_number(number)
                    .body(stream(body.clone()).map_err(local)?)
                    .set_content_md5(checksum.content_md5.clone())
                    .set_checksum_crc64_nvme(checksum.crc64nvme.clone())
                    .send()
                    .await
                    .map_err(|error| {
                        S3Error::new(ACTION, address.clone(), &error).with_crc64nvme(carried)
                    })?;
                let md5 = md5_of_etag(
                    output.e_tag(),
                    output.server_side_encryption(),
                    output.sse_customer_algorithm(),
                );
                let stored = Stored {
                    crc64nvme: output.checksum_crc64_nvme(),
                    md5,
                };
                if stored.is_of(&checksum, &body).await.map_err(local)? {
                    let part = CompletedPart::builder()
                        .part_number(number)
                        .set_e_tag(output.e_tag);
                    return Ok(part.set_checksum_crc64_nvme(checksum.crc64nvme).build());
                }
                if puts == PUTS {
                    return Err(damaged_write(ACTION, address));
                }
                let etag = etag::unquoted(output.e_tag()).to_owned();
                tracing::warn!(object = %address, number, etag, "{OTHER_BYTES}, sending the part \
                    again");
                puts += 1;
            }
        })
        .await
    }
}

/// Why an object is not written.
enum Unwritten {
    /// The answer proves nothing, and nothing was written.
    NotThere(S3Error),
    /// Other bytes were stored. The object with this ETag has them.
    Damaged { error: S3Error, etag: String },
    /// Anything else.
    Failed(S3Error),
}

impl From<S3Error> for Unwritten {
    fn from(error: S3Error) -> Self {
        Self::Failed(error)
    }
}

impl Unwritten {
    fn into_error(self) -> S3Error {
        match self {
            Self::NotThere(error) | Self::Damaged { error, .. } | Self::Failed(error) => error,
        }
    }
}

impl S3Error {
    /// Whether a write was answered with success, and other bytes were stored.
    pub fn is_damaged_write(&self) -> bool {
        self.code == DAMAGED
    }
}

fn damaged_write(action: &'static str, address: &S3Address) -> S3Error {
    let detail = "the ETag in the answer is the MD5 of other bytes than those that were sent";
    let error = S3Error::local(action, address.clone(), ErrorKind::Transient, detail);
    S3Error {
        code: DAMAGED.to_owned(),
        ..error
    }
}

/// What an answer says of the bytes that were stored.
struct Stored<'a> {
    /// In base64.
    crc64nvme: Option<&'a str>,
    /// In hex.
    md5: Option<String>,
}

impl Stored<'_> {
    /// Whether they are those of `body`, as far as the answer says. A store that returns the
    /// checksum that it was sent has compared it, and the body is not read again.
    async fn is_of(&self, sent: &BodyChecksum, body: &PutBody) -> io::Result<bool> {
        if sent.crc64nvme.is_some() && self.crc64nvme == sent.crc64nvme.as_deref() {
            return Ok(true);
        }
        let Some(stored) = &self.md5 else {
            return Ok(true);
        };
        let content_md5 = match &sent.content_md5 {
            Some(content_md5) => Some(content_md5.clone()),
            None => {
                BodyChecksum::of(Checksum::ContentMd5, body, None)
                    .await?
                    .content_md5
            }
        };
        let stored = HEXLOWER
            .decode(stored.as_bytes())
            .map(|md5| BASE64.encode(&md5));
        Ok(stored.ok() == content_md5)
    }
}

fn stream(body: PutBody) -> io::Result<ByteStream> {
    match body {
        PutBody::Bytes(bytes) => Ok(ByteStream::from(bytes)),
        PutBody::File(file) => file_body::stream(file),
    }
}

impl BodyChecksum {
    /// The checksum of this kind. The bytes are not read if it is the CRC64NVME and known.
    async fn of(kind: Checksum, body: &PutBody, known: Option<u64>) -> io::Result<Self> {
        match (kind, known) {
            (Checksum::Crc64Nvme, Some(crc64nvme)) => Ok(Self::crc64nvme(crc64nvme)),
            (kind, _) => match body {
                PutBody::Bytes(bytes) if bytes.len() <= HASHED_INLINE => {
                    Self::read(kind, bytes.as_ref())
                }
                PutBody::Bytes(bytes) => {
                    let bytes = bytes.clone();
                    blocking(move || Self::read(kind, bytes.as_ref())).await
                }
                PutBody::File(file) => {
                    let file = FromStart::of(Arc::clone(file));
                    blocking(move || Self::read(kind, file)).await
                }
            },
        }
    }

    fn read(kind: Checksum, mut bytes: impl io::Read) -> io::Result<Self> {
        let mut crc64nvme = crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme);
        let mut md5 = Md5::new();
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = match bytes.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            match kind {
                Checksum::Crc64Nvme => crc64nvme.update(&chunk[..read]),
                Checksum::ContentMd5 => md5.update(&chunk[..read]),
            }
        }
        Ok(match kind {
            Checksum::Crc64Nvme => Self::crc64nvme(crc64nvme.finalize()),
            Checksum::ContentMd5 => Self {
                content_md5: Some(BASE64.encode(&md5.finalize())),
                ..Self::default()
            },
        })
    }

    fn crc64nvme(crc64nvme: u64) -> Self {
        Self {
            crc64nvme: Some(crc64nvme_to_base64(crc64nvme)),
            ..Self::default()
        }
    }
}

async fn blocking<T: Send + 'static>(
    hash: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(hash)
        .await
        .map_err(io::Error::other)?
}

#[cfg(test)]
mod tests;
