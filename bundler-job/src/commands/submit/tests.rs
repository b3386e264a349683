use super::*;

fn address(text: &str) -> S3Address {
    text.parse().expect("an address")
}

#[test]
fn a_key_says_what_it_is() {
    for (text, expected) in [
        ("s3://b/groups/r/r.000000.index", Some(Kind::GroupManifest)),
        (
            "s3://b/groups/r/r.000000.index.dlq",
            Some(Kind::GroupManifest),
        ),
        ("s3://b/mine.csv", Some(Kind::GroupManifest)),
        (
            "s3://b/inv/src/all/2026-11-22T01-00Z/manifest.json",
            Some(Kind::Inventory),
        ),
        (
            "s3://b/inv/src/all/2026-11-22T01-00Z/manifest.checksum",
            None,
        ),
        ("s3://b/inv/src/hive/dt=2026-11-22-01-00/symlink.txt", None),
        ("s3://b/groups/", None),
        ("s3://b", None),
    ] {
        assert_eq!(Kind::of(&address(text)).ok(), expected, "{text}");
    }
}

#[test]
fn a_run_is_named_after_the_source_bucket_and_the_date() {
    let long = "a".repeat(63);
    let key = |bucket: &str, date: &str| format!("s3://inv/p/{bucket}/daily/{date}/manifest.json");
    for (text, expected) in [
        (
            key("src", "2026-11-22T01-00Z"),
            Some("src-2026-11-22t01-00z"),
        ),
        (
            key("My.Logs_1", "2026-11-22T01-00Z"),
            Some("my-logs-1-2026-11-22t01-00z"),
        ),
        (
            key(&long, "2026-11-22T01-00Z"),
            Some("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-2026-11-22t01-00z"),
        ),
        (key("s\u{fc}r\u{df}c", "d"), Some("s-r-c-d")),
        (key("b", &"9".repeat(60)), None),
        (
            "s3://inv/src/daily/2026-11-22T01-00Z/manifest.json".to_owned(),
            Some("src-2026-11-22t01-00z"),
        ),
        ("s3://inv/2026-11-22T01-00Z/manifest.json".to_owned(), None),
        ("s3://inv/manifest.json".to_owned(), None),
    ] {
        let name = run_name(&address(&text));
        assert_eq!(name.as_ref().map(RunName::as_str), expected, "{text}");
    }
}

#[test]
fn addresses_come_from_arguments_and_where_a_hyphen_is_from_standard_input() {
    let stdin = "# made by aws s3 ls\n\n  s3://b/2  \r\ns3://b/3\nb/4\n".as_bytes();
    let arguments = ["s3://b/1", "-", "s3://b/5"].map(|it| it.parse().expect("an argument"));
    let given = addresses(&arguments, stdin).expect("read");
    let shown: Vec<_> = given
        .iter()
        .map(|it| {
            it.as_ref()
                .map_or_else(ToString::to_string, S3Address::to_string)
        })
        .collect();
    let wrong =
        "standard input, line 5: \"b/4\" is not an S3 address: it should look like s3://bucket/key";
    assert_eq!(
        shown,
        ["s3://b/1", "s3://b/2", "s3://b/3", wrong, "s3://b/5"]
    );
    assert_eq!(addresses(&[], stdin).expect("read").len(), 3);
    assert_eq!(addresses(&arguments[..1], stdin).expect("read").len(), 1);
}
