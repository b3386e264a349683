//! How long scenarios wait. On a busy machine everything is slow. A scenario fails only if nothing
//! happens any more.

use std::fmt::{Debug, Display};
use std::time::{Duration, Instant};

use tokio::time::sleep;

/// How long a test waits for anything. Longer than the 5 minutes that SQS keeps
/// the message of a killed worker from other workers.
pub const PATIENCE: Duration = Duration::from_mins(6);
/// How long a test waits for something that keeps changing.
const LONGEST: Duration = Duration::from_mins(15);
/// Time between two polls.
pub const POLL: Duration = Duration::from_millis(300);

/// Patience with something that changes until it is as wanted, such as the status of a run. It is
/// counted from the last change, and ends after [`LONGEST`].
#[derive(Debug)]
pub struct Patience<T> {
    begun: Instant,
    changed: Instant,
    last: Option<T>,
}

impl<T> Default for Patience<T> {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            changed: now,
            last: None,
        }
    }
}

impl<T: PartialEq + Debug> Patience<T> {
    /// Waits until the next poll. Panics with `what` if `now` has not changed for [`PATIENCE`].
    pub async fn wait(&mut self, now: T, what: impl Display) {
        if self.last.as_ref() != Some(&now) {
            self.changed = Instant::now();
        }
        let (unchanged, taken) = (self.changed.elapsed(), self.begun.elapsed());
        assert!(
            unchanged < PATIENCE && taken < LONGEST,
            "{what} after {taken:?}, of which nothing changed in the last {unchanged:?}: {now:#?}"
        );
        self.last = Some(now);
        sleep(POLL).await;
    }
}

/// Polls until there is a result and returns it. Panics with `what` if that takes longer than
/// [`PATIENCE`].
pub async fn eventually<T, F>(what: impl Display, poll: impl Fn() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let begun = Instant::now();
    loop {
        if let Some(found) = poll().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} after {PATIENCE:?}");
        sleep(POLL).await;
    }
}
