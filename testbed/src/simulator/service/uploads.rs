//! Multipart uploads.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;
use data_encoding::HEXLOWER;
use http::{StatusCode, header};
use md5::{Digest as _, Md5};

use super::OfObject;
use super::answer::Answer;
use crate::simulator::bodies::Body;
use crate::simulator::checksum::{Algorithm, Checksum, Kind};
use crate::simulator::object::{Object, ObjectPart, Part, Stored, Upload};
use crate::simulator::refusal::Refusal;
use crate::simulator::request::range;
use crate::simulator::store::etag;
use crate::simulator::xml::{Xml, child, elements};

/// Minimum size of every part except the last ("Amazon S3 multipart upload limits").
const SMALLEST_PART: usize = 5 << 20;

impl OfObject<'_> {
    pub(super) fn create_upload(&self) -> Result<Answer, Refusal> {
        let checksum = self.named_checksum()?;
        let upload = Upload {
            key: self.asked.key.clone(),
            headers: self.headers(),
            tags: self.given_tags(),
            storage_class: self.storage_class(),
            initiated: self.now,
            checksum,
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
        let mut answer = Answer::xml(document.end("InitiateMultipartUploadResult"));
        if let Some((algorithm, kind)) = checksum {
            answer.set("x-amz-checksum-algorithm", algorithm.name());
            answer.set("x-amz-checksum-type", kind.name());
        }
        Ok(answer)
    }

    /// The checksum that CreateMultipartUpload names.
    fn named_checksum(&self) -> Result<Option<(Algorithm, Kind)>, Refusal> {
        let kind = self.asked.header("x-amz-checksum-type");
        let kind = kind.map(Kind::of_name).transpose()?;
        let Some(name) = self.asked.header("x-amz-checksum-algorithm") else {
            return match kind {
                None => Ok(None),
                Some(_) => Err(Refusal::INVALID_REQUEST.saying(
                    "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
                        .to_owned(),
                )),
            };
        };
        let algorithm = Algorithm::of_name(name)?;
        let kind = kind.unwrap_or_else(|| algorithm.default_kind());
        if !algorithm.allows(kind) {
            return Err(Refusal::INVALID_REQUEST.saying(format!(
                "The {} checksum type cannot be used with the {} checksum algorithm.",
                kind.name(),
                algorithm.name().to_lowercase(),
            )));
        }
        Ok(Some((algorithm, kind)))
    }

    pub(super) fn upload_part(&self, id: &str) -> Result<Answer, Refusal> {
        let number = self
            .asked
            .query("partNumber")
            .and_then(|number| number.parse().ok())
            .filter(|number| (1..=10_000).contains(number))
            .ok_or_else(|| {
                Refusal::INVALID_ARGUMENT.saying(
                    "Part number must be an integer between 1 and 10000, inclusive".to_owned(),
                )
            })?;
        let named = {
            let mut written = self.bucket.written();
            self.upload(&mut written.uploads, id)?.checksum
        };
        let is_copy = self.asked.header("x-amz-copy-source").is_some();
        let (body, has_checksum) = if is_copy {
            let algorithm = named.map_or(Algorithm::Crc64Nvme, |(algorithm, _)| algorithm);
            (Body::of(self.copied_bytes()?, algorithm), named.is_some())
        } else {
            let claimed = self.asked.claimed()?.map(|(algorithm, _)| algorithm);
            check_algorithm(named, claimed)?;
            let algorithm = claimed.or(named.map(|(algorithm, _)| algorithm));
            let algorithm = algorithm.unwrap_or(Algorithm::Crc64Nvme);
            let body = Body::of(self.asked.body.clone(), algorithm);
            (body, claimed.is_some() || named.is_some())
        };
        let sums = body.clone();
        let part = Part {
            body,
            has_checksum,
            modified: self.now,
        };
        {
            let mut written = self.bucket.written();
            let upload = self.upload(&mut written.uploads, id)?;
            upload.parts.insert(number, part);
        }
        if is_copy {
            let mut document = Xml::root("CopyPartResult");
            self.write_copy_result(&mut document, &sums);
            return Ok(Answer::xml(document.end("CopyPartResult")));
        }
        let mut answer = Answer::empty(StatusCode::OK);
        answer.headers.insert(header::ETAG, sums.etag);
        if self.asked.claimed()?.is_some() {
            let name = sums.checksum.algorithm.header();
            answer.headers.insert(name, sums.checksum.value);
        }
        Ok(answer)
    }

    /// The bytes that UploadPartCopy names.
    fn copied_bytes(&self) -> Result<bytes::Bytes, Refusal> {
        let Stored::Whole(source) = self.source()?.body else {
            return Err(Refusal::NOT_IMPLEMENTED);
        };
        let Some(header) = self.asked.header("x-amz-copy-source-range") else {
            return Ok(source.bytes);
        };
        let (first, end) =
            range(header, source.bytes.len() as u64)?.ok_or(Refusal::INVALID_ARGUMENT)?;
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        Ok(source.bytes.slice(place(first)..place(end)))
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
        let algorithm = upload.checksum;
        let (algorithm, kind) = algorithm.unwrap_or((Algorithm::Crc64Nvme, Kind::FullObject));
        self.check_kind(kind)?;
        let parts = joined(&upload, &named, kind)?;
        let (mut bytes, mut md5) = (BytesMut::new(), Md5::new());
        for (_, part) in &parts {
            bytes.extend_from_slice(&part.body.bytes);
            md5.update(Md5::digest(&part.body.bytes));
        }
        let bytes = bytes.freeze();
        let checksum = match kind {
            Kind::FullObject => algorithm.of(&bytes),
            Kind::Composite => {
                algorithm.composite(parts.iter().map(|(_, part)| &part.body.checksum))
            }
        };
        self.check_whole(&bytes, &checksum)?;
        let tag = format!("{}-{}", HEXLOWER.encode(&md5.finalize()), parts.len());
        let body = Body::with(bytes, &tag, checksum.clone());
        let tag = etag(&body);
        let written = self.write(Object {
            body: self.stored(body),
            parts: Some(Arc::new(object_parts(&parts, kind))),
            headers: upload.headers,
            tags: upload.tags,
            storage_class: upload.storage_class,
            modified: self.now,
            thawing_since: None,
        })?;
        self.bucket.written().uploads.remove(id);
        let mut document = Xml::root("CompleteMultipartUploadResult");
        document
            .text("Bucket", &self.bucket.name)
            .text("Key", &self.asked.key)
            .text("ETag", &tag)
            .text(algorithm.element(), checksum.text())
            .text("ChecksumType", kind.name());
        let mut answer = Answer::xml(document.end("CompleteMultipartUploadResult"));
        if let Some(id) = written.headers.get("x-amz-version-id") {
            answer.headers.insert("x-amz-version-id", id.clone());
        }
        Ok(answer)
    }

    /// "If the checksum type doesn't match the checksum type that was specified for the object
    /// during the CreateMultipartUpload request, it'll result in a BadDigest error"
    /// (CompleteMultipartUpload, S3 API reference).
    fn check_kind(&self, kind: Kind) -> Result<(), Refusal> {
        let claimed = self.asked.header("x-amz-checksum-type");
        match claimed.map(Kind::of_name).transpose()? {
            Some(claimed) if claimed != kind => Err(Refusal::BAD_DIGEST.saying(format!(
                "The upload was created using the {} checksum mode. The complete request must use the same checksum mode.",
                kind.name()
            ))),
            _ => Ok(()),
        }
    }

    /// Checks size and checksum of the whole object, if the request claims them.
    fn check_whole(&self, bytes: &[u8], checksum: &Checksum) -> Result<(), Refusal> {
        let size = bytes.len().to_string();
        if let Some(claimed) = self.asked.header("x-amz-mp-object-size")
            && claimed != size
        {
            return Err(Refusal::INVALID_REQUEST.saying(format!(
                "The provided 'x-amz-mp-object-size' header value {claimed} does not match what was computed: {size}"
            )));
        }
        let holds = match self.asked.claimed()? {
            None => true,
            Some((algorithm, claimed)) if algorithm == checksum.algorithm => {
                checksum.is_claimed(claimed)
            }
            Some((algorithm, claimed)) => algorithm.of(bytes).is_claimed(claimed),
        };
        if holds {
            Ok(())
        } else {
            Err(Refusal::BAD_DIGEST)
        }
    }

    pub(super) fn abort(&self, id: &str) -> Result<Answer, Refusal> {
        let mut written = self.bucket.written();
        self.upload(&mut written.uploads, id)?;
        written.uploads.remove(id);
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }
}

/// A part of an upload that named no algorithm may have any checksum; a part of a composite checksum
/// must have one.
fn check_algorithm(
    named: Option<(Algorithm, Kind)>,
    claimed: Option<Algorithm>,
) -> Result<(), Refusal> {
    let is_right = match (named, claimed) {
        (None, _) | (Some((_, Kind::FullObject)), None) => true,
        (Some((_, Kind::Composite)), None) => false,
        (Some((named, _)), Some(claimed)) => named == claimed,
    };
    if is_right {
        return Ok(());
    }
    let name = |algorithm: Option<Algorithm>| {
        algorithm.map_or_else(|| "null".to_owned(), |it| it.name().to_lowercase())
    };
    Err(Refusal::INVALID_REQUEST.saying(format!(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        name(named.map(|(algorithm, _)| algorithm)),
        name(claimed),
    )))
}

/// The parts of an upload that a request names, in its order.
fn joined<'u>(
    upload: &'u Upload,
    named: &[Vec<(String, String)>],
    kind: Kind,
) -> Result<Vec<(u32, &'u Part)>, Refusal> {
    let mut parts: Vec<(u32, &Part)> = Vec::with_capacity(named.len());
    for (n, element) in named.iter().enumerate() {
        let number: u32 = child(element, "PartNumber")
            .and_then(|number| number.parse().ok())
            .ok_or(Refusal::MALFORMED_XML)?;
        if parts.last().is_some_and(|(last, _)| number <= *last) {
            return Err(Refusal::INVALID_PART_ORDER);
        }
        let part = upload.parts.get(&number).ok_or(Refusal::INVALID_PART)?;
        let wanted = child(element, "ETag").unwrap_or_default();
        if wanted.trim_matches('"') != etag(&part.body).trim_matches('"') {
            return Err(Refusal::INVALID_PART);
        }
        if n + 1 < named.len() && part.body.bytes.len() < SMALLEST_PART {
            return Err(Refusal::ENTITY_TOO_SMALL);
        }
        check_part(number, element, part, kind)?;
        parts.push((number, part));
    }
    Ok(parts)
}

/// Checks the checksum that a request names for a part. It must name one if the checksum of the
/// object follows from those of its parts.
fn check_part(
    number: u32,
    element: &[(String, String)],
    part: &Part,
    kind: Kind,
) -> Result<(), Refusal> {
    let claimed = Algorithm::ALL
        .into_iter()
        .find_map(|algorithm| Some((algorithm, child(element, algorithm.element())?)));
    let ours = &part.body.checksum;
    match claimed {
        None if kind == Kind::Composite => Err(Refusal::INVALID_REQUEST.saying(format!(
            "The upload was created using a {} checksum. The complete request must include the checksum for each part. It was missing for part {number} in the request.",
            ours.algorithm.name().to_lowercase()
        ))),
        None => Ok(()),
        Some((algorithm, value)) if algorithm == ours.algorithm => {
            if value == ours.text() {
                Ok(())
            } else {
                Err(Refusal::INVALID_PART)
            }
        }
        Some((algorithm, _)) => Err(Refusal::BAD_DIGEST.saying(format!(
            "The {} you specified for part {number} did not match what we received.",
            algorithm.name().to_lowercase()
        ))),
    }
}

/// Parts keep their checksums if that of the object follows from them.
fn object_parts(parts: &[(u32, &Part)], kind: Kind) -> Vec<ObjectPart> {
    let parts = parts.iter().map(|(number, part)| ObjectPart {
        number: *number,
        size: part.body.bytes.len() as u64,
        checksum: (kind == Kind::Composite).then(|| part.body.checksum.clone()),
    });
    parts.collect()
}
