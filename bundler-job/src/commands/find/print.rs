//! Prints what is found: as a table for people, as JSON, CSV or addresses for programs. Keys may be
//! any text: what a terminal would obey is escaped in the forms that people read.

use std::io::{self, Write};

use s3bundler_common::text::printable;
use s3bundler_contract::S3Address;
use serde::Serialize;

use crate::args::OutputFormat;
use crate::catalog::{Map, Outcome};
use crate::find::{Found, Location};

/// The columns of CSV.
const COLUMNS: [&str; 23] = [
    "bucket",
    "key",
    "version_id",
    "size",
    "last_modified",
    "etag",
    "storage_class",
    "outcome",
    "run",
    "group",
    "attempt",
    "location",
    "format",
    "offset",
    "length",
    "skip",
    "md5",
    "sha256",
    "checksums",
    "headers",
    "metadata",
    "tags",
    "detail",
];

/// Prints what is found.
#[derive(Debug)]
pub(super) struct Printer<W: Write> {
    out: Form<W>,
}

#[derive(Debug)]
enum Form<W: Write> {
    Table {
        out: W,
        has_header: bool,
    },
    Json(W),
    Csv {
        out: Box<csv::Writer<W>>,
        has_header: bool,
    },
    Paths(W),
}

impl<W: Write> Printer<W> {
    /// Prints to `out`.
    pub(super) fn new(out: W, format: OutputFormat) -> Self {
        let has_header = false;
        let out = match format {
            OutputFormat::Text => Form::Table { out, has_header },
            OutputFormat::Json => Form::Json(out),
            OutputFormat::Csv => Form::Csv {
                out: Box::new(csv::Writer::from_writer(out)),
                has_header,
            },
            OutputFormat::Paths => Form::Paths(out),
        };
        Self { out }
    }

    /// Prints an object.
    pub(super) fn print(&mut self, found: &Found) -> io::Result<()> {
        match &mut self.out {
            Form::Table { out, has_header } => {
                if !std::mem::replace(has_header, true) {
                    line(out, ["modified", "size", "outcome", "group", "object"])?;
                }
                table_row(out, found)
            }
            Form::Json(out) => {
                serde_json::to_writer(&mut *out, &Object::of(found))?;
                out.write_all(b"\n")
            }
            Form::Csv { out, has_header } => {
                if !std::mem::replace(has_header, true) {
                    out.write_record(COLUMNS)?;
                }
                Ok(out.write_record(cells(found)?)?)
            }
            Form::Paths(out) => {
                let row = &found.entry.row;
                let path = S3Address::new(&row.bucket, &row.key).to_string();
                writeln!(out, "{}", printable(&path))
            }
        }
    }

    /// Ends it.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match &mut self.out {
            Form::Table { out, .. } | Form::Json(out) | Form::Paths(out) => out.flush(),
            Form::Csv { out, has_header } => {
                if !*has_header {
                    out.write_record(COLUMNS)?;
                }
                out.flush()
            }
        }
    }
}

/// A line of the table. What is found is not known in advance, so that columns have widths that fit
/// nearly all.
fn line(out: &mut impl Write, cells: [&str; 5]) -> io::Result<()> {
    let [modified, size, outcome, group, object] = cells;
    writeln!(
        out,
        "{modified:<20}  {size:>13}  {outcome:<10}  {group:<24}  {object}"
    )
}

fn table_row(out: &mut impl Write, found: &Found) -> io::Result<()> {
    let row = &found.entry.row;
    let mut object = S3Address::new(&row.bucket, &row.key).to_string();
    if let Some(version) = &row.version_id {
        object = format!("{object}?versionId={version}");
    }
    // To the second.
    let modified = row.last_modified.as_deref().unwrap_or("-");
    let modified = modified.replace(".000Z", "Z");
    let size = row.size.map_or_else(|| "-".to_owned(), |it| it.to_string());
    line(
        out,
        [
            &modified,
            &size,
            outcome(&found.entry.outcome),
            found.group.as_str(),
            &printable(&object),
        ],
    )
}

/// An outcome as in the column of a catalog.
fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Archived(_) => "archived",
        Outcome::Copied { .. } => "copied",
        Outcome::Failed(reason) => reason.as_str(),
    }
}

/// An object as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    run: &'a str,
    group: &'a str,
    attempt: &'a str,
    bucket: &'a str,
    key: &'a str,
    version_id: Option<&'a str>,
    size: Option<u64>,
    last_modified: Option<&'a str>,
    etag: Option<&'a str>,
    storage_class: Option<&'a str>,
    outcome: &'static str,
    detail: Option<&'a str>,
    /// Where its bytes are: an archive, or a copy.
    location: Option<String>,
    /// The rest is of an archive.
    format: Option<&'static str>,
    offset: Option<u64>,
    length: Option<u64>,
    skip: Option<u64>,
    md5: Option<&'a str>,
    sha256: Option<&'a str>,
    checksums: &'a Map,
    headers: &'a Map,
    metadata: &'a Map,
    tags: &'a Map,
}

impl<'a> Object<'a> {
    fn of(found: &'a Found) -> Self {
        let (entry, row) = (&found.entry, &found.entry.row);
        let member = match &found.location {
            Some(Location::Member { format, place, .. }) => Some((format.extension(), *place)),
            _ => None,
        };
        Self {
            run: found.run.as_str(),
            group: found.group.as_str(),
            attempt: &found.attempt,
            bucket: &row.bucket,
            key: &row.key,
            version_id: row.version_id.as_deref(),
            size: row.size,
            last_modified: row.last_modified.as_deref(),
            etag: row.etag.as_deref(),
            storage_class: row.storage_class.as_deref(),
            outcome: outcome(&entry.outcome),
            detail: entry.detail.as_deref(),
            location: found.location.as_ref().map(|it| it.address().to_string()),
            format: member.map(|(format, _)| format),
            offset: member.map(|(_, place)| place.offset),
            length: member.map(|(_, place)| place.length),
            skip: member.map(|(_, place)| place.skip),
            md5: entry.md5.as_deref(),
            sha256: entry.sha256.as_deref(),
            checksums: &entry.checksums,
            headers: &entry.headers,
            metadata: &entry.metadata,
            tags: &entry.tags,
        }
    }
}

/// The cells of CSV. An empty one is a null, or an empty map.
fn cells(found: &Found) -> io::Result<Vec<String>> {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let number = |number: Option<u64>| number.map(|it| it.to_string()).unwrap_or_default();
    let map = |map: &Map| -> io::Result<String> {
        if map.is_empty() {
            return Ok(String::new());
        }
        Ok(serde_json::to_string(map)?)
    };
    let it = Object::of(found);
    Ok(vec![
        it.bucket.to_owned(),
        it.key.to_owned(),
        text(it.version_id),
        number(it.size),
        text(it.last_modified),
        text(it.etag),
        text(it.storage_class),
        it.outcome.to_owned(),
        it.run.to_owned(),
        it.group.to_owned(),
        it.attempt.to_owned(),
        it.location.unwrap_or_default(),
        text(it.format),
        number(it.offset),
        number(it.length),
        number(it.skip),
        text(it.md5),
        text(it.sha256),
        map(it.checksums)?,
        map(it.headers)?,
        map(it.metadata)?,
        map(it.tags)?,
        text(it.detail),
    ])
}

#[cfg(test)]
mod tests;
