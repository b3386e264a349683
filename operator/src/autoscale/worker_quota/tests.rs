use super::*;

fn applicant<'a>(namespace: &'a str, uid: &'a str, current: u32) -> Applicant<'a> {
    Applicant {
        uid,
        namespace,
        terms: NamespaceTerms::default(),
        current,
    }
}

/// Lets a run ask for this many, and gives what it gets.
fn ask(quota: &WorkerQuota, (namespace, run): (&str, &str), current: u32, wanted: u32) -> u32 {
    quota.decide(applicant(namespace, run, current), |cap| {
        (wanted.min(cap), wanted.min(cap))
    })
}

fn found(uid: &str, workers: u32) -> Found {
    Found {
        uid: uid.to_owned(),
        namespace: "n".to_owned(),
        workers,
    }
}

#[test]
fn a_run_grows_by_what_no_other_holds_and_comes_down_to_its_share() {
    let quota = WorkerQuota::new(10, []);
    let (a, b, c) = (("n", "a"), ("n", "b"), ("m", "c"));
    assert_eq!(ask(&quota, a, 0, 7), 7);
    assert_eq!(
        ask(&quota, b, 0, 7),
        3,
        "its share is five, and three are free"
    );
    assert_eq!(
        ask(&quota, c, 0, 7),
        0,
        "its share is five, and none is free"
    );
    assert_eq!(ask(&quota, a, 7, 7), 3, "half of its namespace's half");
    assert_eq!(ask(&quota, c, 0, 7), 0, "they are still there");
    quota.settle("a", 3);
    assert_eq!(ask(&quota, c, 0, 7), 4);
    assert_eq!(ask(&quota, b, 3, 7), 2);
    quota.settle("b", 2);
    assert_eq!(ask(&quota, c, 4, 7), 5);
    quota.forget("a");
    assert_eq!(ask(&quota, b, 2, 7), 5);
    quota.retain(&["b".to_owned()].into());
    assert_eq!(ask(&quota, b, 5, 9), 9);
}

#[test]
fn a_run_that_wants_nothing_more_leaves_its_share() {
    let quota = WorkerQuota::new(10, []);
    let (a, b) = (("n", "a"), ("m", "b"));
    assert_eq!([ask(&quota, a, 0, 5), ask(&quota, b, 0, 9)], [5, 5]);
    assert_eq!(ask(&quota, a, 5, 0), 0);
    assert_eq!(ask(&quota, b, 5, 9), 5, "it has not let go");
    quota.settle("a", 0);
    assert_eq!(ask(&quota, b, 5, 9), 9);
    assert_eq!(quota.lock().len(), 1, "nothing is kept of what has ended");
}

#[test]
fn what_runs_had_before_the_operator_counts() {
    let quota = WorkerQuota::new(10, [found("a", 8), found("b", 9)]);
    assert_eq!(ask(&quota, ("n", "c"), 0, 5), 0);
    assert_eq!(ask(&quota, ("n", "a"), 8, 8), 1, "the most was lowered");
    let quota = WorkerQuota::new(10, [found("a", u32::MAX), found("b", 9)]);
    assert_eq!(ask(&quota, ("n", "c"), 0, 5), 0);
}

#[test]
fn however_many_ask_at_once_the_most_is_never_passed() {
    let quota = WorkerQuota::new(100, []);
    let given: u32 = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..16)
            .map(|run| {
                scope.spawn({
                    let quota = &quota;
                    move || ask(quota, ("n", &run.to_string()), 0, 9)
                })
            })
            .collect();
        asking
            .into_iter()
            .map(|asking| asking.join().expect("no panic"))
            .sum()
    });
    assert!((90..=100).contains(&given), "{given}");
}
