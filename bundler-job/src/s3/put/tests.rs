use std::io::Write as _;

use super::*;

// Check values of "123456789": the CRC catalogue's, and its MD5.
const CRC64NVME: &str = "rosUhgp5mIg=";
const CONTENT_MD5: &str = "JfnnlDI7RTiF9RgfG2JNCw==";

#[tokio::test]
async fn every_body_has_the_checksum_of_its_kind() {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(b"123456789").expect("bytes");
    for body in [
        PutBody::Bytes(Bytes::from_static(b"123456789")),
        PutBody::File(Arc::new(file)),
    ] {
        let crc = BodyChecksum::of(Checksum::Crc64Nvme, &body, None)
            .await
            .expect("a checksum");
        assert_eq!(
            (crc.crc64nvme.as_deref(), crc.content_md5),
            (Some(CRC64NVME), None)
        );
        for known in [None, Some(1)] {
            let md5 = BodyChecksum::of(Checksum::ContentMd5, &body, known)
                .await
                .expect("a checksum");
            assert_eq!(
                (md5.crc64nvme, md5.content_md5.as_deref()),
                (None, Some(CONTENT_MD5))
            );
        }
    }
    let large = PutBody::Bytes(Bytes::from(vec![0; 3 * CHUNK + 1]));
    let whole = crc_fast::checksum(CrcAlgorithm::Crc64Nvme, &vec![0; 3 * CHUNK + 1]);
    let crc = BodyChecksum::of(Checksum::Crc64Nvme, &large, None)
        .await
        .expect("a checksum");
    assert_eq!(crc.crc64nvme, Some(crc64nvme_to_base64(whole)));
    let known = BodyChecksum::of(Checksum::Crc64Nvme, &large, Some(whole))
        .await
        .expect("a checksum");
    assert_eq!(known.crc64nvme, Some(crc64nvme_to_base64(whole)));
}
