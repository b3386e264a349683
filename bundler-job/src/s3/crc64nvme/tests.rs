use super::*;

#[test]
fn the_sum_is_the_one_that_s3_tells() {
    let mut writer = Crc64Writer::new(Vec::new());
    writer.write_all(b"12345").expect("memory");
    writer.write_all(b"6789").expect("memory");
    let (bytes, size, crc) = writer.finish();
    // The check value of CRC-64/NVME in the catalogue of parametrised CRC algorithms.
    assert_eq!(
        (bytes.as_slice(), size, crc),
        (&b"123456789"[..], 9, 0xae8b_1486_0a79_9888)
    );
    assert_eq!(crc64nvme_to_base64(crc), "rosUhgp5mIg=");
    assert_eq!(crc64nvme_from_base64("rosUhgp5mIg="), Some(crc));
    for other in [
        "",
        "rosUhgp5mIg",
        "rosUhgp5",
        "!",
        "rosUhgp5mIg=rosUhgp5mIg=",
    ] {
        assert_eq!(crc64nvme_from_base64(other), None, "{other}");
    }
}
