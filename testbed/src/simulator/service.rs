//! The S3 operations.
//!
//! ```text
//! answer ──► bucket ──► lists
//!        └─► OfObject: objects (conditions), copies, uploads, tags
//! ```

mod answer;
mod bucket;
mod conditions;
mod copies;
mod lists;
mod objects;
mod tags;
mod uploads;

use std::time::{Duration, SystemTime};

use http::Method;

use super::object::Object;
use super::refusal::Refusal;
use super::request::Asked;
use super::store::{Bucket, Store};

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
        (&Method::POST, None) if asked.is("uploads") => Ok(object.create_upload()),
        (&Method::POST | &Method::PUT | &Method::DELETE, None)
            if asked.is("versionId") && (asked.is("restore") || asked.is("tagging")) =>
        {
            Err(Refusal::NOT_IMPLEMENTED)
        }
        (&Method::POST, None) if asked.is("restore") => object.restore(),
        (&Method::GET, None) if asked.is("tagging") => object.tags(),
        (&Method::PUT, None) if asked.is("tagging") => object.set_tags(),
        (&Method::DELETE, None) if asked.is("tagging") => object.remove_tags(),
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

impl OfObject<'_> {
    fn object(&self) -> Result<Object, Refusal> {
        match self.asked.query("versionId") {
            Some(id) => self.bucket.version(&self.asked.key, id),
            None => self.bucket.object(&self.asked.key),
        }
    }
}
