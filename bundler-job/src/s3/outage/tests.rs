use std::future::{Ready, ready};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

fn silence() -> Silence {
    Silence {
        endpoint: "http://127.0.0.1:9".to_owned(),
        cause: "connection refused".to_owned(),
    }
}

#[test]
fn an_outage_lasts_from_the_first_silence_to_the_first_answer_and_is_waited_out_for_its_budget() {
    let outages = Outages::new(Duration::from_secs(10));
    let start = Instant::now();
    let second = Duration::from_secs;
    for (bucket, answers, seconds, next) in [
        ("a", true, 0, Next::Up),
        ("a", false, 1, Next::Wait(second(10))),
        ("b", false, 5, Next::Wait(second(10))),
        ("a", false, 10, Next::Wait(second(1))),
        ("a", false, 11, Next::Spent),
        ("b", false, 12, Next::Wait(second(3))),
        ("a", true, 13, Next::Up),
        ("a", false, 80, Next::Wait(second(10))),
    ] {
        let answer = if answers { Ok(()) } else { Err(silence()) };
        assert_eq!(
            outages.heard(bucket, answer, start + second(seconds)),
            next,
            "{bucket} after {seconds} s"
        );
    }
    assert_eq!(outages.down(), ["a", "b"]);
    assert!(!outages.is_clear());
    assert!(
        outages.ended_since("a", start + second(13))
            && !outages.ended_since("a", start + second(14))
    );
}

#[test]
fn a_bucket_is_asked_about_when_its_silence_may_be_an_outage() {
    let start = Instant::now();
    let ms = Duration::from_millis;
    for (budget, before, failing, expected) in [
        (10, None, Failing::Broken, true),
        (10, None, Failing::Refused, false),
        (10, Some(ms(9_900)), Failing::Refused, false),
        (10, Some(ms(10_100)), Failing::Refused, true),
        (0, None, Failing::Broken, false),
    ] {
        let outages = Outages::new(Duration::from_secs(budget));
        let first = start + ms(10_000);
        if let Some(before) = before {
            outages.is_doubted("a", failing, first);
            assert_eq!(
                outages.is_doubted("a", failing, first + before),
                expected,
                "{failing:?} {before:?}"
            );
        } else {
            assert_eq!(
                outages.is_doubted("a", failing, first),
                expected,
                "{budget} {failing:?}"
            );
        }
    }
    let outages = Outages::new(Duration::from_secs(10));
    outages.heard("a", Ok(()), start);
    assert!(
        !outages.is_doubted("a", Failing::Broken, start + ms(100)),
        "it has just answered"
    );
    assert!(outages.is_doubted("a", Failing::Broken, start + ms(600)));
}

/// A bucket that answers from so many questions on.
fn answering(from: u32, asked: &Arc<AtomicU32>) -> impl Fn() -> Ready<Result<(), Silence>> + use<> {
    let asked = Arc::clone(asked);
    move || {
        ready(if asked.fetch_add(1, Ordering::Relaxed) >= from {
            Ok(())
        } else {
            Err(silence())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn one_request_asks_for_all_and_all_go_on_at_once() {
    let outages = Outages::new(Duration::from_mins(15));
    let (asked, begun) = (Arc::new(AtomicU32::new(0)), Instant::now());
    let requests = (0..100).map(|_| outages.after("a", Failing::Broken, answering(3, &asked)));
    futures_util::future::join_all(requests).await;
    assert_eq!(
        (asked.load(Ordering::Relaxed), begun.elapsed().as_secs()),
        (4, 1 + 2 + 4)
    );
    assert!(outages.is_clear() && outages.ended_since("a", begun));
}

#[tokio::test(start_paused = true)]
async fn all_requests_fail_together_when_the_budget_is_spent() {
    let outages = Outages::new(Duration::from_secs(5));
    let (asked, begun) = (Arc::new(AtomicU32::new(0)), Instant::now());
    let never = answering(u32::MAX, &asked);
    futures_util::future::join_all((0..100).map(|_| outages.after("a", Failing::Broken, &never)))
        .await;
    assert_eq!(
        (asked.load(Ordering::Relaxed), begun.elapsed().as_secs()),
        (4, 5)
    );
    assert!(outages.is_spent("a"));
    // Nothing waits any more, and nothing is sent.
    let spent = outages
        .before("a", &never)
        .await
        .expect_err("not sent")
        .to_string();
    assert_eq!(
        spent,
        "http://127.0.0.1:9 has not answered for 5 s: connection refused"
    );
    outages.after("a", Failing::Broken, &never).await;
    assert_eq!(
        (asked.load(Ordering::Relaxed), begun.elapsed().as_secs()),
        (4, 5)
    );
    // From time to time one of many asks.
    sleep(LONGEST_PAUSE).await;
    let sent = futures_util::future::join_all((0..100).map(|_| outages.before("a", &never))).await;
    assert!(sent.iter().all(Result::is_err));
    assert_eq!(
        (asked.load(Ordering::Relaxed), begun.elapsed().as_secs()),
        (5, 20)
    );
    sleep(LONGEST_PAUSE).await;
    assert!(outages.before("a", answering(0, &asked)).await.is_ok());
    assert!(outages.is_clear());
}

#[tokio::test(start_paused = true)]
async fn a_question_without_an_answer_does_not_outlive_the_budget() {
    let (outages, begun) = (Outages::new(Duration::from_secs(15)), Instant::now());
    let silent = || async {
        sleep(Duration::from_secs(10)).await;
        Err(silence())
    };
    outages.after("a", Failing::Broken, silent).await;
    assert_eq!(begun.elapsed().as_secs(), 10 + 15);
    assert!(outages.is_spent("a"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_waited_for_once_the_process_is_to_end() {
    let (outages, token, begun) = (
        Outages::new(Duration::from_hours(1)),
        CancellationToken::new(),
        Instant::now(),
    );
    outages.stop_with(&token);
    let asked = Arc::new(AtomicU32::new(0));
    let end = async {
        sleep(Duration::from_millis(2_500)).await;
        token.cancel();
    };
    tokio::join!(
        outages.after("a", Failing::Broken, answering(u32::MAX, &asked)),
        end
    );
    assert!(outages.before("a", answering(0, &asked)).await.is_err());
    assert_eq!(begun.elapsed().as_millis(), 2_500);
}

#[tokio::test(start_paused = true)]
async fn any_answer_of_the_bucket_ends_the_waiting_and_other_buckets_are_not_waited_for() {
    let outages = Outages::new(Duration::from_mins(15));
    let (asked, begun) = (Arc::new(AtomicU32::new(0)), Instant::now());
    let never = answering(u32::MAX, &asked);
    let answer = async {
        sleep(Duration::from_millis(4_500)).await;
        assert!(outages.before("other", &never).await.is_ok());
        outages.answered("a");
    };
    let ((), other, ()) = tokio::join!(
        outages.after("a", Failing::Broken, &never),
        outages.before("b", &never),
        answer
    );
    assert!(other.is_ok());
    assert_eq!(begun.elapsed().as_millis(), 4_500);
    assert!(outages.is_clear());
}
