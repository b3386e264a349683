//! ListObjectVersions.

use super::answer::{Answer, iso};
use super::page::{Paging, marker, write_account, write_object};
use crate::simulator::object::is_version_id;
use crate::simulator::refusal::Refusal;
use crate::simulator::request::Asked;
use crate::simulator::store::{Bucket, ListedVersion, Listing};
use crate::simulator::xml::Xml;

/// ListObjectVersions.
pub(super) fn list_versions(bucket: &Bucket, asked: &Asked) -> Result<Answer, Refusal> {
    let paging = Paging::of(asked, "max-keys")?;
    let after = marker(asked, "key-marker");
    let after_version = asked.query("version-id-marker");
    check(after, after_version)?;
    let page = bucket.list_versions(Listing {
        prefix: paging.prefix,
        delimiter: paging.delimiter,
        after,
        after_version,
        most: paging.most,
    });
    let mut document = Xml::root("ListVersionsResult");
    document.text("Name", &bucket.name);
    paging.write(&mut document, "MaxKeys");
    document
        .text("KeyMarker", &paging.encoded(after.unwrap_or_default()))
        .text("VersionIdMarker", after_version.unwrap_or_default())
        .text("IsTruncated", &page.next.is_some().to_string());
    if let Some(next) = &page.next {
        // The last entry may be a common prefix, which has no version.
        let last = page.entries.last().filter(|last| last.key == *next);
        document
            .text("NextKeyMarker", &paging.encoded(next))
            .optional("NextVersionIdMarker", last.map(|it| it.id.as_str()));
    }
    for version in &page.entries {
        write_version(&mut document, &paging, version);
    }
    paging.write_prefixes(&mut document, &page.prefixes);
    Ok(Answer::xml(document.end("ListVersionsResult")))
}

fn check(key: Option<&str>, version: Option<&str>) -> Result<(), Refusal> {
    let message = match version {
        Some("") => "A version-id marker cannot be empty.",
        Some(_) if key.is_none() => "A version-id marker cannot be specified without a key marker.",
        Some(id) if !is_version_id(id) => "Invalid version id specified",
        _ => return Ok(()),
    };
    Err(Refusal::INVALID_ARGUMENT.saying(message.to_owned()))
}

fn write_version(document: &mut Xml, paging: &Paging<'_>, version: &ListedVersion) {
    let name = match version.object {
        Some(_) => "Version",
        None => "DeleteMarker",
    };
    document.element(name, |element| {
        element
            .text("Key", &paging.encoded(&version.key))
            .text("VersionId", &version.id)
            .text("IsLatest", &version.is_latest.to_string())
            .text("LastModified", &iso(version.modified));
        if let Some(object) = &version.object {
            write_object(element, object);
        }
        write_account(element, "Owner");
    });
}
