use bytes::Bytes;

use super::*;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}

fn object(text: &'static str) -> Object {
    Object {
        body: Stored::Whole(Body::of(Bytes::from_static(text.as_bytes()))),
        headers: http::HeaderMap::new(),
        tags: Vec::new(),
        storage_class: "STANDARD".to_owned(),
        modified: now(),
        thawing_since: None,
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
        let page = bucket.list(prefix, delimiter, after.as_deref(), most);
        assert!(page.objects.len() + page.prefixes.len() <= most);
        let mut names: Vec<_> = page.objects.into_iter().map(|it| it.key).collect();
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
    bucket.delete(&number(8), None);
    write(&bucket, &number(9), "other");
    let mut wanted: Vec<_> = (0..2_500).filter(|n| *n != 8).map(number).collect();
    wanted.extend(["a", "m/0000/0007x", "z"].map(str::to_owned));
    wanted.sort();
    for most in [1, 7, 1_000] {
        assert_eq!(all(&bucket, "", None, most), wanted, "{most}");
    }
    assert_eq!(all(&bucket, "m/0000/0007", None, 1).len(), 2);
    assert_eq!(
        bucket.object(&number(8)).map(|_| ()),
        Err(Refusal::NO_SUCH_KEY)
    );
    assert_eq!(bucket.object(&number(9)).expect("written").body.size(), 5);
    assert!(bucket.object(&number(10)).is_ok());
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
        bucket.delete(key, None);
    }
    assert_eq!(all(&bucket, "", Some("/"), 10), ["a", "m/"]);
}

#[test]
fn versions_are_kept_where_they_are_to_be() {
    let bucket = bucket(0);
    let first = write(&bucket, "k", "1");
    assert_eq!(first, None);
    bucket.written().is_versioned = true;
    let second = write(&bucket, "k", "22").expect("an id");
    let marker = bucket.delete("k", None).expect("a marker");
    assert_ne!(second, marker);
    let size = |id: &str| bucket.version("k", id).map(|it| it.body.size());
    assert_eq!((size("null"), size(&second)), (Ok(1), Ok(2)));
    assert_eq!(size(&marker), Err(Refusal::METHOD_NOT_ALLOWED));
    assert_eq!(size("other"), Err(Refusal::NO_SUCH_VERSION));
    assert_eq!(bucket.object("k").map(|_| ()), Err(Refusal::NO_SUCH_KEY));
}

#[test]
fn a_deleted_object_by_rule_does_not_come_back() {
    let bucket = bucket(10);
    let [written, deleted, versioned] = ["m/0/1", "m/0/2", "m/0/3"];
    write(&bucket, written, "other");
    for key in [written, deleted] {
        assert_eq!(bucket.delete(key, Some("null")), None);
        assert_eq!(bucket.object(key).map(|_| ()), Err(Refusal::NO_SUCH_KEY));
    }
    let by_rule = bucket.object(versioned).expect("by rule").body.size();
    bucket.written().is_versioned = true;
    let id = write(&bucket, versioned, "a longer body").expect("an id");
    let size = |id: &str| bucket.version(versioned, id).map(|it| it.body.size());
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
    assert_ne!(bucket.object("m/0/1").expect("by rule").body.size(), 5);
}
