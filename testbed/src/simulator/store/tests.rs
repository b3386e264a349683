use bytes::Bytes;

use super::*;
use crate::simulator::checksum::Algorithm;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}

fn object(text: &'static str) -> Object {
    Object {
        body: Stored::Whole(Body::of(
            Bytes::from_static(text.as_bytes()),
            Algorithm::Crc64Nvme,
        )),
        headers: http::HeaderMap::new(),
        tags: Vec::new(),
        storage_class: "STANDARD".to_owned(),
        modified: now(),
        thawing_since: None,
        parts: None,
    }
}

fn write(bucket: &Bucket, key: &str, text: &'static str) -> Option<String> {
    bucket
        .write(key, object(text), |_| Ok(()))
        .expect("no conditions")
}

fn bucket(objects: u64) -> Arc<Bucket> {
    let store = Store::default();
    let population = (objects > 0).then(|| Population {
        prefix: "m/".to_owned(),
        suffix: String::new(),
        objects,
        is_flat: false,
        sizes: 1..10,
        seed: 0,
        with_metadata: 0,
        with_tags: 0,
        storage_class: "STANDARD".to_owned(),
    });
    store.create("b", population, now()).expect("new");
    assert_eq!(store.create("b", None, now()), Err(Refusal::BUCKET_EXISTS));
    store.bucket("b").expect("there")
}

/// All pages of a listing.
fn all(bucket: &Bucket, prefix: &str, delimiter: Option<&str>, most: usize) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = bucket.list(Listing {
            prefix,
            delimiter,
            after: after.as_deref(),
            most,
            ..Listing::default()
        });
        assert!(page.entries.len() + page.prefixes.len() <= most);
        let mut names: Vec<_> = page.entries.into_iter().map(|it| it.key).collect();
        names.extend(page.prefixes);
        names.sort();
        found.extend(names);
        let Some(next) = page.next else { return found };
        after = Some(next);
    }
}

#[test]
fn written_and_deleted_keys_are_listed_among_those_by_rule() {
    let bucket = bucket(2_500);
    let number = |n: u64| format!("m/{:04}/{n:04}", n / 1_000);
    for key in ["a", "m/0000/0007x", "z"] {
        write(&bucket, key, "x");
    }
    bucket.delete(&number(8), None, now());
    write(&bucket, &number(9), "other");
    let mut wanted: Vec<_> = (0..2_500).filter(|n| *n != 8).map(number).collect();
    wanted.extend(["a", "m/0000/0007x", "z"].map(str::to_owned));
    wanted.sort();
    for most in [1, 7, 1_000] {
        assert_eq!(all(&bucket, "", None, most), wanted, "{most}");
    }
    assert_eq!(all(&bucket, "m/0000/0007", None, 1).len(), 2);
    assert_eq!(
        bucket.object(&number(8), None).map(|_| ()),
        Err(Refusal::NO_SUCH_KEY)
    );
    assert_eq!(
        bucket
            .object(&number(9), None)
            .expect("written")
            .object
            .body
            .size(),
        5
    );
    assert!(bucket.object(&number(10), None).is_ok());
}

#[test]
fn folders_are_listed_once_however_long_pages_are() {
    let bucket = bucket(2_500);
    for key in ["a", "m/x", "z/1", "z/2"] {
        write(&bucket, key, "x");
    }
    for most in [1, 2, 1_000] {
        assert_eq!(
            all(&bucket, "", Some("/"), most),
            ["a", "m/", "z/"],
            "{most}"
        );
        let folders = ["m/0000/", "m/0001/", "m/0002/", "m/x"];
        assert_eq!(all(&bucket, "m/", Some("/"), most), folders, "{most}");
    }
    for key in ["z/1", "z/2"] {
        bucket.delete(key, None, now());
    }
    assert_eq!(all(&bucket, "", Some("/"), 10), ["a", "m/"]);
}

#[test]
fn versions_are_kept_where_they_are_to_be() {
    let bucket = bucket(0);
    let first = write(&bucket, "k", "1");
    assert_eq!(first, None);
    bucket.written().versioning = Versioning::Enabled;
    let second = write(&bucket, "k", "22").expect("an id");
    let marker = bucket.delete("k", None, now()).version.expect("a marker");
    assert_ne!(second, marker);
    let size = |id: &str| bucket.object("k", Some(id)).map(|it| it.object.body.size());
    assert_eq!((size("null"), size(&second)), (Ok(1), Ok(2)));
    let code = |refused: Result<u64, Refusal>| refused.expect_err("none").code;
    assert_eq!(code(size(&marker)), "MethodNotAllowed");
    assert_eq!(size("other"), Err(Refusal::NO_SUCH_VERSION));
    let latest = bucket.object("k", None).map(|it| it.object.body.size());
    assert_eq!(code(latest), "NoSuchKey");
}

#[test]
fn a_deleted_object_by_rule_does_not_come_back() {
    let bucket = bucket(10);
    let [written, deleted, versioned] = ["m/0/1", "m/0/2", "m/0/3"];
    write(&bucket, written, "other");
    for key in [written, deleted] {
        assert!(!bucket.delete(key, Some("null"), now()).is_marker);
        assert_eq!(
            bucket.object(key, None).map(|_| ()),
            Err(Refusal::NO_SUCH_KEY)
        );
    }
    let by_rule = bucket
        .object(versioned, None)
        .expect("by rule")
        .object
        .body
        .size();
    bucket.written().versioning = Versioning::Enabled;
    let id = write(&bucket, versioned, "a longer body").expect("an id");
    let size = |id: &str| {
        bucket
            .object(versioned, Some(id))
            .map(|it| it.object.body.size())
    };
    assert_eq!((size("null"), size(&id)), (Ok(by_rule), Ok(13)));
}

#[test]
fn a_refused_write_changes_nothing() {
    let bucket = bucket(10);
    let refused = bucket.write("m/0/1", object("other"), |there| {
        assert!(there.is_some(), "the object by rule is what it replaces");
        Err(Refusal::PRECONDITION_FAILED)
    });
    assert_eq!(refused, Err(Refusal::PRECONDITION_FAILED));
    assert_ne!(
        bucket
            .object("m/0/1", None)
            .expect("by rule")
            .object
            .body
            .size(),
        5
    );
}

/// All pages of a list of versions, as key, id, and whether it is the latest.
fn all_versions(bucket: &Bucket, delimiter: Option<&str>, most: usize) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), (None::<String>, None::<String>));
    loop {
        let page = bucket.list_versions(Listing {
            prefix: "",
            delimiter,
            after: after.0.as_deref(),
            after_version: after.1.as_deref(),
            most,
        });
        assert!(page.entries.len() + page.prefixes.len() <= most);
        let last = page.entries.last().cloned();
        let mut names: Vec<_> = page
            .entries
            .into_iter()
            .map(|it| {
                let what = if it.object.is_some() { "" } else { " marker" };
                let latest = if it.is_latest { " latest" } else { "" };
                (
                    it.key.clone(),
                    format!("{} {}{what}{latest}", it.key, it.id),
                )
            })
            .collect();
        names.extend(page.prefixes.into_iter().map(|it| (it.clone(), it)));
        names.sort_by(|a, b| a.0.cmp(&b.0));
        found.extend(names.into_iter().map(|(_, name)| name));
        let Some(next) = page.next else { return found };
        let version = last.filter(|last| last.key == next).map(|last| last.id);
        after = (Some(next), version);
    }
}

#[test]
fn versions_are_listed_newest_first_however_long_pages_are() {
    let bucket = bucket(3);
    write(&bucket, "a", "1");
    bucket.written().versioning = Versioning::Enabled;
    let ids = ["2", "3"].map(|text| write(&bucket, "a", text).expect("an id"));
    let by_rule = write(&bucket, "m/0/1", "x").expect("an id");
    let marker = bucket.delete("m/0/1", None, now()).version.expect("an id");
    for key in ["z/1", "z/2"] {
        write(&bucket, key, "x");
    }
    let wanted = [
        format!("a {} latest", ids[1]),
        format!("a {}", ids[0]),
        "a null".to_owned(),
        "m/0/0 null latest".to_owned(),
        format!("m/0/1 {marker} marker latest"),
        format!("m/0/1 {by_rule}"),
        "m/0/1 null".to_owned(),
        "m/0/2 null latest".to_owned(),
    ];
    for most in [1, 2, 3, 1_000] {
        assert_eq!(all_versions(&bucket, None, most)[..8], wanted, "{most}");
        assert_eq!(
            all_versions(&bucket, Some("/"), most)[3..],
            ["m/", "z/"],
            "{most}"
        );
    }
}

#[test]
fn a_version_that_was_deleted_between_two_pages_does_not_end_the_list() {
    let bucket = bucket(0);
    bucket.written().versioning = Versioning::Enabled;
    let ids = ["1", "2", "3"].map(|text| write(&bucket, "k", text).expect("an id"));
    bucket.delete("k", Some(&ids[1]), now());
    let page = bucket.list_versions(Listing {
        after: Some("k"),
        after_version: Some(&ids[1]),
        most: 10,
        ..Listing::default()
    });
    let found: Vec<_> = page.entries.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(found, [ids[0].as_str()]);
}

#[test]
fn a_folder_that_is_not_after_the_marker_is_left_out() {
    let bucket = bucket(0);
    for key in ["a", "b/1", "b/2", "c"] {
        write(&bucket, key, "x");
    }
    let after = |after| {
        let page = bucket.list(Listing {
            delimiter: Some("/"),
            after: Some(after),
            most: 10,
            ..Listing::default()
        });
        (page.prefixes.len(), page.entries.len())
    };
    assert_eq!(after("a"), (1, 1));
    assert_eq!(after("b/"), (0, 1));
    assert_eq!(after("b/1"), (0, 1));
}

#[test]
fn deletions_of_a_suspended_bucket_replace_the_null_version_only() {
    let bucket = bucket(0);
    write(&bucket, "k", "1");
    bucket.written().versioning = Versioning::Enabled;
    let kept = write(&bucket, "k", "2").expect("an id");
    bucket.written().versioning = Versioning::Suspended;
    assert_eq!(write(&bucket, "k", "3"), None);
    let deleted = bucket.delete("k", None, now());
    assert_eq!(
        (deleted.version.as_deref(), deleted.is_marker),
        (Some("null"), true)
    );
    assert_eq!(
        all_versions(&bucket, None, 10),
        ["k null marker latest".to_owned(), format!("k {kept}")]
    );
}
