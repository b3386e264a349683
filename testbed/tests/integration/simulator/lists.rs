//! Lists of objects.

use aws_sdk_s3::types::{Delete, EncodingType, ObjectIdentifier};

use super::{Asking, BUCKET, done, text};

pub(super) async fn listings(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    for key in ["l/a", "l/b/1", "l/b/2", "l/c d+é", "l/e"] {
        let put = s3.put_object().bucket(BUCKET).key(key).body(text("x"));
        put.send().await.unwrap();
    }
    let list = || s3.list_objects_v2().bucket(BUCKET).prefix("l/");
    let told = |it: &aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output| {
        let keys = it.contents().iter().filter_map(|it| it.key());
        let folders = it.common_prefixes().iter().filter_map(|it| it.prefix());
        let truncated = it.is_truncated();
        format!(
            "{:?} {:?} truncated {truncated:?}",
            keys.collect::<Vec<_>>(),
            folders.collect::<Vec<_>>()
        )
    };
    asking.note("ListObjectsV2", list().send().await, told);
    asking.note(
        "ListObjectsV2 with a delimiter",
        list().delimiter("/").send().await,
        told,
    );
    asking.note(
        "ListObjectsV2 with keys encoded",
        list().encoding_type(EncodingType::Url).send().await,
        told,
    );
    asking.note(
        "ListObjectsV2 after a key",
        list().start_after("l/b/1").send().await,
        told,
    );
    asking.note(
        "ListObjectsV2 after a key in a folder, with a delimiter",
        list().start_after("l/b/1").delimiter("/").send().await,
        told,
    );
    let broken = list().continuation_token("not a token");
    asking.note(
        "ListObjectsV2 with an invalid token",
        broken.send().await,
        told,
    );
    for delimiter in [None, Some("/".to_owned())] {
        let (mut token, mut page) = (None, 0);
        loop {
            page += 1;
            let asked = list()
                .max_keys(2)
                .set_delimiter(delimiter.clone())
                .set_continuation_token(token);
            let what = format!("ListObjectsV2 by two, delimiter {delimiter:?}, page {page}");
            let Some(listed) = asking.note(what, asked.send().await, told) else {
                break;
            };
            token = listed.next_continuation_token;
            if token.is_none() || page > 5 {
                break;
            }
        }
    }
    let objects =
        ["l/a", "l/none"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder()
        .set_objects(Some(objects.to_vec()))
        .build()
        .unwrap();
    asking.note(
        "DeleteObjects",
        s3.delete_objects()
            .bucket(BUCKET)
            .delete(delete)
            .send()
            .await,
        |it| {
            format!(
                "{} deleted, {} errors",
                it.deleted().len(),
                it.errors().len()
            )
        },
    );
    asking.note("ListObjectsV2 after that", list().send().await, told);
}

pub(super) async fn listings_of_version_1(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let list = || s3.list_objects().bucket(BUCKET).prefix("l/");
    let told = |it: &aws_sdk_s3::operation::list_objects::ListObjectsOutput| {
        let keys = it.contents().iter().filter_map(|it| it.key());
        let folders = it.common_prefixes().iter().filter_map(|it| it.prefix());
        format!(
            "{:?} {:?} truncated {:?}, next {:?}",
            keys.collect::<Vec<_>>(),
            folders.collect::<Vec<_>>(),
            it.is_truncated(),
            it.next_marker(),
        )
    };
    asking.note("ListObjects", list().send().await, told);
    asking.note(
        "ListObjects with a delimiter",
        list().delimiter("/").send().await,
        told,
    );
    asking.note(
        "ListObjects with keys encoded",
        list().encoding_type(EncodingType::Url).send().await,
        told,
    );
    for (what, marker) in [
        ("a key", "l/b/1"),
        ("what is not there", "l/b/11"),
        ("the last key", "l/e"),
    ] {
        asking.note(
            format!("ListObjects after {what}"),
            list().marker(marker).send().await,
            told,
        );
    }
    asking.note(
        "ListObjects after a key in a folder, with a delimiter",
        list().marker("l/b/1").delimiter("/").send().await,
        told,
    );
    for delimiter in [None, Some("/".to_owned())] {
        let (mut marker, mut page) = (None, 0);
        loop {
            page += 1;
            let asked = list()
                .max_keys(2)
                .set_delimiter(delimiter.clone())
                .set_marker(marker);
            let what = format!("ListObjects by two, delimiter {delimiter:?}, page {page}");
            let Some(listed) = asking.note(what, asked.send().await, told) else {
                break;
            };
            if listed.is_truncated() != Some(true) || page > 5 {
                break;
            }
            let last = listed.contents().last().and_then(|it| it.key());
            let last = last.map(str::to_owned);
            marker = listed.next_marker.or(last);
        }
    }
    let owned = list().send().await;
    asking.note("owner of ListObjects", owned, |it| {
        let has_owner = |it: &aws_sdk_s3::types::Object| it.owner().is_some();
        format!("{}", it.contents().iter().all(has_owner))
    });
}

/// Sizes of pages and encodings that are not allowed.
pub(super) async fn limits_of_listings(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let v1 = || s3.list_objects().bucket(BUCKET).prefix("l/");
    let v2 = || s3.list_objects_v2().bucket(BUCKET).prefix("l/");
    let versions = || s3.list_object_versions().bucket(BUCKET).prefix("l/");
    for most in [0, -1, 5_000] {
        asking.note(
            format!("ListObjects with max-keys {most}"),
            v1().max_keys(most).send().await,
            |it| {
                let keys = it.contents().len();
                format!("{keys} of {:?} {:?}", it.max_keys(), it.is_truncated())
            },
        );
        asking.note(
            format!("ListObjectsV2 with max-keys {most}"),
            v2().max_keys(most).send().await,
            |it| {
                let keys = it.contents().len();
                format!("{keys} of {:?} {:?}", it.max_keys(), it.is_truncated())
            },
        );
        asking.note(
            format!("ListObjectVersions with max-keys {most}"),
            versions().max_keys(most).send().await,
            |it| {
                let keys = it.versions().len();
                format!("{keys} of {:?} {:?}", it.max_keys(), it.is_truncated())
            },
        );
    }
    let other = EncodingType::from("other");
    asking.note(
        "ListObjects with an invalid encoding",
        v1().encoding_type(other.clone()).send().await,
        done,
    );
    asking.note(
        "ListObjectVersions with an invalid encoding",
        versions().encoding_type(other).send().await,
        done,
    );
    asking.note(
        "ListObjects of a bucket that is not there",
        s3.list_objects().bucket("nowhere").send().await,
        done,
    );
    asking.note(
        "ListObjectVersions of a bucket that is not there",
        s3.list_object_versions().bucket("nowhere").send().await,
        done,
    );
}
