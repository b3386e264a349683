//! The description beside a copy, compared with the row that names the copy.
//!
//! Copies are shared between runs, and the first run to copy an object describes it. The same bytes
//! may have been written again since, with other headers: Last-Modified tells. What depends on it
//! is compared only if it is the same.

use s3bundler_contract::GroupName;
use s3bundler_contract::layout::METADATA_SUFFIX;

use super::super::finding::Finding;
use super::super::part::Part;
use super::super::scope::Scope;
use super::{Copied, Copies, ENCRYPTION};
use crate::bundle::tags::MISSING_TAGS;
use crate::catalog::Map;
use crate::description::{self, Description, Found, Identity};
use crate::s3::S3Error;

/// What comparing a description with a row shows.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    /// It is of the object, as another run found it at another time.
    Unproven,
    Wrong(&'static str),
}

/// Compares the description beside a copy with the row.
pub(super) async fn check(
    scope: Scope<'_>,
    group: &GroupName,
    copied: &Copied,
    copies: &mut Copies,
) -> Result<(), S3Error> {
    let object = scope
        .request
        .destination
        .address(format!("{}{METADATA_SUFFIX}", copied.key));
    let part = Part::CopyMetadata;
    let identity = Identity {
        source: &copied.source,
        version_id: copied.version_id.as_deref(),
        size: copied.size,
        etag: &copied.etag,
    };
    let found = match description::read(scope.s3, &object, identity).await? {
        // One answer alone is not believed.
        Found::Absent | Found::Wrong(_) => description::read(scope.s3, &object, identity).await?,
        found => found,
    };
    let problem = match found {
        Found::Absent => {
            copies.findings.push(Finding::Missing {
                group: group.clone(),
                part,
                object,
            });
            return Ok(());
        }
        Found::Archived => None,
        Found::Wrong(problem) => Some(problem),
        Found::Later(format) => Some(format!(
            "it has format {format}, which this release does not know"
        )),
        Found::Same(description) => match copied.compare(&description) {
            Verdict::Same => return Ok(()),
            Verdict::Unproven => None,
            Verdict::Wrong(problem) => Some(problem.to_owned()),
        },
    };
    match problem {
        Some(problem) => copies.findings.push(Finding::WrongBytes {
            group: group.clone(),
            part,
            object,
            problem,
        }),
        None => copies.unproven += 1,
    }
    Ok(())
}

impl Copied {
    /// Compares the row with a description of the same object. Pure.
    fn compare(&self, found: &Description) -> Verdict {
        let written = self.last_modified.as_deref().and_then(description::instant);
        // Catalogs have milliseconds.
        let millisecond = jiff::Timestamp::as_millisecond;
        if written.is_none() || written.map(millisecond) != found.written().map(millisecond) {
            return Verdict::Unproven;
        }
        // An object is never changed in place, so these are of the same write.
        if comparable(&found.headers) != comparable(&self.headers) {
            return Verdict::Wrong("its headers are not those of the object");
        }
        if found.metadata != self.metadata {
            return Verdict::Wrong("its metadata is not that of the object");
        }
        // Tags may change at any time.
        if found.tags == self.tags {
            Verdict::Same
        } else {
            Verdict::Unproven
        }
    }
}

/// The headers of an object without what is added about the reader and the encryption.
fn comparable(headers: &Map) -> Map {
    let added = |name: &str| name == MISSING_TAGS || name == ENCRYPTION;
    headers
        .iter()
        .filter(|(name, _)| !added(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests;
