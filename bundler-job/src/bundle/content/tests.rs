use super::*;

const MD5: &str = "0cc175b9c0f1b6a831c399e269772661";
const OTHER: &str = "92eb5ffee6ae2fec3ad71c777531578f";

fn recorded(rows: Option<u64>, md5: Option<&str>) -> Recorded {
    Recorded {
        rows,
        md5: md5.map(str::to_owned),
    }
}

#[test]
fn what_is_recorded_is_compared_and_what_is_absent_is_not() {
    for (recorded, bytes, rows) in [
        (Recorded::default(), true, true),
        (recorded(Some(3), Some(MD5)), true, true),
        (recorded(Some(3), None), true, true),
        (recorded(Some(4), Some(MD5)), true, false),
        (recorded(Some(0), None), true, false),
        (recorded(Some(3), Some(OTHER)), false, true),
    ] {
        assert_eq!(
            ContentProblem::of_bytes(&recorded, MD5).is_ok(),
            bytes,
            "{recorded:?}"
        );
        assert_eq!(
            ContentProblem::of_rows(&recorded, 3).is_ok(),
            rows,
            "{recorded:?}"
        );
    }
}

#[test]
fn bytes_have_the_size_of_the_listing_and_every_md5_that_is_recorded() {
    let whole = Whole {
        size: 5,
        md5: MD5.to_owned(),
        etag: String::new(),
    };
    let compared = |size, message: Option<&str>, metadata: Option<&str>| {
        let known = Known {
            size,
            recorded: recorded(None, message),
            ..Known::default()
        };
        match known.compare(&S3Address::new("b", "k"), &whole, &recorded(None, metadata)) {
            Ok(()) => "right",
            Err(Unproven::Content(ContentProblem::Md5 { .. })) => "damaged",
            Err(Unproven::Content(_)) => "something else",
            Err(Unproven::Spool(_)) => "another size",
        }
    };
    assert_eq!(compared(None, None, None), "right");
    assert_eq!(compared(Some(5), Some(MD5), Some(MD5)), "right");
    assert_eq!(compared(Some(4), Some(MD5), Some(MD5)), "another size");
    assert_eq!(compared(Some(5), Some(OTHER), Some(MD5)), "damaged");
    assert_eq!(compared(Some(5), None, Some(OTHER)), "damaged");
    assert_eq!(compared(None, Some(OTHER), None), "damaged");
}
