//! What makes an S3 slow or unavailable: latency with a slow tail, limits of requests by prefix,
//! outages on a schedule. All of it can be changed while the simulator runs, and all of it is the
//! same again for the same seed and the same order of requests.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What requests meet. Fields that are not given are fair weather.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Weather {
    /// Milliseconds before the first byte of an answer.
    pub latency: Latency,
    /// Requests a second that a prefix of a bucket takes; 0 is no limit. S3 says of itself 3,500
    /// writes and 5,500 reads ("Optimizing performance", S3 user guide).
    pub limits: Limits,
    /// Seconds since the weather was set at which requests fail, and what they are answered.
    pub outages: Vec<Outage>,
    /// Seed of the latency.
    pub seed: u64,
}

/// A distribution with a slow tail.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Latency {
    /// Of every request.
    pub least_ms: f64,
    /// More, exponentially distributed with this mean.
    pub mean_ms: f64,
    /// One request in so many takes `slowMs` more; 0 is none.
    pub slow_one_in: u64,
    /// See `slowOneIn`.
    pub slow_ms: f64,
}

/// Requests a second of each prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Limits {
    /// GET and HEAD.
    pub reads: u32,
    /// PUT, COPY, POST and DELETE.
    pub writes: u32,
    /// How many levels of folders make a prefix.
    pub depth: usize,
}

/// A time in which requests fail.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Outage {
    /// Seconds after the weather was set.
    pub from_seconds: f64,
    /// Seconds after the weather was set.
    pub to_seconds: f64,
    /// What happens to a request meanwhile.
    pub kind: OutageKind,
}

/// How requests fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutageKind {
    /// 503 ServiceUnavailable.
    Unavailable,
    /// 503 SlowDown.
    SlowDown,
    /// The connection is closed without an answer.
    Drop,
    /// No answer ever comes.
    Hang,
}

/// What a request meets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    /// It is done after a while.
    After(Duration),
    /// It fails in this way.
    Fails(OutageKind),
}

/// Requests of one second.
#[derive(Debug, Clone, Copy, Default)]
struct Second {
    number: u64,
    requests: u32,
}

#[derive(Debug)]
struct Since {
    weather: Weather,
    begun: Instant,
}

/// The weather now.
#[derive(Debug)]
pub(super) struct Sky {
    now: RwLock<Arc<Since>>,
    requests: AtomicU64,
    prefixes: Mutex<HashMap<String, Second>>,
}

impl Sky {
    pub(super) fn with(weather: Weather) -> Self {
        Self {
            now: RwLock::new(Arc::new(Since {
                weather,
                begun: Instant::now(),
            })),
            requests: AtomicU64::new(0),
            prefixes: Mutex::default(),
        }
    }

    pub(super) fn set(&self, weather: Weather) {
        let since = Since {
            weather,
            begun: Instant::now(),
        };
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(since);
        self.requests.store(0, Ordering::Relaxed);
        self.prefixes().clear();
    }

    pub(super) fn weather(&self) -> Weather {
        self.since().weather.clone()
    }

    fn since(&self) -> Arc<Since> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn prefixes(&self) -> std::sync::MutexGuard<'_, HashMap<String, Second>> {
        self.prefixes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next request meets.
    pub(super) fn fate(&self, bucket: &str, key: &str, is_read: bool) -> Fate {
        let since = self.since();
        let passed = since.begun.elapsed().as_secs_f64();
        self.fate_at(&since, passed, bucket, key, is_read)
    }

    /// The same, so many seconds after the weather was set.
    fn fate_at(&self, since: &Since, passed: f64, bucket: &str, key: &str, is_read: bool) -> Fate {
        let mut outages = since.weather.outages.iter();
        let outage = outages.find(|it| (it.from_seconds..it.to_seconds).contains(&passed));
        if let Some(outage) = outage {
            return Fate::Fails(outage.kind);
        }
        let limits = since.weather.limits;
        let limit = if is_read { limits.reads } else { limits.writes };
        if limit > 0 && !self.fits(bucket, key, is_read, limits.depth, limit, passed) {
            return Fate::Fails(OutageKind::SlowDown);
        }
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        Fate::After(since.weather.latency.nth(number, since.weather.seed))
    }

    fn fits(
        &self,
        bucket: &str,
        key: &str,
        is_read: bool,
        depth: usize,
        limit: u32,
        passed: f64,
    ) -> bool {
        let end = key
            .match_indices('/')
            .nth(depth.saturating_sub(1))
            .filter(|_| depth > 0)
            .map_or(0, |(at, _)| at);
        let prefix = format!("{is_read} {bucket}/{}", &key[..end]);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole seconds"
        )]
        let number = passed as u64;
        let mut prefixes = self.prefixes();
        let second = prefixes.entry(prefix).or_default();
        if second.number != number {
            *second = Second {
                number,
                requests: 0,
            };
        }
        second.requests += 1;
        second.requests <= limit
    }
}

impl Latency {
    /// The latency of the nth request.
    fn nth(self, number: u64, seed: u64) -> Duration {
        if self == Self::default() {
            return Duration::ZERO;
        }
        // SplitMix64: a number of its own for every request, whatever order the threads have.
        let mut state = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        #[expect(clippy::cast_precision_loss, reason = "53 bits of it")]
        let fraction = (next() >> 11) as f64 / (1_u64 << 53) as f64;
        let mut milliseconds = self.least_ms - self.mean_ms * (1.0 - fraction).ln();
        if self.slow_one_in > 0 && next().is_multiple_of(self.slow_one_in) {
            milliseconds += self.slow_ms;
        }
        Duration::try_from_secs_f64(milliseconds / 1_000.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
