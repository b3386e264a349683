//! A request as S3 reads it: bucket, key, query, headers, and a body whose checksums hold.

use std::collections::HashMap;

use bytes::{Buf as _, Bytes, BytesMut};
use data_encoding::BASE64;
use http::{HeaderMap, Method, Uri};
use md5::{Digest as _, Md5};
use percent_encoding::percent_decode_str;

use super::checksum::Algorithm;
use super::refusal::Refusal;

/// A whole request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) query: HashMap<String, String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Asked {
    pub(super) fn of(
        method: Method,
        uri: &Uri,
        headers: HeaderMap,
        body: Bytes,
        bucket_of_host: Option<&str>,
    ) -> Result<Self, Refusal> {
        let path = uri.path();
        let (bucket, key) = if let Some(bucket) = bucket_of_host {
            (bucket, path.strip_prefix('/').unwrap_or(path))
        } else {
            let path = path.trim_start_matches('/');
            path.split_once('/').unwrap_or((path, ""))
        };
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(std::borrow::Cow::into_owned)
                .map_err(|_| Refusal::INVALID_ARGUMENT)
        };
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
        let mut asked = Self {
            method,
            bucket: decoded(bucket)?,
            key: decoded(key)?,
            query,
            headers,
            body,
        };
        asked.take_chunks_apart()?;
        asked.check_sums()?;
        Ok(asked)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    pub(super) fn is(&self, subresource: &str) -> bool {
        self.query.contains_key(subresource)
    }

    /// Whether it is ListObjects: a GET of a bucket without another subresource.
    pub(super) fn is_list_v1(&self) -> bool {
        const OWN: [&str; 7] = [
            "delimiter",
            "encoding-type",
            "list-type",
            "marker",
            "max-keys",
            "prefix",
            "x-id",
        ];
        self.method == Method::GET
            && self.key.is_empty()
            && self.query("list-type").is_none_or(|it| it == "1")
            && self
                .query
                .keys()
                .all(|it| OWN.contains(&it.as_str()) || it.starts_with("X-Amz-"))
    }

    /// Joins the chunks of a streamed payload ("Signature calculations for the authorization
    /// header: transferring payload in multiple chunks", S3 API reference); trailers become headers.
    fn take_chunks_apart(&mut self) -> Result<(), Refusal> {
        let is_streamed = self
            .header("x-amz-content-sha256")
            .is_some_and(|it| it.starts_with("STREAMING-"));
        if !is_streamed {
            return Ok(());
        }
        let (mut rest, mut joined) = (self.body.clone(), BytesMut::new());
        loop {
            let head = line(&mut rest).ok_or(Refusal::INVALID_REQUEST)?;
            let size = head.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).map_err(|_| Refusal::INVALID_REQUEST)?;
            if size == 0 {
                break;
            }
            if rest.len() < size + 2 {
                return Err(Refusal::INVALID_REQUEST);
            }
            joined.extend_from_slice(&rest.split_to(size));
            rest.advance(2);
        }
        while let Some(trailer) = line(&mut rest) {
            let Some((name, value)) = trailer.split_once(':') else {
                continue;
            };
            if let (Ok(name), Ok(value)) = (
                http::HeaderName::try_from(name.trim()),
                http::HeaderValue::try_from(value.trim()),
            ) {
                self.headers.insert(name, value);
            }
        }
        self.body = joined.freeze();
        Ok(())
    }

    /// The algorithm of the checksum in the request.
    pub(super) fn claimed(&self) -> Result<Option<(Algorithm, &str)>, Refusal> {
        let mut claimed = None;
        for algorithm in Algorithm::ALL {
            if let Some(value) = self.header(algorithm.header())
                && claimed.replace((algorithm, value)).is_some()
            {
                return Err(Refusal::INVALID_REQUEST.saying(
                    "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
                        .to_owned(),
                ));
            }
        }
        Ok(claimed)
    }

    fn check_sums(&self) -> Result<(), Refusal> {
        let md5 = || BASE64.encode(&Md5::digest(&self.body));
        if self.header("content-md5").is_some_and(|it| it != md5()) {
            return Err(Refusal::BAD_DIGEST);
        }
        // Of a completed upload it is the object's, not the document's.
        if self.is("uploadId") && self.method == Method::POST {
            return Ok(());
        }
        match self.claimed()? {
            Some((algorithm, value)) if !algorithm.of(&self.body).is_claimed(value) => {
                Err(Refusal::BAD_DIGEST)
            }
            _ => Ok(()),
        }
    }
}

/// The bucket in a `Host` header, if it is a subdomain of one of these hosts ("Virtual hosting of
/// general purpose buckets", S3 user guide).
pub(super) fn bucket_of_host<'a>(header: &'a str, hosts: &[String]) -> Option<&'a str> {
    let name = header.split_once(':').map_or(header, |(name, _)| name);
    hosts.iter().find_map(|host| {
        let at = name.len().checked_sub(host.len())?;
        let (bucket, rest) = name.split_at_checked(at)?;
        let bucket = bucket.strip_suffix('.').filter(|it| !it.is_empty())?;
        rest.eq_ignore_ascii_case(host).then_some(bucket)
    })
}

/// Takes a line off the front, without its end.
fn line(bytes: &mut Bytes) -> Option<String> {
    let at = bytes.windows(2).position(|it| it == b"\r\n")?;
    let line = bytes.split_to(at);
    bytes.advance(2);
    (!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned())
}

/// The bytes that a `Range` header asks for of so many; `None` if it is none that S3 reads.
pub(super) fn range(header: &str, size: u64) -> Result<Option<(u64, u64)>, Refusal> {
    let Some((first, last)) = header
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Ok(None);
    };
    let (first, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.saturating_add(1).min(size)),
        (Ok(first), Err(_)) if last.is_empty() => (first, size),
        (Err(_), Ok(last)) if first.is_empty() => (size.saturating_sub(last), size),
        _ => return Ok(None),
    };
    if first >= end {
        return Err(Refusal::INVALID_RANGE);
    }
    Ok(Some((first, end)))
}

#[cfg(test)]
mod tests;
