#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use super::*;
use crate::controller::throughput::Rate;
use crate::crd::{ByteCounts, ObjectCounts};

fn half_done() -> ArchiveRunStatus {
    ArchiveRunStatus {
        objects: Some(ObjectCounts {
            total: Some(10_000),
            archived: 3_000,
            copied: 100,
            failed: 400,
            left_out: 500,
        }),
        bytes: Some(ByteCounts {
            total: Some(90_000),
            archived: 30_000,
            copied: 0,
            failed: 0,
        }),
        ..ArchiveRunStatus::default()
    }
}

fn seen(objects: u64) -> Observed {
    Observed {
        rate: Some(Rate {
            done: Amount {
                objects,
                bytes: 10 * objects,
            },
            within: Duration::from_mins(10),
        }),
        ..Observed::default()
    }
}

#[test]
fn a_run_that_archives_has_a_rate_and_a_remaining_time() {
    let mut status = half_done();
    pace(&mut status, &seen(1200), true);
    let rate = status.rate.unwrap();
    assert_eq!((rate.objects_per_second, rate.bytes_per_second), (2, 20));
    // 6,000 objects at 2 a second, and 60,000 bytes at 20.
    assert_eq!(status.eta.as_deref(), Some("50m"));

    // An operator that has just started knows no rate yet.
    pace(&mut status, &Observed::default(), true);
    assert_eq!(status.eta.as_deref(), Some("50m"));
    pace(&mut status, &seen(0), true);
    assert_eq!(
        (status.rate.unwrap().objects_per_second, status.eta),
        (0, None)
    );

    let mut grouping = ArchiveRunStatus::default();
    pace(&mut grouping, &seen(1200), true);
    assert_eq!(grouping.eta, None, "the rest is not known");

    let mut ended = half_done();
    pace(&mut ended, &seen(1200), true);
    pace(&mut ended, &seen(1200), false);
    assert_eq!((ended.rate, ended.eta), (None, None));
}

#[test]
fn a_time_has_two_units() {
    for (seconds, expected) in [
        (0, "1m"),
        (61, "2m"),
        (3_541, "1h0m"),
        (3_600, "1h0m"),
        (8_000, "2h14m"),
        (200_000, "2d7h"),
    ] {
        assert_eq!(words(Duration::from_secs(seconds)), expected, "{seconds}");
    }
}
