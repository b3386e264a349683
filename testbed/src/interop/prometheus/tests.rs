use serde_json::json;

use super::*;

#[test]
fn alerts_are_hastened_and_keep_their_expressions() {
    let mut rules = json!({"groups": [
        {"rules": [{"alert": "A", "expr": "a > 0", "for": "2d"}, {"alert": "B", "expr": "b"}]},
        {"rules": [{"alert": "C", "expr": "c", "for": "5m"}]},
    ]});
    assert_eq!(hasten(&mut rules), 3);
    let wanted = json!({"groups": [
        {"rules": [{"alert": "A", "expr": "a > 0", "for": PENDING}, {"alert": "B", "expr": "b"}]},
        {"rules": [{"alert": "C", "expr": "c", "for": PENDING}]},
    ]});
    assert_eq!(rules, wanted);
}

#[test]
fn alerts_must_be_those_that_are_wanted() {
    let (one, other) = (
        Alert::new("A", "team", "run"),
        Alert::new("B", "team", "run"),
    );
    let only_one: BTreeSet<_> = [one].into();
    let only_other: BTreeSet<_> = [other].into();
    assert!(compare(&only_one, &only_one).is_ok());
    assert!(compare(&only_one, &BTreeSet::new()).is_err());
    assert!(compare(&only_one, &only_other).is_err());
}
