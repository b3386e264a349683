//! Checksums of S3 ("Checking object integrity in Amazon S3", S3 user guide).

use data_encoding::BASE64;
use http::HeaderValue;
use md5::Digest as _;
use sha1::Sha1;
use sha2::Sha256;

use super::refusal::Refusal;

/// A checksum algorithm. S3 also has MD5, SHA512 and XXHASH, which are not implemented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

/// How the checksum of a multipart object follows from its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is the checksum of all bytes.
    FullObject,
    /// It is the checksum of the checksums of the parts.
    Composite,
}

/// The checksum of an object or a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checksum {
    pub(super) algorithm: Algorithm,
    pub(super) kind: Kind,
    /// In base64; a composite checksum ends in `-` and the number of parts.
    pub(super) value: HeaderValue,
}

impl Algorithm {
    pub(super) const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// The algorithm of this name, in any case.
    pub(super) fn of_name(name: &str) -> Result<Self, Refusal> {
        Self::ALL
            .into_iter()
            .find(|it| it.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                Refusal::INVALID_REQUEST.saying(format!(
                    "Checksum algorithm {name} is unsupported by the simulator"
                ))
            })
    }

    /// As in `x-amz-checksum-algorithm`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header of a value.
    pub(super) const fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The element of a value in a document.
    pub(super) const fn element(self) -> &'static str {
        match self {
            Self::Crc32 => "ChecksumCRC32",
            Self::Crc32c => "ChecksumCRC32C",
            Self::Crc64Nvme => "ChecksumCRC64NVME",
            Self::Sha1 => "ChecksumSHA1",
            Self::Sha256 => "ChecksumSHA256",
        }
    }

    /// Whether multipart uploads can have it in this form.
    pub(super) const fn allows(self, kind: Kind) -> bool {
        match self {
            Self::Crc32 | Self::Crc32c => true,
            Self::Crc64Nvme => matches!(kind, Kind::FullObject),
            Self::Sha1 | Self::Sha256 => matches!(kind, Kind::Composite),
        }
    }

    /// The form if a multipart upload names none.
    pub(super) const fn default_kind(self) -> Kind {
        match self {
            Self::Crc64Nvme => Kind::FullObject,
            _ => Kind::Composite,
        }
    }

    fn sum(self, bytes: &[u8]) -> Vec<u8> {
        use crc_fast::CrcAlgorithm::{Crc32Iscsi, Crc32IsoHdlc, Crc64Nvme};
        let crc = |algorithm| crc_fast::checksum(algorithm, bytes).to_be_bytes();
        match self {
            Self::Crc32 => crc(Crc32IsoHdlc)[4..].to_vec(),
            Self::Crc32c => crc(Crc32Iscsi)[4..].to_vec(),
            Self::Crc64Nvme => crc(Crc64Nvme).to_vec(),
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
        }
    }

    /// The checksum of bytes.
    pub(super) fn of(self, bytes: &[u8]) -> Checksum {
        Checksum::with(self, Kind::FullObject, BASE64.encode(&self.sum(bytes)))
    }

    /// The checksum of parts.
    pub(super) fn composite<'a>(self, parts: impl IntoIterator<Item = &'a Checksum>) -> Checksum {
        let (mut sums, mut count) = (Vec::new(), 0);
        for part in parts {
            count += 1;
            sums.extend(BASE64.decode(part.value.as_bytes()).unwrap_or_default());
        }
        let value = format!("{}-{count}", BASE64.encode(&self.sum(&sums)));
        Checksum::with(self, Kind::Composite, value)
    }
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    /// The form of this name.
    pub(super) fn of_name(name: &str) -> Result<Self, Refusal> {
        [Self::FullObject, Self::Composite]
            .into_iter()
            .find(|it| it.name() == name)
            .ok_or_else(|| {
                Refusal::INVALID_REQUEST
                    .saying("Value for x-amz-checksum-type header is invalid.".to_owned())
            })
    }
}

impl Checksum {
    fn with(algorithm: Algorithm, kind: Kind, value: String) -> Self {
        Self {
            algorithm,
            kind,
            value: HeaderValue::try_from(value).expect("base64"),
        }
    }

    /// Whether a request claims this value; the number of parts may be left out.
    pub(super) fn is_claimed(&self, value: &str) -> bool {
        let ours = self.text();
        ours == value
            || self.kind == Kind::Composite
                && ours.split_once('-').is_some_and(|(sum, _)| sum == value)
    }

    pub(super) fn text(&self) -> &str {
        self.value.to_str().expect("base64")
    }
}

#[cfg(test)]
mod tests;
