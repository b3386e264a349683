use super::*;

fn snapshot(seconds: u64, done: (u64, u64, u64), expected: (u64, u64, u64)) -> Snapshot {
    let amount = |(groups, objects, bytes)| Amount {
        groups,
        objects,
        bytes,
    };
    Snapshot {
        done: amount(done),
        expected: amount(expected),
        elapsed: Duration::from_secs(seconds),
    }
}

#[test]
fn what_is_done_and_expected_adds_up_from_many_threads() {
    let progress = Progress::start(ProgressStyle::Silent);
    progress.expect(1, 3_000, 30_000);
    progress.expect(1, 1_000, 10_000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1_000).for_each(|_| progress.object(10)));
        }
    });
    progress.group();
    let Snapshot { done, expected, .. } = progress.snapshot();
    assert_eq!(
        done,
        Amount {
            groups: 1,
            objects: 4_000,
            bytes: 40_000
        }
    );
    assert_eq!(
        expected,
        Amount {
            groups: 2,
            objects: 4_000,
            bytes: 40_000
        }
    );
}

#[test]
fn the_rate_of_even_work_is_exact_and_follows_a_change() {
    let mut meter = Meter::default();
    for seconds in 1..=10 {
        let rates = meter.read(&snapshot(
            seconds,
            (0, 100 * seconds, 1_000 * seconds),
            (0, 0, 0),
        ));
        assert_eq!(
            (whole(rates.objects), whole(rates.bytes)),
            (100, 1_000),
            "after {seconds} s"
        );
    }
    let stopped =
        (11..=100).map(|seconds| meter.read(&snapshot(seconds, (0, 1_000, 10_000), (0, 0, 0))));
    assert_eq!(stopped.last().map(|rates| whole(rates.objects)), Some(0));
}

#[test]
fn the_line_says_what_is_known_and_no_more() {
    let rates = Rates {
        objects: 1_250.4,
        bytes: 12.0 * 1024.0 * 1024.0,
    };
    let unknown = snapshot(60, (1, 75_000, 768 << 20), (0, 0, 0));
    assert_eq!(
        text(&unknown, rates),
        "75,000 objects  1,250/s  768.00 MiB  12.00 MiB/s  1 groups"
    );
    let known = snapshot(60, (1, 75_000, 768 << 20), (3, 150_000, 2 << 30));
    assert_eq!(
        text(&known, rates),
        "75,000/150,000 objects  1,250/s  60 seconds left  768.00 MiB/2.00 GiB  12.00 MiB/s  1/3 \
         groups"
    );
    assert_eq!(Rates::default().left(&known), None, "nothing moves");
    let faded = Rates {
        objects: 75_000.0 / (200.0 * 365.0 * 86_400.0),
        bytes: 0.0,
    };
    assert_eq!(faded.left(&known), None, "200 years");
}

#[tokio::test(start_paused = true)]
async fn telling_ends_when_finished_and_when_nobody_counts_any_more() {
    for finishes in [true, false] {
        let progress = Progress::start(ProgressStyle::Silent);
        let task = tokio::spawn(show_regularly(
            Arc::downgrade(&progress.0),
            LINES,
            |_, _, _| {},
        ));
        tokio::time::sleep(3 * LINES).await;
        assert!(!task.is_finished());
        if finishes {
            progress.finish();
        } else {
            drop(progress);
        }
        task.await.expect("it ends");
    }
}

#[tokio::test]
async fn a_bar_draws_what_the_line_says() {
    let progress = Progress::start(ProgressStyle::Bar);
    progress.expect(1, 10, 1_000);
    progress.object(100);
    draw(&progress.0, &progress.snapshot(), Rates::default());
    let bar = progress.0.bar.as_ref().expect("a bar");
    assert_eq!((bar.position(), bar.length()), (1, Some(10)));
    assert!(
        bar.message().starts_with("1/10 objects"),
        "{}",
        bar.message()
    );
    assert!(BarStyle::with_template(TEMPLATE).is_ok());
}
