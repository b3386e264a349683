use super::*;

fn run(name: &str) -> RunName {
    name.parse().expect("a run's name")
}

fn manifest() -> CompactedManifest {
    CompactedManifest {
        format: FORMAT,
        run: run("r"),
        program: "s3bundler 0.1.0".to_owned(),
        rows: 3,
        catalogs: BTreeMap::from([(GroupName::numbered(&run("r"), 0), "e".to_owned())]),
        files: vec![CompactedRange {
            name: "0-000000.parquet".to_owned(),
            size: 7,
            etag: "f".to_owned(),
            rows: 3,
            first: "a\n\"".to_owned(),
            last: "\u{10ffff}".to_owned(),
        }],
    }
}

#[test]
fn a_manifest_survives_its_bytes() {
    let bytes = manifest().to_json();
    assert_eq!(
        CompactedManifest::parse_of(&bytes, &run("r")).expect("it is one"),
        manifest()
    );
}

#[test]
fn the_manifest_of_another_run_or_format_is_refused() {
    let bytes = manifest().to_json();
    assert!(CompactedManifest::parse_of(&bytes, &run("s")).is_err());
    let later = CompactedManifest {
        format: 2,
        ..manifest()
    };
    assert!(CompactedManifest::parse_of(&later.to_json(), &run("r")).is_err());
}
