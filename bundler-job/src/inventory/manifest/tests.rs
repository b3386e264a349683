use proptest::prelude::*;
use s3bundler_contract::group_manifest::Column;

use super::*;

fn json(edit: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let mut json = serde_json::json!({
        "sourceBucket": "src",
        "destinationBucket": "arn:aws:s3:::inv",
        "version": "2016-11-30",
        "creationTimestamp": "1715043600000",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, \
         LifecycleExpirationDate",
        "files": [{ "key": "p/src/daily/data/1.csv.gz", "size": 331, "MD5checksum": "C473bcc2407d0a5cec5229b21d967e59" }]
    });
    edit(&mut json);
    serde_json::to_vec(&json).expect("JSON")
}

#[test]
fn a_manifest_as_s3_writes_it_is_understood() {
    let manifest = Manifest::parse(&json(|_| ())).expect("a manifest");
    assert_eq!(
        (
            manifest.source_bucket.as_str(),
            manifest.destination_bucket.as_str()
        ),
        ("src", "inv")
    );
    assert_eq!(manifest.creation_timestamp, Some(1_715_043_600_000));
    assert_eq!(manifest.columns.position(&Column::Size), Some(5));
    assert_eq!(manifest.columns.position(&Column::StorageClass), None);
    assert_eq!(manifest.files[0].size, ByteSize(331));
    assert_eq!(manifest.files[0].md5[..2], [0xc4, 0x73]);
}

#[test]
fn a_manifest_that_cannot_be_used_says_why() {
    type Edit = fn(&mut serde_json::Value);
    let cases: [(Edit, &str); 12] = [
        (
            |it| it["fileFormat"] = "ORC".into(),
            "its data files are ORC, which is not read yet",
        ),
        (
            |it| it["fileFormat"] = "Parquet".into(),
            "its data files are Parquet, which is not read yet",
        ),
        (|it| it["fileSchema"] = "Bucket, Size".into(), "lack Key"),
        (
            |it| it["fileSchema"] = "Bucket, Key, Size, Size".into(),
            "name Size twice",
        ),
        (
            |it| it["creationTimestamp"] = "yesterday".into(),
            "\"yesterday\" is not a number of milliseconds",
        ),
        (
            |it| it["files"][0]["MD5checksum"] = "c473".into(),
            "has no MD5checksum of 32 hex digits",
        ),
        (|it| it["files"][0]["key"] = "".into(), "has no key"),
        (
            |it| it["files"][0]["key"] = "a\u{1b}[31m".into(),
            "has control characters in its key",
        ),
        (
            |it| it["files"] = serde_json::json!([it["files"][0], it["files"][0]]),
            "is listed twice",
        ),
        (|it| it["files"][0]["size"] = (-1).into(), "expected u64"),
        (
            |it| it["files"] = serde_json::Value::Null,
            "invalid type: null",
        ),
        (
            |it| *it = serde_json::json!([]),
            "it is not the manifest of an S3 Inventory",
        ),
    ];
    for (edit, message) in cases {
        let error = Manifest::parse(&json(edit)).expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn deep_json_ends_in_an_error_and_not_in_the_stack() {
    let deep = "[".repeat(1_000_000);
    assert!(matches!(
        Manifest::parse(deep.as_bytes()),
        Err(ManifestProblem::Json(_))
    ));
}

proptest! {
    #[test]
    fn any_bytes_parse_or_fail_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Manifest::parse(&bytes);
    }
}
