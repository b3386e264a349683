//! How many GETs of one source bucket are in flight: additive increase, multiplicative decrease on throttling.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// GETs in flight at the start.
const START: usize = 8;
/// More only meets failures to connect and to resolve names.
const MAX: usize = 128;
/// One decrease for all the GETs that were throttled by the same burst.
const DECREASE_INTERVAL: Duration = Duration::from_secs(1);

/// The limiters of all source buckets of this process.
#[derive(Debug, Default)]
pub struct Limiters {
    fixed: Option<usize>,
    buckets: Mutex<HashMap<String, Arc<Limiter>>>,
}

impl Limiters {
    /// Limiters that find their limit, or keep the given one.
    pub fn new(fixed: Option<usize>) -> Self {
        Self { fixed, buckets: Mutex::default() }
    }

    /// The limiter of a bucket.
    pub fn of(&self, bucket: &str) -> Arc<Limiter> {
        let mut buckets = lock(&self.buckets);
        if let Some(limiter) = buckets.get(bucket) {
            return Arc::clone(limiter);
        }
        let limiter = Arc::new(Limiter::new(self.fixed));
        buckets.insert(bucket.to_owned(), Arc::clone(&limiter));
        limiter
    }
}

/// The limit of one bucket.
#[derive(Debug)]
pub struct Limiter {
    slots: Arc<Semaphore>,
    adaptive: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// Successes since the last change.
    successes: usize,
    /// Slots to take out of use as they come back.
    surplus: usize,
    decreased: Option<Instant>,
}

/// A GET in flight; over when it is dropped.
#[derive(Debug)]
pub struct Slot {
    limiter: Arc<Limiter>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Limiter {
    fn new(fixed: Option<usize>) -> Self {
        let limit = fixed.unwrap_or(START).max(1);
        Self {
            slots: Arc::new(Semaphore::new(limit)),
            adaptive: fixed.is_none(),
            state: Mutex::new(State { limit, successes: 0, surplus: 0, decreased: None }),
        }
    }

    /// Waits for a slot.
    pub async fn slot(self: &Arc<Self>) -> Slot {
        let permit = Arc::clone(&self.slots).acquire_owned().await.expect("slots are never closed");
        Slot { limiter: Arc::clone(self), permit: Some(permit) }
    }

    /// GETs that may be in flight now.
    pub fn limit(&self) -> usize {
        lock(&self.state).limit
    }

    /// A GET succeeded: one slot more after as many successes as there are slots.
    pub fn succeeded(&self) {
        if !self.adaptive {
            return;
        }
        let mut state = lock(&self.state);
        state.successes += 1;
        if state.successes >= state.limit && state.limit < MAX {
            state.successes = 0;
            state.limit += 1;
            if state.surplus > 0 {
                state.surplus -= 1;
            } else {
                self.slots.add_permits(1);
            }
        }
    }

    /// A GET was throttled: half the slots, at most once a second.
    pub fn throttled(&self, now: Instant) {
        let mut state = lock(&self.state);
        if !self.adaptive || state.decreased.is_some_and(|at| now.duration_since(at) < DECREASE_INTERVAL) {
            return;
        }
        let fewer = state.limit / 2;
        state.decreased = Some(now);
        state.successes = 0;
        state.limit -= fewer;
        state.surplus += fewer - self.slots.forget_permits(fewer);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = lock(&self.limiter.state);
        if state.surplus > 0 {
            state.surplus -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn throttling_halves_once_a_burst_and_success_climbs_by_one_a_round() {
        let limiter = Arc::new(Limiter::new(None));
        let held = [limiter.slot().await, limiter.slot().await, limiter.slot().await, limiter.slot().await];
        let now = Instant::now();
        limiter.throttled(now);
        limiter.throttled(now);
        assert_eq!((limiter.limit(), limiter.slots.available_permits()), (4, 0));
        drop(held);
        assert_eq!(limiter.slots.available_permits(), 4);
        for _ in 0..4 {
            limiter.succeeded();
        }
        assert_eq!((limiter.limit(), limiter.slots.available_permits()), (5, 5));
    }

    #[tokio::test]
    async fn slots_in_use_are_taken_away_as_they_come_back() {
        let limiter = Arc::new(Limiter::new(None));
        let mut held = Vec::new();
        for _ in 0..START {
            held.push(limiter.slot().await);
        }
        limiter.throttled(Instant::now());
        held.truncate(START / 2);
        assert_eq!(limiter.slots.available_permits(), 0);
        drop(held);
        assert_eq!(limiter.slots.available_permits(), START / 2);
    }

    #[tokio::test]
    async fn it_never_falls_below_one_nor_rises_above_the_maximum() {
        let limiter = Arc::new(Limiter::new(None));
        let start = Instant::now();
        for n in 0..10 {
            limiter.throttled(start + DECREASE_INTERVAL * n);
        }
        assert_eq!(limiter.limit(), 1);
        for _ in 0..MAX * MAX {
            limiter.succeeded();
        }
        assert_eq!((limiter.limit(), limiter.slots.available_permits()), (MAX, MAX));
    }

    #[test]
    fn a_given_limit_stays() {
        let limiter = Limiter::new(Some(3));
        limiter.throttled(Instant::now());
        limiter.succeeded();
        assert_eq!(limiter.limit(), 3);
    }
}
