//! Outages: a bucket whose server refuses connections or fails every request, for minutes.
//!
//! ```text
//! request fails ──► HeadBucket ──► answers: no outage, the failure is the request's
//!                       │ fails as well
//!                       └──► again and again ──► answers: the request is tried again
//!                                  └───────────► budget is spent: the failure is the request's
//! ```
//!
//! HeadBucket needs no permission: a denial is an answer, too. A bucket that is down stays marked until it answers, so
//! that a queue's worker receives nothing that it cannot work on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{ErrorKind, S3, S3Error};
use s3bundler_contract::S3Address;

/// Between two questions whether a bucket answers: 1, 2, 4, … s.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Requests that were under way during an outage fail within this time after its end.
const AFTERMATH: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
struct State {
    /// The buckets that do not answer, since when.
    down: BTreeMap<String, Instant>,
    /// When a bucket last answered again.
    ended: BTreeMap<String, Instant>,
}

/// The buckets that do not answer. Shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct Outages {
    budget: Duration,
    state: Arc<Mutex<State>>,
    /// Held by the task that asks whether a bucket answers.
    asking: Arc<tokio::sync::Mutex<()>>,
}

impl Outages {
    /// Outages are waited out for this long; zero: not at all.
    pub fn new(budget: Duration) -> Self {
        Self { budget, ..Self::default() }
    }

    /// The buckets that do not answer now.
    pub fn down(&self) -> Vec<String> {
        self.lock().down.keys().cloned().collect()
    }

    /// Whether no bucket is down.
    pub fn is_clear(&self) -> bool {
        self.lock().down.is_empty()
    }

    /// A question about a bucket was answered or not; gives what to do next.
    fn heard(&self, bucket: &str, answers: bool, now: Instant) -> Next {
        let mut state = self.lock();
        if answers {
            if let Some(since) = state.down.remove(bucket) {
                let seconds = now.duration_since(since).as_secs();
                tracing::info!(bucket, seconds, "the bucket answers again");
                state.ended.insert(bucket.to_owned(), now);
            }
            let was_down = state.ended.get(bucket).is_some_and(|ended| now.duration_since(*ended) < AFTERMATH);
            return Next::Up { was_down };
        }
        let since = *state.down.entry(bucket.to_owned()).or_insert_with(|| {
            let budget_seconds = self.budget.as_secs();
            tracing::warn!(bucket, budget_seconds, "the bucket's server fails or does not answer, waiting for it");
            now
        });
        if now.duration_since(since) < self.budget { Next::Wait } else { Next::Spent }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What follows from a question whether a bucket answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It answers.
    Up {
        /// Whether it did not until a moment ago: requests that failed then are worth sending again.
        was_down: bool,
    },
    /// It does not, and there is time.
    Wait,
    /// It does not, and the budget is spent.
    Spent,
}

/// Whether a failure may be one of an outage: no answer, or one that says nothing of the request. A server
/// that is down may say SlowDown to everything.
fn may_be_outage(error: &S3Error) -> bool {
    match error.kind {
        ErrorKind::Unreachable | ErrorKind::Transient => true,
        ErrorKind::Throttled => !["HTTP 429", "TooManyRequests"].contains(&error.code.as_str()),
        _ => false,
    }
}

impl S3 {
    /// Sends a request, and again after every outage that it met and that ended within the budget.
    pub async fn through_outages<T, R>(&self, mut request: impl FnMut() -> R) -> Result<T, S3Error>
    where
        R: Future<Output = Result<T, S3Error>>,
    {
        loop {
            match Box::pin(request()).await {
                Err(error) if self.outage_ended(&error).await => {}
                result => return result,
            }
        }
    }

    /// After a failed request: whether there was an outage that is over, so that the request is worth sending again.
    /// Waits for its end, at most as long as the budget.
    pub async fn outage_ended(&self, error: &S3Error) -> bool {
        let outages = self.outages();
        if outages.budget.is_zero() || !may_be_outage(error) {
            return false;
        }
        let bucket = &error.address.bucket;
        let _asking = outages.asking.lock().await;
        let mut pause = FIRST_PAUSE;
        loop {
            match outages.heard(bucket, self.answers(bucket).await, Instant::now()) {
                Next::Up { was_down: true } => {
                    sleep(FIRST_PAUSE).await;
                    return true;
                }
                Next::Up { was_down: false } | Next::Spent => return false,
                Next::Wait => sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits until all buckets that were down answer, however long it takes.
    pub async fn outages_over(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let down = self.outages().down();
            if down.is_empty() {
                return;
            }
            for bucket in down {
                let answers = self.answers(&bucket).await;
                self.outages().heard(&bucket, answers, Instant::now());
            }
            if !self.outages().is_clear() {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Whether a bucket's server answers at all.
    async fn answers(&self, bucket: &str) -> bool {
        let answer = self.client_once(bucket).await.head_bucket().bucket(bucket).send().await;
        let address = S3Address::new(bucket, "");
        answer.map_or_else(|error| !may_be_outage(&S3Error::new("HeadBucket", address, &error)), |_| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_from_the_first_silence_to_the_first_answer_and_is_waited_out_for_its_budget() {
        let outages = Outages::new(Duration::from_secs(10));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (bucket, answers, seconds, next) in [
            ("a", true, 0, Next::Up { was_down: false }),
            ("a", false, 1, Next::Wait),
            ("b", false, 5, Next::Wait),
            ("a", false, 10, Next::Wait),
            ("a", false, 11, Next::Spent),
            ("b", false, 12, Next::Wait),
            ("a", true, 13, Next::Up { was_down: true }),
            ("a", true, 72, Next::Up { was_down: true }),
            ("a", true, 73, Next::Up { was_down: false }),
            ("a", false, 80, Next::Wait),
        ] {
            assert_eq!(outages.heard(bucket, answers, at(seconds)), next, "{bucket} after {seconds} s");
        }
        assert_eq!(outages.down(), ["a", "b"]);
        assert!(!outages.is_clear());
    }

    #[test]
    fn only_silence_and_answers_that_say_nothing_may_be_an_outage() {
        for (kind, code, expected) in [
            (ErrorKind::Unreachable, "", true),
            (ErrorKind::Transient, "InternalError", true),
            (ErrorKind::Throttled, "ServiceUnavailable", true),
            (ErrorKind::Throttled, "HTTP 503", true),
            (ErrorKind::Throttled, "SlowDown", true),
            (ErrorKind::Throttled, "HTTP 429", false),
            (ErrorKind::Denied, "AccessDenied", false),
            (ErrorKind::NotFound, "NoSuchKey", false),
        ] {
            let error = S3Error { code: code.to_owned(), ..S3Error::local("x", S3Address::new("b", "k"), kind, "") };
            assert_eq!(may_be_outage(&error), expected, "{kind:?} {code}");
        }
    }
}
