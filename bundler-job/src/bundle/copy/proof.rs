//! Whether what is at the key of a copy is the copy: no answer of CopyObject or
//! CompleteMultipartUpload is believed.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::ChecksumType;
use data_encoding::BASE64;
use s3bundler_contract::S3Address;

use super::Trouble;
use super::source::Source;
use crate::s3::{ErrorKind, Length, S3, S3Error, content_length, md5_of_etag};

/// What a HEAD of the copy's key proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nothing is there.
    Absent,
    /// The copy is there: its size is right, and so is its checksum or MD5 if both sides have one.
    Copy,
    /// Something else is there, and why.
    Other(String),
}

/// What one side says of its bytes.
#[derive(Debug, Default)]
struct Identity {
    md5: Option<String>,
    /// Checksums of the whole object by algorithm, in base64.
    checksums: Vec<(&'static str, String)>,
}

/// HEADs the copy and compares it with its source.
pub(super) async fn prove(s3: &S3, source: &Source, copy: &S3Address) -> Result<Proof, Trouble> {
    let Some(head) = s3.head(copy).await.map_err(Trouble::destination)? else {
        return Ok(Proof::Absent);
    };
    match content_length(head.content_length()) {
        Length::Known(size) if size == source.size => {}
        Length::Known(size) => {
            return Ok(Proof::Other(format!(
                "the source has {} bytes, the copy {size}",
                source.size
            )));
        }
        Length::Unknown => {
            let detail = "the answer has no Content-Length, so that it proves nothing";
            return Err(Trouble::Again(S3Error::local(
                "HeadObject",
                copy.clone(),
                ErrorKind::Transient,
                detail,
            )));
        }
    }
    let found = Identity::of(&head, s3.knows_crc64nvme());
    let mut expected = Identity {
        md5: source.md5.clone(),
        checksums: Vec::new(),
    };
    if expected.agrees(&found) == Some(true) {
        return Ok(Proof::Copy);
    }
    // The GET of one byte has no checksum of the object. If neither side has one, this still shows
    // that the source was not replaced while it was copied: not every store knows the conditions of
    // a copy.
    match source.head(s3).await {
        Ok(Some((_, head))) => {
            expected.checksums = Identity::of(&head, s3.knows_crc64nvme()).checksums;
        }
        // A source that was deleted after it was copied has nothing to compare.
        Ok(None) => {}
        Err(error) if error.kind == ErrorKind::NotFound => {}
        Err(error) => return Err(Trouble::judge(error)),
    }
    Ok(match expected.agrees(&found) {
        Some(false) => Proof::Other(format!("the source is {expected:?}, the copy {found:?}")),
        Some(true) | None => Proof::Copy,
    })
}

impl Identity {
    fn of(head: &HeadObjectOutput, crc64nvme: bool) -> Self {
        let whole = head.checksum_type() != Some(&ChecksumType::Composite);
        // Composite ones without a type carry the number of their parts; stores that do not know
        // one send others (moto: 4 bytes as CRC64NVME).
        let fits = |value: &str, bytes: usize| {
            BASE64
                .decode(value.as_bytes())
                .is_ok_and(|value| value.len() == bytes)
        };
        let checksums = [
            ("SHA256", head.checksum_sha256(), 32),
            (
                "CRC64NVME",
                head.checksum_crc64_nvme().filter(|_| crc64nvme),
                8,
            ),
            ("SHA1", head.checksum_sha1(), 20),
            ("CRC32C", head.checksum_crc32_c(), 4),
            ("CRC32", head.checksum_crc32(), 4),
        ];
        let checksums = checksums.into_iter().filter_map(|(name, value, bytes)| {
            let value = value.filter(|value| whole && fits(value, bytes))?;
            Some((name, value.to_owned()))
        });
        Self {
            md5: md5_of_etag(
                head.e_tag(),
                head.server_side_encryption(),
                head.sse_customer_algorithm(),
            ),
            checksums: checksums.collect(),
        }
    }

    /// Whether both are of the same bytes, as far as they say the same things. Checksums win over
    /// ETags, which other stores compute in ways of their own.
    fn agrees(&self, other: &Self) -> Option<bool> {
        let common = self.checksums.iter().filter_map(|(name, value)| {
            let (_, theirs) = other.checksums.iter().find(|(theirs, _)| theirs == name)?;
            Some(value == theirs)
        });
        let by_etag = self
            .md5
            .as_ref()
            .zip(other.md5.as_ref())
            .map(|(ours, theirs)| ours == theirs);
        common.reduce(|all, one| all && one).or(by_etag)
    }
}

#[cfg(test)]
mod tests;
