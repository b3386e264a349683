use std::collections::BTreeSet;

use super::*;

fn bounds<'a>(min: &'a str, max: &'a str) -> Bounds<'a> {
    Bounds {
        min: min.as_bytes(),
        max: max.as_bytes(),
    }
}

#[test]
fn a_prefix_rules_out_what_is_wholly_before_or_after_it() {
    let prefix = Pruner::new(&Filter {
        prefixes: vec!["m/".to_owned()],
        ..Filter::default()
    });
    for (min, max, may) in [
        ("a", "l", false),
        ("a", "m", false),
        ("a", "m/", true),
        ("a", "z", true),
        ("m/1", "m/2", true),
        ("m/\u{10ffff}", "n", true),
        ("m0", "n", false),
        ("n", "z", false),
    ] {
        assert_eq!(prefix.may_have_key(bounds(min, max)), may, "{min} {max}");
    }
}

#[test]
fn keys_rule_out_what_has_none_of_them() {
    let keys = Pruner::new(&Filter {
        keys: BTreeSet::from(["b".to_owned(), "d".to_owned()]),
        ..Filter::default()
    });
    for (min, max, may) in [
        ("a", "a", false),
        ("a", "b", true),
        ("b", "c", true),
        ("c", "cz", false),
        ("e", "z", false),
    ] {
        assert_eq!(keys.may_have_key(bounds(min, max)), may, "{min} {max}");
    }
}

#[test]
fn all_conditions_on_the_key_rule_out() {
    let both = Pruner::new(&Filter {
        glob: Some("logs/*".parse().expect("a pattern")),
        prefixes: vec!["logs/a".to_owned(), "x".to_owned()],
        ..Filter::default()
    });
    assert!(both.may_have_key(bounds("logs/a", "logs/b")));
    assert!(!both.may_have_key(bounds("logs/b", "logs/c")));
    assert!(!both.may_have_key(bounds("x", "y")));
}

#[test]
fn the_beginnings_of_a_regular_expression_are_known_if_it_is_anchored() {
    for (regex, known) in [
        ("^logs/.*", Some(vec!["logs/"])),
        ("^(a|b)/", Some(vec!["a/", "b/"])),
        ("logs/", None),
        ("^a|b", None),
        ("(?i)^ab", Some(vec!["AB", "Ab", "aB", "ab"])),
    ] {
        let known = known.map(|it| it.into_iter().map(str::to_owned).collect::<Vec<_>>());
        let mut found = beginnings(regex);
        if let Some(found) = &mut found {
            found.sort();
        }
        assert_eq!(found, known, "{regex}");
    }
    // Every text begins with the empty one, which rules nothing out.
    let any = Pruner::new(&Filter {
        regex: Some(regex::Regex::new("^.*x").expect("it is one")),
        ..Filter::default()
    });
    assert!(any.may_have_key(bounds("a", "a")));
}

#[test]
fn instants_rule_out_what_is_wholly_outside() {
    let at = |text: &str| Some(text.parse::<Timestamp>().expect("an instant"));
    let between = Pruner::new(&Filter {
        modified_after: at("1970-01-01T00:00:01Z"),
        modified_before: at("1970-01-01T00:00:02Z"),
        ..Filter::default()
    });
    for (min, max, may) in [
        (0, 999, false),
        (0, 1000, true),
        (1500, 1500, true),
        (1999, 9000, true),
        (2001, 9000, false),
    ] {
        assert_eq!(between.may_have_instant(min, max), may, "{min} {max}");
    }
}

#[test]
fn outcomes_rule_out_what_has_none_of_them() {
    for (outcome, min, max, may) in [
        ("failed", "archived", "copied", false),
        ("failed", "NoSuchKey", "archived", true),
        ("failed", "Retry", "Retry", true),
        ("Retry", "NoSuchKey", "archived", true),
        ("Retry", "archived", "archived", false),
        ("copied", "Retry", "archived", false),
    ] {
        let pruner = Pruner::new(&Filter {
            outcomes: vec![outcome.parse().expect("an outcome")],
            ..Filter::default()
        });
        assert_eq!(
            pruner.may_have_outcome(bounds(min, max)),
            may,
            "{outcome} {min} {max}"
        );
    }
}
