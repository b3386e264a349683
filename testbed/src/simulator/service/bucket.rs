//! Requests for a bucket or for all of them.

use std::time::SystemTime;

use http::{Method, StatusCode};

use super::answer::{Answer, iso};
use super::lists::{list, list_uploads};
use crate::servers::REGION;
use crate::simulator::refusal::Refusal;
use crate::simulator::request::Asked;
use crate::simulator::store::{Bucket, Store};
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
            let is_versioned = elements(&asked.body, "VersioningConfiguration")?
                .iter()
                .any(|it| child(it, "Status") == Some("Enabled"));
            bucket.written().is_versioned = is_versioned;
            Ok(Answer::empty(StatusCode::OK))
        }
        Method::GET if asked.is("versioning") => {
            let mut document = Xml::root("VersioningConfiguration");
            if bucket.written().is_versioned {
                document.text("Status", "Enabled");
            }
            Ok(Answer::xml(document.end("VersioningConfiguration")))
        }
        Method::GET if asked.is("location") => Ok(Answer::xml(
            Xml::root("LocationConstraint").end("LocationConstraint"),
        )),
        Method::GET if asked.is("uploads") => Ok(list_uploads(&bucket, asked)),
        Method::GET if asked.query("list-type") == Some("2") => list(&bucket, asked),
        Method::POST if asked.is("delete") => delete_objects(&bucket, asked),
        _ => Err(Refusal::NOT_IMPLEMENTED),
    }
}

fn delete_objects(bucket: &Bucket, asked: &Asked) -> Result<Answer, Refusal> {
    let objects = elements(&asked.body, "Object")?;
    let mut document = Xml::root("DeleteResult");
    for object in &objects {
        let key = child(object, "Key").ok_or(Refusal::MALFORMED_XML)?;
        bucket.delete(key, child(object, "VersionId"));
        document.element("Deleted", |deleted| {
            deleted.text("Key", key);
        });
    }
    Ok(Answer::xml(document.end("DeleteResult")))
}
