//! The limiter before a model of a bucket, in virtual time: every test is the same on every
//! machine.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::task::JoinSet;

use super::*;

/// A limiter whose pauses are those of every other run of the test.
fn limiter(concurrency: Option<usize>) -> Arc<Limiter> {
    Arc::new(Limiter::seeded(Limits { concurrency }, 1))
}

/// What a modelled bucket refuses.
#[derive(Debug, Clone, Copy)]
enum Refuses {
    Nothing,
    /// This share of the requests, at random.
    Share(f64),
    /// More than this many requests a second, with as many saved up as this part of a second gives.
    Above(f64, f64),
    /// More than this many in each second of the clock.
    AboveBySecond(u32),
}

struct Bucket {
    refuses: Refuses,
    latency: Duration,
    state: Mutex<(u64, f64, Instant, u32)>,
    accepted: AtomicU32,
    asked: AtomicU32,
}

impl Bucket {
    fn new(refuses: Refuses, latency: u64) -> Arc<Self> {
        let tokens = if let Refuses::Above(rate, burst) = refuses {
            rate * burst
        } else {
            0.0
        };
        Arc::new(Self {
            refuses,
            latency: Duration::from_millis(latency),
            state: Mutex::new((0x9E37_79B9_7F4A_7C15, tokens, Instant::now(), 0)),
            accepted: AtomicU32::new(0),
            asked: AtomicU32::new(0),
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "53 random bits")]
    async fn get(&self) -> Answer {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let accepted = {
            let (mut state, now) = (lock(&self.state), Instant::now());
            let (seed, tokens, since, in_second) = &mut *state;
            match self.refuses {
                Refuses::Nothing => true,
                Refuses::Share(share) => {
                    // xorshift64*
                    *seed ^= *seed >> 12;
                    *seed ^= *seed << 25;
                    *seed ^= *seed >> 27;
                    (seed.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
                        >= share
                }
                Refuses::Above(rate, burst) => {
                    let grown = *tokens + rate * now.duration_since(*since).as_secs_f64();
                    *tokens = grown.min((rate * burst).max(1.0));
                    *since = now;
                    let any = *tokens >= 1.0;
                    if any {
                        *tokens -= 1.0;
                    }
                    any
                }
                Refuses::AboveBySecond(most) => {
                    if now.duration_since(*since) >= Duration::from_secs(1) {
                        (*since, *in_second) = (now, 0);
                    }
                    *in_second += 1;
                    *in_second <= most
                }
            }
        };
        tokio::time::sleep(self.latency).await;
        if accepted {
            self.accepted.fetch_add(1, Ordering::Relaxed);
            Answer::Accepted
        } else {
            Answer::Refused
        }
    }
}

/// Accepted requests a second over a minute, of a packer that takes rows in order from a window of
/// 1,024 of them; and all requests a second.
async fn served(refuses: Refuses, latency: u64) -> (f64, f64) {
    const READ_AHEAD: usize = 1024;
    const LENGTH: u64 = 60;
    let bucket = Bucket::new(refuses, latency);
    let limiter = limiter(None);
    let rows = {
        let (bucket, limiter) = (Arc::clone(&bucket), Arc::clone(&limiter));
        async move {
            let mut window = std::collections::VecDeque::new();
            loop {
                while window.len() < READ_AHEAD {
                    let (bucket, limiter) = (Arc::clone(&bucket), Arc::clone(&limiter));
                    window.push_back(tokio::spawn(async move {
                        let turn = limiter.turn();
                        loop {
                            let _slot = limiter.slot(turn).await;
                            let answer = bucket.get().await;
                            limiter.answered(answer);
                            if answer == Answer::Accepted {
                                return;
                            }
                        }
                    }));
                }
                window
                    .pop_front()
                    .expect("a row")
                    .await
                    .expect("a row that ends");
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(LENGTH), rows).await;
    let per_second = |count: &AtomicU32| f64::from(count.load(Ordering::Relaxed)) / 60.0;
    (per_second(&bucket.accepted), per_second(&bucket.asked))
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_refuses_at_random_is_used_as_if_it_did_not() {
    for latency in [20, 100] {
        let (calm, _) = served(Refuses::Nothing, latency).await;
        for share in [0.2, 0.5, 0.8] {
            let (accepted, asked) = served(Refuses::Share(share), latency).await;
            let allowed = calm * (1.0 - share);
            assert!(
                accepted >= 0.85 * allowed,
                "{latency} ms, {share}: {accepted} of {allowed}, {asked} asked"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_serves_so_much_a_second_gives_it_and_is_not_asked_for_much_more() {
    for latency in [20, 100] {
        for rate in [5_u32, 50, 500] {
            // The most that 128 requests in flight can have.
            let allowed =
                f64::from(rate).min(128_000.0 / f64::from(u32::try_from(latency).expect("small")));
            for refuses in [
                Refuses::Above(f64::from(rate), 1.0),
                Refuses::Above(f64::from(rate), 0.1),
                Refuses::AboveBySecond(rate),
            ] {
                let (accepted, asked) = served(refuses, latency).await;
                assert!(
                    accepted >= 0.85 * allowed,
                    "{latency} ms, {refuses:?}: {accepted} of {allowed}, {asked} asked"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_wants_no_request_for_a_while_gets_none_unless_it_accepts_others() {
    for (accepted, seconds) in [(false, 30), (true, 0)] {
        let (limiter, begun) = (limiter(None), Instant::now());
        tokio::time::sleep(Duration::from_millis(300)).await;
        limiter.answered(Answer::Refused);
        limiter.told_to_wait(Duration::from_secs(30));
        if accepted {
            limiter.answered(Answer::Accepted);
            limiter.told_to_wait(Duration::from_secs(30));
        }
        let _slot = limiter.slot(limiter.turn()).await;
        assert_eq!(begun.elapsed().as_secs(), seconds, "{accepted}");
    }
}

#[tokio::test(start_paused = true)]
async fn rows_are_served_by_age_and_one_that_comes_back_is_before_later_ones() {
    let limiter = limiter(Some(1));
    let (first, second) = (limiter.turn(), limiter.turn());
    let held = limiter.slot(first).await;
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut rows = JoinSet::new();
    for (name, turn) in [("second", second), ("first again", first)] {
        let (limiter, served) = (Arc::clone(&limiter), Arc::clone(&served));
        rows.spawn(async move {
            let _slot = limiter.slot(turn).await;
            lock(&served).push(name);
        });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(held);
    while rows.join_next().await.is_some() {}
    assert_eq!(*lock(&served), ["first again", "second"]);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_was_given_up_while_it_waited_takes_no_slot() {
    let limiter = limiter(Some(1));
    let held = limiter.slot(limiter.turn()).await;
    let waiting = limiter.slot(limiter.turn());
    assert!(
        tokio::time::timeout(Duration::from_secs(1), waiting)
            .await
            .is_err()
    );
    drop(held);
    let _next = limiter.slot(limiter.turn()).await;
}

#[tokio::test]
async fn the_load_is_that_of_all_buckets() {
    let limits = Limits {
        concurrency: Some(2),
    };
    let limiters = Limiters::new(limits, Rates::default());
    let (one, other) = (limiters.of("one"), limiters.of("other"));
    let (first, _second) = (one.slot(one.turn()).await, one.slot(one.turn()).await);
    let _third = other.slot(other.turn()).await;
    let waiting = tokio::spawn({
        let (one, turn) = (Arc::clone(&one), one.turn());
        async move { one.slot(turn).await }
    });
    tokio::task::yield_now().await;
    let load = |used, waiting| Load {
        slots: 4,
        used,
        waiting,
    };
    assert_eq!(limiters.load(), load(3, 1));
    drop(first);
    let _fourth = waiting.await.expect("it gets the slot");
    assert_eq!(limiters.load(), load(3, 0));
}
