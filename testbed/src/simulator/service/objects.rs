//! Reading, writing and deleting an object.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

use super::OfObject;
use super::answer::{Answer, http_date};
use crate::simulator::bodies::Body;
use crate::simulator::checksum::Algorithm;
use crate::simulator::object::{Object, Pairs, Stored, Tier};
use crate::simulator::refusal::Refusal;
use crate::simulator::request::range;
use crate::simulator::store::{Found, pairs_of};

/// Headers that are stored with an object and returned by GET.
const KEPT: [&str; 6] = [
    "content-type",
    "content-language",
    "content-disposition",
    "content-encoding",
    "cache-control",
    "expires",
];

impl OfObject<'_> {
    pub(super) fn get(&self) -> Result<Answer, Refusal> {
        let Found { object, id } = self.found()?;
        self.check_read(&object, "")?;
        let is_head = self.asked.method == Method::HEAD;
        let tier = object.tier(self.settings.thaw, self.now);
        if !is_head && matches!(tier, Tier::Frozen | Tier::Thawing) {
            return Err(Refusal::INVALID_STATE);
        }
        let size = object.body.size();
        let part = match self.asked.header("range") {
            Some(asked) => range(asked, size)?,
            None => None,
        };
        let status = if part.is_some() {
            StatusCode::PARTIAL_CONTENT
        } else {
            StatusCode::OK
        };
        let mut answer = Answer::empty(status);
        let (first, end) = part.unwrap_or((0, size));
        if part.is_some() {
            answer.set(
                header::CONTENT_RANGE,
                format!("bytes {first}-{}/{size}", end - 1),
            );
        } else if self.asked.header("x-amz-checksum-mode").is_some() {
            answer.set_checksum(&object.body.sums().checksum);
        }
        answer.set_version(id.as_deref());
        self.describe(&mut answer, &object, tier);
        answer.length = Some(end - first);
        if !is_head {
            let Stored::Whole(body) = &object.body else {
                return Err(Refusal::NOT_IMPLEMENTED);
            };
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            answer.body = body.bytes.slice(place(first)..place(end));
        }
        Ok(answer)
    }

    pub(super) fn describe(&self, answer: &mut Answer, object: &Object, tier: Tier) {
        answer
            .headers
            .insert(header::ETAG, object.body.sums().etag.clone());
        answer.set(header::LAST_MODIFIED, http_date(object.modified));
        answer.set(header::ACCEPT_RANGES, "bytes");
        answer.headers.extend(object.headers.clone());
        if !object.tags.is_empty() {
            answer.set("x-amz-tagging-count", object.tags.len().to_string());
        }
        if object.storage_class != "STANDARD" {
            answer.set("x-amz-storage-class", &object.storage_class);
        }
        match tier {
            Tier::Thawing => answer.set("x-amz-restore", "ongoing-request=\"true\""),
            Tier::Thawed => {
                let expires = http_date(self.now + Duration::from_hours(24));
                answer.set(
                    "x-amz-restore",
                    format!("ongoing-request=\"false\", expiry-date=\"{expires}\""),
                );
            }
            Tier::Open | Tier::Frozen => {}
        }
    }

    pub(super) fn headers(&self) -> HeaderMap {
        let headers = self.asked.headers.iter();
        headers
            .filter(|(name, value)| {
                let is_kept =
                    KEPT.contains(&name.as_str()) || name.as_str().starts_with("x-amz-meta-");
                // aws-chunked is how the body was sent, not what it is.
                is_kept && *value != "aws-chunked"
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    pub(super) fn storage_class(&self) -> String {
        self.asked
            .header("x-amz-storage-class")
            .unwrap_or("STANDARD")
            .to_owned()
    }

    pub(super) fn given_tags(&self) -> Pairs {
        pairs_of(self.asked.header("x-amz-tagging").unwrap_or_default())
    }

    pub(super) fn stored(&self, body: Body) -> Stored {
        let size = body.bytes.len() as u64;
        if size < self.settings.digests_from {
            return Stored::Whole(body);
        }
        let body = Body {
            bytes: Bytes::new(),
            ..body
        };
        Stored::Digests { size, body }
    }

    /// Writes the object if the conditions of the request hold.
    pub(super) fn write(&self, object: Object) -> Result<Answer, Refusal> {
        let sums = object.body.sums().clone();
        let check = |there: Option<&Object>| self.check_write(there);
        let version = self.bucket.write(&self.asked.key, object, check)?;
        let mut answer = Answer::empty(StatusCode::OK);
        answer.headers.insert(header::ETAG, sums.etag);
        answer.set_checksum(&sums.checksum);
        answer.set_version(version.as_deref());
        Ok(answer)
    }

    pub(super) fn put(&self) -> Result<Answer, Refusal> {
        let claimed = self.asked.claimed()?;
        let algorithm = claimed.map_or(Algorithm::Crc64Nvme, |(algorithm, _)| algorithm);
        self.write(Object {
            body: self.stored(Body::of(self.asked.body.clone(), algorithm)),
            headers: self.headers(),
            tags: self.given_tags(),
            storage_class: self.storage_class(),
            modified: self.now,
            thawing_since: None,
            parts: None,
        })
    }

    pub(super) fn delete(&self) -> Answer {
        let id = self.asked.query("versionId");
        let deleted = self.bucket.delete(&self.asked.key, id, self.now);
        let mut answer = Answer::empty(StatusCode::NO_CONTENT);
        answer.set_version(deleted.version.as_deref());
        if deleted.is_marker {
            answer.set("x-amz-delete-marker", "true");
        }
        answer
    }
}
