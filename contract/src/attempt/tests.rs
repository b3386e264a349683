use super::*;

fn layout() -> Layout {
    Layout::new("p", KeyLayout::Hashed).expect("a good prefix")
}

fn run() -> RunName {
    "logs".parse().expect("a good name")
}

fn own(number: u64) -> Group {
    Group {
        run: run(),
        name: GroupName::numbered(&run(), number),
        own: true,
    }
}

fn existing(run: &str) -> Group {
    let manifest = S3Address::new("manifests", "a/x.index");
    Group::of(
        &manifest,
        "dst",
        &layout(),
        &run.parse().expect("a good name"),
    )
}

#[test]
fn keys_of_archives_name_their_group_and_those_of_existing_manifests_their_run() {
    let attempt = Attempt::from_bits(0);
    let archive = |group: &Group, keys| {
        layout()
            .with_keys(keys)
            .archive("src", group, &attempt, ArchiveFormat::TarGzip)
    };
    assert_eq!(
        archive(&own(7), KeyLayout::Hashed),
        "p/archives/e867a9/src/logs.000007-aaaaaaaa.tar.gz"
    );
    assert_eq!(
        archive(&own(7), KeyLayout::Plain),
        "p/archives/src/logs.000007-aaaaaaaa.tar.gz"
    );
    let name = existing("first").name;
    assert_eq!(
        archive(&existing("first"), KeyLayout::Plain),
        format!("p/archives/src/run=first/{name}-aaaaaaaa.tar.gz")
    );
    let hashed = archive(&existing("first"), KeyLayout::Hashed);
    assert!(
        hashed.ends_with(&format!("/src/run=first/{name}-aaaaaaaa.tar.gz")),
        "{hashed}"
    );
    assert_eq!(run_folder(&hashed), Some("first"));
    assert_eq!(run_folder(&archive(&own(7), KeyLayout::Plain)), None);
}

#[test]
fn two_runs_of_one_manifest_share_no_key_of_an_archive() {
    assert_eq!(existing("first").name, existing("second").name);
    let archive = |run| {
        layout().archive(
            "src",
            &existing(run),
            &Attempt::from_bits(0),
            ArchiveFormat::Tar,
        )
    };
    assert_ne!(archive("first"), archive("second"));
    assert_eq!(
        layout().parse_attempt(&archive("first"), "src", &existing("second")),
        None
    );
    assert_ne!(
        layout().dead_letters(&existing("first").run, &existing("first").name),
        layout().dead_letters(&existing("second").run, &existing("second").name)
    );
}

#[test]
fn only_a_groups_own_attempts_are_its_own() {
    let layout = layout();
    for group in [own(1), existing("first")] {
        let attempt = Attempt::from_bits(u64::MAX);
        let stem = layout.archive_stem("src", &group);
        let archive = layout.archive("src", &group, &attempt, ArchiveFormat::TarZstd);
        assert_eq!(
            layout.parse_attempt(&archive, "src", &group),
            Some(attempt.clone())
        );
        assert_eq!(
            layout.parse_attempt(&index_of(&archive), "src", &group),
            Some(attempt)
        );
        for other in [
            "b-aaaaaaaa.tar",
            "aaaaaaa.tar",
            "aaaaaaaa.zip",
            "aaaaaaaa",
            "AAAAAAAA.tar",
            "ä.tar",
            ".tar",
        ] {
            assert_eq!(
                layout.parse_attempt(&format!("{stem}{other}"), "src", &group),
                None,
                "{other}"
            );
        }
    }
}

#[test]
fn the_group_of_an_archive_reads_back_from_its_key() {
    let retry = Group {
        run: run(),
        name: GroupName::retry(&run(), 2, 3),
        own: true,
    };
    let redo = Group {
        run: run(),
        name: "logs.redo1.000003".parse().expect("a name"),
        own: true,
    };
    for group in [own(0), own(999_999), retry, redo, existing("logs")] {
        for keys in [KeyLayout::Hashed, KeyLayout::Plain] {
            for format in ArchiveFormat::ALL {
                let attempt = Attempt::from_bits(77);
                let key = layout()
                    .with_keys(keys)
                    .archive("src", &group, &attempt, format);
                let found = Some((group.clone(), attempt.clone()));
                assert_eq!(layout().parse_archive(&key, &run()), found, "{key}");
                assert_eq!(
                    layout().parse_archive(&index_of(&key), &run()),
                    found,
                    "{key}"
                );
                assert_eq!(
                    layout().parse_archive(&key, &"other".parse().expect("a name")),
                    None,
                    "{key}"
                );
            }
        }
    }
    let name = existing("logs").name;
    for other in [
        // As earlier releases made them.
        format!("p/archives/src/{name}-aaaaaaaa.tar"),
        "p/archives/src/logs.000000.index.dlq.0123abcd-aaaaaaaa.tar".to_string(),
        "p/archives/src/logs.redo0.000000-aaaaaaaa.tar".to_owned(),
        "p/archives/src/logs.redo1.0-aaaaaaaa.tar".to_owned(),
        "p/archives/000000/src/logs.000000-aaaaaaaa.tar".to_owned(),
        "p/archives/src/logs.000000-aaaaaaaa.tar.old".to_owned(),
        "p/archives/logs.000000-aaaaaaaa.tar".to_owned(),
        "archives/src/logs.000000-aaaaaaaa.tar".to_owned(),
    ] {
        assert_eq!(layout().parse_archive(&other, &run()), None, "{other}");
    }
}

#[test]
fn a_manifest_is_a_runs_own_only_at_its_own_place() {
    let group =
        |bucket: &str, key: &str| Group::of(&S3Address::new(bucket, key), "dst", &layout(), &run());
    assert_eq!(group("dst", "p/groups/x/x.000001.index").run.as_str(), "x");
    assert!(group("dst", "p/groups/x/x.000001.index").own);
    for (bucket, key) in [
        ("other", "p/groups/x/x.000001.index"),
        ("dst", "p/groups/x/x.000001.index.dlq"),
        ("dst", "groups/x/x.1.index"),
    ] {
        let group = group(bucket, key);
        assert!(!group.own && group.run == run(), "{bucket} {key}");
    }
}

#[test]
fn dead_letters_read_back_from_their_key() {
    for group in [own(1), existing("logs")] {
        let key = layout().dead_letters(&group.run, &group.name);
        assert_eq!(layout().parse_dead_letters(&key, &run()), Some(group.name));
    }
    for other in [
        "p/groups/logs/logs.000000.index",
        "p/groups/x/x.000000.index.dlq",
        "p/groups/logs/x.dlq",
    ] {
        assert_eq!(layout().parse_dead_letters(other, &run()), None, "{other}");
    }
}

#[test]
fn an_index_lies_beside_its_archive() {
    for (archive, index) in [
        ("a/g-x.tar", "a/g-x.index"),
        ("a/g-x.tar.gz", "a/g-x.index"),
        ("a/g-x.tar.zst", "a/g-x.index"),
    ] {
        assert_eq!(index_of(archive), index);
    }
}
