//! What the operator remembers of a run between two looks, to ask S3 and SQS no more often than it
//! must. All of it can be lost: it only makes looks cheaper.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use s3bundler_contract::layout::RunName;
use s3bundler_contract::{RunSummary, Stage};

use super::intervals::POLL_PERIOD;
use super::observed::Acknowledged;
use super::ownership::NameConflict;
use super::throughput::Throughput;
use crate::queues::{Depth, Depths};
use crate::receipts::{Count, Counted, PAGE};
use crate::records::RecordsError;

/// Between two applies of workers that are as they should be.
const APPLY_PERIOD: Duration = Duration::from_mins(10);
/// Readings of the depth that have to agree before a worker is taken away: each is approximate.
const READINGS: usize = 3;
/// For so long no more pods are asked for than the cluster made when it refused to make more.
const REFUSED_PODS_PERIOD: Duration = Duration::from_mins(5);
/// How long workers that were applied count as such although the watch does not show them.
const SHOWN: Duration = Duration::from_secs(5);
/// The same of replicas that were asked for: a watch whose connection died without a word is renewed
/// by then.
const SCALED: Duration = Duration::from_mins(2);
/// LISTs of a sweep over the receipts that may begin with every poll.
const FEW_LISTS: u64 = 4;
/// Between the beginnings of two sweeps with more LISTs.
const SWEEP_PERIOD: Duration = Duration::from_mins(1);
/// What a LIST of such a sweep adds to that, once it is longer: 86,400 LISTs a day and run.
const LIST_PERIOD: Duration = Duration::from_secs(1);
/// Longest time between two recounts. A user who repairs a receipt waits for so long at most.
const LONGEST_RECOUNT_PERIOD: Duration = Duration::from_mins(15);

/// A run as it was seen last.
#[derive(Debug)]
pub(crate) struct RunCache {
    /// The counting of its receipts.
    pub(crate) count: Count,
    /// What it has come to, by the last sweep that came to its end.
    pub(crate) counted: Option<Counted>,
    /// When the last sweep began, or was to go on.
    pub(crate) counted_at: Option<Instant>,
    /// How fast it has become more.
    pub(crate) throughput: Throughput,
    /// The depth as it was read last, and when.
    pub(crate) depths: Option<(Instant, Depths)>,
    /// Groups on the queue by its last readings, the newest last.
    pub(crate) recent_groups: VecDeque<u64>,
    /// Replicas asked for when the depth was read last.
    pub(crate) replicas_then: u32,
    /// Pods that the cluster made when it last refused to make more, and when that was.
    pub(crate) refused_pods: Option<(Instant, u32)>,
    /// When the dead letters in it were counted.
    pub(crate) dead_letters_at: Option<Instant>,
    /// Since when the queue has been empty with nothing in flight, and nobody about to send to it.
    pub(crate) empty_since: Option<Instant>,
    /// The pass whose lost groups were sent again last.
    pub(crate) sent_again: Option<u32>,
    /// When receipts are counted from the first one again.
    pub(crate) recounts: Recounts,
    /// What the last count of receipts failed with.
    pub(crate) count_error: Option<RecordsError>,
    /// When a summary was looked for last.
    pub(crate) summaries_at: Option<Instant>,
    pub(crate) summary_error: Option<RecordsError>,
    /// When the acknowledgement of the run was looked for last.
    pub(crate) acknowledgement_at: Option<Instant>,
    /// What was found, until the status has it.
    pub(crate) acknowledged: Acknowledged,
    /// Summaries, which never change.
    pub(crate) summaries: HashMap<Stage, RunSummary>,
    /// The workers as they were applied last; forgotten once somebody else changed them.
    pub(crate) workers: Option<AppliedWorkers>,
    /// The replicas that were asked for last, until the watch shows them.
    pub(crate) scaled: Option<Scaled>,
    /// What is asked for and not watched, when it was, and for which generation of the run.
    pub(crate) unwatched: Option<(Instant, i64, Unwatched)>,
    /// When counters were written into the status last.
    pub(crate) reported_at: Option<Instant>,
}

/// What a run needs in Kubernetes and no watch shows.
#[derive(Debug, Clone)]
pub(crate) struct Unwatched {
    pub(crate) service_account: bool,
    pub(crate) name_conflict: Option<NameConflict>,
}

impl Unwatched {
    pub(crate) fn is_in_order(&self) -> bool {
        self.service_account && self.name_conflict.is_none()
    }
}

/// A Deployment that the API server has.
#[derive(Debug)]
pub(crate) struct AppliedWorkers {
    pub(crate) deployment: Deployment,
    /// What the API server made of it.
    pub(crate) generation: i64,
    /// The replicas that it was scaled to since, which makes another generation.
    pub(crate) scaled: Option<u32>,
    pub(crate) at: Instant,
}

/// The Deployment of workers, as a watch or a read shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkersShown {
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) replicas: u32,
}

/// Replicas that were asked for.
#[derive(Debug)]
pub(crate) struct Scaled {
    /// Those of the Deployment, whose generation is that of before.
    asked: WorkersShown,
    at: Instant,
}

impl Scaled {
    /// Whether the watch shows a Deployment as it was before.
    fn is_before(&self, shown: &WorkersShown, now: Instant) -> bool {
        let asked = &self.asked;
        asked.uid == shown.uid
            && asked.generation >= shown.generation
            && asked.replicas != shown.replicas
            && now.saturating_duration_since(self.at) < SCALED
    }
}

impl AppliedWorkers {
    /// Whether there is nothing to do where `deployment` is wanted. What no generation tells, such
    /// as a changed label, is mended every [`APPLY_PERIOD`].
    pub(crate) fn is_current(&self, deployment: &Deployment, now: Instant) -> bool {
        self.deployment == *deployment && now.saturating_duration_since(self.at) < APPLY_PERIOD
    }
}

impl RunCache {
    pub(super) fn new(run: RunName) -> Self {
        Self {
            count: Count::new(run),
            counted: None,
            counted_at: None,
            throughput: Throughput::default(),
            depths: None,
            recent_groups: VecDeque::new(),
            replicas_then: 0,
            refused_pods: None,
            dead_letters_at: None,
            empty_since: None,
            sent_again: None,
            recounts: Recounts::default(),
            count_error: None,
            summaries_at: None,
            summary_error: None,
            acknowledgement_at: None,
            acknowledged: Acknowledged::Unknown,
            summaries: HashMap::new(),
            workers: None,
            scaled: None,
            unwatched: None,
            reported_at: None,
        }
    }

    /// Takes in the workers' Deployment as the watch shows it. Another generation than
    /// the applied one's, or the one that scaling it has made, is somebody else's, unless the watch
    /// is late.
    pub(crate) fn observe_workers(&mut self, shown: Option<&WorkersShown>, now: Instant) {
        let Some(applied) = &mut self.workers else {
            return;
        };
        let is_late = now.saturating_duration_since(applied.at) < SHOWN;
        let is_applied = shown.is_some_and(|shown| {
            let scaled = applied.scaled.take_if(|scaled| {
                *scaled == shown.replicas
                    && shown.generation == applied.generation.saturating_add(1)
            });
            applied.generation += i64::from(scaled.is_some());
            shown.generation == applied.generation
        });
        let is_before = shown.is_none_or(|shown| shown.generation < applied.generation);
        let may_be_applied = is_applied || (is_before && is_late);
        if !may_be_applied {
            self.workers = None;
        }
    }

    /// Takes in that the workers were scaled. The generation is that of before.
    pub(crate) fn scaled(&mut self, asked: WorkersShown, now: Instant) {
        if let Some(applied) = &mut self.workers {
            applied.scaled = Some(asked.replicas);
        }
        self.scaled = Some(Scaled { asked, at: now });
    }

    /// Takes in the replicas that the watch shows. Returns those that were asked for last if it
    /// shows what was before.
    pub(crate) fn observe_replicas(&mut self, shown: &WorkersShown, now: Instant) -> u32 {
        self.scaled.take_if(|scaled| !scaled.is_before(shown, now));
        let asked = self.scaled.as_ref().map(|scaled| scaled.asked.replicas);
        asked.unwrap_or(shown.replicas)
    }

    /// Takes in a reading of the depth, of a run that has asked for so many replicas.
    pub(crate) fn observe_depths(&mut self, depths: Depths, replicas: u32, now: Instant) {
        if let Ok(depth) = &depths.groups {
            self.recent_groups.push_back(depth.groups());
            if self.recent_groups.len() > READINGS {
                self.recent_groups.pop_front();
            }
        }
        self.replicas_then = replicas;
        let is_empty = depths.groups.as_ref().is_ok_and(Depth::is_empty);
        self.empty_since = is_empty.then(|| self.empty_since.unwrap_or(now));
        self.depths = Some((now, depths));
    }

    /// The most groups of the last readings, once there were enough of them to believe in fewer.
    pub(crate) fn recent_groups(&self) -> Option<u64> {
        (self.recent_groups.len() >= READINGS)
            .then(|| self.recent_groups.iter().copied().max())
            .flatten()
    }

    /// Takes in whether the cluster refuses to make more pods than these, and gives how many it
    /// makes, as far as is known. More are asked for again after a while.
    pub(crate) fn observe_refusal(
        &mut self,
        refuses: bool,
        pods: u32,
        now: Instant,
    ) -> Option<u32> {
        if refuses {
            self.refused_pods = Some((now, pods));
        }
        self.refused_pods = self
            .refused_pods
            .filter(|(then, _)| now.saturating_duration_since(*then) < REFUSED_PODS_PERIOD);
        self.refused_pods.map(|(_, pods)| pods)
    }

    /// Takes in that somebody may still send groups, or put them back: an empty queue has not lost
    /// them.
    pub(crate) fn expect_groups(&mut self) {
        self.empty_since = None;
    }

    /// Takes in that the run is at rest: depth and receipts are looked at anew once it goes on.
    pub(crate) fn suspend(&mut self) {
        (self.depths, self.counted_at) = (None, None);
        self.recent_groups.clear();
        self.recounts = Recounts::default();
        self.throughput.reset();
        self.expect_groups();
    }

    /// For how long the queue has been empty.
    pub(crate) fn empty_for(&self, now: Instant) -> Duration {
        self.empty_since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

/// When the receipts of a run are counted from the first one again. A count continues after the
/// whole beginning of the run, so it does not see that a user deleted or replaced a receipt there.
/// Only the receipts of a run whose figures do not add up are counted again, because only there a
/// user repairs them.
#[derive(Debug, Default)]
pub(crate) struct Recounts {
    last: Option<Instant>,
}

impl Recounts {
    /// Whether to count `groups` receipts again now, of a run whose figures do not add up, or do.
    pub(crate) fn are_due(&mut self, is_mismatched: bool, groups: u64, now: Instant) -> bool {
        let due = is_mismatched && is_due(self.last, recount_period(groups), now);
        self.last = if due {
            Some(now)
        } else {
            self.last.filter(|_| is_mismatched)
        };
        due
    }
}

/// Time between the beginnings of two sweeps over the receipts, of so many LISTs.
pub(crate) fn sweep_period(lists: u64) -> Duration {
    if lists <= FEW_LISTS {
        return POLL_PERIOD;
    }
    LIST_PERIOD
        .saturating_mul(u32::try_from(lists).unwrap_or(u32::MAX))
        .max(SWEEP_PERIOD)
}

/// Time between two recounts: one LIST in every poll on average, and never longer than a user can
/// wait.
fn recount_period(groups: u64) -> Duration {
    let lists = u32::try_from(groups.div_ceil(PAGE)).unwrap_or(u32::MAX);
    POLL_PERIOD
        .saturating_mul(lists.max(1))
        .min(LONGEST_RECOUNT_PERIOD)
}

/// Whether what was seen at `then` is to be looked at again after a time.
pub(crate) fn is_due(then: Option<Instant>, period: Duration, now: Instant) -> bool {
    // A little early: a look that comes just before its time would otherwise wait for the next.
    then.is_none_or(|then| now.saturating_duration_since(then) + Duration::from_secs(1) >= period)
}

/// The caches of all runs, by UID. One reconcile of a run at a time holds its cache.
#[derive(Debug, Default)]
pub(crate) struct RunCaches(Mutex<HashMap<String, Arc<tokio::sync::Mutex<RunCache>>>>);

impl RunCaches {
    /// The cache of a run.
    pub(crate) fn of(&self, uid: &str, run: &RunName) -> Arc<tokio::sync::Mutex<RunCache>> {
        let mut caches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cache = caches.entry(uid.to_owned());
        Arc::clone(
            cache.or_insert_with(|| Arc::new(tokio::sync::Mutex::new(RunCache::new(run.clone())))),
        )
    }

    /// Forgets all runs but these.
    pub(crate) fn retain(&self, uids: &HashSet<String>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|uid, _| uids.contains(uid));
    }

    pub(crate) fn forget(&self, uid: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
    }
}

#[cfg(test)]
mod tests;
