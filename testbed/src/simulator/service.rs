//! The S3 operations.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use data_encoding::{BASE64, HEXLOWER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};
use md5::{Digest as _, Md5};

use super::bodies::Body;
use super::object::{Object, Pairs, Part, Stored, Tier, Upload};
use super::refusal::Refusal;
use super::request::{Asked, range};
use super::store::{Bucket, Listed, Store, etag, pairs_of};
use super::xml::{Xml, child, elements};
use crate::servers::REGION;

/// Headers that are stored with an object and returned by GET.
const KEPT: [&str; 6] = [
    "content-type",
    "content-language",
    "content-disposition",
    "content-encoding",
    "cache-control",
    "expires",
];
/// Minimum size of every part except the last ("Amazon S3 multipart upload limits").
const SMALLEST_PART: usize = 5 << 20;
/// Maximum number of keys in a page.
const PAGE: usize = 1_000;

/// An answer to a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Length of the body that a HEAD does not send.
    pub(super) length: Option<u64>,
}

impl Answer {
    fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            length: None,
        }
    }

    fn xml(document: String) -> Self {
        let mut answer = Self::empty(StatusCode::OK);
        answer.set(header::CONTENT_TYPE, "application/xml");
        answer.body = document.into();
        answer
    }

    fn set(&mut self, name: impl TryInto<HeaderName>, value: impl AsRef<[u8]>) {
        if let (Ok(name), Ok(value)) = (name.try_into(), HeaderValue::from_bytes(value.as_ref())) {
            self.headers.insert(name, value);
        }
    }

    /// An error document.
    pub(super) fn of(refusal: &Refusal, resource: &str) -> Self {
        let mut answer = Self::empty(refusal.status);
        if refusal.status == StatusCode::NOT_MODIFIED {
            return answer;
        }
        let mut document = Xml::root("Error");
        document
            .text("Code", refusal.code)
            .text("Message", refusal.message)
            .text("Resource", resource)
            .text("RequestId", "SIMULATED")
            .text("HostId", "simulator");
        answer.set(header::CONTENT_TYPE, "application/xml");
        answer.body = document.end("Error").into();
        answer
    }
}

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

fn list_buckets(store: &Store, asked: &Asked) -> Result<Answer, Refusal> {
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

fn of_bucket(store: &Store, asked: &Asked, now: SystemTime) -> Result<Answer, Refusal> {
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

/// ListObjectsV2.
fn list(bucket: &Bucket, asked: &Asked) -> Result<Answer, Refusal> {
    let prefix = asked.query("prefix").unwrap_or_default();
    let delimiter = asked.query("delimiter").filter(|it| !it.is_empty());
    let token = asked.query("continuation-token").map(decoded).transpose()?;
    let after = token.as_deref().or_else(|| asked.query("start-after"));
    let most = match asked.query("max-keys") {
        Some(most) => most.parse().map_err(|_| Refusal::INVALID_ARGUMENT)?,
        None => PAGE,
    };
    let most = PAGE.min(most);
    let page = bucket.list(prefix, delimiter, after, most);
    let is_url = asked.query("encoding-type") == Some("url");
    let encoded = |text: &str| {
        if is_url {
            // Slashes stay what they are.
            let parts = text
                .split('/')
                .map(|part| form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>());
            parts.collect::<Vec<_>>().join("/")
        } else {
            text.to_owned()
        }
    };
    let mut document = Xml::root("ListBucketResult");
    document
        .text("Name", &bucket.name)
        .text("Prefix", &encoded(prefix))
        .text("MaxKeys", &most.to_string())
        .text(
            "KeyCount",
            &(page.objects.len() + page.prefixes.len()).to_string(),
        )
        .text("IsTruncated", &page.next.is_some().to_string())
        .optional("Delimiter", delimiter.map(encoded).as_deref())
        .optional("EncodingType", asked.query("encoding-type"))
        .optional("ContinuationToken", asked.query("continuation-token"))
        .optional(
            "NextContinuationToken",
            page.next
                .as_ref()
                .map(|next| BASE64.encode(next.as_bytes()))
                .as_deref(),
        );
    for Listed {
        key,
        size,
        etag,
        modified,
        storage_class,
    } in &page.objects
    {
        document.element("Contents", |contents| {
            contents
                .text("Key", &encoded(key))
                .text("LastModified", &iso(*modified))
                .text("ETag", etag)
                .text("Size", &size.to_string())
                .text("StorageClass", storage_class);
        });
    }
    for prefix in &page.prefixes {
        document.element("CommonPrefixes", |prefixes| {
            prefixes.text("Prefix", &encoded(prefix));
        });
    }
    Ok(Answer::xml(document.end("ListBucketResult")))
}

/// The key in a continuation token.
fn decoded(token: &str) -> Result<String, Refusal> {
    let key = BASE64.decode(token.as_bytes()).ok();
    key.and_then(|key| String::from_utf8(key).ok())
        .ok_or(Refusal::INVALID_ARGUMENT)
}

fn list_uploads(bucket: &Bucket, asked: &Asked) -> Answer {
    let prefix = asked.query("prefix").unwrap_or_default();
    let mut document = Xml::root("ListMultipartUploadsResult");
    document
        .text("Bucket", &bucket.name)
        .text("Prefix", prefix)
        .text("IsTruncated", "false");
    let written = bucket.written();
    let mut uploads: Vec<_> = written.uploads.iter().collect();
    uploads.sort_by(|(one, a), (other, b)| (&a.key, one).cmp(&(&b.key, other)));
    for (id, upload) in uploads {
        if upload.key.starts_with(prefix) {
            document.element("Upload", |element| {
                element
                    .text("Key", &upload.key)
                    .text("UploadId", id)
                    .text("StorageClass", &upload.storage_class)
                    .text("Initiated", &iso(upload.initiated));
            });
        }
    }
    drop(written);
    Answer::xml(document.end("ListMultipartUploadsResult"))
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

    fn get(&self) -> Result<Answer, Refusal> {
        let object = self.object()?;
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
            let sums = object.body.sums();
            answer
                .headers
                .insert("x-amz-checksum-crc64nvme", sums.crc64nvme.clone());
            answer.set("x-amz-checksum-type", "FULL_OBJECT");
        }
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

    fn describe(&self, answer: &mut Answer, object: &Object, tier: Tier) {
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
        if let Some(id) = self.asked.query("versionId") {
            answer.set("x-amz-version-id", id);
        }
    }

    /// Conditions of a read; `of` is what the headers of a copy's source begin with.
    fn check_read(&self, object: &Object, of: &str) -> Result<(), Refusal> {
        let etag = etag(object.body.sums());
        let names = |list: &str| {
            list.split(',')
                .map(|it| it.trim().trim_matches('"'))
                .any(|it| it == "*" || it == etag.trim_matches('"'))
        };
        let header = |name: &str| self.asked.header(&format!("{of}{name}"));
        if header("if-match").is_some_and(|list| !names(list)) {
            return Err(Refusal::PRECONDITION_FAILED);
        }
        if header("if-none-match").is_some_and(names) {
            return Err(if of.is_empty() {
                Refusal::NOT_MODIFIED
            } else {
                Refusal::PRECONDITION_FAILED
            });
        }
        let since = |name| {
            let date = header(name)?;
            let parsed = DateTimeParser::new().parse_timestamp(date).ok()?;
            Some(seconds(object.modified) > parsed.as_second())
        };
        if since("if-unmodified-since") == Some(true) && header("if-match").is_none() {
            return Err(Refusal::PRECONDITION_FAILED);
        }
        if since("if-modified-since") == Some(false) && header("if-none-match").is_none() {
            return Err(Refusal::NOT_MODIFIED);
        }
        Ok(())
    }

    /// Checks the conditions of a write against the object that it replaces.
    fn check_write(&self, there: Option<&Object>) -> Result<(), Refusal> {
        if self.asked.header("if-none-match") == Some("*") && there.is_some() {
            return Err(Refusal::PRECONDITION_FAILED);
        }
        match (self.asked.header("if-match"), there) {
            (Some(_), None) => Err(Refusal::NO_SUCH_KEY),
            (Some(wanted), Some(there))
                if wanted.trim_matches('"') != etag(there.body.sums()).trim_matches('"') =>
            {
                Err(Refusal::PRECONDITION_FAILED)
            }
            _ => Ok(()),
        }
    }

    fn headers(&self) -> HeaderMap {
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

    fn storage_class(&self) -> String {
        self.asked
            .header("x-amz-storage-class")
            .unwrap_or("STANDARD")
            .to_owned()
    }

    fn given_tags(&self) -> Pairs {
        pairs_of(self.asked.header("x-amz-tagging").unwrap_or_default())
    }

    fn stored(&self, body: Body) -> Stored {
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
    fn write(&self, object: Object) -> Result<Answer, Refusal> {
        let sums = object.body.sums().clone();
        let check = |there: Option<&Object>| self.check_write(there);
        let version = self.bucket.write(&self.asked.key, object, check)?;
        let mut answer = Answer::empty(StatusCode::OK);
        answer.headers.insert(header::ETAG, sums.etag);
        answer
            .headers
            .insert("x-amz-checksum-crc64nvme", sums.crc64nvme);
        answer.set("x-amz-checksum-type", "FULL_OBJECT");
        if let Some(id) = version {
            answer.set("x-amz-version-id", id);
        }
        Ok(answer)
    }

    fn put(&self) -> Result<Answer, Refusal> {
        self.write(Object {
            body: self.stored(Body::of(self.asked.body.clone())),
            headers: self.headers(),
            tags: self.given_tags(),
            storage_class: self.storage_class(),
            modified: self.now,
            thawing_since: None,
        })
    }

    fn delete(&self) -> Answer {
        let version = self.asked.query("versionId");
        let marker = self.bucket.delete(&self.asked.key, version);
        let mut answer = Answer::empty(StatusCode::NO_CONTENT);
        if let Some(id) = marker {
            answer.set("x-amz-version-id", id);
            answer.set("x-amz-delete-marker", "true");
        }
        answer
    }

    /// The source of a copy, if its conditions hold.
    fn source(&self) -> Result<Object, Refusal> {
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
        let object = match version {
            Some(version) => bucket.version(key, version)?,
            None => bucket.object(key)?,
        };
        self.check_read(&object, "x-amz-copy-source-")?;
        if matches!(
            object.tier(self.settings.thaw, self.now),
            Tier::Frozen | Tier::Thawing
        ) {
            return Err(Refusal::INVALID_STATE);
        }
        Ok(object)
    }

    fn copy(&self) -> Result<Answer, Refusal> {
        let source = self.source()?;
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
            body: source.body.copied(),
            storage_class: self.storage_class(),
            modified: self.now,
            thawing_since: None,
        };
        let written = self.write(object)?;
        let mut document = Xml::root("CopyObjectResult");
        self.tell_copy(&mut document, &written);
        let mut answer = Answer::xml(document.end("CopyObjectResult"));
        if let Some(id) = written.headers.get("x-amz-version-id") {
            answer.headers.insert("x-amz-version-id", id.clone());
        }
        Ok(answer)
    }

    fn tell_copy(&self, document: &mut Xml, written: &Answer) {
        let text = |name: &str| {
            let value = written.headers.get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        document
            .text("LastModified", &iso(self.now))
            .optional("ETag", text("etag").as_deref())
            .optional(
                "ChecksumCRC64NVME",
                text("x-amz-checksum-crc64nvme").as_deref(),
            );
    }

    fn create_upload(&self) -> Answer {
        let upload = Upload {
            key: self.asked.key.clone(),
            headers: self.headers(),
            tags: self.given_tags(),
            storage_class: self.storage_class(),
            initiated: self.now,
            parts: std::collections::BTreeMap::new(),
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

    fn upload_part(&self, id: &str) -> Result<Answer, Refusal> {
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

    fn upload<'u>(
        &self,
        uploads: &'u mut std::collections::BTreeMap<String, Upload>,
        id: &str,
    ) -> Result<&'u mut Upload, Refusal> {
        uploads
            .get_mut(id)
            .filter(|upload| upload.key == self.asked.key)
            .ok_or(Refusal::NO_SUCH_UPLOAD)
    }

    fn complete(&self, id: &str) -> Result<Answer, Refusal> {
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

    fn abort(&self, id: &str) -> Result<Answer, Refusal> {
        let mut written = self.bucket.written();
        self.upload(&mut written.uploads, id)?;
        written.uploads.remove(id);
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    fn list_parts(&self, id: &str) -> Result<Answer, Refusal> {
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

    fn tags(&self) -> Result<Answer, Refusal> {
        let object = self.object()?;
        let mut document = Xml::root("Tagging");
        document.element("TagSet", |set| {
            for (key, value) in &object.tags {
                set.element("Tag", |tag| {
                    tag.text("Key", key).text("Value", value);
                });
            }
        });
        Ok(Answer::xml(document.end("Tagging")))
    }

    fn set_tags(&self) -> Result<Answer, Refusal> {
        let tags = elements(&self.asked.body, "Tag")?
            .iter()
            .map(|tag| {
                let key = child(tag, "Key").ok_or(Refusal::MALFORMED_XML)?;
                let value = child(tag, "Value").unwrap_or_default();
                Ok((key.to_owned(), value.to_owned()))
            })
            .collect::<Result<_, Refusal>>()?;
        self.bucket.change(&self.asked.key, |object| {
            object.tags = tags;
            Ok(())
        })?;
        Ok(Answer::empty(StatusCode::OK))
    }

    fn remove_tags(&self) -> Result<Answer, Refusal> {
        self.bucket.change(&self.asked.key, |object| {
            object.tags.clear();
            Ok(())
        })?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    /// 202 for the first request, 409 until it is thawed, 200 after that.
    fn restore(&self) -> Result<Answer, Refusal> {
        let mut status = StatusCode::ACCEPTED;
        let (thaw, now) = (self.settings.thaw, self.now);
        self.bucket.change(&self.asked.key, |object| {
            match object.tier(thaw, now) {
                Tier::Open => return Err(Refusal::INVALID_STATE),
                Tier::Thawing => return Err(Refusal::RESTORE_IN_PROGRESS),
                Tier::Thawed => status = StatusCode::OK,
                Tier::Frozen => object.thawing_since = Some(now),
            }
            Ok(())
        })?;
        Ok(Answer::empty(status))
    }
}

fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).expect("a time between 2024 and the year 9999")
}

fn seconds(time: SystemTime) -> i64 {
    timestamp(time).as_second()
}

/// A time in an XML document: `2026-11-27T22:00:00.000Z`.
fn iso(time: SystemTime) -> String {
    format!("{:.3}", timestamp(time))
}

/// A time in a header.
fn http_date(time: SystemTime) -> String {
    DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&timestamp(time))
        .expect("a year of four digits")
}
