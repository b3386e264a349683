//! Checksums of objects.

use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode};
use data_encoding::BASE64;

use super::{Asking, BUCKET, done, text};

pub(super) async fn checksums(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let put = || {
        s3.put_object()
            .bucket(BUCKET)
            .key("sums")
            .body(text("hello"))
    };
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, b"hello");
    for (what, sum) in [("wrong", !sum), ("right", sum)] {
        let sum = BASE64.encode(&sum.to_be_bytes());
        asking.note(
            format!("PutObject with a {what} CRC64NVME"),
            put().checksum_crc64_nvme(sum).send().await,
            done,
        );
    }
    for (what, sum) in [
        ("wrong", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("right", "XUFAKrxLKna5cZ2REBfFkg=="),
    ] {
        asking.note(
            format!("PutObject with a {what} Content-MD5"),
            put().content_md5(sum).send().await,
            done,
        );
    }
    let stored = put().checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
    asking.note(
        "PutObject with CRC64NVME of the SDK",
        stored.send().await,
        |it| format!("{:?} {:?}", it.checksum_crc64_nvme(), it.checksum_type()),
    );
    let head = s3.head_object().bucket(BUCKET).key("sums");
    asking.note(
        "HeadObject with checksums",
        head.checksum_mode(ChecksumMode::Enabled).send().await,
        |it| format!("{:?} {:?}", it.checksum_crc64_nvme(), it.checksum_type()),
    );
}
