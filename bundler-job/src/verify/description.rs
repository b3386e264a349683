//! The description beside a copy, compared with the row that names the copy.
//!
//! Copies are shared between runs, and the first run to copy an object describes it. The same bytes may have been written
//! again since, with other headers: Last-Modified tells. What depends on it is compared only if it is the same.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use s3bundler_contract::GroupName;
use s3bundler_contract::layout::METADATA_SUFFIX;
use s3bundler_contract::record::FORMAT;
use serde::Deserialize;

use super::copied::{Copied, Copies, ENCRYPTION};
use super::finding::Finding;
use super::group::Scope;
use super::part::Part;
use super::{RECORD_BYTES, VerifyError};
use crate::bundle::tags::MISSING_TAGS;
use crate::catalog::Map;
use crate::s3::ErrorKind;

/// The fields of a description.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    format: u32,
    bucket: String,
    key: String,
    version_id: Option<String>,
    size: u64,
    etag: String,
    last_modified: Option<String>,
    headers: Map,
    metadata: Map,
    tags: Map,
}

/// What comparing a description with a row shows.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    /// It is of the object, as another run found it at another time.
    Unproven,
    Wrong(String),
}

/// Compares the description beside a copy with the row.
pub(super) async fn check(
    scope: Scope<'_>,
    group: &GroupName,
    copied: &Copied,
    copies: &mut Copies,
) -> Result<(), VerifyError> {
    let object = scope.request.destination.address(format!("{}{METADATA_SUFFIX}", copied.key));
    let part = Part::CopyMetadata;
    let bytes = match scope.s3.get_bytes(&object, None, RECORD_BYTES).await {
        Ok((bytes, _)) => bytes,
        Err(error) if error.kind == ErrorKind::NotFound => {
            copies.findings.push(Finding::Missing { group: group.clone(), part, object });
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    match copied.compare(&bytes) {
        Verdict::Same => {}
        Verdict::Unproven => copies.unproven += 1,
        Verdict::Wrong(problem) => {
            copies.findings.push(Finding::WrongBytes { group: group.clone(), part, object, problem });
        }
    }
    Ok(())
}

impl Copied {
    /// Compares the row with a description. Pure.
    fn compare(&self, description: &[u8]) -> Verdict {
        let found: Description = match serde_json::from_slice(description) {
            Ok(found) => found,
            Err(error) => return Verdict::Wrong(format!("it is not a description: {error}")),
        };
        let text = |text: &str| format!("{text:?}");
        let version = |id: &Option<String>| text(id.as_deref().filter(|id| *id != "null").unwrap_or_default());
        let identity = [
            ("format", found.format.to_string(), FORMAT.to_string()),
            ("bucket", text(&found.bucket), text(&self.source.bucket)),
            ("key", text(&found.key), text(&self.source.key)),
            ("versionId", version(&found.version_id), version(&self.version_id)),
            ("size", found.size.to_string(), self.size.to_string()),
            ("etag", text(&found.etag), text(&self.etag)),
        ];
        if let Some((field, found, expected)) = identity.into_iter().find(|(_, found, expected)| found != expected) {
            return Verdict::Wrong(format!("its {field} is {found} instead of {expected}"));
        }
        let (written, described) = (instant(self.last_modified.as_deref()), instant(found.last_modified.as_deref()));
        if described.is_none() && found.last_modified.is_some() {
            return Verdict::Wrong("its lastModified is not an instant".to_owned());
        }
        if written.is_none() || written != described {
            return Verdict::Unproven;
        }
        // An object is never changed in place, so these are of the same write.
        if comparable(&found.headers) != comparable(&self.headers) {
            return Verdict::Wrong("its headers are not those of the object".to_owned());
        }
        if found.metadata != self.metadata {
            return Verdict::Wrong("its metadata is not that of the object".to_owned());
        }
        // Tags may change at any time.
        if found.tags == self.tags { Verdict::Same } else { Verdict::Unproven }
    }
}

fn instant(text: Option<&str>) -> Option<DateTime> {
    DateTime::from_str(text?, Format::DateTime).ok()
}

/// The headers of an object without what is added about the reader and the encryption.
fn comparable(headers: &Map) -> Map {
    let added = |name: &str| name == MISSING_TAGS || name == ENCRYPTION;
    headers.iter().filter(|(name, _)| !added(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use s3bundler_contract::S3Address;
    use serde_json::{Value, json};

    use super::*;

    const ETAG: &str = "0123456789abcdef0123456789abcdef";

    fn map(name: &str) -> Map {
        [(name.to_owned(), "1".to_owned())].into()
    }

    fn copied() -> Copied {
        Copied {
            key: "objects/k~1".to_owned(),
            source: S3Address::new("src", "k"),
            version_id: Some("v".to_owned()),
            size: 5,
            etag: ETAG.to_owned(),
            keyed: false,
            last_modified: Some("2026-11-22T01:00:00.000Z".to_owned()),
            checksums: Map::new(),
            headers: map("content-type").into_iter().chain(map(MISSING_TAGS)).collect(),
            metadata: map("m"),
            tags: map("t"),
        }
    }

    fn description() -> Value {
        json!({
            "format": 1, "bucket": "src", "key": "k", "versionId": "v", "size": 5, "etag": ETAG,
            "lastModified": "2026-11-22T01:00:00Z", "storageClass": null,
            "headers": { "content-type": "1" }, "metadata": { "m": "1" }, "tags": { "t": "1" }, "later": 1,
        })
    }

    #[test]
    fn a_description_is_that_of_the_row() {
        let compare = |description: &Value| copied().compare(description.to_string().as_bytes());
        assert_eq!(compare(&description()), Verdict::Same);
        let with = |field: &str, value: Value| {
            let mut changed = description();
            changed[field] = value;
            changed
        };
        for (field, value) in [
            ("format", json!(2)),
            ("bucket", json!("other")),
            ("key", json!("l")),
            ("versionId", json!("w")),
            ("versionId", json!(null)),
            ("size", json!(6)),
            ("size", json!("5")),
            ("etag", json!("x")),
            ("lastModified", json!("yesterday")),
            ("headers", json!({})),
            ("headers", json!(null)),
            ("metadata", json!({ "m": "2" })),
            ("metadata", json!([])),
            ("tags", json!("t")),
        ] {
            let verdict = compare(&with(field, value.clone()));
            assert!(matches!(&verdict, Verdict::Wrong(_)), "{field} {value}: {verdict:?}");
        }
        for (field, value) in
            [("lastModified", json!("2026-11-21T01:00:00Z")), ("lastModified", json!(null)), ("tags", json!({}))]
        {
            assert_eq!(compare(&with(field, value.clone())), Verdict::Unproven, "{field} {value}");
        }
        let mut earlier = with("lastModified", json!("2026-11-21T01:00:00Z"));
        earlier["headers"] = json!({});
        assert_eq!(compare(&earlier), Verdict::Unproven, "the same bytes, written at another time");
        for broken in ["", "{}", "[]"] {
            assert!(matches!(copied().compare(broken.as_bytes()), Verdict::Wrong(_)), "{broken}");
        }
    }

    #[test]
    fn the_null_version_is_no_version() {
        let mut copied = copied();
        for (row, found) in [(None, json!("null")), (Some("null"), json!(null)), (None, json!(null))] {
            copied.version_id = row.map(str::to_owned);
            let mut description = description();
            description["versionId"] = found.clone();
            assert_eq!(copied.compare(description.to_string().as_bytes()), Verdict::Same, "{row:?} {found}");
        }
    }
}
