//! Multipart uploads.

use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart};

use super::{Asking, BUCKET, PART, done};

pub(super) fn part(number: i32, etag: &str, sum: Option<&str>) -> CompletedPart {
    CompletedPart::builder()
        .part_number(number)
        .e_tag(etag)
        .set_checksum_crc64_nvme(sum.map(str::to_owned))
        .build()
}

pub(super) fn parts(parts: impl IntoIterator<Item = CompletedPart>) -> CompletedMultipartUpload {
    let parts = parts.into_iter().collect();
    CompletedMultipartUpload::builder()
        .set_parts(Some(parts))
        .build()
}

pub(super) async fn uploads(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let key = "uploaded";
    let create = s3.create_multipart_upload().bucket(BUCKET).key(key);
    let create = create
        .metadata("a", "b")
        .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
    let upload = asking.note("CreateMultipartUpload", create.send().await, done);
    let upload = upload.unwrap().upload_id.unwrap();
    let mut sums = Vec::new();
    for (number, body) in [(1, vec![7; PART]), (2, vec![8; 10])] {
        let part = s3.upload_part().bucket(BUCKET).key(key).upload_id(&upload);
        let part = part
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .body(body.into());
        let sent = asking.note(format!("UploadPart {number}"), part.send().await, |it| {
            it.e_tag().unwrap_or_default().to_owned()
        });
        let sent = sent.unwrap();
        sums.push((sent.e_tag.unwrap(), sent.checksum_crc64_nvme));
    }
    asking.note(
        "ListParts",
        s3.list_parts()
            .bucket(BUCKET)
            .key(key)
            .upload_id(&upload)
            .send()
            .await,
        |it| {
            let parts = it.parts().iter();
            format!(
                "{:?}",
                parts
                    .map(|it| (it.part_number(), it.size()))
                    .collect::<Vec<_>>()
            )
        },
    );
    asking.note(
        "ListMultipartUploads",
        s3.list_multipart_uploads().bucket(BUCKET).send().await,
        |it| {
            format!(
                "{:?}",
                it.uploads().iter().map(|it| it.key()).collect::<Vec<_>>()
            )
        },
    );
    let complete = || {
        s3.complete_multipart_upload()
            .bucket(BUCKET)
            .key(key)
            .upload_id(&upload)
    };
    let named = |number, n: usize| part(number, &sums[n].0, sums[n].1.as_deref());
    let (first, second) = (named(1, 0), named(2, 1));
    for (what, named) in [
        (
            "parts in the wrong order",
            vec![second.clone(), first.clone()],
        ),
        ("a part that was not sent", vec![first.clone(), named(3, 1)]),
        ("a part of another ETag", vec![named(1, 1)]),
    ] {
        asking.note(
            format!("CompleteMultipartUpload with {what}"),
            complete().multipart_upload(parts(named)).send().await,
            done,
        );
    }
    let whole = complete()
        .multipart_upload(parts([first, second]))
        .if_none_match("*");
    asking.note("CompleteMultipartUpload", whole.send().await, |it| {
        it.e_tag().unwrap_or_default().to_owned()
    });
    asking.note(
        "HeadObject of what was uploaded",
        s3.head_object()
            .bucket(BUCKET)
            .key(key)
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await,
        |it| {
            format!(
                "{:?} {:?} {:?} {:?}",
                it.content_length(),
                it.metadata(),
                it.checksum_crc64_nvme(),
                it.checksum_type()
            )
        },
    );
    // An object that exists, and parts that are too small.
    for (what, sizes, condition) in [
        (
            "if-none-match * to a key that is there",
            [PART, 1],
            Some("*"),
        ),
        ("a part that is too small", [10, 10], None),
    ] {
        let create = s3.create_multipart_upload().bucket(BUCKET).key(key);
        let upload = create.send().await.unwrap().upload_id.unwrap();
        let mut sent = Vec::new();
        for (number, size) in (1..).zip(sizes) {
            let part_of = s3.upload_part().bucket(BUCKET).key(key).upload_id(&upload);
            let part_of = part_of.part_number(number).body(vec![1; size].into());
            let etag = part_of.send().await.unwrap().e_tag.unwrap();
            sent.push(part(number, &etag, None));
        }
        let complete = s3.complete_multipart_upload().bucket(BUCKET).key(key);
        let complete = complete.upload_id(&upload).multipart_upload(parts(sent));
        asking.note(
            format!("CompleteMultipartUpload with {what}"),
            complete
                .set_if_none_match(condition.map(str::to_owned))
                .send()
                .await,
            done,
        );
        let abort = s3.abort_multipart_upload().bucket(BUCKET).key(key);
        asking.note(
            format!("AbortMultipartUpload of {what}"),
            abort.upload_id(&upload).send().await,
            done,
        );
    }
    let unknown = s3.abort_multipart_upload().bucket(BUCKET).key(key);
    asking.note(
        "AbortMultipartUpload of one that is over",
        unknown.upload_id(&upload).send().await,
        done,
    );
}
