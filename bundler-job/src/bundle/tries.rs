//! How often one object is asked for, and how long apart. Pure: what happened to the object comes
//! in, what to do next comes out.

use std::time::Duration;

use s3bundler_contract::Reason;

/// Tries at one object: 200 ms, 400 ms … 20 s apart, about a minute in all.
const MAX_TRIES: u32 = 9;
/// A try that took minutes counts as so many.
const SLOW_TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// A bucket that refused every request for this long is not merely busy.
pub(super) const SILENCE: Duration = Duration::from_secs(10);
/// Refusals of one object are counted after this time, also while others are accepted: a hot prefix
/// may be refused long after the rest of its bucket.
const PATIENCE: Duration = Duration::from_hours(1);
/// Denials in a row that an attempt believes after an earlier attempt saw some that did not last.
const DENIALS: u32 = 3;

/// How one try at an object ended, if not well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// For good.
    Object(Reason),
    /// Perhaps not the next time.
    Again,
    /// The same, after minutes.
    Slow,
    /// The bucket asks for fewer requests.
    Throttled {
        /// How long it has refused every request.
        silent_for: Duration,
    },
    /// Its bytes changed while they were read.
    Changed,
    /// Its bytes were not those of its checksum.
    Mismatch,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Try again after this pause.
    Pause(Duration),
    /// Try again as soon as the limiter lets it.
    WhenAccepted,
    /// Ask about the bucket: readable, the object has this reason after one more try.
    Doubt(Reason),
    /// The object has failed.
    Failed(Reason),
}

/// The tries at one object so far.
#[derive(Debug, Default)]
pub(super) struct Tries {
    counted: u32,
    changes: u32,
    mismatches: u32,
    denials: u32,
    /// Whether a denial is tried again.
    wary: bool,
    /// Whether the bucket was asked about, and the last try is under way.
    last: bool,
}

impl Tries {
    /// No tries yet. `wary` tries denials again.
    pub(super) fn new(wary: bool) -> Self {
        Self {
            wary,
            ..Self::default()
        }
    }

    /// The bucket was found readable: one more try is the last.
    pub(super) fn once_more(&mut self) {
        self.last = true;
    }

    /// What to do after a try that failed, `elapsed` after the first began.
    pub(super) fn after(&mut self, trouble: Trouble, elapsed: Duration) -> Next {
        match trouble {
            Trouble::Object(Reason::AccessDenied) if self.wary && self.denials + 1 < DENIALS => {
                self.denials += 1;
                Next::Pause(pause(self.denials))
            }
            Trouble::Object(reason) => Next::Failed(reason),
            Trouble::Throttled { silent_for } if is_busy(silent_for, elapsed) => Next::WhenAccepted,
            Trouble::Again | Trouble::Slow | Trouble::Throttled { .. } if self.last => {
                Next::Failed(Reason::Retry)
            }
            Trouble::Throttled { .. } => self.again().map_or(Next::WhenAccepted, |end| end),
            Trouble::Slow => {
                self.counted += SLOW_TRIES - 1;
                self.again()
                    .unwrap_or_else(|| Next::Pause(pause(self.counted)))
            }
            Trouble::Again => self
                .again()
                .unwrap_or_else(|| Next::Pause(pause(self.counted))),
            Trouble::Changed => {
                self.changes += 1;
                self.twice(self.changes, Reason::Changed)
            }
            Trouble::Mismatch => {
                self.mismatches += 1;
                self.twice(self.mismatches, Reason::ChecksumMismatch)
            }
        }
    }

    fn again(&mut self) -> Option<Next> {
        self.counted += 1;
        (self.counted >= MAX_TRIES).then_some(Next::Doubt(Reason::Retry))
    }

    fn twice(&self, times: u32, reason: Reason) -> Next {
        if times == 2 {
            Next::Failed(reason)
        } else {
            Next::Pause(pause(self.counted + 1))
        }
    }
}

/// Whether a refusal says nothing about an object, because others of its bucket are accepted.
/// `elapsed`: since the first.
pub(super) fn is_busy(silent_for: Duration, elapsed: Duration) -> bool {
    silent_for < SILENCE && elapsed < PATIENCE
}

/// Exponential, with jitter, so that objects do not come back together.
pub(super) fn pause(tries: u32) -> Duration {
    let longest = FIRST_PAUSE
        .saturating_mul(1 << tries.min(16))
        .min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

#[cfg(test)]
mod tests;
