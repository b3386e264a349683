//! GetObjectAttributes.

use http::header;

use super::OfObject;
use super::answer::{Answer, http_date};
use super::page::limit;
use crate::simulator::object::{Object, ObjectPart};
use crate::simulator::refusal::Refusal;
use crate::simulator::store::{Found, etag};
use crate::simulator::xml::Xml;

const ATTRIBUTES: [&str; 5] = [
    "ETag",
    "Checksum",
    "ObjectParts",
    "StorageClass",
    "ObjectSize",
];

impl OfObject<'_> {
    pub(super) fn attributes(&self) -> Result<Answer, Refusal> {
        let wanted = self.wanted()?;
        let number = |name: &str| limit(name, self.asked.header(name), 0..=i32::MAX);
        let most = number("x-amz-max-parts")?.map_or(1_000, |it| it.min(1_000));
        let after = number("x-amz-part-number-marker")?.unwrap_or(0);
        let Found { object, id } = self.found()?;
        self.check_read(&object, "")?;
        let mut document = Xml::root("GetObjectAttributesResponse");
        for attribute in wanted {
            write(&mut document, attribute, &object, after, most);
        }
        let mut answer = Answer::xml(document.end("GetObjectAttributesResponse"));
        answer.set(header::LAST_MODIFIED, http_date(object.modified));
        answer.set_version(id.as_deref());
        Ok(answer)
    }

    /// The attributes that the request names, in the order of the answer.
    fn wanted(&self) -> Result<Vec<&'static str>, Refusal> {
        let headers = self.asked.headers.get_all("x-amz-object-attributes");
        let named: Vec<_> = headers
            .iter()
            .filter_map(|it| it.to_str().ok())
            .flat_map(|it| it.split(','))
            .map(str::trim)
            .filter(|it| !it.is_empty())
            .collect();
        if named.is_empty() {
            return Err(Refusal::MISSING_ATTRIBUTES);
        }
        if named.iter().any(|it| !ATTRIBUTES.contains(it)) {
            let message = "Invalid attribute name specified.".to_owned();
            return Err(Refusal::INVALID_ARGUMENT.saying(message));
        }
        let wanted = ATTRIBUTES.into_iter().filter(|it| named.contains(it));
        Ok(wanted.collect())
    }
}

fn write(document: &mut Xml, attribute: &str, object: &Object, after: usize, most: usize) {
    match attribute {
        "ETag" => {
            document.text("ETag", etag(object.body.sums()).trim_matches('"'));
        }
        "Checksum" => {
            let checksum = &object.body.sums().checksum;
            // Other answers have the number of parts behind a composite checksum, this one does not.
            let value = checksum.text().split('-').next().unwrap_or_default();
            document.element("Checksum", |element| {
                element
                    .text(checksum.algorithm.element(), value)
                    .text("ChecksumType", checksum.kind.name());
            });
        }
        "ObjectParts" => {
            if let Some(parts) = &object.parts {
                document.element("ObjectParts", |element| {
                    write_parts(element, parts, after, most);
                });
            }
        }
        "StorageClass" => {
            document.text("StorageClass", &object.storage_class);
        }
        _ => {
            document.text("ObjectSize", &object.body.size().to_string());
        }
    }
}

/// Writes a page of parts. Parts without checksums are only counted ("if an additional checksum
/// isn't applied to the object, the response doesn't return the Part element"); S3 does so too if
/// the checksum is of the full object.
fn write_parts(element: &mut Xml, parts: &[ObjectPart], after: usize, most: usize) {
    element.text("PartsCount", &parts.len().to_string());
    let listed: Vec<_> = parts
        .iter()
        .filter_map(|part| Some((part, part.checksum.as_ref()?)))
        .filter(|(part, _)| part.number as usize > after)
        .collect();
    if parts.iter().all(|part| part.checksum.is_none()) {
        return;
    }
    let is_truncated = most > 0 && listed.len() > most;
    let listed = &listed[..listed.len().min(most)];
    element
        .text("PartNumberMarker", &after.to_string())
        .text("MaxParts", &most.to_string())
        .text("IsTruncated", &is_truncated.to_string());
    if let Some((last, _)) = listed.last() {
        element.text("NextPartNumberMarker", &last.number.to_string());
    }
    for (part, checksum) in listed {
        element.element("Part", |element| {
            element
                .text("PartNumber", &part.number.to_string())
                .text("Size", &part.size.to_string())
                .text(checksum.algorithm.element(), checksum.text());
        });
    }
}
