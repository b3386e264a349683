use super::*;

#[test]
fn bytes_are_those_of_the_manifest_or_damaged_or_replaced() {
    let right: [u8; 16] = Md5::digest(b"right").into();
    let file = DataFile {
        key: "k".to_owned(),
        size: ByteSize(5),
        md5: right,
    };
    let etag = HEXLOWER.encode(&right);
    let wrong: [u8; 16] = Md5::digest(b"wrong").into();
    let of =
        |size, md5, etag: &str| match compare(&file, &S3Address::new("b", "k"), size, md5, etag) {
            Ok(()) => "right",
            Err(InventoryError::Damaged(_)) => "damaged",
            Err(InventoryError::FileChecksum { .. }) => "another file",
            Err(_) => "something else",
        };
    for (size, md5, etag, expected) in [
        (5, right, etag.as_str(), "right"),
        (5, right, "of a KMS key", "right"),
        (5, wrong, etag.as_str(), "damaged"),
        (5, wrong, "of a KMS key", "another file"),
        (5, wrong, HEXLOWER.encode(&wrong).as_str(), "another file"),
        (4, wrong, "of a KMS key", "damaged"),
        (6, right, etag.as_str(), "damaged"),
        (0, wrong, etag.as_str(), "damaged"),
    ] {
        assert_eq!(of(size, md5, etag), expected, "{size} {etag}");
    }
}
