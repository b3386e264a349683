//! Latency with a slow tail, request limits by prefix, and outages on a schedule. All of it can be
//! changed while the simulator runs. The latency of the nth request depends only on the seed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use http::Method;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use super::request::Asked;

/// Conditions under which requests are answered. Default: no latency, limits or outages.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Weather {
    /// Time before the first byte of an answer.
    pub latency: Latency,
    /// Request limits of each prefix. S3 supports at least 3,500 writes and 5,500 reads a second ("Optimizing performance", S3 user guide).
    pub limits: Limits,
    /// Times at which requests fail.
    pub outages: Vec<Outage>,
    /// Seed of the latency.
    pub seed: u64,
}

/// A distribution with a slow tail.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Latency {
    /// Minimum, in milliseconds.
    pub least_ms: f64,
    /// Mean of the exponentially distributed rest, in milliseconds.
    pub mean_ms: f64,
    /// One request in this number takes `slowMs` longer; 0 disables it.
    pub slow_one_in: u32,
    /// Additional milliseconds of a slow request.
    pub slow_ms: f64,
}

/// Requests a second of each prefix; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Limits {
    /// GET and HEAD.
    pub reads: u32,
    /// PUT, COPY, POST and DELETE.
    pub writes: u32,
    /// Number of folder levels that form a prefix; 0 is the whole bucket.
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
    /// How requests fail meanwhile.
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
    /// The connection stays open without an answer.
    Hang,
}

/// How a request is treated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    /// It is carried out after this time.
    After(Duration),
    /// It fails in this way.
    Fails(OutageKind),
}

/// The current second, and the requests of each prefix in it.
#[derive(Debug, Default)]
struct Second {
    number: u64,
    requests: HashMap<String, u32>,
}

#[derive(Debug)]
struct Since {
    weather: Weather,
    begun: Instant,
}

/// The current weather.
#[derive(Debug)]
pub(super) struct Sky {
    now: RwLock<Arc<Since>>,
    requests: AtomicU64,
    second: Mutex<Second>,
}

impl Sky {
    pub(super) fn with(weather: Weather) -> Self {
        Self {
            now: RwLock::new(Arc::new(Since {
                weather,
                begun: Instant::now(),
            })),
            requests: AtomicU64::new(0),
            second: Mutex::default(),
        }
    }

    pub(super) fn set(&self, weather: Weather) {
        let since = Since {
            weather,
            begun: Instant::now(),
        };
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(since);
        self.requests.store(0, Ordering::Relaxed);
        *self.second() = Second::default();
    }

    pub(super) fn weather(&self) -> Weather {
        self.since().weather.clone()
    }

    fn since(&self) -> Arc<Since> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn second(&self) -> MutexGuard<'_, Second> {
        self.second.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides how the next request is treated.
    pub(super) fn fate(&self, asked: &Asked) -> Fate {
        let since = self.since();
        let passed = since.begun.elapsed().as_secs_f64();
        let is_read = matches!(asked.method, Method::GET | Method::HEAD);
        self.fate_at(&since, passed, &asked.bucket, &asked.key, is_read)
    }

    /// The same at a time in seconds after the weather was set.
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
        let mut second = self.second();
        if second.number != number {
            *second = Second {
                number,
                requests: HashMap::new(),
            };
        }
        let requests = second.requests.entry(prefix).or_default();
        *requests += 1;
        *requests <= limit
    }
}

impl Latency {
    /// The latency of the nth request.
    fn nth(self, number: u64, seed: u64) -> Duration {
        if self == Self::default() {
            return Duration::ZERO;
        }
        // A generator for each request: the order in which threads draw does not matter.
        let mut random = SmallRng::seed_from_u64(seed ^ number.rotate_left(32));
        let fraction: f64 = random.random();
        let mut milliseconds = self.least_ms - self.mean_ms * (1.0 - fraction).ln();
        if self.slow_one_in > 0 && random.random_ratio(1, self.slow_one_in) {
            milliseconds += self.slow_ms;
        }
        Duration::try_from_secs_f64(milliseconds / 1_000.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
