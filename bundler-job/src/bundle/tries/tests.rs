use super::*;

const BUSY: Trouble = Trouble::Throttled {
    silent_for: Duration::from_secs(9),
};
const SILENT: Trouble = Trouble::Throttled {
    silent_for: SILENCE,
};

/// How an object ends that always has this trouble, and after how many tries.
fn ends(tries: &mut Tries, trouble: Trouble, elapsed: Duration) -> Option<(Next, u32)> {
    (1..=1000).find_map(|n| match tries.after(trouble, elapsed) {
        Next::Pause(_) | Next::WhenAccepted => None,
        end => Some((end, n)),
    })
}

#[test]
fn an_object_ends_as_its_trouble_says() {
    let denied = Trouble::Object(Reason::AccessDenied);
    for (wary, trouble, elapsed, end) in [
        (
            false,
            Trouble::Object(Reason::NoSuchKey),
            Duration::ZERO,
            Some((Next::Failed(Reason::NoSuchKey), 1)),
        ),
        (
            false,
            denied,
            Duration::ZERO,
            Some((Next::Failed(Reason::AccessDenied), 1)),
        ),
        (
            true,
            denied,
            Duration::ZERO,
            Some((Next::Failed(Reason::AccessDenied), DENIALS)),
        ),
        (
            true,
            Trouble::Object(Reason::Glacier),
            Duration::ZERO,
            Some((Next::Failed(Reason::Glacier), 1)),
        ),
        (
            false,
            Trouble::Changed,
            Duration::ZERO,
            Some((Next::Failed(Reason::Changed), 2)),
        ),
        (
            false,
            Trouble::Mismatch,
            Duration::ZERO,
            Some((Next::Failed(Reason::ChecksumMismatch), 2)),
        ),
        (
            false,
            Trouble::Again,
            Duration::ZERO,
            Some((Next::Doubt(Reason::Retry), MAX_TRIES)),
        ),
        (
            false,
            Trouble::Slow,
            Duration::ZERO,
            Some((Next::Doubt(Reason::Retry), 3)),
        ),
        (
            false,
            BUSY,
            PATIENCE.saturating_sub(Duration::from_secs(1)),
            None,
        ),
        (
            false,
            BUSY,
            PATIENCE,
            Some((Next::Doubt(Reason::Retry), MAX_TRIES)),
        ),
        (
            false,
            SILENT,
            SILENCE,
            Some((Next::Doubt(Reason::Retry), MAX_TRIES)),
        ),
    ] {
        assert_eq!(
            ends(&mut Tries::new(wary), trouble, elapsed),
            end,
            "{trouble:?} {elapsed:?}"
        );
    }
}

#[test]
fn after_the_bucket_was_asked_about_one_more_try_counts() {
    for trouble in [Trouble::Again, SILENT] {
        let mut tries = Tries::new(false);
        assert!(ends(&mut tries, trouble, SILENCE).is_some());
        tries.once_more();
        assert_eq!(
            tries.after(BUSY, SILENCE),
            Next::WhenAccepted,
            "others are accepted"
        );
        assert_eq!(tries.after(trouble, SILENCE), Next::Failed(Reason::Retry));
    }
}

#[test]
fn refusals_of_a_busy_bucket_use_up_no_tries() {
    let mut tries = Tries::new(false);
    for _ in 0..1000 {
        assert_eq!(tries.after(BUSY, Duration::ZERO), Next::WhenAccepted);
    }
    assert_eq!(
        ends(&mut tries, Trouble::Again, Duration::ZERO),
        Some((Next::Doubt(Reason::Retry), MAX_TRIES))
    );
}

#[test]
fn pauses_grow_to_twenty_seconds() {
    for (tries, longest) in [(1, 400), (2, 800), (6, 12_800), (7, 20_000), (40, 20_000)] {
        let pause = pause(tries);
        assert!(
            (longest / 2..=longest).contains(&pause.as_millis()),
            "{tries}: {pause:?}"
        );
    }
}
