use super::*;

#[test]
fn a_composite_checksum_is_kept_with_the_number_of_its_parts() {
    let composite = GetObjectOutput::builder()
        .checksum_type(ChecksumType::Composite)
        .checksum_crc32("AAAAAA==-2")
        .build();
    let kept = source_checksums(&composite);
    assert_eq!(kept.get("crc32").map(String::as_str), Some("AAAAAA==-2"));
    assert_eq!(kept.get("type").map(String::as_str), Some("COMPOSITE"));
}
