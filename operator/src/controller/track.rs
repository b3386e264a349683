//! What the operator remembers of a run between two looks, to ask S3 and SQS no more often than it must. All of it can be
//! lost: it only makes looks cheaper.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use s3bundler_contract::RunSummary;
use s3bundler_contract::layout::RunName;

use crate::autoscale::depth::Depths;
use crate::receipts::Count;

/// A run as it was seen last.
#[derive(Debug)]
pub struct Track {
    /// The counting of its receipts.
    pub count: Count,
    /// When receipts were listed last.
    pub counted_at: Option<Instant>,
    /// The depth as it was read last, and when.
    pub depths: Option<(Instant, Depths)>,
    /// When the dead letters in it were counted.
    pub dead_letters_at: Option<Instant>,
    /// Since when the queue has been empty with nothing in flight.
    pub empty_since: Option<Instant>,
    /// Summaries, which never change, by pass.
    pub summaries: HashMap<u32, RunSummary>,
}

impl Track {
    fn new(run: RunName) -> Self {
        Self {
            count: Count::new(run),
            counted_at: None,
            depths: None,
            dead_letters_at: None,
            empty_since: None,
            summaries: HashMap::new(),
        }
    }

    /// Takes in a reading of the depth.
    pub fn saw(&mut self, depths: Depths, now: Instant) {
        let is_empty = depths.groups.as_ref().is_ok_and(|depth| depth.visible == 0 && depth.in_flight == 0);
        self.empty_since = is_empty.then(|| self.empty_since.unwrap_or(now));
        self.depths = Some((now, depths));
    }

    /// For how long the queue has been empty.
    pub fn empty_for(&self, now: Instant) -> Duration {
        self.empty_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

/// Whether what was seen at `then` is to be looked at again after a time.
pub fn is_due(then: Option<Instant>, period: Duration, now: Instant) -> bool {
    // A little early: a look that comes just before its time would otherwise wait for the next.
    then.is_none_or(|then| now.saturating_duration_since(then) + Duration::from_secs(1) >= period)
}

/// The tracks of all runs, by UID. One reconcile of a run at a time holds its track.
#[derive(Debug, Default)]
pub struct Tracks(Mutex<HashMap<String, Arc<tokio::sync::Mutex<Track>>>>);

impl Tracks {
    /// The track of a run.
    pub fn of(&self, uid: &str, run: &RunName) -> Arc<tokio::sync::Mutex<Track>> {
        let mut tracks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let track = tracks.entry(uid.to_owned());
        Arc::clone(track.or_insert_with(|| Arc::new(tokio::sync::Mutex::new(Track::new(run.clone())))))
    }

    /// Forgets a run.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}
