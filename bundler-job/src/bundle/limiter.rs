//! How many requests of one source bucket are in flight, and in which order.
//!
//! ```text
//! fetch ──► turn (oldest row first) ──► slot ──► request ──► answer ──► pace
//! ```
//!
//! A row that was refused comes back with its old turn, so that the packer, which needs rows in
//! manifest order, never waits for a row behind later ones. No row holds a slot between two
//! requests.

mod pace;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::oneshot;
use tokio::time::Instant;

pub use pace::Answer;
use pace::Pace;

use crate::s3::{ErrorKind, Rates, S3Error};

/// The limiters of all source buckets of this process.
#[derive(Debug, Default)]
pub struct Limiters {
    limits: Limits,
    rates: Rates,
    buckets: Mutex<HashMap<String, Arc<Limiter>>>,
}

/// What the user limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests in flight for each source bucket; adapts if there is no limit.
    pub concurrency: Option<usize>,
}

impl Limiters {
    /// Limiters within these limits. The requests a second are counted where they are sent.
    pub fn new(limits: Limits, rates: Rates) -> Self {
        Self {
            limits,
            rates,
            buckets: Mutex::default(),
        }
    }

    /// The limiter of a bucket.
    pub fn of(&self, bucket: &str) -> Arc<Limiter> {
        let mut buckets = lock(&self.buckets);
        if let Some(limiter) = buckets.get(bucket) {
            return Arc::clone(limiter);
        }
        self.rates.limit(bucket);
        let limiter = Arc::new(Limiter::new(self.limits));
        buckets.insert(bucket.to_owned(), Arc::clone(&limiter));
        limiter
    }

    /// The slots of all source buckets together.
    pub(crate) fn load(&self) -> Load {
        let limiters: Vec<_> = lock(&self.buckets).values().cloned().collect();
        let mut load = Load::default();
        for limiter in limiters {
            let state = lock(&limiter.state);
            load.slots += state.pace.limit();
            load.used += state.in_flight;
            load.waiting += state.waiting.len();
        }
        load
    }

    /// Tells a bucket's limiter of an answer; a request without an answer says nothing of how busy
    /// the bucket is.
    pub fn see(&self, bucket: &str, error: Option<&S3Error>) {
        let answer = match error.map(|error| error.kind) {
            Some(ErrorKind::Throttled) => Answer::Refused,
            Some(ErrorKind::Transient | ErrorKind::Foreign | ErrorKind::Unreachable) => return,
            _ => Answer::Accepted,
        };
        let limiter = self.of(bucket);
        limiter.answered(answer);
        if let (Answer::Refused, Some(time)) = (answer, error.and_then(|error| error.retry_after)) {
            limiter.told_to_wait(time);
        }
    }
}

/// How the slots of requests are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Requests that may be in flight.
    pub(crate) slots: usize,
    /// Those that are.
    pub(crate) used: usize,
    /// Rows that wait for a slot.
    pub(crate) waiting: usize,
}

/// The limits of one bucket.
#[derive(Debug)]
pub struct Limiter {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pace: Pace,
    in_flight: usize,
    next_turn: u64,
    /// Who waits for a slot, oldest first.
    waiting: BTreeMap<u64, oneshot::Sender<Slot>>,
    /// No request is sent before this time.
    paused: Instant,
    /// Spreads the pauses of processes that were refused together.
    jitter: StdRng,
}

/// The place of a row among all that wait for its bucket. A row keeps it for all its requests.
#[derive(Debug, Clone, Copy)]
pub struct Turn(u64);

/// A request in flight; over when it is dropped.
#[derive(Debug)]
pub struct Slot {
    limiter: Option<Arc<Limiter>>,
}

/// The slot of a request and of its body.
pub(super) struct InFlight<'a> {
    pub(super) limiter: &'a Arc<Limiter>,
    pub(super) turn: Turn,
    pub(super) slot: Option<Slot>,
}

impl InFlight<'_> {
    /// Lets others send requests for as long as this row waits.
    pub(super) fn release(&mut self) {
        self.slot = None;
    }

    /// Waits for a slot if it has none.
    pub(super) async fn acquire(&mut self) {
        if self.slot.is_none() {
            self.slot = Some(self.limiter.slot(self.turn).await);
        }
    }
}

impl Limiter {
    fn new(limits: Limits) -> Self {
        Self::seeded(limits, rand::random())
    }

    fn seeded(limits: Limits, seed: u64) -> Self {
        let now = Instant::now();
        let state = State {
            pace: Pace::new(limits.concurrency, now),
            in_flight: 0,
            next_turn: 0,
            waiting: BTreeMap::new(),
            paused: now,
            jitter: StdRng::seed_from_u64(seed),
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// The turn of a row, behind all that have one.
    pub fn turn(&self) -> Turn {
        let mut state = lock(&self.state);
        state.next_turn += 1;
        Turn(state.next_turn)
    }

    /// Waits until this turn may send a request. A turn waits for one slot at a time.
    pub async fn slot(self: &Arc<Self>, turn: Turn) -> Slot {
        let (sender, granted) = oneshot::channel();
        lock(&self.state).waiting.insert(turn.0, sender);
        self.grant();
        let slot = granted
            .await
            .expect("a turn that waits is granted before its limiter is dropped");
        self.pass().await;
        slot
    }

    /// Waits until one more request may be sent by a row that has a slot, such as that for the tags
    /// of an object that was read.
    pub async fn pass(&self) {
        // A pause may be followed by another.
        loop {
            let (paused, now) = (lock(&self.state).paused, Instant::now());
            if paused <= now {
                return;
            }
            tokio::time::sleep_until(paused).await;
        }
    }

    /// Learns from the answer to a request.
    pub fn answered(self: &Arc<Self>, answer: Answer) {
        {
            let (mut state, now) = (lock(&self.state), Instant::now());
            state.pace.answered(answer, now);
            match answer {
                Answer::Accepted => state.paused = now,
                Answer::Refused => {
                    let share = 0.5 + state.jitter.random::<f64>() / 2.0;
                    let pause = state.pace.pause(now).mul_f64(share);
                    state.paused = state.paused.max(now + pause);
                }
            }
        }
        self.grant();
    }

    /// The bucket wants no request for so long. It counts unless others are accepted meanwhile.
    fn told_to_wait(&self, time: Duration) {
        let (mut state, now) = (lock(&self.state), Instant::now());
        if state.pace.silent_for(now) >= pace::SILENCE {
            state.paused = state.paused.max(now + time);
        }
    }

    /// How long the bucket has refused every request.
    pub fn silent_for(&self) -> Duration {
        lock(&self.state).pace.silent_for(Instant::now())
    }

    /// Requests that may be in flight now.
    pub fn limit(&self) -> usize {
        lock(&self.state).pace.limit()
    }

    /// Gives free slots to those who wait longest.
    fn grant(self: &Arc<Self>) {
        loop {
            let waiter = {
                let mut state = lock(&self.state);
                if state.in_flight >= state.pace.limit() {
                    return;
                }
                let Some((_, waiter)) = state.waiting.pop_first() else {
                    return;
                };
                state.in_flight += 1;
                waiter
            };
            if let Err(mut slot) = waiter.send(Slot {
                limiter: Some(Arc::clone(self)),
            }) {
                // Its row was given up while it waited. Taken back here: dropping the slot would
                // come here again.
                slot.limiter = None;
                lock(&self.state).in_flight -= 1;
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(limiter) = self.limiter.take() {
            lock(&limiter.state).in_flight -= 1;
            limiter.grant();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
