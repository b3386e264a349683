use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::*;

#[test]
fn a_queue_is_empty_from_the_reading_after_everything_was_sent() {
    let depths = |visible| Depths {
        groups: Ok(Depth {
            visible,
            in_flight: 0,
        }),
        dead_lettered: Ok(0),
    };
    let (at, second) = (Instant::now(), Duration::from_secs(1));
    let mut cache = RunCache::new("r".parse().expect("a name"));
    cache.observe_depths(depths(0), 0, at);
    cache.observe_depths(depths(0), 0, at + second);
    assert_eq!(cache.empty_for(at + 2 * second), 2 * second);
    cache.expect_groups();
    assert_eq!(
        (cache.empty_for(at + 2 * second), cache.depths.is_some()),
        (Duration::ZERO, true)
    );
    cache.observe_depths(depths(0), 0, at + 3 * second);
    assert_eq!(cache.empty_for(at + 4 * second), second);
    cache.suspend();
    assert_eq!(
        (cache.empty_for(at + 5 * second), cache.depths.is_none()),
        (Duration::ZERO, true)
    );
    cache.observe_depths(depths(0), 0, at + 5 * second);
    cache.observe_depths(depths(1), 0, at + 6 * second);
    assert_eq!(cache.empty_for(at + 7 * second), Duration::ZERO);
}

#[test]
fn receipts_that_do_not_add_up_are_counted_again_the_more_seldom_the_more_there_are() {
    let (at, minute) = (Instant::now(), Duration::from_mins(1));
    for (groups, period) in [
        (0, POLL_PERIOD),
        (1_000, POLL_PERIOD),
        (1_001, 2 * POLL_PERIOD),
        (15_000, 15 * POLL_PERIOD),
        (60_000, 15 * minute),
        (60_001, 15 * minute),
        (u64::MAX, 15 * minute),
    ] {
        assert_eq!(recount_period(groups), period, "{groups}");
        let mut recounts = Recounts::default();
        assert!(!recounts.are_due(false, groups, at), "they add up");
        assert!(
            recounts.are_due(true, groups, at),
            "{groups}: what was counted is old"
        );
        // At every poll, for an hour.
        let polls = (1..=240).map(|poll| at + poll * POLL_PERIOD);
        let times = polls
            .filter(|now| recounts.are_due(true, groups, *now))
            .count();
        assert_eq!(
            times as u128,
            60 * minute.as_nanos() / period.as_nanos(),
            "{groups}"
        );
    }
}

#[test]
fn the_next_mismatch_and_a_resumed_run_are_counted_again_at_once() {
    let (at, many) = (Instant::now(), 150_000);
    let mut cache = RunCache::new("r".parse().expect("a name"));
    assert!(cache.recounts.are_due(true, many, at));
    assert!(!cache.recounts.are_due(true, many, at + POLL_PERIOD));
    assert!(
        !cache.recounts.are_due(false, many, at + 2 * POLL_PERIOD),
        "they add up, or a group is missing"
    );
    assert!(cache.recounts.are_due(true, many, at + 3 * POLL_PERIOD));
    cache.suspend();
    assert!(cache.recounts.are_due(true, many, at + 4 * POLL_PERIOD));
}

#[test]
fn workers_are_applied_again_when_they_are_to_differ_or_do_or_after_a_while() {
    let deployment = |name: &str| Deployment {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        ..Deployment::default()
    };
    let at = Instant::now();
    let mut cache = RunCache::new("r".parse().expect("a name"));
    cache.workers = Some(AppliedWorkers {
        deployment: deployment("a"),
        generation: 3,
        at,
    });
    let stay = |cache: &RunCache, name: &str, after| {
        cache
            .workers
            .as_ref()
            .is_some_and(|applied| applied.is_current(&deployment(name), at + after))
    };
    cache.observe_workers(Some(3));
    assert!(stay(&cache, "a", APPLY_PERIOD / 2));
    assert!(!stay(&cache, "b", APPLY_PERIOD / 2), "they are to differ");
    assert!(!stay(&cache, "a", APPLY_PERIOD), "nobody knows");
    for seen in [Some(4), None] {
        cache.workers = Some(AppliedWorkers {
            deployment: deployment("a"),
            generation: 3,
            at,
        });
        cache.observe_workers(seen);
        assert!(
            !stay(&cache, "a", Duration::ZERO),
            "somebody was there: {seen:?}"
        );
    }
}
