//! Whether the bytes that arrived are the object's: MD5 against an ETag that is one, the store's
//! own full-object checksum otherwise.

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::types::{ChecksumType, ServerSideEncryption};
use crc_fast::CrcAlgorithm;
use data_encoding::{BASE64, HEXLOWER};
use md5::{Digest, Md5};
use s3bundler_contract::etag;

/// The MD5 of a body as it arrives, and the store's own checksum if the ETag is no MD5.
#[derive(Debug, Default)]
pub(super) struct BodyDigest {
    md5: Md5,
    source: Option<(SourceHash, Vec<u8>)>,
    etag_md5: Option<String>,
}

#[derive(Debug)]
enum SourceHash {
    Crc(Box<crc_fast::Digest>, usize),
    Sha1(Box<sha1::Sha1>),
    Sha256(Box<sha2::Sha256>),
}

/// The bytes are not those that the store has a checksum of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mismatch;

/// The digest of a body that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digested {
    /// MD5 in hex.
    pub(super) md5: String,
    /// Whether the ETag or a checksum of the store agreed. Without, nothing spoke against the
    /// bytes, nor for them.
    pub(super) proven: bool,
}

impl BodyDigest {
    /// For the body that follows these headers.
    pub(super) fn new(headers: &GetObjectOutput) -> Self {
        let etag_md5 = plain_md5(headers);
        let source = if etag_md5.is_some() {
            None
        } else {
            source_hash(headers)
        };
        Self {
            md5: Md5::new(),
            source,
            etag_md5,
        }
    }

    /// Also expects this MD5, which something else than the headers has said.
    pub(super) fn expect_md5(&mut self, md5: Option<String>) {
        self.etag_md5 = self.etag_md5.take().or(md5);
    }

    /// The next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        match &mut self.source {
            Some((SourceHash::Crc(digest, _), _)) => digest.update(bytes),
            Some((SourceHash::Sha1(digest), _)) => digest.update(bytes),
            Some((SourceHash::Sha256(digest), _)) => digest.update(bytes),
            None => {}
        }
    }

    /// The digest, once the whole body was seen.
    pub(super) fn finish(self) -> Result<Digested, Mismatch> {
        let proven = self.etag_md5.is_some() || self.source.is_some();
        let md5 = HEXLOWER.encode(&self.md5.finalize());
        if self.etag_md5.is_some_and(|etag| etag != md5) {
            return Err(Mismatch);
        }
        if let Some((hash, expected)) = self.source {
            let found = match hash {
                // The last `width` bytes of the big-endian number.
                SourceHash::Crc(digest, width) => {
                    digest.finalize().to_be_bytes()[8 - width..].to_vec()
                }
                SourceHash::Sha1(digest) => digest.finalize().to_vec(),
                SourceHash::Sha256(digest) => digest.finalize().to_vec(),
            };
            if found != expected {
                return Err(Mismatch);
            }
        }
        Ok(Digested { md5, proven })
    }
}

/// An ETag is the MD5 of the object's bytes when it is not multipart (no `-`) and not under SSE-KMS
/// or SSE-C ("Common response headers", S3 API reference). A weak one was that of the object before
/// a gateway changed its bytes.
fn plain_md5(headers: &GetObjectOutput) -> Option<String> {
    let etag = headers.e_tag().map(|etag| etag::opaque(Some(etag)));
    md5_of_etag(
        etag,
        headers.server_side_encryption(),
        headers.sse_customer_algorithm(),
    )
}

/// The MD5 that an ETag is under this encryption, in hex; `None` if it is not an MD5.
pub(crate) fn md5_of_etag(
    etag: Option<&str>,
    encryption: Option<&ServerSideEncryption>,
    customer_algorithm: Option<&str>,
) -> Option<String> {
    use ServerSideEncryption::{AwsKms, AwsKmsDsse};
    let keyed = matches!(encryption, Some(AwsKms | AwsKmsDsse));
    if keyed || customer_algorithm.is_some() {
        None
    } else {
        etag::md5(etag?)
    }
}

/// The strongest full-object checksum that we can compute. COMPOSITE ones are of the parts, not of
/// the bytes.
fn source_hash(headers: &GetObjectOutput) -> Option<(SourceHash, Vec<u8>)> {
    if headers.checksum_type() == Some(&ChecksumType::Composite) {
        return None;
    }
    // Stores that do not know an algorithm send others under its name (moto: 4 bytes as CRC64NVME).
    let decode = |text: Option<&str>, bytes: usize| {
        text.and_then(|text| BASE64.decode(text.as_bytes()).ok())
            .filter(|sum| sum.len() == bytes)
    };
    let crc = |algorithm, width| SourceHash::Crc(Box::new(crc_fast::Digest::new(algorithm)), width);
    let candidates = [
        (
            decode(headers.checksum_sha256(), 32),
            SourceHash::Sha256(Box::default()),
        ),
        (
            decode(headers.checksum_crc64_nvme(), 8),
            crc(CrcAlgorithm::Crc64Nvme, 8),
        ),
        (
            decode(headers.checksum_sha1(), 20),
            SourceHash::Sha1(Box::default()),
        ),
        (
            decode(headers.checksum_crc32_c(), 4),
            crc(CrcAlgorithm::Crc32Iscsi, 4),
        ),
        (
            decode(headers.checksum_crc32(), 4),
            crc(CrcAlgorithm::Crc32IsoHdlc, 4),
        ),
    ];
    candidates
        .into_iter()
        .find_map(|(expected, hash)| expected.map(|expected| (hash, expected)))
}

#[cfg(test)]
mod tests;
