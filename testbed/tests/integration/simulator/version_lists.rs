//! ListObjectVersions.

use std::collections::HashMap;
use std::fmt::Write as _;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::types::{BucketVersioningStatus, EncodingType, VersioningConfiguration};

use super::{Asking, BUCKET, done, text};

/// A bucket with versions.
pub(super) const LISTED: &str = "conformance-listed";

/// Ids of versions by the names that the transcript has for them.
#[derive(Default)]
pub(super) struct Ids(HashMap<String, String>);

impl Ids {
    fn name<'a>(&'a self, id: Option<&'a str>) -> &'a str {
        let id = id.unwrap_or("none");
        self.0.get(id).map_or(id, String::as_str)
    }

    pub(super) fn tell(&self, it: &ListObjectVersionsOutput) -> String {
        let latest = |it| if it == Some(true) { "*" } else { "" };
        let versions = it.versions().iter().map(|it| {
            let (key, id) = (it.key().unwrap_or_default(), self.name(it.version_id()));
            format!("{key} {id}{} {:?}", latest(it.is_latest()), it.size())
        });
        let markers = it.delete_markers().iter().map(|it| {
            let (key, id) = (it.key().unwrap_or_default(), self.name(it.version_id()));
            format!("{key} {id}{}", latest(it.is_latest()))
        });
        let folders = it.common_prefixes().iter().filter_map(|it| it.prefix());
        let mut told = format!(
            "{:?} {:?} {:?}",
            versions.collect::<Vec<_>>(),
            markers.collect::<Vec<_>>(),
            folders.collect::<Vec<_>>(),
        );
        if it.is_truncated() == Some(true) {
            let next = it.next_key_marker().unwrap_or("none");
            let id = self.name(it.next_version_id_marker());
            let _ = write!(told, " then {next} {id}");
        }
        told
    }
}

pub(super) async fn set_versioning(s3: &Client, bucket: &str, status: BucketVersioningStatus) {
    let versioning = VersioningConfiguration::builder().status(status).build();
    s3.put_bucket_versioning()
        .bucket(bucket)
        .versioning_configuration(versioning)
        .send()
        .await
        .unwrap();
}

pub(super) async fn put(s3: &Client, key: &str, body: &'static str) -> String {
    let put = s3.put_object().bucket(LISTED).key(key).body(text(body));
    let id = put.send().await.unwrap().version_id;
    id.unwrap_or_else(|| "none".to_owned())
}

/// A bucket with versions, delete markers and folders.
async fn listed(s3: &Client) -> Ids {
    s3.create_bucket().bucket(LISTED).send().await.unwrap();
    let mut ids = Ids::default();
    put(s3, "before", "null").await;
    set_versioning(s3, LISTED, BucketVersioningStatus::Enabled).await;
    for (key, body, name) in [
        ("a", "1", "a1"),
        ("a", "22", "a2"),
        ("a", "333", "a3"),
        ("before", "later", "before1"),
        ("d/1", "1", "d1"),
        ("d/1", "22", "d2"),
        ("d/2", "1", "d3"),
        ("gone", "1", "gone1"),
        ("z ü+", "1", "z1"),
    ] {
        ids.0.insert(put(s3, key, body).await, name.to_owned());
    }
    let delete = s3.delete_object().bucket(LISTED).key("gone");
    let marker = delete.send().await.unwrap().version_id;
    ids.0
        .insert(marker.unwrap_or_default(), "marker".to_owned());
    ids
}

pub(super) async fn lists_of_versions(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let ids = listed(&s3).await;
    let id = |name: &str| {
        let found = ids.0.iter().find(|(_, it)| *it == name);
        found.map_or_else(|| "none".to_owned(), |(id, _)| id.clone())
    };
    let list = || s3.list_object_versions().bucket(LISTED);
    let told = |it: &ListObjectVersionsOutput| ids.tell(it);
    asking.note("ListObjectVersions", list().send().await, told);
    for (what, list) in [
        ("a prefix", list().prefix("d/")),
        ("a delimiter", list().delimiter("/")),
        ("prefix and delimiter", list().prefix("d/").delimiter("/")),
        (
            "keys encoded",
            list().prefix("z").encoding_type(EncodingType::Url),
        ),
        ("a key marker", list().key_marker("a")),
        (
            "a key marker in a folder and a delimiter",
            list().key_marker("d/1").delimiter("/"),
        ),
        (
            "key and version id marker",
            list().key_marker("a").version_id_marker(id("a2")),
        ),
        (
            "a version id marker alone",
            list().version_id_marker(id("a2")),
        ),
        (
            "an invalid version id marker",
            list().key_marker("a").version_id_marker("not-an-id"),
        ),
        (
            "an empty version id marker",
            list().key_marker("a").version_id_marker(""),
        ),
    ] {
        let what = format!("ListObjectVersions with {what}");
        asking.note(what, list.send().await, told);
    }
    for (most, delimiter) in [(1, None), (2, None), (3, None), (2, Some("/"))] {
        let (mut key, mut version, mut page) = (None, None, 0);
        loop {
            page += 1;
            let asked = list()
                .max_keys(most)
                .set_delimiter(delimiter.map(str::to_owned))
                .set_key_marker(key)
                .set_version_id_marker(version);
            let what =
                format!("ListObjectVersions by {most}, delimiter {delimiter:?}, page {page}");
            let Some(listed) = asking.note(what, asked.send().await, told) else {
                break;
            };
            if listed.is_truncated() != Some(true) || page > 12 {
                break;
            }
            key = listed.next_key_marker;
            version = listed.next_version_id_marker;
        }
    }
    let unversioned = s3.list_object_versions().bucket(BUCKET).prefix("reads/");
    asking.note(
        "ListObjectVersions of a bucket without versions",
        unversioned.send().await,
        told,
    );
    let got = s3.get_object().bucket(LISTED).key("a").send().await;
    asking.note("version of GetObject", got, |it| {
        ids.name(it.version_id()).to_owned()
    });
    let got = s3
        .get_object()
        .bucket(LISTED)
        .key("before")
        .version_id("null");
    asking.note("GetObject of the null version", got.send().await, |it| {
        format!("{:?} {:?}", it.content_length(), it.version_id())
    });
    let got = s3.head_object().bucket(LISTED).key("gone").send().await;
    asking.note("HeadObject of a deleted key", got, done);
    let invalid = s3
        .get_object()
        .bucket(LISTED)
        .key("a")
        .version_id("not-an-id");
    asking.note(
        "GetObject of an invalid version",
        invalid.send().await,
        done,
    );
}
