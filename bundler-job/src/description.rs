//! `.metadata`, the description beside a copy: what object was copied, for the day when nothing
//! else is left.
//!
//! ```text
//! GET ──► bytes ──► of the source: Same │ not: Wrong │ of another format: Later
//!    └──► in an archive tier: HEAD ──► a size that a description can have: Archived │ not: Wrong
//! ```
//!
//! The bundler writes descriptions and reuses existing ones, `verify` compares them with rows of
//! catalogs. Both read them here, so that what one accepts the other accepts.

use s3bundler_contract::S3Address;
use s3bundler_contract::record::FORMAT;
use serde::{Deserialize, Serialize};

use crate::catalog::Map;
use crate::s3::{ErrorKind, Length, S3, S3Error, content_length};

/// No description is larger: 2 KiB of user metadata, ten tags, headers of 8 KiB, each character
/// escaped.
const MAX_BYTES: u64 = 1 << 20;

/// What a description says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Description {
    /// 1.
    pub(crate) format: u32,
    /// The source bucket.
    pub(crate) bucket: String,
    /// The source key.
    pub(crate) key: String,
    /// The version of the source.
    pub(crate) version_id: Option<String>,
    /// Bytes of the source.
    pub(crate) size: u64,
    /// The ETag of the source without quotes, empty if there is none.
    pub(crate) etag: String,
    /// In RFC 3339.
    pub(crate) last_modified: Option<String>,
    /// The storage class of the source.
    pub(crate) storage_class: Option<String>,
    /// Content headers.
    pub(crate) headers: Map,
    /// User metadata.
    pub(crate) metadata: Map,
    /// Tags.
    pub(crate) tags: Map,
}

/// What tells the source of a copy from every other object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity<'a> {
    pub(crate) source: &'a S3Address,
    pub(crate) version_id: Option<&'a str>,
    pub(crate) size: u64,
    /// Without quotes.
    pub(crate) etag: &'a str,
}

/// Why bytes are not the description of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    Wrong(String),
    Later(u32),
}

/// What is at the key of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// The description of the object.
    Same(Box<Description>),
    /// Nothing.
    Absent,
    /// An object of a size that the description can have. Its bytes are in an archive tier.
    Archived,
    /// It is not the description of the object, and why.
    Wrong(String),
    /// A description of a format that this release does not know.
    Later(u32),
}

/// Reads the description at `address` and compares it with the object.
pub(crate) async fn read(s3: &S3, address: &S3Address, of: Identity<'_>) -> Result<Found, S3Error> {
    match s3.get_bytes(address, None, MAX_BYTES).await {
        Ok((bytes, _)) => Ok(match Description::parse(&bytes, of) {
            Ok(description) => Found::Same(Box::new(description)),
            Err(Problem::Wrong(problem)) => Found::Wrong(problem),
            Err(Problem::Later(format)) => Found::Later(format),
        }),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Found::Absent),
        Err(error) if error.is_too_large() || error.is_mismatch() => Ok(Found::Wrong(error.detail)),
        Err(error) if error.kind == ErrorKind::Archived => {
            let Some(head) = s3.head(address).await? else {
                return Ok(Found::Absent);
            };
            match content_length(head.content_length()) {
                Length::Known(size) => Ok(of.judge(size)),
                Length::Unknown => {
                    let detail = "the answer has no Content-Length, so that it proves nothing";
                    Err(S3Error::local(
                        "HeadObject",
                        address.clone(),
                        ErrorKind::Transient,
                        detail,
                    ))
                }
            }
        }
        Err(error) => Err(error),
    }
}

impl Description {
    /// As it is written.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("text and numbers under names");
        json.push(b'\n');
        json
    }

    /// When the source was written.
    pub(crate) fn written(&self) -> Option<jiff::Timestamp> {
        self.last_modified.as_deref().and_then(instant)
    }

    /// Reads a description of this object.
    fn parse(json: &[u8], of: Identity<'_>) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let broken =
            |error: serde_json::Error| Problem::Wrong(format!("it is not a description: {error}"));
        let Head { format } = serde_json::from_slice(json).map_err(broken)?;
        if format > FORMAT {
            return Err(Problem::Later(format));
        }
        let found: Self = serde_json::from_slice(json).map_err(broken)?;
        if found.last_modified.is_some() && found.written().is_none() {
            return Err(Problem::Wrong(
                "its lastModified is not an instant".to_owned(),
            ));
        }
        let text = |text: &str| format!("{text:?}");
        let version = |id: Option<&str>| text(id.filter(|id| *id != "null").unwrap_or_default());
        let identity = [
            ("format", found.format.to_string(), FORMAT.to_string()),
            ("bucket", text(&found.bucket), text(&of.source.bucket)),
            ("key", text(&found.key), text(&of.source.key)),
            (
                "versionId",
                version(found.version_id.as_deref()),
                version(of.version_id),
            ),
            ("size", found.size.to_string(), of.size.to_string()),
            ("etag", text(&found.etag), text(of.etag)),
        ];
        match identity
            .into_iter()
            .find(|(_, found, expected)| found != expected)
        {
            Some((field, found, expected)) => Err(Problem::Wrong(format!(
                "its {field} is {found} instead of {expected}"
            ))),
            None => Ok(found),
        }
    }
}

impl Identity<'_> {
    /// Judges a description by its size alone: it has at least the text that it names the object
    /// with.
    fn judge(&self, size: u64) -> Found {
        let least = (self.source.bucket.len() + self.source.key.len() + self.etag.len()) as u64;
        if (least..=MAX_BYTES).contains(&size) {
            Found::Archived
        } else {
            Found::Wrong(format!(
                "it has {size} bytes, which no description of the object has"
            ))
        }
    }
}

/// An instant in RFC 3339.
pub(crate) fn instant(text: &str) -> Option<jiff::Timestamp> {
    text.parse().ok()
}

#[cfg(test)]
mod tests;
