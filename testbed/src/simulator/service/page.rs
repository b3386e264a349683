//! What the requests for lists have in common.

use std::ops::RangeInclusive;

use crate::simulator::checksum::{Algorithm, Kind};
use crate::simulator::refusal::Refusal;
use crate::simulator::request::Asked;
use crate::simulator::store::Listed;
use crate::simulator::xml::Xml;

use super::answer::iso;

/// Maximum number of entries in a page.
const PAGE: usize = 1_000;
/// Canonical user id of the only account.
const OWNER: &str = "5142ce000000000000000000000000000000000000000000000000000000cafe";

/// The parameters that all lists have.
#[derive(Debug)]
pub(super) struct Paging<'a> {
    pub(super) prefix: &'a str,
    pub(super) delimiter: Option<&'a str>,
    /// Whether keys are encoded in the answer.
    is_encoded: bool,
    pub(super) most: usize,
}

impl<'a> Paging<'a> {
    /// Reads prefix, delimiter, encoding type, and the parameter `most` for the size of a page.
    pub(super) fn of(asked: &'a Asked, most: &str) -> Result<Self, Refusal> {
        let encoding = asked.query("encoding-type").filter(|it| !it.is_empty());
        if encoding.is_some_and(|it| it != "url") {
            return Err(Refusal::INVALID_ARGUMENT
                .saying("Invalid Encoding Method specified in Request".to_owned()));
        }
        Ok(Self {
            prefix: asked.query("prefix").unwrap_or_default(),
            delimiter: asked.query("delimiter").filter(|it| !it.is_empty()),
            is_encoded: encoding.is_some(),
            most: limit(most, asked.query(most), 0..=i32::MAX)?.map_or(PAGE, |it| PAGE.min(it)),
        })
    }

    /// A key as it stands in the answer: slashes stay what they are.
    pub(super) fn encoded(&self, text: &str) -> String {
        if !self.is_encoded {
            return text.to_owned();
        }
        let parts = text
            .split('/')
            .map(|part| form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>());
        parts.collect::<Vec<_>>().join("/")
    }

    /// Writes the parameters, the size of the page under this name.
    pub(super) fn write(&self, document: &mut Xml, most: &str) {
        document
            .text("Prefix", &self.encoded(self.prefix))
            .text(most, &self.most.to_string())
            .optional(
                "Delimiter",
                self.delimiter.map(|it| self.encoded(it)).as_deref(),
            )
            .optional("EncodingType", self.is_encoded.then_some("url"));
    }

    pub(super) fn write_prefixes(&self, document: &mut Xml, prefixes: &[String]) {
        for prefix in prefixes {
            document.element("CommonPrefixes", |element| {
                element.text("Prefix", &self.encoded(prefix));
            });
        }
    }
}

/// Reads a number of a request.
pub(super) fn limit(
    name: &str,
    value: Option<&str>,
    range: RangeInclusive<i32>,
) -> Result<Option<usize>, Refusal> {
    let Some(value) = value.filter(|it| !it.is_empty()) else {
        return Ok(None);
    };
    let number: i32 = value.parse().map_err(|_| {
        let message = format!("Provided {name} not an integer or within integer range");
        Refusal::INVALID_ARGUMENT.saying(message)
    })?;
    usize::try_from(number)
        .ok()
        .filter(|_| range.contains(&number))
        .map(Some)
        .ok_or_else(|| {
            let (first, last) = range.into_inner();
            let message = format!("Argument {name} must be an integer between {first} and {last}");
            Refusal::INVALID_ARGUMENT.saying(message)
        })
}

/// Reads a marker; an empty one is none.
pub(super) fn marker<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.query(name).filter(|it| !it.is_empty())
}

/// Writes the properties of an object, without key and time.
pub(super) fn write_object(element: &mut Xml, object: &Listed) {
    element.text("ETag", &object.etag);
    write_checksum(element, Some(object.checksum));
    element
        .text("Size", &object.size.to_string())
        .text("StorageClass", &object.storage_class);
}

/// Writes `Contents` of an object, with the owner if it is asked for.
pub(super) fn write_contents(
    document: &mut Xml,
    paging: &Paging<'_>,
    object: &Listed,
    owned: bool,
) {
    document.element("Contents", |element| {
        element
            .text("Key", &paging.encoded(&object.key))
            .text("LastModified", &iso(object.modified));
        write_object(element, object);
        if owned {
            write_account(element, "Owner");
        }
    });
}

/// Writes algorithm and form of a checksum.
pub(super) fn write_checksum(element: &mut Xml, checksum: Option<(Algorithm, Kind)>) {
    if let Some((algorithm, kind)) = checksum {
        element
            .text("ChecksumAlgorithm", algorithm.name())
            .text("ChecksumType", kind.name());
    }
}

/// Writes an owner or an initiator.
pub(super) fn write_account(element: &mut Xml, name: &str) {
    element.element(name, |account| {
        account.text("ID", OWNER).text("DisplayName", "simulator");
    });
}
