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
mod tests {
    use super::*;
    use crate::catalog::Place;
    use s3bundler_contract::{Reason, Row};

    fn entry(key: &str, outcome: Outcome) -> Entry {
        Entry {
            row: Row {
                bucket: "b".to_owned(),
                key: key.to_owned(),
                size: Some(3),
                version_id: None,
                last_modified: Some("2026-11-22T01:00:00.000Z".to_owned()),
                etag: Some("e".to_owned()),
                storage_class: Some("STANDARD".to_owned()),
            },
            listed_version: false,
            outcome,
            md5: None,
            checksums: Map::new(),
            headers: Map::new(),
            metadata: Map::new(),
            tags: Map::new(),
            detail: None,
            sha256: None,
        }
    }

    #[test]
    fn the_index_begins_with_the_seeds_columns_and_quotes_what_needs_it() {
        let mut archived = entry(
            "a,\"b\"\n",
            Outcome::Archived(Place {
                offset: 512,
                length: 3,
                skip: 0,
            }),
        );
        archived.md5 = Some("900150983cd24fb0d6963f7d28e17f72".to_owned());
        archived.sha256 = Some("ba78".to_owned());
        archived.metadata = [
            ("x".to_owned(), "\"1\"".to_owned()),
            ("a".to_owned(), "2".to_owned()),
        ]
        .into();
        let mut failed = entry("f", Outcome::Failed(Reason::Glacier));
        failed.detail = Some("InvalidObjectState".to_owned());
        let mut writer = IndexWriter::new(Vec::new(), "p/g-a.tar", |_| true).expect("memory");
        for entry in [
            archived,
            entry(
                "c",
                Outcome::Copied {
                    key: "p/objects/c~0".to_owned(),
                },
            ),
            failed,
        ] {
            writer.push(&entry).expect("memory");
        }
        let text = String::from_utf8(writer.finish().expect("memory")).expect("UTF-8");
        assert_eq!(
            text,
            concat!(
                "bucket,key,size,lastmodified,checksum,metadata,tags,outcome,archive,offset,length,skip,versionid,",
                "etag,storageclass,headers,checksums,detail,sha256\n",
                "b,\"a,\"\"b\"\"\n\",3,2026-11-22T01:00:00.000Z,900150983cd24fb0d6963f7d28e17f72,",
                "\"{\"\"a\"\":\"\"2\"\",\"\"x\"\":\"\"\\\"\"1\\\"\"\"\"}\",,archived,p/g-a.tar,512,3,0,,e,STANDARD,,,,ba78\n",
                "b,c,3,2026-11-22T01:00:00.000Z,,,,copied,p/objects/c~0,,,,,e,STANDARD,,,,\n",
                "b,f,3,2026-11-22T01:00:00.000Z,,,,Glacier,,,,,,e,STANDARD,,,InvalidObjectState,\n",
            )
        );
    }
}
