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

/// A cache with workers that were applied, whose Deployment is of generation 3.
fn applied(at: Instant) -> RunCache {
    let mut cache = RunCache::new("r".parse().expect("a name"));
    cache.workers = Some(AppliedWorkers {
        deployment: deployment("a"),
        generation: 3,
        scaled: None,
        at,
    });
    cache
}

fn deployment(name: &str) -> Deployment {
    Deployment {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        ..Deployment::default()
    }
}

fn shown((generation, replicas): (i64, u32)) -> WorkersShown {
    WorkersShown {
        uid: "u".to_owned(),
        generation,
        replicas,
    }
}

#[test]
fn workers_are_applied_again_when_they_are_to_differ_or_do_or_after_a_while() {
    let at = Instant::now();
    let stay = |cache: &RunCache, name: &str, after| {
        cache
            .workers
            .as_ref()
            .is_some_and(|applied| applied.is_current(&deployment(name), at + after))
    };
    let mut cache = applied(at);
    cache.observe_workers(Some(&shown((3, 1))), at);
    assert!(stay(&cache, "a", APPLY_PERIOD / 2));
    assert!(!stay(&cache, "b", APPLY_PERIOD / 2), "they are to differ");
    assert!(!stay(&cache, "a", APPLY_PERIOD), "nobody knows");
    for other in [Some((4, 1)), None] {
        let mut cache = applied(at);
        cache.observe_workers(other.map(shown).as_ref(), at + SHOWN);
        assert!(
            !stay(&cache, "a", Duration::ZERO),
            "somebody was there: {other:?}"
        );
    }
}

#[test]
fn workers_are_not_applied_again_because_the_watch_is_late() {
    let at = Instant::now();
    for (late, after, stay) in [
        (None, Duration::ZERO, true),
        (Some((2, 1)), SHOWN / 2, true),
        (Some((4, 1)), Duration::ZERO, false),
        (Some((2, 1)), SHOWN, false),
        (None, SHOWN, false),
    ] {
        let mut cache = applied(at);
        cache.observe_workers(late.map(shown).as_ref(), at + after);
        assert_eq!(cache.workers.is_some(), stay, "{late:?} after {after:?}");
    }
}

#[test]
fn workers_that_were_scaled_are_not_applied_again_for_it() {
    let at = Instant::now();
    for (seen, stay) in [
        ([(3, 1), (4, 5), (4, 5)], true),
        ([(4, 5), (4, 5), (4, 5)], true),
        // Somebody else scaled them as well, or changed something.
        ([(3, 1), (4, 6), (4, 6)], false),
        ([(3, 1), (4, 5), (5, 5)], false),
        ([(3, 1), (5, 5), (5, 5)], false),
    ] {
        let mut cache = applied(at);
        cache.scaled(shown((3, 5)), at);
        for seen in seen {
            cache.observe_workers(Some(&shown(seen)), at + SHOWN);
        }
        assert_eq!(cache.workers.is_some(), stay, "{seen:?}");
    }
}

#[test]
fn replicas_that_were_asked_for_count_until_the_watch_shows_what_came_of_it() {
    let at = Instant::now();
    let scaled = || {
        let mut cache = RunCache::new("r".parse().expect("a name"));
        assert_eq!(cache.observe_replicas(&shown((3, 1)), at), 1);
        cache.scaled(shown((3, 5)), at);
        cache
    };
    let mut cache = scaled();
    for late in [(2, 2), (3, 1)] {
        let replicas = cache.observe_replicas(&shown(late), at + SCALED / 2);
        assert_eq!(replicas, 5, "{late:?}");
    }
    assert_eq!(cache.observe_replicas(&shown((4, 5)), at), 5);
    assert_eq!(cache.observe_replicas(&shown((5, 4)), at), 4);
    for (now, after, why) in [
        ((4, 2), Duration::ZERO, "it was scaled again by another"),
        ((3, 1), SCALED, "no watch is so late"),
    ] {
        let replicas = scaled().observe_replicas(&shown(now), at + after);
        assert_eq!(replicas, now.1, "{why}");
    }
    let another = WorkersShown {
        uid: "another".to_owned(),
        ..shown((1, 1))
    };
    assert_eq!(scaled().observe_replicas(&another, at), 1);
}

#[test]
fn a_sweep_with_many_lists_begins_once_a_minute_and_costs_a_list_a_second_at_most() {
    for (lists, seconds) in [
        (1, 15),
        (4, 15),
        (5, 60),
        (60, 60),
        (110, 110),
        (1_000, 1_000),
    ] {
        assert_eq!(sweep_period(lists), Duration::from_secs(seconds), "{lists}");
    }
}
