//! Requests for a bucket or for all of them.

use std::time::SystemTime;

use http::{Method, StatusCode};

use super::answer::{Answer, iso};
use super::object_lists::{list_v1, list_v2};
use super::upload_lists::list_uploads;
use super::version_list::list_versions;
use crate::servers::REGION;
use crate::simulator::refusal::Refusal;
use crate::simulator::request::Asked;
use crate::simulator::store::{Bucket, Store, Versioning};
use crate::simulator::xml::{Xml, child, elements};

pub(super) fn list_buckets(store: &Store, asked: &Asked) -> Result<Answer, Refusal> {
    if asked.method != Method::GET {
        return Err(Refusal::METHOD_NOT_ALLOWED);
    }
    let mut document = Xml::root("ListAllMyBucketsResult");
    document.element("Buckets", |buckets| {
        for (name, made) in store.names() {
            buckets.element("Bucket", |bucket| {
                bucket.text("Name", &name).text("CreationDate", &iso(made));
            });
        }
    });
    Ok(Answer::xml(document.end("ListAllMyBucketsResult")))
}

pub(super) fn of_bucket(store: &Store, asked: &Asked, now: SystemTime) -> Result<Answer, Refusal> {
    let name = &asked.bucket;
    if asked.method == Method::PUT && asked.query.is_empty() {
        store.create(name, None, now)?;
        return Ok(Answer::empty(StatusCode::OK));
    }
    let bucket = store.bucket(name)?;
    match asked.method {
        Method::HEAD => {
            let mut answer = Answer::empty(StatusCode::OK);
            answer.set("x-amz-bucket-region", REGION);
            Ok(answer)
        }
        Method::DELETE if asked.query.is_empty() => {
            store.delete(name)?;
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        }
        Method::PUT if asked.is("versioning") => {
            let configuration = elements(&asked.body, "VersioningConfiguration")?;
            let status = configuration.first().and_then(|it| child(it, "Status"));
            bucket.written().versioning = match status {
                Some("Enabled") => Versioning::Enabled,
                Some("Suspended") => Versioning::Suspended,
                _ => return Err(Refusal::MALFORMED_XML),
            };
            Ok(Answer::empty(StatusCode::OK))
        }
        Method::GET if asked.is("versioning") => {
            let mut document = Xml::root("VersioningConfiguration");
            let status = match bucket.written().versioning {
                Versioning::Never => None,
                Versioning::Enabled => Some("Enabled"),
                Versioning::Suspended => Some("Suspended"),
            };
            document.optional("Status", status);
            Ok(Answer::xml(document.end("VersioningConfiguration")))
        }
        Method::GET if asked.is("location") => Ok(Answer::xml(
            Xml::root("LocationConstraint").end("LocationConstraint"),
        )),
        Method::GET if asked.is("uploads") => list_uploads(&bucket, asked),
        Method::GET if asked.is("versions") => list_versions(&bucket, asked),
        Method::GET if asked.query("list-type") == Some("2") => list_v2(&bucket, asked),
        Method::GET if asked.is_list_v1() => list_v1(&bucket, asked),
        Method::POST if asked.is("delete") => delete_objects(&bucket, asked, now),
        _ => Err(Refusal::NOT_IMPLEMENTED),
    }
}

fn delete_objects(bucket: &Bucket, asked: &Asked, now: SystemTime) -> Result<Answer, Refusal> {
    let objects = elements(&asked.body, "Object")?;
    let request = elements(&asked.body, "Delete")?;
    let quiet = request.first().and_then(|it| child(it, "Quiet"));
    let mut document = Xml::root("DeleteResult");
    for object in &objects {
        let key = child(object, "Key").ok_or(Refusal::MALFORMED_XML)?;
        let version = child(object, "VersionId");
        let done = bucket.delete(key, version, now);
        if quiet == Some("true") {
            continue;
        }
        document.element("Deleted", |deleted| {
            deleted.text("Key", key).optional("VersionId", version);
            if done.is_marker {
                deleted
                    .text("DeleteMarker", "true")
                    .optional("DeleteMarkerVersionId", done.version.as_deref());
            }
        });
    }
    Ok(Answer::xml(document.end("DeleteResult")))
}
