//! The file metadata of a catalog: what it says of the group as a whole, as text under keys that
//! begin with `s3bundler.`.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

use parquet::file::metadata::KeyValue;
use s3bundler_contract::record::{FORMAT, FORMAT_2};
use s3bundler_contract::{Figures, Reason};

use super::schema::PREFIX;
use super::{ArchiveRecord, CatalogError, GroupRecord, Totals, seal};
use crate::s3::{crc64nvme_from_base64, crc64nvme_to_base64};

const FAILED: &str = "failed.";

/// As it is written, before the catalog is sealed.
pub(super) fn to_file_metadata(record: &GroupRecord, totals: &Totals) -> Vec<KeyValue> {
    let mut entries = vec![
        (
            "format",
            if record.redo { FORMAT_2 } else { FORMAT }.to_string(),
        ),
        ("program", record.program.clone()),
        ("attempt", record.attempt.clone()),
        ("manifest.bucket", record.manifest_bucket.clone()),
        ("manifest.key", record.manifest_key.clone()),
        ("manifest.etag", record.manifest_etag.clone()),
        ("storage-class", record.storage_class.clone()),
    ];
    if let Some(archive) = &record.archive {
        entries.push(("archive.key", archive.key.clone()));
        entries.push(("archive.size", archive.size.to_string()));
        entries.push(("archive.crc64nvme", crc64nvme_to_base64(archive.crc64nvme)));
    }
    entries.push(("rows", totals.rows().to_string()));
    entries.push(("archived", totals.figures.archived.to_string()));
    entries.push(("archived-bytes", totals.figures.archived_bytes.to_string()));
    entries.push(("copied", totals.figures.copied.to_string()));
    entries.push(("copied-bytes", totals.figures.copied_bytes.to_string()));
    entries.push(("failed-bytes", totals.figures.failed_bytes.to_string()));
    entries.push(("digest", totals.digest.to_string()));
    entries.push((seal::KEY, seal::UNSEALED.to_owned()));
    let failed = totals
        .figures
        .failed
        .iter()
        .map(|(reason, n)| (format!("{PREFIX}{FAILED}{reason}"), n.to_string()));
    let entries = entries
        .into_iter()
        .map(|(key, value)| (format!("{PREFIX}{key}"), value));
    entries
        .chain(failed)
        .map(|(key, value)| KeyValue::new(key, value))
        .collect()
}

/// The sum of a catalog as it is recorded; catalogs of earlier releases have none.
pub(super) fn recorded_sum(entries: &[KeyValue]) -> Option<&str> {
    let recorded = entries
        .iter()
        .rfind(|entry| entry.key.strip_prefix(PREFIX) == Some(seal::KEY))?;
    Some(recorded.value.as_deref().unwrap_or_default())
}

/// Reads it. Keys of later releases and of other programs are skipped.
pub(super) fn from_file_metadata(
    entries: &[KeyValue],
) -> Result<(GroupRecord, Totals), CatalogError> {
    let found = entries
        .iter()
        .filter_map(|entry| Some((entry.key.strip_prefix(PREFIX)?, entry.value.as_deref()?)));
    let found = Found(found.collect());
    let format = found.text("format")?;
    let redo = match format.parse() {
        Ok(FORMAT) => false,
        Ok(FORMAT_2) => true,
        _ => return Err(CatalogError::Format(format)),
    };
    let archive = match found.0.get("archive.key") {
        None => None,
        Some(key) => Some(ArchiveRecord {
            key: (*key).to_owned(),
            size: found.parse("archive.size")?,
            crc64nvme: crc64nvme_from_base64(&found.text("archive.crc64nvme")?)
                .ok_or_else(|| broken("archive.crc64nvme", "is not a CRC64NVME in base64"))?,
        }),
    };
    let record = GroupRecord {
        manifest_bucket: found.text("manifest.bucket")?,
        manifest_key: found.text("manifest.key")?,
        manifest_etag: found.text("manifest.etag")?,
        attempt: found.text("attempt")?,
        archive,
        storage_class: found.text("storage-class")?,
        program: found.text("program")?,
        redo,
    };
    let mut failed = BTreeMap::new();
    for name in found.0.keys().filter_map(|key| key.strip_prefix(FAILED)) {
        let key = format!("{FAILED}{name}");
        let reason: Reason = name
            .parse()
            .map_err(|_| broken(&key, "names no known reason"))?;
        failed.insert(reason, found.parse(&key)?);
    }
    let figures = Figures {
        archived: found.parse("archived")?,
        copied: found.parse("copied")?,
        archived_bytes: found.parse("archived-bytes")?,
        copied_bytes: found.parse("copied-bytes")?,
        failed_bytes: found.parse("failed-bytes")?,
        failed,
    };
    let totals = Totals {
        figures,
        digest: found.parse("digest")?,
    };
    if found.parse::<u64>("rows")? != totals.rows() {
        return Err(broken("rows", "is not archived + copied + failed"));
    }
    Ok((record, totals))
}

struct Found<'a>(HashMap<&'a str, &'a str>);

impl Found<'_> {
    fn text(&self, key: &str) -> Result<String, CatalogError> {
        self.0
            .get(key)
            .map(|text| (*text).to_owned())
            .ok_or_else(|| broken(key, "is missing"))
    }

    fn parse<T: FromStr>(&self, key: &str) -> Result<T, CatalogError> {
        let text = self.text(key)?;
        text.parse()
            .map_err(|_| broken(key, &format!("cannot be {text:?}")))
    }
}

fn broken(key: &str, problem: &str) -> CatalogError {
    CatalogError::Metadata {
        key: format!("{PREFIX}{key}"),
        problem: problem.to_owned(),
    }
}
