//! Outages: a bucket whose server refuses connections or fails every request, for minutes.
//!
//! ```text
//! request fails ──► HeadBucket ──► answers: no outage, the failure is the request's
//!                       │ fails as well
//!                       └──► again and again ──► answers, or another request is: the SDK tries again
//!                                  └───────────► budget is spent: the failure is the request's, and the SDK does not
//! ```
//!
//! Every request to S3 passes [`transmit`](super::transmit), which waits here: no request can be
//! forgotten. HeadBucket needs no permission: a denial is an answer, too. A bucket that is down
//! stays marked until it answers, so that a queue's worker receives nothing that it cannot work on.
//! Once the budget is spent, requests to the bucket fail without being sent; it is still asked
//! about from time to time.

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
/// A bucket that refuses (503, 429) is asked about after this time without any other answer: S3
/// refuses requests that are too many, too.
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
        Self {
            budget,
            ..Self::default()
        }
    }

    /// Waits for no bucket any more once this token is cancelled.
    pub fn stop_with(&self, token: &CancellationToken) {
        let _ = self.stop.set(token.clone());
    }

    /// The buckets that do not answer now.
    pub fn down(&self) -> Vec<String> {
        self.lock()
            .buckets
            .iter()
            .filter(|(_, it)| it.down.is_some())
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Whether no bucket is down.
    pub fn is_clear(&self) -> bool {
        self.lock().buckets.values().all(|it| it.down.is_none())
    }

    /// Whether any bucket has answered.
    pub(super) fn has_contact(&self) -> bool {
        self.lock().contact
    }

    /// Whether a bucket was down and came back after this time: what failed in between is worth
    /// another try.
    pub fn ended_since(&self, bucket: &str, time: Instant) -> bool {
        self.lock()
            .buckets
            .get(bucket)
            .and_then(|it| it.back)
            .is_some_and(|back| back >= time)
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
        Some(Spent {
            endpoint,
            seconds: down_for.as_secs(),
            cause,
        })
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

    /// Waits for the end of an outage if the bucket is known to be down, at most as long as the
    /// budget. Returns why the request is not to be sent once the budget is spent.
    pub(super) async fn before<F: Future<Output = Result<(), Silence>>>(
        &self,
        bucket: &str,
        ask: impl Fn() -> F,
    ) -> Result<(), Spent> {
        let asked = match self.lock().buckets.get(bucket) {
            Some(Bucket {
                down: Some(_),
                asked,
                ..
            }) => *asked,
            _ => return Ok(()),
        };
        if !self.is_spent(bucket) || asked.is_none_or(|asked| asked.elapsed() >= LONGEST_PAUSE) {
            self.wait(bucket, ask).await;
        }
        self.spent(bucket).map_or(Ok(()), Err)
    }

    /// A request failed: asks whether the bucket answers if that may be an outage, and waits for
    /// its end, at most as long as the budget.
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
            Failing::Broken => it
                .answered
                .is_none_or(|answered| now.duration_since(answered) >= RECENT),
            Failing::Refused => now.duration_since(since) >= REFUSING,
        }
    }

    /// Asks again and again until the bucket answers or the budget is spent. One request asks for
    /// all.
    async fn wait<F: Future<Output = Result<(), Silence>>>(
        &self,
        bucket: &str,
        ask: impl Fn() -> F,
    ) {
        tokio::select! {
            biased;
            () = self.stopped() => {}
            () = self.ask_until_it_answers(bucket, ask) => {}
        }
    }

    async fn ask_until_it_answers<F: Future<Output = Result<(), Silence>>>(
        &self,
        bucket: &str,
        ask: impl Fn() -> F,
    ) {
        let begun = Instant::now();
        let asking = Arc::clone(
            &self
                .lock()
                .buckets
                .entry(bucket.to_owned())
                .or_default()
                .asking,
        );
        let _asking = asking.lock().await;
        if self.is_settled(bucket, begun) {
            return;
        }
        let up = self.up(bucket);
        let (mut pause, mut answer) = (FIRST_PAUSE, ask().await);
        loop {
            let answered = up.notified();
            let Next::Wait(left) = self.heard(bucket, answer.clone(), Instant::now()) else {
                return;
            };
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
        let asked = self
            .lock()
            .buckets
            .get(bucket)
            .and_then(|it| it.asked.map(|asked| (asked, it.down.is_none())));
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
            it.down = Some(Down {
                since: now,
                silence,
            });
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
mod tests;
