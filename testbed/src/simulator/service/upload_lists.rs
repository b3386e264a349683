//! ListMultipartUploads and ListParts.

use super::OfObject;
use super::answer::{Answer, iso};
use super::page::{Paging, limit, marker, write_account, write_checksum};
use crate::simulator::object::{Part, Upload};
use crate::simulator::refusal::Refusal;
use crate::simulator::request::Asked;
use crate::simulator::store::{Bucket, etag};
use crate::simulator::xml::Xml;

/// One entry of a page of uploads.
enum Entry<'a> {
    Upload(&'a str, &'a Upload),
    Prefix(String),
}

impl Entry<'_> {
    /// The markers of a page that ends with this entry.
    fn markers(&self) -> (&str, Option<&str>) {
        match self {
            Self::Upload(id, upload) => (&upload.key, Some(id)),
            Self::Prefix(prefix) => (prefix, None),
        }
    }
}

/// ListMultipartUploads.
pub(super) fn list_uploads(bucket: &Bucket, asked: &Asked) -> Result<Answer, Refusal> {
    let paging = Paging::of(asked, "max-uploads")?;
    let after = marker(asked, "key-marker");
    let after_id = marker(asked, "upload-id-marker").filter(|_| after.is_some());
    let written = bucket.written();
    if after_id.is_some_and(|id| !written.uploads.contains_key(id)) {
        let message = "Invalid uploadId marker".to_owned();
        return Err(Refusal::INVALID_ARGUMENT.saying(message));
    }
    let mut uploads: Vec<_> = written
        .uploads
        .iter()
        .map(|(id, upload)| (upload.key.as_str(), id.as_str(), upload))
        .filter(|(key, id, _)| {
            key.starts_with(paging.prefix)
                && after.is_none_or(|after| {
                    *key > after || *key == after && after_id.is_some_and(|after| *id > after)
                })
        })
        .collect();
    uploads.sort_by_key(|(key, id, _)| (*key, *id));
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut is_truncated = false;
    for (key, id, upload) in uploads {
        let common = paging.delimiter.and_then(|delimiter| {
            let at = key[paging.prefix.len()..].find(delimiter)?;
            Some(&key[..paging.prefix.len() + at + delimiter.len()])
        });
        let is_listed = common.is_some_and(|common| {
            after.is_some_and(|after| common <= after)
                || matches!(entries.last(), Some(Entry::Prefix(last)) if last == common)
        });
        if is_listed {
            continue;
        }
        if entries.len() >= paging.most {
            is_truncated = paging.most > 0;
            break;
        }
        entries.push(match common {
            Some(common) => Entry::Prefix(common.to_owned()),
            None => Entry::Upload(id, upload),
        });
    }
    let mut document = Xml::root("ListMultipartUploadsResult");
    document.text("Bucket", &bucket.name);
    paging.write(&mut document, "MaxUploads");
    document
        .text("KeyMarker", &paging.encoded(after.unwrap_or_default()))
        .text("UploadIdMarker", after_id.unwrap_or_default())
        .text("IsTruncated", &is_truncated.to_string());
    if let Some(last) = entries.last().filter(|_| is_truncated) {
        let (key, id) = last.markers();
        document
            .text("NextKeyMarker", &paging.encoded(key))
            .optional("NextUploadIdMarker", id);
    }
    let mut prefixes = Vec::new();
    for entry in entries {
        match entry {
            Entry::Upload(id, upload) => write_upload(&mut document, &paging, id, upload),
            Entry::Prefix(prefix) => prefixes.push(prefix),
        }
    }
    paging.write_prefixes(&mut document, &prefixes);
    Ok(Answer::xml(document.end("ListMultipartUploadsResult")))
}

fn write_upload(document: &mut Xml, paging: &Paging<'_>, id: &str, upload: &Upload) {
    document.element("Upload", |element| {
        element
            .text("Key", &paging.encoded(&upload.key))
            .text("UploadId", id);
        write_account(element, "Initiator");
        write_account(element, "Owner");
        element
            .text("StorageClass", &upload.storage_class)
            .text("Initiated", &iso(upload.initiated));
        write_checksum(element, upload.checksum);
    });
}

impl OfObject<'_> {
    /// ListParts.
    pub(super) fn list_parts(&self, id: &str) -> Result<Answer, Refusal> {
        let number = |name: &str| limit(name, self.asked.query(name), 0..=i32::MAX);
        let most = number("max-parts")?.map_or(1_000, |it| it.min(1_000));
        let after = number("part-number-marker")?.unwrap_or(0);
        let mut written = self.bucket.written();
        let upload = self.upload(&mut written.uploads, id)?;
        let parts: Vec<_> = upload
            .parts
            .iter()
            .filter(|(number, _)| **number as usize > after)
            .collect();
        let is_truncated = most > 0 && parts.len() > most;
        let parts = &parts[..parts.len().min(most)];
        let mut document = Xml::root("ListPartsResult");
        document
            .text("Bucket", &self.bucket.name)
            .text("Key", &self.asked.key)
            .text("UploadId", id)
            .text("PartNumberMarker", &after.to_string())
            .text("MaxParts", &most.to_string())
            .text("IsTruncated", &is_truncated.to_string())
            .text("StorageClass", &upload.storage_class);
        let last = parts.last().map_or(0, |(number, _)| **number);
        document.text("NextPartNumberMarker", &last.to_string());
        write_account(&mut document, "Initiator");
        write_account(&mut document, "Owner");
        write_checksum(&mut document, upload.checksum);
        for (number, part) in parts {
            document.element("Part", |element| write_part(element, **number, part));
        }
        Ok(Answer::xml(document.end("ListPartsResult")))
    }
}

fn write_part(element: &mut Xml, number: u32, part: &Part) {
    element
        .text("PartNumber", &number.to_string())
        .text("LastModified", &iso(part.modified))
        .text("ETag", &etag(&part.body))
        .text("Size", &part.body.bytes.len().to_string());
    if part.has_checksum {
        let checksum = &part.body.checksum;
        element.text(checksum.algorithm.element(), checksum.text());
    }
}
