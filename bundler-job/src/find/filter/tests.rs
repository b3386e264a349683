use std::collections::BTreeSet;

use s3bundler_contract::{Reason, Row};

use super::*;
use crate::catalog::{Map, Place};

fn entry(key: &str) -> Entry {
    Entry {
        row: Row {
            bucket: "src".to_owned(),
            key: key.to_owned(),
            size: Some(1),
            version_id: Some("v1".to_owned()),
            last_modified: Some("2026-11-22T01:00:00.000Z".to_owned()),
            ..Row::default()
        },
        listed_version: true,
        outcome: Outcome::Archived(Place {
            offset: 512,
            length: 1,
            skip: 0,
        }),
        md5: None,
        checksums: Map::new(),
        headers: Map::new(),
        metadata: Map::from([("owner".to_owned(), "ann".to_owned())]),
        tags: Map::from([("team".to_owned(), "a=b".to_owned())]),
        detail: None,
        sha256: None,
    }
}

fn pattern(text: &str) -> Pattern {
    text.parse().expect("a pattern")
}

#[test]
fn an_empty_filter_matches_every_object() {
    assert!(Filter::default().is_empty());
    assert!(Filter::default().matches(&entry("a")));
}

#[test]
fn all_conditions_have_to_hold_and_of_one_condition_one_value() {
    let filter = Filter {
        keys: BTreeSet::from(["a/1".to_owned(), "a/2".to_owned(), "b/1".to_owned()]),
        prefixes: vec!["a/".to_owned(), "c/".to_owned()],
        ..Filter::default()
    };
    assert!(!filter.is_empty());
    for (key, found) in [("a/1", true), ("a/2", true), ("b/1", false), ("a/3", false)] {
        assert_eq!(filter.matches(&entry(key)), found, "{key}");
    }
}

#[test]
fn a_glob_matches_the_whole_key_and_its_stars_match_slashes() {
    for (glob, key, found) in [
        ("*.json", "a/b/c.json", true),
        ("a/*/c.json", "a/x/y/c.json", true),
        ("a", "a/b", false),
        ("b", "a/b", false),
        ("a?b", "a/b", true),
        ("[ab]1", "b1", true),
        ("{x,yy}1", "yy1", true),
        ("a\\*", "a*", true),
        ("a\\*", "ab", false),
        ("./a//b*", "./a//b\n\u{1b}[31m", true),
    ] {
        assert_eq!(pattern(glob).matches(key), found, "{glob} {key}");
    }
}

#[test]
fn the_literal_beginning_of_a_glob_ends_at_its_first_special_character() {
    for (glob, literal) in [
        ("logs/2026-*", "logs/2026-"),
        ("logs", "logs"),
        ("*", ""),
        ("a\\*b", "a"),
        ("ü{a,b}", "ü"),
    ] {
        assert_eq!(pattern(glob).literal(), literal);
    }
}

#[test]
fn instants_are_compared_and_an_object_without_one_is_not_found() {
    let at = |text: &str| Some(text.parse().expect("an instant"));
    let between = |after: Option<Timestamp>, before: Option<Timestamp>| Filter {
        modified_after: after,
        modified_before: before,
        ..Filter::default()
    };
    let exact = at("2026-11-22T01:00:00Z");
    let later = at("2026-11-22T01:00:00.001Z");
    assert!(between(exact, later).matches(&entry("a")));
    assert!(!between(later, None).matches(&entry("a")));
    assert!(!between(None, exact).matches(&entry("a")));
    let mut without = entry("a");
    without.row.last_modified = None;
    assert!(!between(exact, None).matches(&without));
}

#[test]
fn tags_metadata_versions_and_buckets_are_compared_exactly() {
    let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let filters = [
        (
            Filter {
                tags: pair("team", "a=b"),
                ..Filter::default()
            },
            true,
        ),
        (
            Filter {
                tags: pair("team", "a"),
                ..Filter::default()
            },
            false,
        ),
        (
            Filter {
                metadata: pair("owner", "ann"),
                ..Filter::default()
            },
            true,
        ),
        (
            Filter {
                metadata: pair("team", "a=b"),
                ..Filter::default()
            },
            false,
        ),
        (
            Filter {
                version_ids: vec!["v0".to_owned(), "v1".to_owned()],
                ..Filter::default()
            },
            true,
        ),
        (
            Filter {
                buckets: vec!["other".to_owned()],
                ..Filter::default()
            },
            false,
        ),
    ];
    for (filter, found) in filters {
        assert_eq!(filter.matches(&entry("a")), found, "{filter:?}");
    }
}

#[test]
fn an_outcome_is_a_kind_or_a_reason() {
    let archived = entry("a").outcome;
    let copied = Outcome::Copied {
        key: "k".to_owned(),
    };
    let gone = Outcome::Failed(Reason::NoSuchKey);
    for (text, matches) in [
        ("archived", [true, false, false]),
        ("copied", [false, true, false]),
        ("failed", [false, false, true]),
        ("NoSuchKey", [false, false, true]),
        ("Retry", [false, false, false]),
    ] {
        let filter: OutcomeFilter = text.parse().expect("an outcome");
        let found = [&archived, &copied, &gone].map(|outcome| filter.matches(outcome));
        assert_eq!(found, matches, "{text}");
    }
    assert!("lost".parse::<OutcomeFilter>().is_err());
}
