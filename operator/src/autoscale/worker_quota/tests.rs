use super::*;

/// Lets a run ask for this many, and gives what it gets.
fn ask(quota: &WorkerQuota, run: &str, current: u32, wanted: u32) -> u32 {
    quota.decide(run, current, |cap| (wanted.min(cap), wanted.min(cap)))
}

#[test]
fn runs_that_grow_in_the_same_moment_share_what_is_left() {
    let quota = WorkerQuota::new(10, HashMap::new());
    // Neither has told anybody of it yet.
    assert_eq!(
        [
            ask(&quota, "a", 0, 7),
            ask(&quota, "b", 0, 7),
            ask(&quota, "c", 0, 7)
        ],
        [7, 3, 0]
    );
    assert_eq!(ask(&quota, "a", 7, 9), 7, "its own are for it");
    assert_eq!(ask(&quota, "a", 7, 2), 2);
    assert_eq!(ask(&quota, "c", 0, 7), 0, "they are still there");
    quota.settle("a", 2);
    assert_eq!(ask(&quota, "c", 0, 7), 5);
    quota.forget("b");
    assert_eq!(ask(&quota, "d", 0, 7), 3);
    quota.retain(&["d".to_owned()].into());
    assert_eq!(ask(&quota, "e", 0, 9), 7);
}

#[test]
fn what_runs_had_before_the_operator_counts() {
    let quota = WorkerQuota::new(10, [("a".to_owned(), 8), ("b".to_owned(), 9)].into());
    assert_eq!(
        [ask(&quota, "c", 0, 5), ask(&quota, "a", 8, 8)],
        [0, 1],
        "the most was lowered"
    );
    let quota = WorkerQuota::new(10, [("a".to_owned(), u32::MAX), ("b".to_owned(), 9)].into());
    assert_eq!(ask(&quota, "c", 0, 5), 0);
}

#[test]
fn however_many_ask_at_once_the_most_is_never_passed() {
    let quota = WorkerQuota::new(100, HashMap::new());
    let given: u32 = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..16)
            .map(|run| {
                scope.spawn({
                    let quota = &quota;
                    move || ask(quota, &run.to_string(), 0, 9)
                })
            })
            .collect();
        asking
            .into_iter()
            .map(|asking| asking.join().expect("no panic"))
            .sum()
    });
    assert_eq!(given, 100);
}
