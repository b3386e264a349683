//! Copies.

use super::OfObject;
use super::answer::{Answer, iso};
use crate::simulator::bodies::Body;
use crate::simulator::checksum::Algorithm;
use crate::simulator::object::{Object, Tier};
use crate::simulator::refusal::Refusal;
use crate::simulator::store::etag;
use crate::simulator::xml::Xml;

impl OfObject<'_> {
    /// The source of a copy, if its conditions hold.
    pub(super) fn source(&self) -> Result<Object, Refusal> {
        let source = self
            .asked
            .header("x-amz-copy-source")
            .ok_or(Refusal::INVALID_ARGUMENT)?;
        let (path, version) = match source.split_once("?versionId=") {
            Some((path, version)) => (path, Some(version)),
            None => (source, None),
        };
        let path = percent_encoding::percent_decode_str(path)
            .decode_utf8()
            .map_err(|_| Refusal::INVALID_ARGUMENT)?;
        let (bucket, key) = path
            .trim_start_matches('/')
            .split_once('/')
            .ok_or(Refusal::INVALID_ARGUMENT)?;
        let bucket = self.store.bucket(bucket)?;
        let object = bucket.object(key, version)?.object;
        self.check_read(&object, "x-amz-copy-source-")?;
        if matches!(
            object.tier(self.settings.thaw, self.now),
            Tier::Frozen | Tier::Thawing
        ) {
            return Err(Refusal::INVALID_STATE);
        }
        Ok(object)
    }

    pub(super) fn copy(&self) -> Result<Answer, Refusal> {
        let source = self.source()?;
        let algorithm = self.asked.header("x-amz-checksum-algorithm");
        let algorithm = algorithm.map(Algorithm::of_name).transpose()?;
        let replaces = |name| self.asked.header(name) == Some("REPLACE");
        let object = Object {
            headers: if replaces("x-amz-metadata-directive") {
                self.headers()
            } else {
                source.headers
            },
            tags: if replaces("x-amz-tagging-directive") {
                self.given_tags()
            } else {
                source.tags
            },
            body: source.body.copied(algorithm),
            storage_class: self.storage_class(),
            modified: self.now,
            thawing_since: None,
            parts: None,
        };
        let copied = object.body.sums().clone();
        let written = self.write(object)?;
        let mut document = Xml::root("CopyObjectResult");
        self.write_copy_result(&mut document, &copied);
        let mut answer = Answer::xml(document.end("CopyObjectResult"));
        if let Some(id) = written.headers.get("x-amz-version-id") {
            answer.headers.insert("x-amz-version-id", id.clone());
        }
        Ok(answer)
    }

    pub(super) fn write_copy_result(&self, document: &mut Xml, copied: &Body) {
        document
            .text("LastModified", &iso(self.now))
            .text("ETag", &etag(copied))
            .text(copied.checksum.algorithm.element(), copied.checksum.text());
    }
}
