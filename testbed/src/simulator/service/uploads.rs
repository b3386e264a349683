//! Multipart uploads.

use std::collections::BTreeMap;

use bytes::BytesMut;
use data_encoding::HEXLOWER;
use http::{HeaderValue, StatusCode, header};
use md5::{Digest as _, Md5};

use super::OfObject;
use super::answer::{Answer, iso};
use crate::simulator::bodies::Body;
use crate::simulator::object::{Object, Part, Stored, Upload};
use crate::simulator::refusal::Refusal;
use crate::simulator::request::range;
use crate::simulator::store::etag;
use crate::simulator::xml::{Xml, child, elements};

/// Minimum size of every part except the last ("Amazon S3 multipart upload limits").
const SMALLEST_PART: usize = 5 << 20;

impl OfObject<'_> {
    pub(super) fn create_upload(&self) -> Answer {
        let upload = Upload {
            key: self.asked.key.clone(),
            headers: self.headers(),
            tags: self.given_tags(),
            storage_class: self.storage_class(),
            initiated: self.now,
            parts: BTreeMap::new(),
        };
        let mut written = self.bucket.written();
        let id = written.next_id();
        written.uploads.insert(id.clone(), upload);
        drop(written);
        let mut document = Xml::root("InitiateMultipartUploadResult");
        document
            .text("Bucket", &self.bucket.name)
            .text("Key", &self.asked.key)
            .text("UploadId", &id);
        Answer::xml(document.end("InitiateMultipartUploadResult"))
    }

    pub(super) fn upload_part(&self, id: &str) -> Result<Answer, Refusal> {
        let number = self
            .asked
            .query("partNumber")
            .and_then(|number| number.parse().ok())
            .filter(|number| (1..=10_000).contains(number))
            .ok_or(Refusal::INVALID_ARGUMENT)?;
        let is_copy = self.asked.header("x-amz-copy-source").is_some();
        let body = if is_copy {
            let source = self.source()?;
            let Stored::Whole(source) = source.body else {
                return Err(Refusal::NOT_IMPLEMENTED);
            };
            let bytes = match self.asked.header("x-amz-copy-source-range") {
                Some(header) => {
                    let (first, end) = range(header, source.bytes.len() as u64)?
                        .ok_or(Refusal::INVALID_ARGUMENT)?;
                    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
                    source.bytes.slice(place(first)..place(end))
                }
                None => source.bytes,
            };
            Body::of(bytes)
        } else {
            Body::of(self.asked.body.clone())
        };
        let mut written = self.bucket.written();
        let upload = self.upload(&mut written.uploads, id)?;
        let sums = body.clone();
        upload.parts.insert(
            number,
            Part {
                body,
                modified: self.now,
            },
        );
        drop(written);
        let mut answer = Answer::empty(StatusCode::OK);
        answer.headers.insert(header::ETAG, sums.etag);
        answer
            .headers
            .insert("x-amz-checksum-crc64nvme", sums.crc64nvme);
        if is_copy {
            let mut document = Xml::root("CopyPartResult");
            self.tell_copy(&mut document, &answer);
            return Ok(Answer::xml(document.end("CopyPartResult")));
        }
        Ok(answer)
    }

    pub(super) fn upload<'u>(
        &self,
        uploads: &'u mut BTreeMap<String, Upload>,
        id: &str,
    ) -> Result<&'u mut Upload, Refusal> {
        uploads
            .get_mut(id)
            .filter(|upload| upload.key == self.asked.key)
            .ok_or(Refusal::NO_SUCH_UPLOAD)
    }

    pub(super) fn complete(&self, id: &str) -> Result<Answer, Refusal> {
        let named = elements(&self.asked.body, "Part")?;
        if named.is_empty() {
            return Err(Refusal::MALFORMED_XML);
        }
        let upload = {
            let mut written = self.bucket.written();
            self.upload(&mut written.uploads, id)?.clone()
        };
        let (mut bytes, mut sums, mut before) = (BytesMut::new(), Md5::new(), 0);
        for (n, part) in named.iter().enumerate() {
            let number: u32 = child(part, "PartNumber")
                .and_then(|number| number.parse().ok())
                .ok_or(Refusal::MALFORMED_XML)?;
            if number <= before {
                return Err(Refusal::INVALID_PART_ORDER);
            }
            before = number;
            let there = upload.parts.get(&number).ok_or(Refusal::INVALID_PART)?;
            let wanted = child(part, "ETag").unwrap_or_default().trim_matches('"');
            if wanted != etag(&there.body).trim_matches('"') {
                return Err(Refusal::INVALID_PART);
            }
            if n + 1 < named.len() && there.body.bytes.len() < SMALLEST_PART {
                return Err(Refusal::ENTITY_TOO_SMALL);
            }
            bytes.extend_from_slice(&there.body.bytes);
            sums.update(Md5::digest(&there.body.bytes));
        }
        let tag = format!("{}-{}", HEXLOWER.encode(&sums.finalize()), named.len());
        let body = Body::with_etag(bytes.freeze(), &tag);
        let claimed = self.asked.headers.get("x-amz-checksum-crc64nvme");
        if claimed.is_some_and(|claimed| *claimed != body.crc64nvme) {
            return Err(Refusal::BAD_DIGEST);
        }
        let checksum = body.crc64nvme.clone();
        let written = self.write(Object {
            body: self.stored(body),
            headers: upload.headers,
            tags: upload.tags,
            storage_class: upload.storage_class,
            modified: self.now,
            thawing_since: None,
        })?;
        self.bucket.written().uploads.remove(id);
        let mut document = Xml::root("CompleteMultipartUploadResult");
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        document
            .text("Bucket", &self.bucket.name)
            .text("Key", &self.asked.key)
            .optional(
                "ETag",
                written.headers.get(header::ETAG).map(text).as_deref(),
            )
            .text("ChecksumCRC64NVME", &text(&checksum))
            .text("ChecksumType", "FULL_OBJECT");
        Ok(Answer::xml(document.end("CompleteMultipartUploadResult")))
    }

    pub(super) fn abort(&self, id: &str) -> Result<Answer, Refusal> {
        let mut written = self.bucket.written();
        self.upload(&mut written.uploads, id)?;
        written.uploads.remove(id);
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    pub(super) fn list_parts(&self, id: &str) -> Result<Answer, Refusal> {
        let mut written = self.bucket.written();
        let upload = self.upload(&mut written.uploads, id)?;
        let mut document = Xml::root("ListPartsResult");
        document
            .text("Bucket", &self.bucket.name)
            .text("Key", &self.asked.key)
            .text("UploadId", id)
            .text("IsTruncated", "false");
        for (number, part) in &upload.parts {
            document.element("Part", |element| {
                element
                    .text("PartNumber", &number.to_string())
                    .text("LastModified", &iso(part.modified))
                    .text("ETag", &etag(&part.body))
                    .text("Size", &part.body.bytes.len().to_string());
            });
        }
        Ok(Answer::xml(document.end("ListPartsResult")))
    }
}
