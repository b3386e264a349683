use super::*;

fn run() -> RunName {
    "r".parse().expect("a run's name")
}

fn manifest(names: &[&str]) -> CompactedManifest {
    let files = names.iter().map(|name| CompactedRange {
        name: (*name).to_owned(),
        size: 1,
        etag: "e".to_owned(),
        rows: 1,
        first: "a".to_owned(),
        last: "b".to_owned(),
    });
    CompactedManifest {
        format: FORMAT,
        run: run(),
        program: String::new(),
        rows: 1,
        catalogs: BTreeMap::from([(GroupName::numbered(&run(), 0), "c".to_owned())]),
        files: files.collect(),
    }
}

fn listed(name: &str, age: Duration) -> Listed {
    Listed {
        key: format!("compact/{name}"),
        size: 1,
        etag: "e".to_owned(),
        modified: Some(now() - age),
        storage_class: None,
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(1_000)
}

fn catalog(number: u64, size: u64, etag: &str) -> ListedCatalog {
    ListedCatalog {
        group: GroupName::numbered(&run(), number),
        size,
        etag: etag.to_owned(),
    }
}

#[test]
fn files_that_the_manifest_before_names_and_old_ones_that_none_names_are_removed() {
    let new = Duration::from_hours(1);
    let old = Duration::from_hours(25);
    let files = [
        listed("kept.parquet", old),
        listed("before.parquet", new),
        listed("lost.parquet", old),
        listed("of-another-process.parquet", new),
        listed("manifest.json", old),
    ];
    let (before, after) = (
        manifest(&["kept.parquet", "before.parquet"]),
        manifest(&["kept.parquet", "after.parquet"]),
    );
    assert_eq!(
        outdated(&files, "compact/", Some(&before), &after, now()),
        ["compact/before.parquet", "compact/lost.parquet"]
    );
    assert_eq!(
        outdated(&files, "compact/", None, &after, now()),
        ["compact/lost.parquet"]
    );
}

#[test]
fn a_run_is_compacted_if_the_manifest_has_its_catalogs_and_the_files_are_there() {
    let (of, there) = (
        manifest(&["a.parquet"]),
        [listed("a.parquet", Duration::ZERO)],
    );
    let is =
        |catalogs: &[ListedCatalog], files: &[Listed]| is_current(&of, catalogs, files, "compact/");
    assert!(is(&[catalog(0, 1, "c")], &there));
    assert!(!is(&[catalog(0, 1, "other")], &there));
    assert!(!is(&[catalog(0, 1, "c"), catalog(1, 1, "d")], &there));
    assert!(!is(&[], &there));
    assert!(!is(&[catalog(0, 1, "c")], &[]));
    let mut damaged = there.clone();
    damaged[0].size = 2;
    assert!(!is(&[catalog(0, 1, "c")], &damaged));
}

#[test]
fn names_of_files_follow_from_the_catalogs() {
    let of = |etag: &str| {
        stem(&BTreeMap::from([(
            GroupName::numbered(&run(), 0),
            etag.to_owned(),
        )]))
    };
    assert_eq!(of("a"), of("a"));
    assert_ne!(of("a"), of("b"));
    assert_eq!(of("a").len(), 16);
}

#[test]
fn files_have_4_mib_until_there_are_2_000_of_them() {
    assert_eq!(file_bytes(&[catalog(0, 1, "c")]), 4 << 20);
    assert_eq!(file_bytes(&[catalog(0, 8_000 << 20, "c")]), 4 << 20);
    assert_eq!(file_bytes(&[catalog(0, 80_000 << 20, "c")]), 40 << 20);
}
