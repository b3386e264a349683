//! `.metadata`, which lies beside a copy for the day when nothing else is left: it says what object was copied.
//!
//! ```text
//! PUT if absent ──► written │ there: GET ──► describes the source │ does not: PUT over it ──► GET ──► describes the source
//! ```
//!
//! A description that names its source stays as it is, since other runs refer to it: tags and storage class of the source
//! may have been others when it was copied. One that does not was damaged after it was written.

use s3bundler_contract::layout::METADATA_SUFFIX;
use s3bundler_contract::{Row, S3Address};

use super::source::Source;
use super::{Copier, Trouble};
use crate::bundle::facts::Facts;
use crate::s3::{ErrorKind, Put, PutBody, S3Error};

/// No description is larger: 2 KiB of user metadata, ten tags, headers of 8 KiB, each character escaped.
const MAX_BYTES: u64 = 1 << 20;
const CONTENT_TYPE: &str = "application/json";

/// How a description differs from that of an object with this size and ETag (without quotes); `None` if it is of that
/// object.
fn difference(description: &[u8], source: &S3Address, size: u64, etag: &str) -> Option<String> {
    let found: serde_json::Value = match serde_json::from_slice(description) {
        Ok(found) => found,
        Err(error) => return Some(format!("it is not JSON: {error}")),
    };
    let expected = [
        ("bucket", serde_json::Value::from(source.bucket.as_str())),
        ("key", source.key.as_str().into()),
        ("size", size.into()),
        ("etag", etag.into()),
    ];
    let differing = expected.into_iter().find(|(field, expected)| found[field] != *expected);
    differing.map(|(field, expected)| format!("its {field} is {} instead of {expected}", found[field]))
}

fn describe(source: &Source, row: &Row, facts: &Facts) -> Vec<u8> {
    let record = serde_json::json!({
        "format": s3bundler_contract::record::FORMAT,
        "bucket": source.address.bucket,
        "key": source.address.key,
        "versionId": row.version_id,
        "size": source.size,
        "etag": source.etag,
        "lastModified": row.last_modified,
        "storageClass": row.storage_class,
        "headers": facts.headers,
        "metadata": facts.metadata,
        "tags": facts.tags,
    });
    format!("{record:#}\n").into_bytes()
}

impl Copier {
    /// Describes a copy beside it. What is there and does not describe the source is written again.
    pub(super) async fn describe(&self, source: &Source, row: &Row, facts: &Facts, key: &str) -> Result<(), Trouble> {
        let address = self.destination.address(format!("{key}{METADATA_SUFFIX}"));
        let description = describe(source, row, facts);
        let put = Put { if_none_match: true, content_type: Some(CONTENT_TYPE), ..Put::default() };
        match self.s3.put(&address, PutBody::Bytes(description.clone().into()), &put).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind == ErrorKind::Precondition => {}
            Err(error) if error.kind == ErrorKind::Conflict => return Err(Trouble::Again(error)),
            Err(error) => return Err(Trouble::destination(error)),
        }
        let Some(problem) = self.misdescribed(source, &address).await? else { return Ok(()) };
        tracing::warn!(description = %address, problem, "the description of a copy is damaged, writing it again");
        let put = Put { content_type: Some(CONTENT_TYPE), ..Put::default() };
        let body = PutBody::Bytes(description.into());
        self.s3.put(&address, body, &put).await.map_err(Trouble::destination)?;
        match self.misdescribed(source, &address).await? {
            None => Ok(()),
            Some(problem) => {
                let detail = format!("it was written again, and still does not describe the copy: {problem}");
                Err(Trouble::Again(S3Error::local("GetObject", address, ErrorKind::Transient, detail)))
            }
        }
    }

    /// How the description at this address differs from the source.
    async fn misdescribed(&self, source: &Source, address: &S3Address) -> Result<Option<String>, Trouble> {
        match self.s3.get_bytes(address, None, MAX_BYTES).await {
            Ok((bytes, _)) => Ok(difference(&bytes, &source.address, source.size, &source.etag)),
            // Deleted meanwhile, moved to an archive tier, or larger than any description.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Archived | ErrorKind::Rejected) => {
                Ok(Some(error.to_string()))
            }
            Err(error) => Err(Trouble::destination(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_names_its_source() {
        let description = |key: &str, size: u64| {
            let fields = serde_json::json!({ "bucket": "src", "key": key, "size": size, "etag": "e", "more": 1 });
            serde_json::to_vec(&fields).expect("plain fields")
        };
        let source = S3Address::new("src", "k");
        assert_eq!(difference(&description("k", 5), &source, 5, "e"), None);
        let cut_off = description("k", 5)[..20].to_vec();
        for wrong in [description("l", 5), description("k", 6), b"{}".to_vec(), b"[]".to_vec(), b"".to_vec(), cut_off] {
            assert!(difference(&wrong, &source, 5, "e").is_some(), "{wrong:?}");
        }
        assert!(difference(&description("k", 5), &source, 5, "f").is_some());
    }
}
