//! How many requests of one bucket may be in flight, decided from its answers alone. Pure: the time
//! is an argument.
//!
//! ```text
//!           refused                    fewer requests        they did not cost accepted ones
//! Growing ───────────► Steady ──────────────────────► Trial ────────────────────────────────► Capped
//!    ▲                                                 │ ▲                                      │
//!    └─────────────────────────────────────────────────┘ └──────────────────────────────────────┘
//!              they did: the limit comes back                        refused again
//! ```
//!
//! A refusal alone says little. A bucket that serves so many requests a second refuses fewer of
//! them if it is asked less often; a bucket that refuses at random does not, and each request that
//! is not sent is lost. A trial tells which it is.

use std::time::Duration;

use tokio::time::Instant;

/// Requests in flight at the start.
pub(super) const START: usize = 8;
/// More only meets failures to connect and to resolve names.
pub(super) const MAX: usize = 128;
/// One halving for all the requests that were refused by the same burst.
pub(super) const HALVING_INTERVAL: Duration = Duration::from_secs(1);
/// A window is at least this long …
const WINDOW: Duration = Duration::from_secs(1);
/// … and has this many accepted requests, so that chance does not decide, …
const SAMPLE: u32 = 100;
/// … but no window is longer.
const LONGEST_WINDOW: Duration = Duration::from_secs(4);
/// Time until the first trial …
const FIRST_TRIAL: Duration = Duration::from_secs(5);
/// … and after a trial without success.
const BETWEEN_TRIALS: Duration = Duration::from_secs(30);
/// A window with a smaller share of accepted requests is worth a trial.
const CALM: f64 = 0.9;
/// A trial continues with this part of the limit …
const TRIAL: f64 = 0.7;
/// … and succeeds with this part of the accepted requests a second.
const KEPT: f64 = 0.95;
/// A bucket that accepted nothing for this long is asked less and less often.
pub(super) const SILENCE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// What happened to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The server worked on it, whatever came of it.
    Accepted,
    /// The server asks for fewer requests.
    Refused,
}

/// The number of requests in flight, and what it was learned from.
#[derive(Debug)]
pub(super) struct Pace {
    limit: usize,
    adaptive: bool,
    /// Answers since the limit grew.
    answers: usize,
    refused_in_a_row: usize,
    halved: Option<Instant>,
    /// The last request that was accepted, or the beginning.
    accepted: Instant,
    window: Window,
    mode: Mode,
}

#[derive(Debug)]
struct Window {
    begun: Instant,
    /// Answers to requests that were sent before the limit changed.
    settling: usize,
    accepted: u32,
    refused: u32,
}

/// Accepted requests a second.
type Rate = f64;

#[derive(Debug)]
enum Mode {
    /// The limit grows although requests are refused. There is no trial before this time.
    Growing { next_trial: Instant },
    /// The limit stands still, to know what it comes to before a trial.
    Steady,
    /// With fewer requests than before.
    Trial { before: usize, rate: Rate },
    /// The bucket serves so much and no more.
    Capped { rate: Rate },
}

impl Window {
    const fn new(begun: Instant, settling: usize) -> Self {
        Self {
            begun,
            settling,
            accepted: 0,
            refused: 0,
        }
    }

    fn add(&mut self, answer: Answer, now: Instant) {
        if self.settling > 0 {
            self.settling -= 1;
            self.begun = now;
            return;
        }
        match answer {
            Answer::Accepted => self.accepted += 1,
            Answer::Refused => self.refused += 1,
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        let age = now.duration_since(self.begun);
        age >= LONGEST_WINDOW || age >= WINDOW && self.accepted >= SAMPLE
    }

    fn rate(&self, now: Instant) -> Rate {
        f64::from(self.accepted)
            / now
                .duration_since(self.begun)
                .as_secs_f64()
                .max(f64::MIN_POSITIVE)
    }

    fn is_calm(&self) -> bool {
        f64::from(self.accepted) >= CALM * f64::from(self.accepted + self.refused)
    }
}

impl Pace {
    /// A pace that adapts, or keeps the given limit.
    pub(super) fn new(fixed: Option<usize>, now: Instant) -> Self {
        Self {
            limit: fixed.unwrap_or(START).max(1),
            adaptive: fixed.is_none(),
            answers: 0,
            refused_in_a_row: 0,
            halved: None,
            accepted: now,
            window: Window::new(now, 0),
            mode: Mode::Growing {
                next_trial: now + FIRST_TRIAL,
            },
        }
    }

    /// Requests that may be in flight.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// How long no request has been accepted.
    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        now.duration_since(self.accepted)
    }

    /// How long no request is to be sent after one that was refused now: nothing while others are
    /// accepted.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        (self.silent_for(now).saturating_sub(SILENCE) / 8).min(LONGEST_PAUSE)
    }

    /// Learns from an answer.
    pub(super) fn answered(&mut self, answer: Answer, now: Instant) {
        match answer {
            Answer::Accepted => {
                self.accepted = now;
                self.refused_in_a_row = 0;
            }
            Answer::Refused => self.refused_in_a_row += 1,
        }
        if !self.adaptive {
            return;
        }
        self.window.add(answer, now);
        if self.refused_in_a_row >= self.limit.max(START) {
            self.halve(now);
            return;
        }
        self.grow(answer);
        if self.window.is_over(now) {
            self.judge(now);
        }
    }

    /// One more after as many answers as there are requests in flight.
    fn grow(&mut self, answer: Answer) {
        let counts = match self.mode {
            // Refusals too, unless there is nothing else.
            Mode::Growing { .. } => self.refused_in_a_row < self.limit,
            Mode::Steady | Mode::Trial { .. } => false,
            Mode::Capped { .. } => answer == Answer::Accepted && self.window.is_calm(),
        };
        self.answers += usize::from(counts);
        if self.answers >= self.limit && self.limit < MAX {
            self.answers = 0;
            self.limit += 1;
        }
    }

    /// Nothing was accepted for a whole round: half as many, at most once a second.
    fn halve(&mut self, now: Instant) {
        if self
            .halved
            .is_some_and(|at| now.duration_since(at) < HALVING_INTERVAL)
        {
            return;
        }
        self.halved = Some(now);
        self.refused_in_a_row = 0;
        self.mode = Mode::Growing {
            next_trial: now + FIRST_TRIAL,
        };
        self.change(self.limit.div_ceil(2), now);
    }

    fn judge(&mut self, now: Instant) {
        let (rate, calm) = (self.window.rate(now), self.window.is_calm());
        let trial = |limit: usize, rate| {
            (
                Mode::Trial {
                    before: limit,
                    rate,
                },
                fewer(limit),
            )
        };
        let (mode, limit) = match self.mode {
            Mode::Growing { next_trial } if calm || now < next_trial || self.limit == 1 => {
                (Mode::Growing { next_trial }, self.limit)
            }
            Mode::Growing { .. } => (Mode::Steady, self.limit),
            Mode::Steady => trial(self.limit, rate),
            Mode::Trial { rate: before, .. } if rate >= before * KEPT => (
                Mode::Capped {
                    rate: rate.max(before),
                },
                self.limit,
            ),
            Mode::Trial { before, .. } => (
                Mode::Growing {
                    next_trial: now + BETWEEN_TRIALS,
                },
                before,
            ),
            Mode::Capped { rate: best } if calm || self.limit == 1 => (
                Mode::Capped {
                    rate: rate.max(best * KEPT),
                },
                self.limit,
            ),
            Mode::Capped { rate: best } => trial(self.limit, best.max(rate)),
        };
        self.mode = mode;
        self.change(limit, now);
    }

    fn change(&mut self, limit: usize, now: Instant) {
        let settling = if limit == self.limit {
            0
        } else {
            self.limit.max(limit)
        };
        self.window = Window::new(now, settling);
        self.answers = if settling == 0 { self.answers } else { 0 };
        self.limit = limit;
    }
}

/// The limit of a trial.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "limits are small positive numbers"
)]
fn fewer(limit: usize) -> usize {
    ((limit as f64 * TRIAL) as usize).max(1)
}

#[cfg(test)]
mod tests;
