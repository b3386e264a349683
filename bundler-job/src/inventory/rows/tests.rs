use super::*;

type Read = (String, Option<String>, bool, bool, Option<String>);

fn read(columns: &str, text: &str) -> Result<Vec<Read>, RowError> {
    let block = Block {
        bytes: text.as_bytes().to_vec(),
        first_line: 100,
    };
    let columns: Columns = columns.parse().expect("columns");
    let mut rows = Rows::of_block(&block, &columns);
    let mut all = Vec::new();
    while let Some(it) = rows.next_row()? {
        let owned = |field: Option<&str>| field.map(str::to_owned);
        let version = owned(it.row.version_id);
        all.push((
            it.row.key.to_owned(),
            version,
            it.is_latest,
            it.is_delete_marker,
            owned(it.access_tier),
        ));
    }
    Ok(all)
}

#[test]
fn rows_of_all_versions_as_s3_writes_them() {
    let text = r#""src","a+b%2F1","","true","false","0","2024-05-06T22:37:48.000Z","d41d8","STANDARD",""
"src","key1","","false","false","0","2024-05-06T22:38:00.000Z","d41d8","STANDARD",""
"src","key1","tpinzcb","true","false","5","2024-05-06T22:44:22.000Z","d8e8f","INTELLIGENT_TIERING","ARCHIVE_ACCESS"
"src","key2","gdN1exf","true","true","","2024-05-06T22:46:14.000Z","","",""
"#;
    let columns = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, \
        ETag, StorageClass, IntelligentTieringAccessTier";
    let version = |id: &str| Some(id.to_owned());
    assert_eq!(
        read(columns, text).expect("good rows"),
        [
            ("a b/1".to_owned(), None, true, false, None),
            ("key1".to_owned(), version("null"), false, false, None),
            (
                "key1".to_owned(),
                version("tpinzcb"),
                true,
                false,
                version("ARCHIVE_ACCESS")
            ),
            ("key2".to_owned(), version("gdN1exf"), true, true, None),
        ]
    );
}

#[test]
fn current_versions_have_no_version_and_are_latest() {
    let rows = read("Bucket, Key, Size", "\"src\",\"k\",\"1\"\n").expect("good rows");
    assert_eq!(rows, [("k".to_owned(), None, true, false, None)]);
}

proptest::proptest! {
    #[test]
    fn any_block_parses_or_fails_without_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
        let block = Block { bytes, first_line: 1 };
        let columns: Columns = "Bucket, Key, VersionId, IsLatest, Size".parse().expect("columns");
        let mut rows = Rows::of_block(&block, &columns);
        while let Ok(Some(_)) = rows.next_row() {}
    }
}

#[test]
fn a_bad_row_names_its_line_in_the_file() {
    for (text, message) in [
        (
            "\"b\",\"k\",\"1\"\n\"b\",\"k\"\n",
            "line 101: 2 columns where 3 are expected",
        ),
        (
            "\"b\",\"k\n\",\"1\"\n\"b\",\"%z\",\"1\"\n",
            "line 102: the key \"%z\" has a bad URL escape",
        ),
        (
            "\"b\",\"k\",\"-1\"\n",
            "line 100: the size \"-1\" is not a whole number of bytes",
        ),
    ] {
        assert_eq!(
            read("Bucket, Key, Size", text).expect_err(text).to_string(),
            message
        );
    }
}
