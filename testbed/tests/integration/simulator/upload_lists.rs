//! ListMultipartUploads and ListParts.

use std::fmt::Write as _;

use aws_sdk_s3::operation::list_multipart_uploads::ListMultipartUploadsOutput;
use aws_sdk_s3::operation::list_parts::ListPartsOutput;
use aws_sdk_s3::types::{ChecksumAlgorithm, EncodingType, Part};

use super::{Asking, done};

const UPLOADS: &str = "conformance-uploads";

fn tell(it: &ListMultipartUploadsOutput) -> String {
    let keys = it.uploads().iter().filter_map(|it| it.key());
    let folders = it.common_prefixes().iter().filter_map(|it| it.prefix());
    let (keys, folders): (Vec<_>, Vec<_>) = (keys.collect(), folders.collect());
    let mut told = format!("{keys:?} {folders:?}");
    if it.is_truncated() == Some(true) {
        let has_id = it.next_upload_id_marker().is_some();
        let _ = write!(told, " then {:?} {has_id}", it.next_key_marker());
    }
    told
}

pub(super) async fn lists_of_uploads(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    s3.create_bucket().bucket(UPLOADS).send().await.unwrap();
    let mut ids = Vec::new();
    for key in ["a", "a", "b/1", "b/2", "c +", "d"] {
        let create = s3.create_multipart_upload().bucket(UPLOADS).key(key);
        ids.push(create.send().await.unwrap().upload_id.unwrap());
    }
    let smaller = ids[0].clone().min(ids[1].clone());
    let list = || s3.list_multipart_uploads().bucket(UPLOADS);
    for (what, list) in [
        ("nothing", list()),
        ("a prefix", list().prefix("b/")),
        ("a delimiter", list().delimiter("/")),
        ("prefix and delimiter", list().prefix("b/").delimiter("/")),
        (
            "keys encoded",
            list().prefix("c").encoding_type(EncodingType::Url),
        ),
        ("a key marker", list().key_marker("a")),
        (
            "key and upload id marker",
            list().key_marker("a").upload_id_marker(&smaller),
        ),
        (
            "an upload id marker alone",
            list().upload_id_marker(&smaller),
        ),
        (
            "an invalid upload id marker",
            list().key_marker("a").upload_id_marker("not-an-id"),
        ),
        (
            "a key marker in a folder and a delimiter",
            list().key_marker("b/1").delimiter("/"),
        ),
        ("no uploads at most", list().max_uploads(0)),
        ("minus one upload at most", list().max_uploads(-1)),
    ] {
        let what = format!("ListMultipartUploads with {what}");
        asking.note(what, list.send().await, tell);
    }
    for (most, delimiter) in [(1, None), (2, None), (2, Some("/"))] {
        let (mut key, mut id, mut page) = (None, None, 0);
        loop {
            page += 1;
            let asked = list()
                .max_uploads(most)
                .set_delimiter(delimiter.map(str::to_owned))
                .set_key_marker(key)
                .set_upload_id_marker(id);
            let what =
                format!("ListMultipartUploads by {most}, delimiter {delimiter:?}, page {page}");
            let Some(listed) = asking.note(what, asked.send().await, tell) else {
                break;
            };
            if listed.is_truncated() != Some(true) || page > 8 {
                break;
            }
            key = listed.next_key_marker;
            id = listed.next_upload_id_marker;
        }
    }
}

fn tell_parts(it: &ListPartsOutput) -> String {
    let parts = it.parts().iter().map(Part::part_number);
    format!(
        "{:?} truncated {:?}, next {:?}",
        parts.collect::<Vec<_>>(),
        it.is_truncated(),
        it.next_part_number_marker(),
    )
}

pub(super) async fn lists_of_parts(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let create = s3.create_multipart_upload().bucket(UPLOADS).key("parts");
    let create = create.checksum_algorithm(ChecksumAlgorithm::Crc32);
    let upload = create.send().await.unwrap().upload_id.unwrap();
    let list = || {
        let list = s3.list_parts().bucket(UPLOADS).key("parts");
        list.upload_id(&upload)
    };
    asking.note("ListParts of none", list().send().await, tell_parts);
    for number in [1, 3, 7] {
        let part = s3.upload_part().bucket(UPLOADS).key("parts");
        let part = part.upload_id(&upload).part_number(number);
        let part = part.checksum_algorithm(ChecksumAlgorithm::Crc32);
        let body = vec![7; 10].into();
        part.body(body).send().await.unwrap();
    }
    for (what, list) in [
        ("two parts at most", list().max_parts(2)),
        ("a marker", list().part_number_marker("1")),
        ("a marker between parts", list().part_number_marker("4")),
        ("the last part as marker", list().part_number_marker("7")),
        ("an invalid marker", list().part_number_marker("x")),
        ("a negative marker", list().part_number_marker("-1")),
        ("no parts at most", list().max_parts(0)),
        ("minus one part at most", list().max_parts(-1)),
        ("an unknown upload", list().upload_id("not-an-id")),
        ("the upload of another key", list().key("d")),
    ] {
        let what = format!("ListParts with {what}");
        asking.note(what, list.send().await, tell_parts);
    }
    asking.note("checksums of ListParts", list().send().await, |it| {
        let sums = it.parts().iter().map(|it| it.checksum_crc32());
        format!(
            "{:?} {:?} {:?}",
            it.checksum_algorithm(),
            it.checksum_type(),
            sums.collect::<Vec<_>>()
        )
    });
    let abort = s3.abort_multipart_upload().bucket(UPLOADS).key("parts");
    abort.upload_id(&upload).send().await.unwrap();
    asking.note("ListParts of an aborted upload", list().send().await, done);
}
