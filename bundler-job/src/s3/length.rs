//! How long a body is, and whether the rest of one is what was asked for. Pure.

use std::fmt;
use std::ops::Range;

use s3bundler_contract::etag;

/// How long something is: known, or not. There is no number in place of an unknown one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// So many bytes.
    Known(u64),
    /// Nothing says so.
    Unknown,
}

impl fmt::Display for Length {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(bytes) => bytes.fmt(out),
            Self::Unknown => out.write_str("an unknown number"),
        }
    }
}

/// What a Content-Length says, or the size of an object in a listing.
pub fn content_length(value: Option<i64>) -> Length {
    value
        .and_then(|bytes| u64::try_from(bytes).ok())
        .map_or(Length::Unknown, Length::Known)
}

/// An ETag as the store wrote it; `None` if the answer has none, or an empty one.
pub(super) fn known_etag(etag: Option<&str>) -> Option<String> {
    etag.filter(|etag| !etag::opaque(Some(etag)).is_empty())
        .map(str::to_owned)
}

/// Whether a Content-Encoding stands for other bytes than the object's, if it was added on the way.
pub(super) fn is_encoded(encoding: &str) -> bool {
    // Uploads in chunks leave theirs behind ("Signature calculations: chunked upload", S3 API
    // reference).
    encoding
        .split(',')
        .map(str::trim)
        .any(|it| !it.is_empty() && it != "identity" && it != "aws-chunked")
}

/// Whether an answer is the rest of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rest {
    /// It is.
    Same,
    /// The object was replaced.
    Changed,
    /// It is not, and says so.
    Other(String),
}

/// Judges an answer to a request for the bytes from `at` up to `end`, exclusive, of the object with
/// `etag`: stores may ignore If-Match, Range or both.
pub(super) fn judge_rest(
    etag: &str,
    at: u64,
    end: u64,
    found: Option<&str>,
    range: Option<&str>,
) -> Rest {
    judge_part(etag, at..end, end, found, range)
}

/// The same for some bytes of an object of `size` bytes.
pub(super) fn judge_part(
    etag: &str,
    part: Range<u64>,
    size: u64,
    found: Option<&str>,
    range: Option<&str>,
) -> Rest {
    if etag::unquoted(found) != etag::unquoted(Some(etag)) {
        return Rest::Changed;
    }
    let asked = format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1));
    match range {
        Some(range) if range == asked => Rest::Same,
        Some(range) => Rest::Other(format!(
            "the rest of the body was asked for as {asked}, and came as {range}"
        )),
        None => Rest::Other("the rest of the body was asked for, and all of it came".to_owned()),
    }
}

/// The size of an object by a Content-Range.
pub(super) fn total_of_range(range: &str) -> Option<u64> {
    range
        .strip_prefix("bytes ")?
        .rsplit_once('/')?
        .1
        .parse()
        .ok()
}

#[cfg(test)]
mod tests;
