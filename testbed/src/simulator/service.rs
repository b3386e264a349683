//! The S3 operations.
//!
//! ```text
//! answer ──► bucket ──► object_lists, version_list, upload_lists (page)
//!        └─► OfObject: objects (conditions), attributes, copies, uploads, tags
//! ```

mod answer;
mod attributes;
mod bucket;
mod conditions;
mod copies;
mod object_lists;
mod objects;
mod page;
mod tags;
mod upload_lists;
mod uploads;
mod version_list;

use std::time::{Duration, SystemTime};

use http::Method;

use super::object::is_version_id;
use super::refusal::Refusal;
use super::request::Asked;
use super::store::{Bucket, Found, Store};

pub(super) use answer::Answer;
use bucket::{list_buckets, of_bucket};

/// Settings of the service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// How long a restore takes.
    pub(super) thaw: Duration,
    /// Objects of this size and more are kept as digests alone.
    pub(super) digests_from: u64,
}

/// Carries out a request.
pub(super) fn answer(
    store: &Store,
    settings: Settings,
    asked: &Asked,
    now: SystemTime,
) -> Result<Answer, Refusal> {
    if asked.bucket.is_empty() {
        return list_buckets(store, asked);
    }
    if asked.key.is_empty() {
        return of_bucket(store, asked, now);
    }
    let bucket = store.bucket(&asked.bucket)?;
    check_version_id(asked)?;
    let object = OfObject {
        store,
        bucket: &bucket,
        settings,
        asked,
        now,
    };
    match (&asked.method, asked.query("uploadId")) {
        (&Method::PUT, Some(id)) => object.upload_part(id),
        (&Method::POST, Some(id)) => object.complete(id),
        (&Method::DELETE, Some(id)) => object.abort(id),
        (&Method::GET, Some(id)) => object.list_parts(id),
        (&Method::POST, None) if asked.is("uploads") => object.create_upload(),
        (&Method::POST, None) if asked.is("restore") => object.restore(),
        (&Method::GET, None) if asked.is("tagging") => object.tags(),
        (&Method::PUT, None) if asked.is("tagging") => object.set_tags(),
        (&Method::DELETE, None) if asked.is("tagging") => object.remove_tags(),
        (&Method::GET, None) if asked.is("attributes") => object.attributes(),
        (&Method::GET | &Method::HEAD, None) => object.get(),
        (&Method::PUT, None) if asked.header("x-amz-copy-source").is_some() => object.copy(),
        (&Method::PUT, None) => object.put(),
        (&Method::DELETE, None) => Ok(object.delete()),
        _ => Err(Refusal::METHOD_NOT_ALLOWED),
    }
}

/// A request for one object.
struct OfObject<'a> {
    store: &'a Store,
    bucket: &'a Bucket,
    settings: Settings,
    asked: &'a Asked,
    now: SystemTime,
}

fn check_version_id(asked: &Asked) -> Result<(), Refusal> {
    let message = match asked.query("versionId") {
        Some("") => "Version id cannot be the empty string",
        Some(id) if !is_version_id(id) => "Invalid version id specified",
        _ => return Ok(()),
    };
    Err(Refusal::INVALID_ARGUMENT.saying(message.to_owned()))
}

impl OfObject<'_> {
    /// The version that the request names, or the latest.
    fn found(&self) -> Result<Found, Refusal> {
        self.bucket
            .object(&self.asked.key, self.asked.query("versionId"))
    }
}
