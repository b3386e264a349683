use super::*;

#[test]
fn pauses_double_up_to_five_minutes_until_a_run_succeeds() {
    let backoff = Backoff::default();
    let pauses: Vec<_> = (0..9)
        .map(|_| backoff.record_failure("a").as_secs())
        .collect();
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
    assert_eq!((backoff.failures("a"), backoff.failures("b")), (9, 0));
    backoff.reset("a");
    assert_eq!(
        (backoff.failures("a"), backoff.record_failure("a")),
        (0, FIRST_PAUSE)
    );
}
