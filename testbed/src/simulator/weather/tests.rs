use super::*;

fn latencies(latency: Latency) -> Vec<f64> {
    (0..20_000)
        .map(|n| latency.nth(n, 7).as_secs_f64() * 1_000.0)
        .collect()
}

#[test]
fn latency_has_its_mean_and_its_slow_tail() {
    let latency = Latency {
        least_ms: 5.0,
        mean_ms: 10.0,
        slow_one_in: 100,
        slow_ms: 1_000.0,
    };
    let all = latencies(latency);
    assert_eq!(all, latencies(latency), "the same again");
    assert!(all.iter().all(|it| *it >= 5.0));
    let slow = all.iter().filter(|it| **it > 1_000.0).count();
    assert!((150..260).contains(&slow), "{slow}");
    let quick: Vec<_> = all.iter().filter(|it| **it < 1_000.0).collect();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let mean = quick.iter().copied().sum::<f64>() / quick.len() as f64;
    assert!((14.5..15.5).contains(&mean), "{mean}");
}

#[test]
fn a_prefix_has_a_limit_of_its_own_for_reads_and_for_writes() {
    let sky = Sky::with(Weather {
        limits: Limits {
            reads: 3,
            writes: 2,
            depth: 1,
        },
        ..Weather::default()
    });
    let fails_at = |second, key, is_read| {
        sky.fate_at(&sky.since(), second, "b", key, is_read) == Fate::Fails(OutageKind::SlowDown)
    };
    let fails = |key, is_read| fails_at(7.5, key, is_read);
    assert_eq!(
        [(); 5].map(|()| fails("a/1", true)),
        [false, false, false, true, true]
    );
    assert_eq!([(); 3].map(|()| fails("a/2", false)), [false, false, true]);
    assert!(!fails("b/1", true), "another prefix");
    assert!(!fails_at(8.0, "a/1", true), "the next second");
}

#[test]
fn an_outage_begins_and_ends_by_the_clock() {
    let outage = |from_seconds, to_seconds| Weather {
        outages: vec![Outage {
            from_seconds,
            to_seconds,
            kind: OutageKind::Drop,
        }],
        ..Weather::default()
    };
    let sky = Sky::with(outage(0.0, 3_600.0));
    let fate = |sky: &Sky| sky.fate_at(&sky.since(), 5.0, "b", "k", true);
    assert_eq!(fate(&sky), Fate::Fails(OutageKind::Drop));
    sky.set(outage(3_600.0, 7_200.0));
    assert_eq!(fate(&sky), Fate::After(Duration::ZERO));
}
