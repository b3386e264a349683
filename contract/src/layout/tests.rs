use proptest::prelude::*;

use super::*;

fn layout(prefix: &str) -> Layout {
    Layout::new(prefix, KeyLayout::Hashed).expect("a good prefix")
}

fn run() -> RunName {
    "logs-2026-11".parse().expect("a good name")
}

#[test]
fn a_run_name_is_a_dns_label_of_up_to_48() {
    let longest = "a".repeat(48);
    for good in ["a", "0", "logs-2026-11", longest.as_str()] {
        assert!(good.parse::<RunName>().is_ok(), "{good}");
    }
    let too_long = "a".repeat(49);
    for bad in [
        "",
        "-a",
        "a-",
        "a.b",
        "A",
        "a_b",
        "a/b",
        "ä",
        too_long.as_str(),
    ] {
        assert!(bad.parse::<RunName>().is_err(), "{bad}");
    }
}

#[test]
fn keys_begin_with_their_kind() {
    let (layout, run) = (layout("arch/x"), run());
    let group = GroupName::numbered(&run, 7);
    assert_eq!(layout.claim(&run), "arch/x/runs/logs-2026-11.json");
    assert_eq!(layout.summary(&run), "arch/x/runs/logs-2026-11.done.json");
    let uid = "0a1b-2c".parse().expect("a UID");
    let acknowledgement = layout.acknowledgement(&run, &uid);
    assert_eq!(acknowledgement, "arch/x/runs/logs-2026-11.ack.0a1b-2c.json");
    assert!(
        !acknowledgement.starts_with(&layout.stage_summaries(&run)),
        "it is not listed with the summaries"
    );
    assert_eq!(
        layout.group_manifest(&run, &group),
        "arch/x/groups/logs-2026-11/logs-2026-11.000007.index"
    );
    assert_eq!(
        layout.catalog(&run, &group),
        "arch/x/catalog/run=logs-2026-11/logs-2026-11.000007.parquet"
    );
    assert_eq!(self::layout("").claim(&run), "runs/logs-2026-11.json");
}

#[test]
fn prefixes_with_stray_slashes_are_refused() {
    for bad in ["/", "/a", "a/", "a//b"] {
        assert!(Layout::new(bad, KeyLayout::Plain).is_err(), "{bad}");
    }
}

#[test]
fn a_group_manifest_key_reads_back() {
    let (layout, run) = (layout("p"), run());
    let group = GroupName::numbered(&run, 123_456);
    let key = layout.group_manifest(&run, &group);
    assert_eq!(layout.parse_group_manifest(&key), Some((run, group)));
    for foreign in [
        "groups/r/r.000001.index",
        "p/groups/r/x.index",
        "p/groups/r/r.1.dlq",
        "p/groups/r.000001.index",
    ] {
        assert_eq!(layout.parse_group_manifest(foreign), None, "{foreign}");
    }
}

#[test]
fn only_the_groupers_own_names_have_a_number() {
    let number = |name: &str| name.parse::<GroupName>().expect(name).number_in(&run());
    for n in [0, 7, 999_999, 1_000_000] {
        assert_eq!(GroupName::numbered(&run(), n).number_in(&run()), Some(n));
    }
    for other in [
        "logs-2026-11.7",
        "logs-2026-11.0000007",
        "logs-2026-11.1000000",
        "logs-2026-11.a000007",
        "logs-2026-11.b1000000",
        "logs-2026-11.aa1000000",
        "logs-2026-11.A1000000",
        "logs-2026-11.retry1.000001",
        "x.000001",
        "logs-2026-11.",
    ] {
        assert_eq!(number(other), None, "{other}");
    }
}

#[test]
fn a_number_beyond_six_digits_has_the_letter_of_its_length() {
    for (number, text) in [
        (0, "000000"),
        (999_999, "999999"),
        (1_000_000, "a1000000"),
        (9_999_999, "a9999999"),
        (10_000_000, "b10000000"),
        (u64::MAX, "n18446744073709551615"),
    ] {
        assert_eq!(
            (number_text(number).as_str(), parse_number(text)),
            (text, Some(number))
        );
    }
    // Receipts, catalogs and manifests of other passes come after all of these in a listing.
    assert!(GroupName::numbered(&run(), u64::MAX) < GroupName::retry(&run(), 1, 0));
}

/// Numbers of every length, and those around where a length ends.
fn any_number() -> impl Strategy<Value = u64> {
    let around = (0..20_u32, -2..=2_i64)
        .prop_map(|(digits, by)| 10_u64.pow(digits).saturating_add_signed(by));
    prop_oneof![any::<u64>(), 0..2_000_000_u64, around]
}

proptest! {
    #[test]
    fn names_sort_like_their_numbers_and_read_back(a in any_number(), b in any_number(), pass in 0..3_u32) {
        let layout = layout("p");
        let (first, second) = (GroupName::retry(&run(), pass, a), GroupName::retry(&run(), pass, b));
        prop_assert_eq!(first.pass_in(&run()), Some((pass, a)));
        prop_assert_eq!(first.cmp(&second), a.cmp(&b));
        prop_assert_eq!(first.as_str().parse::<GroupName>(), Ok(first.clone()));
        // As S3 lists the keys that they are part of.
        let manifest = |group: &GroupName| layout.group_manifest(&run(), group);
        let receipt = |group: &GroupName| crate::Receipt::empty(group.clone()).name();
        let catalog = |group: &GroupName| layout.catalog(&run(), group);
        prop_assert_eq!(manifest(&first).cmp(&manifest(&second)), a.cmp(&b));
        prop_assert_eq!(catalog(&first).cmp(&catalog(&second)), a.cmp(&b));
        prop_assert_eq!(receipt(&first).cmp(&receipt(&second)), a.cmp(&b));
        prop_assert_eq!(layout.parse_group_manifest(&manifest(&first)), Some((run(), first)));
    }

    #[test]
    fn only_one_text_is_a_number(text in "[a-n]?[0-9]{1,20}") {
        if let Some(number) = parse_number(&text) {
            prop_assert_eq!(number_text(number), text);
        }
    }
}

#[test]
fn a_foreign_name_may_look_like_a_number_of_seven_digits_only() {
    let name = |text: &str| text.parse::<GroupName>().expect(text);
    assert!(GroupName::foreign(&S3Address::new("b", "logs-2026-11.index")).may_be_foreign());
    for (number, looks_so) in [
        (0, false),
        (999_999, false),
        (1_000_000, true),
        (9_999_999, true),
        (10_000_000, false),
    ] {
        assert_eq!(
            GroupName::numbered(&run(), number).may_be_foreign(),
            looks_so,
            "{number}"
        );
    }
    assert!(name("r.retry1.a1234567").may_be_foreign());
    assert!(!name("r.g1234567").may_be_foreign() && !name("a1234567").may_be_foreign());
}

#[test]
fn a_groups_pass_is_in_its_name() {
    let pass = |name: &str| name.parse::<GroupName>().expect(name).pass_in(&run());
    for (pass, number) in [
        (0, 0),
        (0, 1_000_000),
        (1, 0),
        (2, 999_999),
        (10, 1_000_000),
        (u32::MAX, u64::MAX),
    ] {
        let group = GroupName::retry(&run(), pass, number);
        assert_eq!(group.pass_in(&run()), Some((pass, number)), "{group}");
        assert_eq!(
            layout("p").parse_group_manifest(&layout("p").group_manifest(&run(), &group)),
            Some((run(), group))
        );
    }
    assert_eq!(
        GroupName::retry(&run(), 0, 7),
        GroupName::numbered(&run(), 7)
    );
    assert_eq!(
        GroupName::retry(&run(), 2, 7).as_str(),
        "logs-2026-11.retry2.000007"
    );
    for other in [
        "logs-2026-11.retry0.000001",
        "logs-2026-11.retry01.000001",
        "logs-2026-11.retry.000001",
        "logs-2026-11.retry1.1",
        "logs-2026-11.retry1.",
        "logs-2026-11.retry1",
        "logs-2026-11.retry-1.000001",
        "logs-2026-11.retry4294967296.000001",
        "logs-2026-11.retry1.000001.000001",
        "logs-2026-11-retry1.000001",
        "x.retry1.000001",
    ] {
        assert_eq!(pass(other), None, "{other}");
    }
}

#[test]
fn a_redo_group_is_of_no_pass() {
    let name = |text: &str| text.parse::<GroupName>().expect(text);
    for (redo, number) in [(1, 0), (10, 999_999), (u32::MAX, 7)] {
        let group = GroupName::of_stage(&run(), Stage::Redo(redo), number);
        assert_eq!(
            group.stage_in(&run()),
            Some((Stage::Redo(redo), number)),
            "{group}"
        );
        assert_eq!(
            (group.pass_in(&run()), group.number_in(&run())),
            (None, None)
        );
        let key = layout("p").group_manifest(&run(), &group);
        assert_eq!(layout("p").parse_group_manifest(&key), Some((run(), group)));
    }
    assert_eq!(
        GroupName::of_stage(&run(), Stage::Redo(2), 7).as_str(),
        "logs-2026-11.redo2.000007"
    );
    assert_eq!(
        name("logs-2026-11.retry1.000000").stage_in(&run()),
        Some((Stage::Pass(1), 0))
    );
    for other in [
        "redo0.000001",
        "redo01.000001",
        "redo.000001",
        "redo1.1",
        "redo1",
        "redo1.",
        "redo-1.000001",
    ] {
        assert_eq!(
            name(&format!("logs-2026-11.{other}")).stage_in(&run()),
            None,
            "{other}"
        );
    }
}

#[test]
fn the_summary_of_a_pass_is_no_claim_and_no_other_passes() {
    let (layout, run) = (layout("arch/x"), run());
    assert_eq!(layout.pass_summary(&run, 0), layout.summary(&run));
    assert_eq!(
        layout.stage_groups(&run, Stage::OWN),
        "arch/x/groups/logs-2026-11/logs-2026-11."
    );
    assert_eq!(
        layout.stage_groups(&run, Stage::Pass(1)),
        "arch/x/groups/logs-2026-11/logs-2026-11.retry1."
    );
    assert_eq!(
        layout.pass_summary(&run, 2),
        "arch/x/runs/logs-2026-11.retry2.done.json"
    );
    for pass in [1, 2, 10, u32::MAX] {
        for stage in [Stage::Pass(pass), Stage::Redo(pass)] {
            let key = layout.stage_summary(&run, stage);
            assert_eq!(layout.parse_stage_summary(&key, &run), Some(stage));
            assert!(key.starts_with(&layout.stage_summaries(&run)), "{key}");
        }
    }
    for other in [
        "",
        ".done",
        ".retry0.done",
        ".retry01.done",
        ".retry1",
        ".retry1.x.done",
        ".retryx.done",
        "-2.retry1.done",
        ".redo0.done",
        ".redo01.done",
        ".redo1",
    ] {
        let key = format!("arch/x/runs/logs-2026-11{other}.json");
        assert_eq!(layout.parse_stage_summary(&key, &run), None, "{key}");
    }
}

#[test]
fn foreign_manifests_of_one_name_are_two_groups() {
    let group = |address: &str| GroupName::foreign(&address.parse().expect("an address"));
    assert_ne!(group("s3://b/a/x.index"), group("s3://b/b/x.index"));
    assert!(group("s3://b/a/x.index").as_str().starts_with("x."));
    assert!(
        group("s3://b/ä ö/ü ß.0.index")
            .as_str()
            .parse::<GroupName>()
            .is_ok()
    );
}

#[test]
fn copies_of_two_versions_have_two_keys_and_long_keys_fit() {
    let layout = layout("p");
    let copy = |key: &str, version, etag| layout.copied_object("src", key, version, etag);
    assert_ne!(copy("k", Some("1"), "e"), copy("k", Some("2"), "e"));
    assert_ne!(copy("k", None, "e"), copy("k", None, "f"));
    assert_eq!(copy("k", None, "e"), copy("k", None, "e"));
    assert_eq!(copy("k", Some("1"), "e"), "p/objects/cabb83/src/k~4c3db554");
    let dated = |modified, size| {
        layout.copied_object_without_etag("src", "k", None, "W/\"e\"", modified, size)
    };
    let first = dated("2026-01-01T00:00:00Z", 5);
    for other in [
        dated("2026-01-01T00:00:01Z", 5),
        dated("2026-01-01T00:00:00Z", 6),
        copy("k", None, "W/\"e\""),
    ] {
        assert_ne!(first, other);
    }
    assert_eq!(first, dated("2026-01-01T00:00:00Z", 5));
    let long = "ä".repeat(512);
    let key = copy(&long, None, "e");
    assert!(
        key.len() + METADATA_SUFFIX.len() <= MAX_KEY_BYTES,
        "{}",
        key.len()
    );
    assert_ne!(key, copy(&format!("{}a", "ä".repeat(511)), None, "e"));
}

#[test]
fn the_keys_of_a_catalog_and_of_a_claim_read_back() {
    let (layout, run) = (layout("p/q"), run());
    let group = GroupName::retry(&run, 1, 7);
    let catalog = layout.catalog(&run, &group);
    assert_eq!(layout.parse_catalog(&catalog), Some((run.clone(), group)));
    assert_eq!(layout.parse_claim(&layout.claim(&run)), Some(run.clone()));
    for other in [
        layout.summary(&run),
        layout.pass_summary(&run, 1),
        layout.probe("x"),
        layout.compacted_manifest(&run),
        catalog.replace("p/q/", "p/"),
        catalog.replace(".parquet", ".index"),
        layout.compacted(&run) + "x.parquet",
    ] {
        assert_eq!(layout.parse_catalog(&other), None, "{other}");
        assert_eq!(layout.parse_claim(&other), None, "{other}");
        // Whatever overlaps with its source leaves it out.
        assert!(layout.is_output(&other) || !other.starts_with("p/q/"));
    }
}
