use std::sync::Arc;

use s3bundler_contract::{ArchiveFormat, Reason, Row};

use super::*;
use crate::catalog::{Entry, Place};

/// A key that a terminal would obey, that breaks lines and that needs quotes in CSV and JSON.
const HOSTILE: &str = "a\n\u{1b}[31m,\"b\"\r\\\u{85}ü";

fn found(key: &str) -> Found {
    let place = Place {
        offset: 512,
        length: 7,
        skip: 0,
    };
    Found {
        run: "r".parse().expect("a run's name"),
        group: "r.000000".parse().expect("a group's name"),
        attempt: "abcdefgh".into(),
        entry: Entry {
            row: Row {
                bucket: "src".to_owned(),
                key: key.to_owned(),
                size: Some(7),
                version_id: Some("v1".to_owned()),
                last_modified: Some("2026-11-22T01:00:00.000Z".to_owned()),
                etag: Some("e".to_owned()),
                storage_class: Some("STANDARD".to_owned()),
            },
            listed_version: true,
            outcome: Outcome::Archived(place),
            md5: Some("m".to_owned()),
            checksums: Map::new(),
            headers: Map::new(),
            metadata: Map::new(),
            tags: Map::from([(HOSTILE.to_owned(), HOSTILE.to_owned())]),
            detail: None,
            sha256: None,
        },
        location: Some(Location::Member {
            archive: Arc::new(S3Address::new("archive", "archives/r.000000-abcdefgh.tar")),
            format: ArchiveFormat::Tar,
            place,
        }),
    }
}

fn failed(key: &str) -> Found {
    let mut found = found(key);
    found.entry.outcome = Outcome::Failed(Reason::NoSuchKey);
    found.entry.row.size = None;
    found.entry.row.last_modified = None;
    found.entry.row.version_id = None;
    found.location = None;
    found
}

fn printed(format: OutputFormat, all: &[Found]) -> String {
    let mut bytes = Vec::new();
    {
        let mut printer = Printer::new(&mut bytes, format);
        for found in all {
            printer.print(found).expect("memory takes it");
        }
        printer.finish().expect("memory takes it");
    }
    String::from_utf8(bytes).expect("it is text")
}

#[test]
fn a_table_and_paths_escape_what_a_terminal_obeys() {
    insta::assert_snapshot!(printed(OutputFormat::Text, &[found(HOSTILE), failed("b")]), @r#"
    modified                       size  outcome     group                     object
    2026-11-22T01:00:00Z              7  archived    r.000000                  s3://src/a\n\u{1b}[31m,"b"\r\\u{85}ü?versionId=v1
    -                                 -  NoSuchKey   r.000000                  s3://src/b
    "#);
    insta::assert_snapshot!(printed(OutputFormat::Paths, &[found(HOSTILE), failed("b")]), @r#"
    s3://src/a\n\u{1b}[31m,"b"\r\\u{85}ü
    s3://src/b
    "#);
}

#[test]
fn json_is_one_object_a_line() {
    let text = printed(OutputFormat::Json, &[found(HOSTILE), failed("b")]);
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["key"], HOSTILE);
    assert_eq!(lines[0]["tags"][HOSTILE], HOSTILE);
    assert_eq!(
        lines[0]["location"],
        "s3://archive/archives/r.000000-abcdefgh.tar"
    );
    assert_eq!(lines[0]["offset"], 512);
    assert_eq!(lines[1]["outcome"], "NoSuchKey");
    assert!(lines[1]["location"].is_null() && lines[1]["size"].is_null());
}

#[test]
fn csv_has_a_header_and_the_columns_of_every_row() {
    let text = printed(OutputFormat::Csv, &[found(HOSTILE), failed("b")]);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(reader.headers().expect("a header"), &COLUMNS[..]);
    let rows: Vec<_> = reader.records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(&rows[0][1], HOSTILE);
    assert_eq!(&rows[1][3], "");
    assert_eq!(printed(OutputFormat::Csv, &[]).lines().count(), 1);
}
