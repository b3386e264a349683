use super::*;
use crate::catalog::ArchiveRecord;
use s3bundler_contract::{KeyLayout, Layout};

#[test]
fn a_catalog_names_its_own_manifest_and_archive_or_is_refused() {
    let destination = Destination {
        bucket: "dst".to_owned(),
        layout: Layout::new("p", KeyLayout::Hashed).expect("a prefix"),
    };
    let run: RunName = "run".parse().expect("a name");
    let difference = |bucket: &str, manifest: &str, archive: &str, group: &GroupName| {
        let record = GroupRecord {
            manifest_bucket: bucket.to_owned(),
            manifest_key: manifest.to_owned(),
            manifest_etag: "e".to_owned(),
            attempt: "aaaaaaaa".to_owned(),
            archive: Some(ArchiveRecord {
                key: archive.to_owned(),
                size: 1,
                crc64nvme: 1,
            }),
            storage_class: "STANDARD".to_owned(),
            program: String::new(),
            redo: false,
        };
        record.difference(&destination, &run, group)
    };
    let group = GroupName::numbered(&run, 1);
    let (manifest, archive) = (
        "p/groups/run/run.000001.index",
        "p/archives/aa3c23/src/run.000001-aaaaaaaa.tar",
    );
    assert_eq!(difference("dst", manifest, archive, &group), None);
    for (bucket, manifest, archive) in [
        ("other", manifest, archive),
        ("dst", "p/groups/run/run.000002.index", archive),
        ("dst", "p/groups/other/run.000001.index", archive),
        (
            "dst",
            manifest,
            "p/archives/aa3c23/src/run.000001-bbbbbbbb.tar",
        ),
        (
            "dst",
            manifest,
            "p/archives/aa3c23/src/run=run/run.000001-aaaaaaaa.tar",
        ),
        (
            "dst",
            manifest,
            "p/archives/aa3c23/src/run.000002-aaaaaaaa.tar",
        ),
        (
            "dst",
            manifest,
            "archives/aa3c23/src/run.000001-aaaaaaaa.tar",
        ),
        ("dst", manifest, "p/groups/run.000001-aaaaaaaa.tar"),
    ] {
        assert!(
            difference(bucket, manifest, archive, &group).is_some(),
            "{bucket} {manifest} {archive}"
        );
    }
    let foreign = S3Address::new("other", "x/a.index");
    let group = GroupName::foreign(&foreign);
    let archive = format!("p/archives/src/{group}-aaaaaaaa.tar");
    assert_eq!(difference("other", "x/a.index", &archive, &group), None);
    assert!(difference("other", "y/a.index", &archive, &group).is_some());
    let of_run = |run: &str| format!("p/archives/src/run={run}/{group}-aaaaaaaa.tar");
    assert_eq!(
        difference("other", "x/a.index", &of_run("run"), &group),
        None
    );
    assert!(
        difference("other", "x/a.index", &of_run("another"), &group).is_some(),
        "another run's archive"
    );
    // The hash of one address in some 430 looks like a number of seven digits.
    let redos = (0..).map(|n| format!("{n}/run.redo1.index"));
    let named = redos.map(|key| (GroupName::foreign(&S3Address::new("other", &key)), key));
    let (group, key) = named
        .into_iter()
        .find(|(group, _)| group.is_redo_in(&run))
        .expect("there is always one more");
    let archive = format!("p/archives/src/run=run/{group}-aaaaaaaa.tar");
    assert_eq!(
        difference("other", &key, &archive, &group),
        None,
        "a name alone makes no redo"
    );
}
