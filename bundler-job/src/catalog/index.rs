//! Writes an index: a catalog's rows as CSV. The same rows give the same bytes.

use std::io::{self, Write};

use s3bundler_contract::index::COLUMNS;

use super::{Entry, Map, Outcome, schema};

/// Writes an index, header row first.
pub struct IndexWriter<W: Write> {
    csv: csv::Writer<W>,
    /// The archive's key, which every archived row names.
    archive: String,
    /// Which of [`COLUMNS`] it has.
    has: [bool; COLUMNS.len()],
}

impl<W: Write> IndexWriter<W> {
    /// Writes the index of `archive` to `sink`. Of the columns that earlier catalogs lack, it has
    /// those that `has_later` approves.
    pub fn new(sink: W, archive: &str, has_later: impl Fn(&str) -> bool) -> io::Result<Self> {
        let has = COLUMNS.map(|column| !schema::LATER.contains(&column) || has_later(column));
        let mut csv = csv::WriterBuilder::new()
            .terminator(csv::Terminator::Any(b'\n'))
            .buffer_capacity(64 * 1024)
            .from_writer(sink);
        csv.write_record(chosen(&COLUMNS, has)).map_err(into_io)?;
        Ok(Self {
            csv,
            archive: archive.to_owned(),
            has,
        })
    }

    /// Writes a row.
    pub fn push(&mut self, entry: &Entry) -> io::Result<()> {
        let row = &entry.row;
        let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (outcome, archive, place) = match &entry.outcome {
            Outcome::Archived(place) => ("archived", self.archive.as_str(), Some(place)),
            Outcome::Copied { key } => ("copied", key.as_str(), None),
            Outcome::Failed(reason) => (reason.as_str(), "", None),
        };
        let fields: [String; COLUMNS.len()] = [
            row.bucket.clone(),
            row.key.clone(),
            number(row.size),
            text(&row.last_modified),
            text(&entry.md5),
            json(&entry.metadata)?,
            json(&entry.tags)?,
            outcome.to_owned(),
            archive.to_owned(),
            number(place.map(|it| it.offset)),
            number(place.map(|it| it.length)),
            number(place.map(|it| it.skip)),
            text(&row.version_id),
            text(&row.etag),
            text(&row.storage_class),
            json(&entry.headers)?,
            json(&entry.checksums)?,
            text(&entry.detail),
            text(&entry.sha256),
        ];
        self.csv
            .write_record(chosen(&fields, self.has))
            .map_err(into_io)
    }

    /// Flushes and gives the sink back.
    pub fn finish(self) -> io::Result<W> {
        self.csv
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)
    }
}

/// The fields of the columns that an index has.
fn chosen<T, const N: usize>(fields: &[T; N], has: [bool; N]) -> impl Iterator<Item = &T> {
    fields
        .iter()
        .zip(has)
        .filter_map(|(field, has)| has.then_some(field))
}

/// A JSON object, names in order; nothing where there is nothing.
fn json(map: &Map) -> io::Result<String> {
    if map.is_empty() {
        Ok(String::new())
    } else {
        serde_json::to_string(map).map_err(io::Error::other)
    }
}

fn into_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests;
