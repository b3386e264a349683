//! Lists of objects and of uploads.

use data_encoding::BASE64;

use super::answer::{Answer, iso};
use crate::simulator::refusal::Refusal;
use crate::simulator::request::Asked;
use crate::simulator::store::{Bucket, Listed};
use crate::simulator::xml::Xml;

/// Maximum number of keys in a page.
const PAGE: usize = 1_000;

/// ListObjectsV2.
pub(super) fn list(bucket: &Bucket, asked: &Asked) -> Result<Answer, Refusal> {
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

pub(super) fn list_uploads(bucket: &Bucket, asked: &Asked) -> Answer {
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
