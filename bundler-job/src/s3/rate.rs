//! How many requests a second go to each source bucket. Every request passes here before it is
//! sent: GETs and HEADs of objects, of tags and of the rest of a body, copies, and the SDK's own
//! retries.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The limit of each source bucket. Shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    per_second: Option<NonZeroU32>,
    /// When the next request to a source may be sent.
    next: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Rates {
    /// So many requests a second to each source bucket; no limit if `None`.
    pub(super) fn new(per_second: Option<NonZeroU32>) -> Self {
        Self {
            per_second,
            ..Self::default()
        }
    }

    /// Limits the requests to a bucket from now on, because objects are read from it.
    pub fn limit(&self, source: &str) {
        if self.per_second.is_some() {
            self.lock()
                .entry(source.to_owned())
                .or_insert_with(Instant::now);
        }
    }

    /// Waits until one more request to a bucket may be sent. Buckets that are no sources are not
    /// limited.
    pub(super) async fn pass(&self, bucket: &str) {
        let Some(per_second) = self.per_second else {
            return;
        };
        let at = {
            let mut next = self.lock();
            let Some(next) = next.get_mut(bucket) else {
                return;
            };
            let at = (*next).max(Instant::now());
            *next = at + Duration::from_secs(1) / per_second.get();
            at
        };
        tokio::time::sleep_until(at).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        // Nothing panics while it holds the lock.
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
