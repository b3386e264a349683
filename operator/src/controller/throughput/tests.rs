#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn amount(objects: u64, bytes: u64) -> Amount {
    Amount { objects, bytes }
}

#[test]
fn the_rate_is_that_of_the_last_ten_minutes() {
    let (start, mut throughput) = (Instant::now(), Throughput::default());
    let mut at = |seconds: u32, objects| {
        throughput.observe(amount(objects, 10 * objects), start + seconds * SECOND)
    };
    assert_eq!(at(0, 500), None, "what was done before is no rate");
    assert_eq!(at(15, 500), None);
    let rate = at(30, 800).unwrap();
    assert_eq!(rate.per_second(), amount(10, 100));
    // Fast until now, then nothing.
    for seconds in (45..=630).step_by(15) {
        at(seconds, 800);
    }
    assert_eq!(at(645, 800).unwrap().per_second(), amount(0, 0));
    assert_eq!(at(660, 6800).unwrap().done, amount(6000, 60_000));
}

#[test]
fn triggers_between_two_polls_keep_no_more_of_the_past() {
    let (start, mut throughput) = (Instant::now(), Throughput::default());
    for millis in (0..3_600_000).step_by(500) {
        throughput.observe(amount(millis, 0), start + Duration::from_millis(millis));
    }
    assert!(throughput.0.len() <= 42, "{}", throughput.0.len());
    throughput.reset();
    assert_eq!(throughput.observe(amount(1, 1), start + WINDOW * 7), None);
}

#[test]
fn the_rest_takes_as_long_as_its_objects_or_its_bytes() {
    let rate = Rate {
        done: amount(100, 1000),
        within: 100 * SECOND,
    };
    for (rest, seconds) in [
        (amount(0, 0), 0),
        (amount(50, 500), 50),
        (amount(50, 5000), 500),
        (amount(500, 500), 500),
    ] {
        assert_eq!(rate.time_for(rest), Some(seconds * SECOND), "{rest:?}");
    }
    let idle = Rate {
        done: amount(0, 0),
        ..rate
    };
    assert_eq!(idle.time_for(amount(1, 0)), None);
    let empty_objects = Rate {
        done: amount(100, 0),
        ..rate
    };
    assert_eq!(empty_objects.time_for(amount(1, 9)), Some(SECOND));
    let slow = Rate {
        done: amount(1, 1),
        within: 100 * SECOND,
    };
    assert_eq!(slow.per_second(), amount(0, 0));
    assert_eq!(slow.time_for(amount(2, 2)), Some(200 * SECOND));
    assert!(slow.time_for(amount(u64::MAX, u64::MAX)).is_some());
}
