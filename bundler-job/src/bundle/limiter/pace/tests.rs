use super::*;

fn after(pace: &mut Pace, answers: usize, answer: Answer, now: Instant) -> usize {
    for _ in 0..answers {
        pace.answered(answer, now);
    }
    pace.limit()
}

#[tokio::test(start_paused = true)]
async fn a_round_without_an_accepted_request_halves_once_a_burst_and_answers_climb_by_one_a_round()
{
    let (mut pace, now) = (Pace::new(None, Instant::now()), Instant::now());
    assert_eq!(after(&mut pace, 2 * START, Answer::Refused, now), START / 2);
    let mut pace = Pace::new(None, now);
    assert_eq!(after(&mut pace, START, Answer::Accepted, now), START + 1);
    assert_eq!(
        after(&mut pace, START + 1, Answer::Accepted, now),
        START + 2
    );
}

#[tokio::test(start_paused = true)]
async fn it_never_falls_below_one_nor_rises_above_the_maximum() {
    let (mut pace, start) = (Pace::new(None, Instant::now()), Instant::now());
    for n in 0..10 {
        after(
            &mut pace,
            START,
            Answer::Refused,
            start + 2 * HALVING_INTERVAL * n,
        );
    }
    assert_eq!(pace.limit(), 1);
    assert_eq!(after(&mut pace, MAX * MAX, Answer::Accepted, start), MAX);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_limit_stays() {
    let (mut pace, now) = (Pace::new(Some(3), Instant::now()), Instant::now());
    assert_eq!(after(&mut pace, 100, Answer::Refused, now), 3);
    assert_eq!(after(&mut pace, 100, Answer::Accepted, now), 3);
}

#[tokio::test(start_paused = true)]
async fn a_silent_bucket_is_asked_less_and_less_often() {
    let (pace, start) = (Pace::new(None, Instant::now()), Instant::now());
    for (silence, pause) in [
        (0, 0),
        (250, 0),
        (1_050, 100),
        (8_250, 1_000),
        (3_600_000, 20_000),
    ] {
        let now = start + Duration::from_millis(silence);
        assert_eq!(
            pace.pause(now),
            Duration::from_millis(pause),
            "{silence} ms"
        );
    }
}
