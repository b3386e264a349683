use super::*;

const MD5: &str = "0cc175b9c0f1b6a831c399e269772661";

#[test]
fn what_is_not_a_number_of_rows_or_an_md5_is_absent() {
    for (metadata, rows, md5) in [
        (
            &[("columns", "Bucket,Key"), ("rows", "3"), ("md5", MD5)][..],
            Some(3),
            Some(MD5),
        ),
        (&[("rows", "0")], Some(0), None),
        (&[("rows", "-1"), ("md5", "")], None, None),
        (
            &[("rows", "many"), ("md5", "DMF1ucDxtqgxw5niaXcmYQ==")],
            None,
            None,
        ),
        (&[("md5", "0cc175b9c0f1b6a831c399e26977266x")], None, None),
        (&[], None, None),
    ] {
        let entries = metadata
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let expected = Recorded {
            rows,
            md5: md5.map(str::to_owned),
        };
        assert_eq!(Recorded::in_metadata(&entries), expected, "{metadata:?}");
        assert_eq!(
            expected.is_of("92eb5ffee6ae2fec3ad71c777531578f"),
            md5.is_none(),
            "{metadata:?}"
        );
        assert!(expected.is_of(&MD5.to_uppercase()));
    }
}
