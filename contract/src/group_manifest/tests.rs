use super::*;
use proptest::prelude::*;

fn row(key: &str) -> Row {
    Row {
        bucket: "b".into(),
        key: key.into(),
        size: Some(7),
        version_id: Some("v".into()),
        last_modified: Some("2026-11-22T01:00:00.000Z".into()),
        etag: None,
        storage_class: Some("STANDARD".into()),
    }
}

fn write(rows: &[Row]) -> Vec<u8> {
    let mut writer = RowWriter::new(Vec::new());
    for row in rows {
        writer.write(row, &[]).expect("memory");
    }
    writer.finish().expect("memory")
}

#[test]
fn rows_are_lf_ended_and_quoted_only_where_needed() {
    let text = String::from_utf8(write(&[row("a b"), row("a,\"\n")])).expect("UTF-8");
    assert_eq!(
        text,
        "b,a \
         b,7,v,2026-11-22T01:00:00.000Z,,STANDARD\nb,\"a,\"\"\n\",7,v,2026-11-22T01:00:00.000Z,,STANDARD\n"
    );
}

#[test]
fn the_seeds_manifests_are_read() {
    let reader = RowReader::new(
        &b"b,a%2Cb+c%2Fd,12\nb,x,0\n"[..],
        Columns::seed(),
        KeyEncoding::FormUrl,
    );
    let rows: Vec<_> = reader
        .map(|row| row.expect("a good row"))
        .map(|row| (row.key, row.size))
        .collect();
    assert_eq!(
        rows,
        [("a,b c/d".to_owned(), Some(12)), ("x".to_owned(), Some(0))]
    );
}

#[test]
fn a_bad_row_names_its_line_and_cause() {
    for (text, message) in [
        ("b,k,1\nb,k\n", "line 2: 2 columns where 3 are expected"),
        ("b,k,1\nb,k,1,2\n", "line 2: 4 columns where 3 are expected"),
        ("b,%zz,1\n", "line 1: the key \"%zz\" has a bad URL escape"),
        ("b,%ff,1\n", "line 1: the key \"%ff\" has a bad URL escape"),
        ("b,a%2,1\n", "line 1: the key \"a%2\" has a bad URL escape"),
        (
            "b,k,-1\n",
            "line 1: the size \"-1\" is not a whole number of bytes",
        ),
        (
            "b,k,1.5\n",
            "line 1: the size \"1.5\" is not a whole number of bytes",
        ),
    ] {
        let mut reader = RowReader::new(text.as_bytes(), Columns::seed(), KeyEncoding::FormUrl);
        let error = reader.find_map(Result::err).expect(text);
        assert_eq!(error.to_string(), message);
    }
    let mut reader = RowReader::new(&b"b,\xff,1\n"[..], Columns::seed(), KeyEncoding::Literal);
    assert!(matches!(
        reader.next_row(),
        Err(RowError {
            line: 1,
            problem: RowProblem::Utf8
        })
    ));
}

#[test]
fn a_row_that_never_ends_does_not_fill_the_memory() {
    let endless = std::io::Cursor::new(b"b,\"k".to_vec()).chain(std::io::repeat(b'x'));
    let mut reader = RowReader::new(endless, Columns::seed(), KeyEncoding::Literal);
    assert!(matches!(
        reader.next_row(),
        Err(RowError {
            problem: RowProblem::TooLong,
            ..
        })
    ));
}

#[test]
fn columns_are_matched_by_name_whatever_their_case_and_order() {
    let columns: Columns = "key, bucket,Encryption, SIZE".parse().expect("columns");
    let mut reader = RowReader::new(&b"k,b,x,3\n"[..], columns, KeyEncoding::Literal);
    let row = reader.next_row().expect("a row").expect("one");
    assert_eq!(
        (row.bucket.as_str(), row.key.as_str(), row.size),
        ("b", "k", Some(3))
    );
    assert!(matches!(
        "Bucket,Size".parse::<Columns>(),
        Err(ColumnsError::Missing(_, "Key"))
    ));
    assert!(matches!(
        "Bucket,Key,key".parse::<Columns>(),
        Err(ColumnsError::Twice(..))
    ));
    assert_eq!(Columns::full().to_string().parse(), Ok(Columns::full()));
}

proptest! {
    #[test]
    fn every_key_survives(keys in proptest::collection::vec("\\PC{1,40}|[\n\r\",%+ /]{1,9}", 1..20)) {
        let rows: Vec<_> = keys.iter().map(|key| row(key)).collect();
        let bytes = write(&rows);
        let reader = RowReader::new(bytes.as_slice(), Columns::full(), KeyEncoding::Literal);
        let back: Result<Vec<_>, _> = reader.collect();
        prop_assert_eq!(back.expect("reads back"), rows);
    }

    #[test]
    fn lines_are_those_of_an_independent_writer(key in "[a-z\"\n\r, ü]{0,12}", size in any::<Option<u64>>()) {
        let row = Row { size, etag: Some(key.clone()), ..row(&key) };
        let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
        let size = size.map(|it| it.to_string()).unwrap_or_default();
        csv.write_record(["b", &key, &size, "v", "2026-11-22T01:00:00.000Z", &key, "STANDARD"]).expect("memory");
        let expected = csv.into_inner().expect("memory");
        let mut line = Vec::new();
        append_row(&mut line, &row.borrowed());
        prop_assert_eq!(&line, &expected);
        prop_assert_eq!(&write(std::slice::from_ref(&row)), &expected);
    }

    #[test]
    fn form_encoded_keys_decode_once(key in "\\PC{0,40}") {
        let encoded: String = form_urlencoded::byte_serialize(key.as_bytes()).collect();
        prop_assert_eq!(decode_key(&encoded).expect("well encoded"), key);
    }

    #[test]
    fn any_bytes_parse_or_fail_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let reader = RowReader::new(bytes.as_slice(), Columns::seed(), KeyEncoding::FormUrl);
        for row in reader.take(1000) {
            if row.is_err() { break; }
        }
    }
}
