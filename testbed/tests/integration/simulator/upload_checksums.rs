//! Checksums of multipart uploads.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
};

use super::{Asking, BUCKET, PART, done};

const KEY: &str = "summed";

pub(super) async fn named_algorithms(asking: &mut Asking) {
    use ChecksumAlgorithm::{Crc32, Crc64Nvme, Sha256};
    use ChecksumType::{Composite, FullObject};
    let s3 = asking.s3.clone();
    for (algorithm, kind) in [
        (Some(Crc32), None),
        (Some(Sha256), None),
        (Some(Crc64Nvme), None),
        (Some(Crc32), Some(FullObject)),
        (Some(Sha256), Some(FullObject)),
        (Some(Crc64Nvme), Some(Composite)),
        (None, Some(FullObject)),
        (Some(ChecksumAlgorithm::from("CRC16")), None),
        (Some(Crc32), Some(ChecksumType::from("HALF"))),
    ] {
        let what = format!("CreateMultipartUpload with {algorithm:?} and {kind:?}");
        let create = s3.create_multipart_upload().bucket(BUCKET).key(KEY);
        let create = create
            .set_checksum_algorithm(algorithm)
            .set_checksum_type(kind);
        asking.note(what, create.send().await, |it| {
            format!("{:?} {:?}", it.checksum_algorithm(), it.checksum_type())
        });
    }
}

async fn create(s3: &Client, algorithm: ChecksumAlgorithm, kind: ChecksumType) -> String {
    let create = s3.create_multipart_upload().bucket(BUCKET).key(KEY);
    let create = create.checksum_algorithm(algorithm).checksum_type(kind);
    create.send().await.unwrap().upload_id.unwrap()
}

pub(super) async fn checksums_of_parts(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    // Sends no checksum unless one is named.
    let config = s3.config().to_builder();
    let config = config.request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
    let plain = Client::from_conf(config.build());
    for kind in [ChecksumType::Composite, ChecksumType::FullObject] {
        let upload = create(&s3, ChecksumAlgorithm::Crc32, kind.clone()).await;
        let part = |s3: &Client| {
            let part = s3.upload_part().bucket(BUCKET).key(KEY).upload_id(&upload);
            part.part_number(1).body(vec![7; 10].into())
        };
        let sums = |it: &aws_sdk_s3::operation::upload_part::UploadPartOutput| {
            format!("{:?} {:?}", it.checksum_crc32(), it.checksum_sha256())
        };
        for (what, part) in [
            (
                "its algorithm",
                part(&s3).checksum_algorithm(ChecksumAlgorithm::Crc32),
            ),
            (
                "another algorithm",
                part(&s3).checksum_algorithm(ChecksumAlgorithm::Sha256),
            ),
            ("no checksum", part(&plain)),
            ("a wrong checksum", part(&s3).checksum_crc32("AAAAAA==")),
            (
                "two checksums",
                part(&s3)
                    .checksum_crc32("AAAAAA==")
                    .checksum_crc32_c("AAAAAA=="),
            ),
        ] {
            let what = format!("UploadPart to {kind:?} with {what}");
            asking.note(what, part.send().await, sums);
        }
    }
    let create = s3.create_multipart_upload().bucket(BUCKET).key(KEY);
    let upload = create.send().await.unwrap().upload_id.unwrap();
    let part = || {
        let part = s3.upload_part().bucket(BUCKET).key(KEY);
        let part = part.upload_id(&upload).part_number(1);
        part.body(vec![7; 10].into())
    };
    asking.note(
        "UploadPart with a checksum to an upload that names none",
        part()
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .send()
            .await,
        |it| format!("{:?}", it.checksum_sha256()),
    );
    for number in [0, 10_001] {
        asking.note(
            format!("UploadPart {number}"),
            part().part_number(number).send().await,
            done,
        );
    }
    asking.note(
        "UploadPart to an unknown upload",
        part().upload_id("not-an-id").send().await,
        done,
    );
}

pub(super) async fn checksums_of_completed_uploads(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let whole = [vec![7; PART], vec![8; 10]].concat();
    let crc = |bytes: &[u8]| {
        let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes);
        sum.to_be_bytes()[4..].to_vec()
    };
    let base64 = |sum: &[u8]| data_encoding::BASE64.encode(sum);
    for kind in [ChecksumType::Composite, ChecksumType::FullObject] {
        let upload = create(&s3, ChecksumAlgorithm::Crc32, kind.clone()).await;
        let (mut parts, mut sums) = (Vec::new(), Vec::new());
        for (number, body) in [(1, &whole[..PART]), (2, &whole[PART..])] {
            let part = s3.upload_part().bucket(BUCKET).key(KEY).upload_id(&upload);
            let part = part.checksum_algorithm(ChecksumAlgorithm::Crc32);
            let part = part.part_number(number).body(body.to_vec().into());
            let etag = part.send().await.unwrap().e_tag.unwrap();
            sums.extend(crc(body));
            let part = CompletedPart::builder().part_number(number).e_tag(etag);
            parts.push((part, base64(&crc(body))));
        }
        let complete = |tell: &dyn Fn(
            aws_sdk_s3::types::builders::CompletedPartBuilder,
            &str,
        ) -> CompletedPart| {
            let parts = parts.iter().map(|(part, sum)| tell(part.clone(), sum));
            let upload_of = CompletedMultipartUpload::builder().set_parts(Some(parts.collect()));
            s3.complete_multipart_upload()
                .bucket(BUCKET)
                .key(KEY)
                .upload_id(&upload)
                .multipart_upload(upload_of.build())
        };
        let right = || complete(&|part, sum| part.checksum_crc32(sum).build());
        let (other, sum) = match kind {
            ChecksumType::Composite => (ChecksumType::FullObject, crc(&sums)),
            _ => (ChecksumType::Composite, crc(&whole)),
        };
        for (what, complete) in [
            (
                "wrong checksums of parts",
                complete(&|part, _| part.checksum_crc32("AAAAAA==").build()),
            ),
            (
                "checksums of parts of another algorithm",
                complete(&|part, _| part.checksum_crc32_c("AAAAAA==").build()),
            ),
            ("another checksum type", right().checksum_type(other)),
            ("a wrong checksum", right().checksum_crc32("AAAAAA==")),
            ("a wrong size", right().mpu_object_size(7)),
        ] {
            let what = format!("CompleteMultipartUpload of {kind:?} with {what}");
            asking.note(what, complete.send().await, done);
        }
        if kind == ChecksumType::Composite {
            let bare = complete(&|part, _| part.build());
            let what = format!("CompleteMultipartUpload of {kind:?} with no checksums of parts");
            asking.note(what, bare.send().await, done);
        }
        let last = right()
            .checksum_type(kind.clone())
            .checksum_crc32(base64(&sum))
            .mpu_object_size(i64::try_from(whole.len()).unwrap());
        asking.note(
            format!("CompleteMultipartUpload of {kind:?} with all that is right"),
            last.send().await,
            |it| format!("{:?} {:?}", it.checksum_crc32(), it.checksum_type()),
        );
        let head = s3.head_object().bucket(BUCKET).key(KEY);
        let head = head.checksum_mode(ChecksumMode::Enabled).send().await;
        asking.note(format!("HeadObject of {kind:?}"), head, |it| {
            format!("{:?} {:?}", it.checksum_crc32(), it.checksum_type())
        });
    }
}

/// An upload whose checksum is of all bytes, which does not need those of its parts.
pub(super) async fn full_object_without_checksums_of_parts(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let upload = create(&s3, ChecksumAlgorithm::Crc32, ChecksumType::FullObject).await;
    let part = s3.upload_part().bucket(BUCKET).key(KEY).upload_id(&upload);
    let part = part.checksum_algorithm(ChecksumAlgorithm::Crc32);
    let part = part.part_number(1).body(vec![7; 10].into());
    let etag = part.send().await.unwrap().e_tag.unwrap();
    let part = CompletedPart::builder().part_number(1).e_tag(etag).build();
    let parts = CompletedMultipartUpload::builder().parts(part).build();
    let complete = s3.complete_multipart_upload().bucket(BUCKET).key(KEY);
    let complete = complete.upload_id(&upload).multipart_upload(parts);
    asking.note(
        "CompleteMultipartUpload of FullObject with no checksums of parts",
        complete.send().await,
        |it| format!("{:?} {:?}", it.checksum_crc32(), it.checksum_type()),
    );
}
