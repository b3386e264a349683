//! GetObjectAttributes.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object_attributes::GetObjectAttributesOutput;
use aws_sdk_s3::types::{
    Checksum, ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ObjectAttributes,
};

use super::{Asking, BUCKET, PART, done, text};

const ALL: [ObjectAttributes; 5] = [
    ObjectAttributes::Etag,
    ObjectAttributes::Checksum,
    ObjectAttributes::ObjectParts,
    ObjectAttributes::StorageClass,
    ObjectAttributes::ObjectSize,
];

fn tell(it: &GetObjectAttributesOutput) -> String {
    let (etag, size, class) = (it.e_tag(), it.object_size(), it.storage_class());
    let checksum = it.checksum().map(tell_checksum);
    format!("{etag:?} {size:?} {class:?} {checksum:?}{}", tell_parts(it))
}

fn tell_checksum(it: &Checksum) -> String {
    let value = it
        .checksum_crc32()
        .or(it.checksum_crc64_nvme())
        .or(it.checksum_sha256());
    format!("{value:?} {:?}", it.checksum_type())
}

fn tell_parts(it: &GetObjectAttributesOutput) -> String {
    let Some(parts) = it.object_parts() else {
        return String::new();
    };
    let listed = parts.parts().iter();
    let listed: Vec<_> = listed
        .map(|it| (it.part_number(), it.size(), it.checksum_sha256()))
        .collect();
    format!(
        " {:?} parts: {listed:?} truncated {:?}, next {:?}",
        parts.total_parts_count(),
        parts.is_truncated(),
        parts.next_part_number_marker(),
    )
}

/// An object of parts whose checksum follows from those of its parts.
async fn composite(s3: &Client, key: &str) {
    let create = s3.create_multipart_upload().bucket(BUCKET).key(key);
    let create = create.checksum_algorithm(ChecksumAlgorithm::Sha256);
    let upload = create.send().await.unwrap().upload_id.unwrap();
    let mut parts = CompletedMultipartUpload::builder();
    for (number, size) in [(1, PART), (2, 10)] {
        let part = s3.upload_part().bucket(BUCKET).key(key).upload_id(&upload);
        let part = part.checksum_algorithm(ChecksumAlgorithm::Sha256);
        let part = part.part_number(number).body(vec![7; size].into());
        let sent = part.send().await.unwrap();
        let part = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_sha256(sent.checksum_sha256);
        parts = parts.parts(part.build());
    }
    let complete = s3.complete_multipart_upload().bucket(BUCKET).key(key);
    let complete = complete.upload_id(&upload).multipart_upload(parts.build());
    complete.send().await.unwrap();
}

pub(super) async fn attributes(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let get = |key: &str| {
        let get = s3.get_object_attributes().bucket(BUCKET).key(key);
        get.set_object_attributes(Some(ALL.to_vec()))
    };
    let put = s3
        .put_object()
        .bucket(BUCKET)
        .key("attributes")
        .body(text("x"));
    let put = put.checksum_algorithm(ChecksumAlgorithm::Sha256);
    put.send().await.unwrap();
    composite(&s3, "composite").await;
    for (what, key) in [
        ("an object", "attributes"),
        ("parts with a checksum of the full object", "uploaded"),
        ("parts with a composite checksum", "composite"),
        ("an archived object", "frozen"),
        ("what is not there", "none"),
    ] {
        let what = format!("GetObjectAttributes of {what}");
        asking.note(what, get(key).send().await, tell);
    }
    let only = s3.get_object_attributes().bucket(BUCKET).key("attributes");
    asking.note(
        "GetObjectAttributes of the size only",
        only.object_attributes(ObjectAttributes::ObjectSize)
            .send()
            .await,
        tell,
    );
    asking.note(
        "GetObjectAttributes, first page of parts",
        get("composite").max_parts(1).send().await,
        tell_parts,
    );
    asking.note(
        "GetObjectAttributes, second page of parts",
        get("composite").part_number_marker("1").send().await,
        tell_parts,
    );
    for most in [0, -1] {
        asking.note(
            format!("GetObjectAttributes with {most} parts at most"),
            get("composite").max_parts(most).send().await,
            tell_parts,
        );
    }
    let wrong = get("composite").part_number_marker("x");
    asking.note(
        "GetObjectAttributes with an invalid part number marker",
        wrong.send().await,
        done,
    );
    let unknown = s3.get_object_attributes().bucket(BUCKET).key("attributes");
    asking.note(
        "GetObjectAttributes of an unknown attribute",
        unknown
            .object_attributes(ObjectAttributes::from("Colour"))
            .send()
            .await,
        done,
    );
    let missing = s3.get_object_attributes().bucket(BUCKET).key("attributes");
    asking.note(
        "GetObjectAttributes of no attribute",
        missing.set_object_attributes(Some(Vec::new())).send().await,
        done,
    );
    asking.note(
        "GetObjectAttributes if-match another ETag",
        get("attributes")
            .customize()
            .mutate_request(|request| {
                request.headers_mut().insert("if-match", "\"0\"");
            })
            .send()
            .await,
        done,
    );
}

/// Of the versions that [`super::versions`] wrote.
pub(super) async fn attributes_of_versions(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let bucket = "conformance-versions";
    let get = || {
        let get = s3.get_object_attributes().bucket(bucket).key("k");
        get.object_attributes(ObjectAttributes::ObjectSize)
    };
    let listed = s3.list_object_versions().bucket(bucket).send().await;
    let listed = listed.unwrap();
    let oldest = listed.versions().last().and_then(|it| it.version_id());
    let marker = listed
        .delete_markers()
        .first()
        .and_then(|it| it.version_id());
    asking.note(
        "GetObjectAttributes of an older version",
        get().set_version_id(oldest.map(str::to_owned)).send().await,
        |it| format!("{} {}", tell(it), it.version_id() == oldest),
    );
    asking.note(
        "GetObjectAttributes of a deleted key",
        get().send().await,
        tell,
    );
    asking.note(
        "GetObjectAttributes of a delete marker",
        get().set_version_id(marker.map(str::to_owned)).send().await,
        tell,
    );
    asking.note(
        "GetObjectAttributes of an invalid version",
        get().version_id("not-an-id").send().await,
        tell,
    );
}
