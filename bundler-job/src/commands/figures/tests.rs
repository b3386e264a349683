use super::*;

#[test]
fn more_bytes_than_are_listed_are_reported() {
    for (bytes, found, expected) in [
        (0, 0, None),
        (10, 10, None),
        (10, 9, None),
        (
            0,
            1,
            Some("the inventory lists none, so --max-size could not be kept"),
        ),
        (
            1,
            1 + 1024,
            Some("1.00 KiB more than the inventory lists, so --max-size may not be kept"),
        ),
    ] {
        let listed = Listed {
            bytes,
            by: "the inventory lists",
        };
        assert_eq!(
            listed.exceeded_by(found).as_deref(),
            expected,
            "{bytes} {found}"
        );
    }
}
