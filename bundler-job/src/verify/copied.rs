//! Copies of large objects, compared with the row that names them: size, ETag or checksum, and the
//! description beside them.
//!
//! The ETag of an object is the MD5 of its bytes unless it was uploaded in parts or is under
//! SSE-KMS or SSE-C ("Common response headers", S3 API reference). If both the source's and the
//! copy's are one, they are equal or the bytes differ. What neither an ETag nor a checksum proves
//! is counted as unproven; `--full` reads it if there is a sum to compare with.

mod description;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumType, ServerSideEncryption};
use s3bundler_contract::{GroupName, S3Address, etag};

use super::VerifyError;
use super::bytes::{self, Sums};
use super::finding::{Finding, Findings};
use super::part::Part;
use super::scope::Scope;
use crate::catalog::{Entry, Map};
use crate::s3::crc64nvme_to_base64;

/// The header under which a row records that its source was under SSE-KMS, so that its ETag is not
/// an MD5.
pub(super) const ENCRYPTION: &str = "x-amz-server-side-encryption";
/// The checksum that is computed of a copy that is read.
const CRC64NVME: &str = "crc64nvme";

/// A row whose object was copied.
#[derive(Debug, Clone)]
pub(super) struct Copied {
    /// Of the destination.
    pub(super) key: String,
    pub(super) source: S3Address,
    pub(super) version_id: Option<String>,
    pub(super) size: u64,
    pub(super) etag: String,
    /// Whether the source's ETag is opaque.
    pub(super) keyed: bool,
    /// In RFC 3339.
    pub(super) last_modified: Option<String>,
    pub(super) checksums: Map,
    pub(super) headers: Map,
    pub(super) metadata: Map,
    pub(super) tags: Map,
}

/// What a HEAD says of a copy.
#[derive(Debug, Clone, Default)]
struct Found {
    size: Option<u64>,
    etag: String,
    keyed: bool,
    checksums: Map,
}

/// What comparing the two shows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// Another size.
    Size(u64),
    /// Other bytes, and how they differ.
    Bytes(String),
    Proved,
    Unproven,
}

/// What looking at the copies of a group showed.
#[derive(Debug, Default)]
pub(super) struct Copies {
    pub(super) findings: Findings,
    pub(super) unproven: u64,
}

impl Copied {
    pub(super) fn new(key: &str, entry: &Entry) -> Self {
        Self {
            key: key.to_owned(),
            source: S3Address::new(&entry.row.bucket, &entry.row.key),
            version_id: entry.row.version_id.clone(),
            size: entry.row.size.unwrap_or(0),
            etag: entry.row.etag.clone().unwrap_or_default(),
            keyed: entry
                .headers
                .get(ENCRYPTION)
                .is_some_and(|it| it.starts_with("aws:kms")),
            last_modified: entry.row.last_modified.clone(),
            checksums: full_object(entry.checksums.clone()),
            headers: entry.headers.clone(),
            metadata: entry.metadata.clone(),
            tags: entry.tags.clone(),
        }
    }

    /// The MD5 of the source's bytes, if its ETag is one.
    fn md5(&self) -> Option<String> {
        plain_md5(&self.etag, self.keyed)
    }

    /// Compares the row with a HEAD of the copy. Pure.
    fn judge(&self, found: &Found) -> Verdict {
        match found.size {
            Some(size) if size != self.size => return Verdict::Size(size),
            _ => {}
        }
        let mut proved = false;
        for (name, expected) in &self.checksums {
            match found.checksums.get(name) {
                Some(found) if found == expected => proved = true,
                Some(found) => {
                    return Verdict::Bytes(format!(
                        "its {name} is {found}, the source's was {expected}"
                    ));
                }
                None => {}
            }
        }
        match (self.md5(), plain_md5(&found.etag, found.keyed)) {
            (Some(expected), Some(found)) if found == expected => proved = true,
            (Some(expected), Some(found)) if !proved => {
                return Verdict::Bytes(format!("its ETag is {found}, the source's was {expected}"));
            }
            _ => {}
        }
        // An answer without a length proves nothing.
        if proved && found.size.is_some() {
            Verdict::Proved
        } else {
            Verdict::Unproven
        }
    }
}

impl Found {
    fn of(head: &HeadObjectOutput) -> Self {
        use ServerSideEncryption::{AwsKms, AwsKmsDsse};
        let checksums = [
            ("crc32", head.checksum_crc32()),
            ("crc32c", head.checksum_crc32_c()),
            (CRC64NVME, head.checksum_crc64_nvme()),
            ("sha1", head.checksum_sha1()),
            ("sha256", head.checksum_sha256()),
            ("type", head.checksum_type().map(ChecksumType::as_str)),
        ];
        let checksums = checksums
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        Self {
            size: head
                .content_length()
                .and_then(|size| u64::try_from(size).ok()),
            etag: head.e_tag().unwrap_or_default().to_owned(),
            keyed: matches!(head.server_side_encryption(), Some(AwsKms | AwsKmsDsse))
                || head.sse_customer_algorithm().is_some(),
            checksums: full_object(checksums.collect()),
        }
    }
}

fn plain_md5(etag: &str, keyed: bool) -> Option<String> {
    if keyed { None } else { etag::md5(etag) }
}

/// The checksums that are of all bytes. Those of the parts carry their number after a hyphen.
fn full_object(mut checksums: Map) -> Map {
    let of_parts = checksums
        .remove("type")
        .is_some_and(|it| it == ChecksumType::Composite.as_str());
    checksums.retain(|_, value| !of_parts && !value.contains('-'));
    checksums
}

/// Compares a copy and its description with the row that names it.
pub(super) async fn check(
    scope: Scope<'_>,
    group: &GroupName,
    copied: &Copied,
) -> Result<Copies, VerifyError> {
    let mut copies = Copies::default();
    let object = scope.request.destination.address(&copied.key);
    let part = Part::Copy;
    let verdict = match compare(scope, copied, &object).await {
        Ok(Some(verdict @ (Verdict::Proved | Verdict::Unproven))) => Some(verdict),
        Err(error) if !error.is_transient() => return Err(error),
        // One answer alone is not believed: it may be damage of the way.
        _ => compare(scope, copied, &object).await?,
    };
    match verdict {
        None => copies.findings.push(Finding::Missing {
            group: group.clone(),
            part,
            object,
        }),
        Some(Verdict::Size(found)) => {
            copies.findings.push(Finding::WrongSize {
                group: group.clone(),
                part,
                object,
                expected: copied.size,
                found,
            });
        }
        Some(Verdict::Bytes(problem)) => {
            copies.findings.push(Finding::WrongBytes {
                group: group.clone(),
                part,
                object,
                problem,
            });
        }
        Some(Verdict::Unproven) => copies.unproven += 1,
        Some(Verdict::Proved) => {}
    }
    description::check(scope, group, copied, &mut copies).await?;
    Ok(copies)
}

/// Compares a copy with the row, by its HEAD and, if asked for, by its bytes; `None` if it does not
/// exist.
async fn compare(
    scope: Scope<'_>,
    copied: &Copied,
    object: &S3Address,
) -> Result<Option<Verdict>, VerifyError> {
    let verdict = scope
        .s3
        .head(object)
        .await?
        .map(|head| copied.judge(&Found::of(&head)));
    match verdict {
        Some(Verdict::Proved | Verdict::Unproven) if scope.request.full => {
            Ok(read(scope, copied, object).await?.or(verdict))
        }
        verdict => Ok(verdict),
    }
}

/// Reads a copy and compares it with the sum of the source that is known; `None` if none is.
async fn read(
    scope: Scope<'_>,
    copied: &Copied,
    object: &S3Address,
) -> Result<Option<Verdict>, VerifyError> {
    let (md5, crc64nvme) = (copied.md5(), copied.checksums.get(CRC64NVME));
    if md5.is_none() && crc64nvme.is_none() {
        return Ok(None);
    }
    let Sums {
        size,
        md5: found_md5,
        crc64nvme: found_crc64nvme,
    } = match bytes::sums(scope, object).await {
        Ok(sums) => sums,
        Err(error) => return error.damage().map(|problem| Some(Verdict::Bytes(problem))),
    };
    if size != copied.size {
        return Ok(Some(Verdict::Size(size)));
    }
    let sums = [
        ("MD5", md5, found_md5),
        (
            "CRC64NVME",
            crc64nvme.cloned(),
            crc64nvme_to_base64(found_crc64nvme),
        ),
    ];
    for (name, expected, found) in sums {
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Ok(Some(Verdict::Bytes(format!(
                "its bytes have the {name} {found}, the source's was {expected}"
            ))));
        }
    }
    Ok(Some(Verdict::Proved))
}

#[cfg(test)]
mod tests;
