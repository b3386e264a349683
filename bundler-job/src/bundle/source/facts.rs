//! What the headers of a GET say of an object, as the catalog keeps it.

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::types::ChecksumType;

use crate::catalog::Map;

/// What the catalog keeps of an object beside its row.
#[derive(Debug, Default)]
pub struct Facts {
    /// MD5 in hex.
    pub md5: Option<String>,
    /// SHA-256 in hex, if it was asked for.
    pub sha256: Option<String>,
    /// The source's own checksums.
    pub checksums: Map,
    /// Content headers.
    pub headers: Map,
    /// User metadata.
    pub metadata: Map,
    /// Tags.
    pub tags: Map,
}

/// Everything in the headers that is worth keeping.
pub fn facts(output: &mut GetObjectOutput) -> Facts {
    let missing = output
        .missing_meta()
        .filter(|n| *n > 0)
        .map(|n| n.to_string());
    let headers = [
        ("cache-control", output.cache_control()),
        ("content-disposition", output.content_disposition()),
        ("content-encoding", output.content_encoding()),
        ("content-language", output.content_language()),
        ("content-type", output.content_type()),
        ("expires", output.expires_string()),
        (
            "website-redirect-location",
            output.website_redirect_location(),
        ),
        // Metadata that cannot be given as headers: say that it is not in the catalog.
        ("x-amz-missing-meta", missing.as_deref()),
    ];
    let headers = headers
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    Facts {
        md5: None,
        sha256: None,
        checksums: source_checksums(output),
        headers,
        metadata: output
            .metadata
            .take()
            .unwrap_or_default()
            .into_iter()
            .collect(),
        tags: Map::new(),
    }
}

/// The source's own checksums, for the catalog: those of the parts too, which carry their count
/// after a `-`.
pub(super) fn source_checksums(headers: &GetObjectOutput) -> Map {
    [
        ("crc32", headers.checksum_crc32()),
        ("crc32c", headers.checksum_crc32_c()),
        ("crc64nvme", headers.checksum_crc64_nvme()),
        ("sha1", headers.checksum_sha1()),
        ("sha256", headers.checksum_sha256()),
        ("type", headers.checksum_type().map(ChecksumType::as_str)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
    .collect()
}

#[cfg(test)]
mod tests;
