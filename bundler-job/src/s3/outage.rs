//! Outages: a bucket whose server refuses connections or fails every request, for minutes.
//!
//! ```text
//! request fails ──► HeadBucket ──► answers: no outage, the failure is the request's
//!                       │ fails as well
//!                       └──► again and again ──► answers, or another request is: the SDK tries again
//!                                  └───────────► budget is spent: the failure is the request's
//! ```
//!
//! Every request to S3 passes [`transmit`](super::transmit), which waits here: no request can be forgotten. HeadBucket needs
//! no permission: a denial is an answer, too. A bucket that is down stays marked until it answers, so that a queue's worker
//! receives nothing that it cannot work on. Before any bucket has answered, nothing is waited for, because most likely the
//! endpoint is wrong. A queue's worker waits from its start on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

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

/// What is known of a bucket.
#[derive(Debug, Default)]
struct Bucket {
    /// Since when it is down.
    down: Option<Instant>,
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
    /// Whether buckets are waited for: any has answered, or this is a worker that waits from its start on.
    contact: bool,
    buckets: BTreeMap<String, Bucket>,
}

/// The buckets that do not answer. Shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct Outages {
    budget: Duration,
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

    /// Waits for buckets also before any has answered.
    pub fn wait_from_the_start(&self) {
        self.lock().contact = true;
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
        let since = self.lock().buckets.get(bucket).and_then(|it| it.down);
        since.is_some_and(|since| since.elapsed() >= self.budget)
    }

    /// The bucket's server answered a request.
    pub(super) fn answered(&self, bucket: &str) {
        if !self.budget.is_zero() {
            self.heard(bucket, true, Instant::now());
        }
    }

    /// Waits for the end of an outage if the bucket is known to be down, at most as long as the budget.
    pub(super) async fn before<F: Future<Output = bool>>(&self, bucket: &str, answers: impl Fn() -> F) {
        let is_down = self.lock().buckets.get(bucket).is_some_and(|it| it.down.is_some());
        if is_down && !self.is_spent(bucket) {
            self.wait(bucket, answers).await;
        }
    }

    /// A request failed: asks whether the bucket answers if that may be an outage, and waits for its end, at most as long as
    /// the budget.
    pub(super) async fn after<F: Future<Output = bool>>(
        &self,
        bucket: &str,
        failing: Failing,
        answers: impl Fn() -> F,
    ) {
        if self.is_doubted(bucket, failing, Instant::now()) {
            self.wait(bucket, answers).await;
        }
    }

    /// Records a failure. Returns whether the bucket is to be asked about.
    fn is_doubted(&self, bucket: &str, failing: Failing, now: Instant) -> bool {
        let mut state = self.lock();
        if self.budget.is_zero() || !state.contact {
            return false;
        }
        let it = state.buckets.entry(bucket.to_owned()).or_default();
        let since = *it.failing.get_or_insert(now);
        match failing {
            Failing::Broken => it.answered.is_none_or(|answered| now.duration_since(answered) >= RECENT),
            Failing::Refused => now.duration_since(since) >= REFUSING,
        }
    }

    /// Asks again and again until the bucket answers or the budget is spent. One request asks for all.
    async fn wait<F: Future<Output = bool>>(&self, bucket: &str, answers: impl Fn() -> F) {
        let begun = Instant::now();
        let asking = Arc::clone(&self.lock().buckets.entry(bucket.to_owned()).or_default().asking);
        let _asking = asking.lock().await;
        if self.is_settled(bucket, begun) {
            return;
        }
        let up = self.up(bucket);
        let mut pause = FIRST_PAUSE;
        loop {
            let answered = up.notified();
            match self.heard(bucket, answers().await, Instant::now()) {
                Next::Up | Next::Spent => return,
                Next::Wait(left) => tokio::select! {
                    () = answered => return,
                    () = sleep(pause.min(left)) => {}
                },
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
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
    pub(super) fn heard(&self, bucket: &str, answers: bool, now: Instant) -> Next {
        let mut state = self.lock();
        state.contact |= answers;
        let it = state.buckets.entry(bucket.to_owned()).or_default();
        if answers {
            (it.answered, it.failing) = (Some(now), None);
            if let Some(since) = it.down.take() {
                let seconds = now.duration_since(since).as_secs();
                tracing::info!(bucket, seconds, "the bucket answers again");
                (it.back, it.asked) = (Some(now), Some(now));
            }
            it.up.notify_waiters();
            return Next::Up;
        }
        it.asked = Some(now);
        let since = *it.down.get_or_insert_with(|| {
            let budget_seconds = self.budget.as_secs();
            tracing::warn!(bucket, budget_seconds, "the bucket's server fails or does not answer, waiting for it");
            now
        });
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
        let answers = self.answers(bucket).await;
        self.outages().heard(bucket, answers, Instant::now());
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
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

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
            assert_eq!(outages.heard(bucket, answers, start + second(seconds)), next, "{bucket} after {seconds} s");
        }
        assert_eq!(outages.down(), ["a", "b"]);
        assert!(!outages.is_clear());
        assert!(outages.ended_since("a", start + second(13)) && !outages.ended_since("a", start + second(14)));
    }

    #[test]
    fn a_bucket_is_asked_about_when_its_silence_may_be_an_outage() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        for (contact, budget, before, failing, expected) in [
            (true, 10, None, Failing::Broken, true),
            (true, 10, None, Failing::Refused, false),
            (true, 10, Some(ms(9_900)), Failing::Refused, false),
            (true, 10, Some(ms(10_100)), Failing::Refused, true),
            (false, 10, None, Failing::Broken, false),
            (true, 0, None, Failing::Broken, false),
        ] {
            let outages = Outages::new(Duration::from_secs(budget));
            if contact {
                outages.heard("other", true, start);
            }
            let first = start + ms(10_000);
            if let Some(before) = before {
                outages.is_doubted("a", failing, first);
                assert_eq!(outages.is_doubted("a", failing, first + before), expected, "{failing:?} {before:?}");
            } else {
                assert_eq!(outages.is_doubted("a", failing, first), expected, "{contact} {budget} {failing:?}");
            }
        }
        let outages = Outages::new(Duration::from_secs(10));
        outages.heard("a", true, start);
        assert!(!outages.is_doubted("a", Failing::Broken, start + ms(100)), "it has just answered");
        assert!(outages.is_doubted("a", Failing::Broken, start + ms(600)));
    }

    /// A bucket that answers from so many questions on.
    fn answering(from: u32, asked: &Arc<AtomicU32>) -> impl Fn() -> std::future::Ready<bool> + use<> {
        let asked = Arc::clone(asked);
        move || std::future::ready(asked.fetch_add(1, Ordering::Relaxed) >= from)
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_asks_for_all_and_all_go_on_at_once() {
        let outages = Outages::new(Duration::from_mins(15));
        outages.answered("other");
        let (asked, begun) = (Arc::new(AtomicU32::new(0)), Instant::now());
        let requests = (0..100).map(|_| outages.after("a", Failing::Broken, answering(3, &asked)));
        futures_util::future::join_all(requests).await;
        assert_eq!((asked.load(Ordering::Relaxed), begun.elapsed().as_secs()), (4, 1 + 2 + 4));
        assert!(outages.is_clear() && outages.ended_since("a", begun));
    }

    #[tokio::test(start_paused = true)]
    async fn all_requests_fail_together_when_the_budget_is_spent() {
        let outages = Outages::new(Duration::from_secs(5));
        outages.answered("other");
        let (asked, begun) = (Arc::new(AtomicU32::new(0)), Instant::now());
        let never = answering(u32::MAX, &asked);
        futures_util::future::join_all((0..100).map(|_| outages.after("a", Failing::Broken, &never))).await;
        assert_eq!((asked.load(Ordering::Relaxed), begun.elapsed().as_secs()), (4, 5));
        assert!(outages.is_spent("a"));
        // Nothing waits any more.
        outages.before("a", &never).await;
        outages.after("a", Failing::Broken, &never).await;
        assert_eq!(begun.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn any_answer_of_the_bucket_ends_the_waiting_and_other_buckets_are_not_waited_for() {
        let outages = Outages::new(Duration::from_mins(15));
        outages.answered("other");
        let (asked, begun) = (Arc::new(AtomicU32::new(0)), Instant::now());
        let never = answering(u32::MAX, &asked);
        let answer = async {
            sleep(Duration::from_millis(4_500)).await;
            outages.before("other", &never).await;
            outages.answered("a");
        };
        tokio::join!(outages.after("a", Failing::Broken, &never), outages.before("b", &never), answer);
        assert_eq!(begun.elapsed().as_millis(), 4_500);
        assert!(outages.is_clear());
    }
}
