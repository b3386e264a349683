//! Outages: a bucket whose server refuses connections or fails every request, for minutes.
//!
//! ```text
//! request fails ──► HeadBucket ──► answers: no outage, the failure is the request's
//!                       │ fails as well
//!                       └──► again and again ──► answers, or another request is: the SDK tries again
//!                                  └───────────► budget is spent: the failure is the request's, and the SDK does not
//! ```
//!
//! Every request to S3 passes [`transmit`](super::transmit), which waits here: no request can be forgotten. HeadBucket needs
//! no permission: a denial is an answer, too. A bucket that is down stays marked until it answers, so that a queue's worker
//! receives nothing that it cannot work on. Once the budget is spent, requests to the bucket fail without being sent; it is
//! still asked about from time to time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::S3;

/// Between two questions whether a bucket answers: 1, 2, 4, … s.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// A bucket that refuses (503, 429) is asked about after this time without any other answer: S3 refuses requests that are
/// too many, too.
const REFUSING: Duration = Duration::from_secs(10);
/// A bucket that answered so recently is not down because another request fails.
const RECENT: Duration = Duration::from_millis(500);

/// How a request failed, when that may be an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failing {
    /// No connection, no answer, or a server that fails.
    Broken,
    /// 503 or 429: down, or busy.
    Refused,
}

/// How a bucket that was asked about did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Silence {
    /// Scheme, host and port that were asked.
    pub(super) endpoint: String,
    /// Why there was no answer, or which.
    pub(super) cause: String,
}

/// Why a request to a bucket that is down is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{endpoint} has not answered for {seconds} s: {cause}")]
pub(super) struct Spent {
    endpoint: String,
    seconds: u64,
    cause: String,
}

/// An outage.
#[derive(Debug)]
struct Down {
    since: Instant,
    /// What was heard last.
    silence: Silence,
}

/// What is known of a bucket.
#[derive(Debug, Default)]
struct Bucket {
    /// Whether it is down.
    down: Option<Down>,
    /// The last answer that says that its server works.
    answered: Option<Instant>,
    /// The first failure since.
    failing: Option<Instant>,
    /// When it was last found to be back.
    back: Option<Instant>,
    /// When it was last asked about.
    asked: Option<Instant>,
    /// Held by the request that asks whether it answers. The others wait for what that one hears.
    asking: Arc<tokio::sync::Mutex<()>>,
    /// Told when it answers.
    up: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether any bucket has answered.
    contact: bool,
    buckets: BTreeMap<String, Bucket>,
}

/// The buckets that do not answer. Shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct Outages {
    budget: Duration,
    /// Once it is cancelled, nothing is waited for any more.
    stop: Arc<OnceLock<CancellationToken>>,
    state: Arc<Mutex<State>>,
}

/// What follows from a question whether a bucket answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It answers.
    Up,
    /// It does not, and so much of the budget is left.
    Wait(Duration),
    /// It does not, and the budget is spent.
    Spent,
}

impl Outages {
    /// Outages are waited out for this long; zero: not at all.
    pub(super) fn new(budget: Duration) -> Self {
        Self { budget, ..Self::default() }
    }

    /// Waits for no bucket any more once this token is cancelled.
    pub fn stop_with(&self, token: &CancellationToken) {
        let _ = self.stop.set(token.clone());
    }

    /// The buckets that do not answer now.
    pub fn down(&self) -> Vec<String> {
        self.lock().buckets.iter().filter(|(_, it)| it.down.is_some()).map(|(name, _)| name.clone()).collect()
    }

    /// Whether no bucket is down.
    pub fn is_clear(&self) -> bool {
        self.lock().buckets.values().all(|it| it.down.is_none())
    }

    /// Whether any bucket has answered.
    pub(super) fn has_contact(&self) -> bool {
        self.lock().contact
    }

    /// Whether a bucket was down and came back after this time: what failed in between is worth another try.
    pub fn ended_since(&self, bucket: &str, time: Instant) -> bool {
        self.lock().buckets.get(bucket).and_then(|it| it.back).is_some_and(|back| back >= time)
    }

    /// Whether a bucket has been down for longer than is waited for.
    pub fn is_spent(&self, bucket: &str) -> bool {
        self.spent(bucket).is_some()
    }

    /// Why no request is sent to a bucket that has been down for longer than is waited for.
    pub(super) fn spent(&self, bucket: &str) -> Option<Spent> {
        let state = self.lock();
        let Down { since, silence } = state.buckets.get(bucket)?.down.as_ref()?;
        let down_for = since.elapsed();
        if down_for < self.budget && !self.is_stopped() {
            return None;
        }
        let Silence { endpoint, cause } = silence.clone();
        Some(Spent { endpoint, seconds: down_for.as_secs(), cause })
    }

    fn is_stopped(&self) -> bool {
        self.stop.get().is_some_and(CancellationToken::is_cancelled)
    }

    async fn stopped(&self) {
        match self.stop.get() {
            Some(token) => token.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// The bucket's server answered a request.
    pub(super) fn answered(&self, bucket: &str) {
        self.heard(bucket, Ok(()), Instant::now());
    }

    /// Waits for the end of an outage if the bucket is known to be down, at most as long as the budget. Returns why the
    /// request is not to be sent once the budget is spent.
    pub(super) async fn before<F: Future<Output = Result<(), Silence>>>(
        &self,
        bucket: &str,
        ask: impl Fn() -> F,
    ) -> Result<(), Spent> {
        let asked = match self.lock().buckets.get(bucket) {
            Some(Bucket { down: Some(_), asked, .. }) => *asked,
            _ => return Ok(()),
        };
        if !self.is_spent(bucket) || asked.is_none_or(|asked| asked.elapsed() >= LONGEST_PAUSE) {
            self.wait(bucket, ask).await;
        }
        self.spent(bucket).map_or(Ok(()), Err)
    }

    /// A request failed: asks whether the bucket answers if that may be an outage, and waits for its end, at most as long as
    /// the budget.
    pub(super) async fn after<F: Future<Output = Result<(), Silence>>>(
        &self,
        bucket: &str,
        failing: Failing,
        ask: impl Fn() -> F,
    ) {
        if self.is_doubted(bucket, failing, Instant::now()) {
            self.wait(bucket, ask).await;
        }
    }

    /// Records a failure. Returns whether the bucket is to be asked about.
    fn is_doubted(&self, bucket: &str, failing: Failing, now: Instant) -> bool {
        if self.budget.is_zero() || self.is_spent(bucket) {
            return false;
        }
        let mut state = self.lock();
        let it = state.buckets.entry(bucket.to_owned()).or_default();
        let since = *it.failing.get_or_insert(now);
        match failing {
            Failing::Broken => it.answered.is_none_or(|answered| now.duration_since(answered) >= RECENT),
            Failing::Refused => now.duration_since(since) >= REFUSING,
        }
    }

    /// Asks again and again until the bucket answers or the budget is spent. One request asks for all.
    async fn wait<F: Future<Output = Result<(), Silence>>>(&self, bucket: &str, ask: impl Fn() -> F) {
        tokio::select! {
            biased;
            () = self.stopped() => {}
            () = self.ask_until_it_answers(bucket, ask) => {}
        }
    }

    async fn ask_until_it_answers<F: Future<Output = Result<(), Silence>>>(&self, bucket: &str, ask: impl Fn() -> F) {
        let begun = Instant::now();
        let asking = Arc::clone(&self.lock().buckets.entry(bucket.to_owned()).or_default().asking);
        let _asking = asking.lock().await;
        if self.is_settled(bucket, begun) {
            return;
        }
        let up = self.up(bucket);
        let (mut pause, mut answer) = (FIRST_PAUSE, ask().await);
        loop {
            let answered = up.notified();
            let Next::Wait(left) = self.heard(bucket, answer.clone(), Instant::now()) else { return };
            let ends = Instant::now() + left;
            tokio::select! {
                () = answered => return,
                () = sleep(pause.min(left)) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            // A question that outlives the budget has no other answer than the last.
            answer = timeout_at(ends, ask()).await.unwrap_or(answer);
        }
    }

    /// Whether another request has asked since this time, and waits no more.
    fn is_settled(&self, bucket: &str, time: Instant) -> bool {
        let asked = self.lock().buckets.get(bucket).and_then(|it| it.asked.map(|asked| (asked, it.down.is_none())));
        asked.is_some_and(|(asked, is_up)| asked >= time && (is_up || self.is_spent(bucket)))
    }

    fn up(&self, bucket: &str) -> Arc<Notify> {
        Arc::clone(&self.lock().buckets.entry(bucket.to_owned()).or_default().up)
    }

    /// A bucket answered or did not.
    pub(super) fn heard(&self, bucket: &str, answer: Result<(), Silence>, now: Instant) -> Next {
        let mut state = self.lock();
        state.contact |= answer.is_ok();
        let it = state.buckets.entry(bucket.to_owned()).or_default();
        let Err(silence) = answer else {
            (it.answered, it.failing) = (Some(now), None);
            if let Some(Down { since, .. }) = it.down.take() {
                let seconds = now.duration_since(since).as_secs();
                tracing::info!(bucket, seconds, "the bucket answers again");
                (it.back, it.asked) = (Some(now), Some(now));
            }
            it.up.notify_waiters();
            return Next::Up;
        };
        it.asked = Some(now);
        let since = if let Some(down) = &mut it.down {
            down.silence = silence;
            down.since
        } else {
            let (Silence { endpoint, cause }, budget_seconds) = (&silence, self.budget.as_secs());
            tracing::warn!(
                bucket,
                endpoint,
                cause,
                budget_seconds,
                "the bucket's server fails or does not answer, waiting for it"
            );
            it.down = Some(Down { since: now, silence });
            now
        };
        match self.budget.saturating_sub(now.duration_since(since)) {
            Duration::ZERO => Next::Spent,
            left => Next::Wait(left),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl S3 {
    /// Asks once whether a bucket answers; one that does not is down.
    pub async fn ask(&self, bucket: &str) {
        let answer = self.answers(bucket).await;
        self.outages().heard(bucket, answer, Instant::now());
    }

    /// Waits until all buckets that were down answer, however long it takes.
    pub async fn outages_over(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            for bucket in self.outages().down() {
                self.ask(&bucket).await;
            }
            if self.outages().is_clear() {
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn silence() -> Silence {
        Silence { endpoint: "http://127.0.0.1:9".to_owned(), cause: "connection refused".to_owned() }
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
            assert_eq!(outages.heard(bucket, answer, start + second(seconds)), next, "{bucket} after {seconds} s");
        }
        assert_eq!(outages.down(), ["a", "b"]);
        assert!(!outages.is_clear());
        assert!(outages.ended_since("a", start + second(13)) && !outages.ended_since("a", start + second(14)));
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
                assert_eq!(outages.is_doubted("a", failing, first + before), expected, "{failing:?} {before:?}");
            } else {
                assert_eq!(outages.is_doubted("a", failing, first), expected, "{budget} {failing:?}");
            }
        }
        let outages = Outages::new(Duration::from_secs(10));
        outages.heard("a", Ok(()), start);
        assert!(!outages.is_doubted("a", Failing::Broken, start + ms(100)), "it has just answered");
        assert!(outages.is_doubted("a", Failing::Broken, start + ms(600)));
    }

    /// A bucket that answers from so many questions on.
    fn answering(from: u32, asked: &Arc<AtomicU32>) -> impl Fn() -> Ready<Result<(), Silence>> + use<> {
        let asked = Arc::clone(asked);
        move || ready(if asked.fetch_add(1, Ordering::Relaxed) >= from { Ok(()) } else { Err(silence()) })
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_asks_for_all_and_all_go_on_at_once() {
        let outages = Outages::new(Duration::from_mins(15));
        let (asked, begun) = (Arc::new(AtomicU32::new(0)), Instant::now());
        let requests = (0..100).map(|_| outages.after("a", Failing::Broken, answering(3, &asked)));
        futures_util::future::join_all(requests).await;
        assert_eq!((asked.load(Ordering::Relaxed), begun.elapsed().as_secs()), (4, 1 + 2 + 4));
        assert!(outages.is_clear() && outages.ended_since("a", begun));
    }

    #[tokio::test(start_paused = true)]
    async fn all_requests_fail_together_when_the_budget_is_spent() {
        let outages = Outages::new(Duration::from_secs(5));
        let (asked, begun) = (Arc::new(AtomicU32::new(0)), Instant::now());
        let never = answering(u32::MAX, &asked);
        futures_util::future::join_all((0..100).map(|_| outages.after("a", Failing::Broken, &never))).await;
        assert_eq!((asked.load(Ordering::Relaxed), begun.elapsed().as_secs()), (4, 5));
        assert!(outages.is_spent("a"));
        // Nothing waits any more, and nothing is sent.
        let spent = outages.before("a", &never).await.expect_err("not sent").to_string();
        assert_eq!(spent, "http://127.0.0.1:9 has not answered for 5 s: connection refused");
        outages.after("a", Failing::Broken, &never).await;
        assert_eq!((asked.load(Ordering::Relaxed), begun.elapsed().as_secs()), (4, 5));
        // From time to time one of many asks.
        sleep(LONGEST_PAUSE).await;
        let sent = futures_util::future::join_all((0..100).map(|_| outages.before("a", &never))).await;
        assert!(sent.iter().all(Result::is_err));
        assert_eq!((asked.load(Ordering::Relaxed), begun.elapsed().as_secs()), (5, 20));
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
        let (outages, token, begun) = (Outages::new(Duration::from_hours(1)), CancellationToken::new(), Instant::now());
        outages.stop_with(&token);
        let asked = Arc::new(AtomicU32::new(0));
        let end = async {
            sleep(Duration::from_millis(2_500)).await;
            token.cancel();
        };
        tokio::join!(outages.after("a", Failing::Broken, answering(u32::MAX, &asked)), end);
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
        let ((), other, ()) =
            tokio::join!(outages.after("a", Failing::Broken, &never), outages.before("b", &never), answer);
        assert!(other.is_ok());
        assert_eq!(begun.elapsed().as_millis(), 4_500);
        assert!(outages.is_clear());
    }
}
