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
