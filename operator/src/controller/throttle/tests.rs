use super::*;

#[test]
fn a_run_that_nobody_changed_is_looked_at_once_a_second_and_a_changed_one_at_once() {
    let (throttle, start) = (Throttle::default(), Instant::now());
    let after = |millis| start + Duration::from_millis(millis);
    assert_eq!(throttle.delay("a", "1", start), None);
    assert_eq!(
        throttle.delay("a", "1", after(300)),
        Some(Duration::from_millis(700))
    );
    assert_eq!(throttle.delay("b", "1", after(300)), None, "another run");
    assert_eq!(throttle.delay("a", "2", after(400)), None);
    assert_eq!(
        throttle.delay("a", "2", after(1000)),
        Some(Duration::from_millis(400))
    );
    assert_eq!(
        throttle.delay("a", "2", after(1400)),
        None,
        "however often somebody asked meanwhile"
    );
}

#[test]
fn what_a_look_has_written_itself_is_looked_at_a_second_later() {
    let (throttle, start) = (Throttle::default(), Instant::now());
    assert_eq!(throttle.delay("a", "1", start), None);
    throttle.replaced("a", "1".to_owned());
    throttle.wrote("a", "2".to_owned(), start);
    assert_eq!(throttle.delay("a", "2", start), Some(SHORTEST));
    assert_eq!(throttle.delay("a", "2", start + SHORTEST), None);
    throttle.wrote("a", "3".to_owned(), start + SHORTEST);
    assert_eq!(
        throttle.delay("a", "4", start + SHORTEST),
        None,
        "somebody else wrote"
    );
}

#[test]
fn a_version_that_was_written_over_is_not_looked_at() {
    let (throttle, start) = (Throttle::default(), Instant::now());
    assert_eq!(throttle.delay("a", "1", start), None);
    throttle.replaced("a", "1".to_owned());
    assert_eq!(
        throttle.delay("a", "1", start + Duration::from_mins(1)),
        Some(BEHIND)
    );
    assert_eq!(throttle.delay("a", "2", start), None);
    for version in 2..20 {
        throttle.replaced("a", version.to_string());
    }
    assert_eq!(throttle.delay("a", "19", start), Some(BEHIND));
    throttle.retain(&HashSet::new());
    assert_eq!(throttle.delay("a", "19", start), None);
}
