//! ListObjectsV2 and ListObjects.

use data_encoding::BASE64;

use super::answer::Answer;
use super::page::{Paging, marker, write_contents};
use crate::simulator::refusal::Refusal;
use crate::simulator::request::Asked;
use crate::simulator::store::{Bucket, Listing};
use crate::simulator::xml::Xml;

/// ListObjectsV2.
pub(super) fn list_v2(bucket: &Bucket, asked: &Asked) -> Result<Answer, Refusal> {
    let paging = Paging::of(asked, "max-keys")?;
    let token = asked.query("continuation-token").map(decoded).transpose()?;
    let start_after = marker(asked, "start-after");
    let page = bucket.list(Listing {
        prefix: paging.prefix,
        delimiter: paging.delimiter,
        after: token.as_deref().or(start_after),
        most: paging.most,
        ..Listing::default()
    });
    let next = page.next.as_ref().map(|it| BASE64.encode(it.as_bytes()));
    let count = page.entries.len() + page.prefixes.len();
    let mut document = Xml::root("ListBucketResult");
    document.text("Name", &bucket.name);
    paging.write(&mut document, "MaxKeys");
    document
        .text("KeyCount", &count.to_string())
        .text("IsTruncated", &next.is_some().to_string())
        .optional(
            "StartAfter",
            start_after.map(|it| paging.encoded(it)).as_deref(),
        )
        .optional("ContinuationToken", asked.query("continuation-token"))
        .optional("NextContinuationToken", next.as_deref());
    let is_owned = asked.query("fetch-owner") == Some("true");
    for object in &page.entries {
        write_contents(&mut document, &paging, object, is_owned);
    }
    paging.write_prefixes(&mut document, &page.prefixes);
    Ok(Answer::xml(document.end("ListBucketResult")))
}

/// The key in a continuation token.
fn decoded(token: &str) -> Result<String, Refusal> {
    let key = BASE64.decode(token.as_bytes()).ok();
    key.and_then(|key| String::from_utf8(key).ok())
        .ok_or_else(|| {
            let message = "The continuation token provided is incorrect".to_owned();
            Refusal::INVALID_ARGUMENT.saying(message)
        })
}

/// ListObjects: `NextMarker` is returned only with a delimiter.
pub(super) fn list_v1(bucket: &Bucket, asked: &Asked) -> Result<Answer, Refusal> {
    let paging = Paging::of(asked, "max-keys")?;
    let after = marker(asked, "marker");
    let page = bucket.list(Listing {
        prefix: paging.prefix,
        delimiter: paging.delimiter,
        after,
        most: paging.most,
        ..Listing::default()
    });
    let next = page.next.as_deref().filter(|_| paging.delimiter.is_some());
    let mut document = Xml::root("ListBucketResult");
    document.text("Name", &bucket.name);
    paging.write(&mut document, "MaxKeys");
    document
        .text("Marker", &paging.encoded(after.unwrap_or_default()))
        .text("IsTruncated", &page.next.is_some().to_string())
        .optional("NextMarker", next.map(|it| paging.encoded(it)).as_deref());
    for object in &page.entries {
        write_contents(&mut document, &paging, object, true);
    }
    paging.write_prefixes(&mut document, &page.prefixes);
    Ok(Answer::xml(document.end("ListBucketResult")))
}
