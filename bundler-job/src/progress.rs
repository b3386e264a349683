//! How far the work is: counted with atomics by whoever does it, told by a task of its own as a bar
//! on a terminal or as a log line now and then.
//!
//! ```text
//! object(), group(), expect() ──► atomics ──► Snapshot ──► Meter (rates) ──► bar, or one info line every 10 s
//! ```

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use indicatif::{
    BinaryBytes, HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressStyle as BarStyle,
};
use tokio::time::{Instant, interval};

/// Between two drawings of the bar.
const REDRAW: Duration = Duration::from_millis(200);
/// Between two lines in the log.
const LINES: Duration = Duration::from_secs(10);
/// What does not fit the terminal is cut off, not wrapped.
const TEMPLATE: &str = "{bar:16} {wide_msg}";
/// Rates are those of about this long ago until now.
const MEMORY: Duration = Duration::from_secs(15);

/// No estimate is longer.
const LONGEST_LEFT: Duration = Duration::from_hours(100 * 24);

/// The terminal's last lines. Whoever else writes to standard error while a bar is drawn goes
/// through [`MultiProgress::suspend`], as [`crate::logging`] does.
pub(crate) static SCREEN: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// How progress is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressStyle {
    /// As a bar on standard error.
    Bar,
    /// As lines in the log.
    Lines,
    /// Not at all; it is still counted.
    Silent,
}

impl ProgressStyle {
    /// A bar where standard error is a terminal, lines otherwise.
    pub fn for_stderr() -> Self {
        if SCREEN.is_hidden() {
            Self::Lines
        } else {
            Self::Bar
        }
    }
}

/// The progress of one command. Cheap to clone, and to count on.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    done: Counts,
    expected: Counts,
    started: Instant,
    is_finished: AtomicBool,
    bar: Option<ProgressBar>,
}

#[derive(Debug, Default)]
struct Counts {
    groups: AtomicU64,
    objects: AtomicU64,
    bytes: AtomicU64,
}

impl Counts {
    fn add(&self, groups: u64, objects: u64, bytes: u64) {
        for (counter, n) in [
            (&self.groups, groups),
            (&self.objects, objects),
            (&self.bytes, bytes),
        ] {
            counter.fetch_add(n, Ordering::Relaxed);
        }
    }

    fn load(&self) -> Amount {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Amount {
            groups: load(&self.groups),
            objects: load(&self.objects),
            bytes: load(&self.bytes),
        }
    }
}

/// An amount of work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Groups.
    pub groups: u64,
    /// Objects.
    pub objects: u64,
    /// Bytes of the objects.
    pub bytes: u64,
}

/// How far the work was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Work done.
    pub done: Amount,
    /// Work known of so far, done or not; zero where nobody said.
    pub expected: Amount,
    /// Since the start.
    pub elapsed: Duration,
}

impl Progress {
    /// Starts counting, and telling. Must be called inside a runtime unless silent.
    pub fn start(style: ProgressStyle) -> Self {
        let bar = (style == ProgressStyle::Bar).then(|| {
            // An invalid template would be caught by the test that draws it.
            let style =
                BarStyle::with_template(TEMPLATE).unwrap_or_else(|_| BarStyle::default_bar());
            SCREEN.add(ProgressBar::new(1).with_style(style.progress_chars("=> ")))
        });
        let shared = Arc::new(Shared {
            done: Counts::default(),
            expected: Counts::default(),
            started: Instant::now(),
            is_finished: AtomicBool::new(false),
            bar,
        });
        match style {
            ProgressStyle::Bar => drop(tokio::spawn(show_regularly(
                Arc::downgrade(&shared),
                REDRAW,
                draw,
            ))),
            ProgressStyle::Lines => drop(tokio::spawn(show_regularly(
                Arc::downgrade(&shared),
                LINES,
                log,
            ))),
            ProgressStyle::Silent => {}
        }
        Self(shared)
    }

    /// More work is known of.
    pub fn expect(&self, groups: u64, objects: u64, bytes: u64) {
        self.0.expected.add(groups, objects, bytes);
    }

    /// An object of this many bytes is done.
    pub fn object(&self, bytes: u64) {
        self.0.done.objects.fetch_add(1, Ordering::Relaxed);
        self.0.done.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A group is done.
    pub fn group(&self) {
        self.0.done.groups.fetch_add(1, Ordering::Relaxed);
    }

    /// How far the work is now.
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }

    /// Tells no more and takes the bar away.
    pub fn finish(&self) {
        self.0.finish();
    }
}

impl Shared {
    fn snapshot(&self) -> Snapshot {
        Snapshot {
            done: self.done.load(),
            expected: self.expected.load(),
            elapsed: self.started.elapsed(),
        }
    }

    fn finish(&self) {
        self.is_finished.store(true, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            SCREEN.remove(bar);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Tells of the work until it is finished or nobody counts any more.
async fn show_regularly(
    shared: Weak<Shared>,
    every: Duration,
    show: impl Fn(&Shared, &Snapshot, Rates),
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut meter = Meter::default();
    loop {
        ticks.tick().await;
        let Some(shared) = shared
            .upgrade()
            .filter(|it| !it.is_finished.load(Ordering::Relaxed))
        else {
            return;
        };
        let snapshot = shared.snapshot();
        show(&shared, &snapshot, meter.read(&snapshot));
    }
}

fn draw(shared: &Shared, snapshot: &Snapshot, rates: Rates) {
    if let Some(bar) = &shared.bar {
        let Snapshot { done, expected, .. } = snapshot;
        bar.update(|state| {
            state.set_len(expected.objects.max(done.objects).max(1));
            // With nothing known of, an empty bar rather than a full one.
            state.set_pos(if expected.objects == 0 {
                0
            } else {
                done.objects
            });
        });
        bar.set_message(text(snapshot, rates));
    }
}

fn log(_: &Shared, snapshot: &Snapshot, rates: Rates) {
    let Snapshot { done, expected, .. } = snapshot;
    tracing::info!(
        groups = done.groups,
        groups_expected = expected.groups,
        objects = done.objects,
        objects_expected = expected.objects,
        bytes = done.bytes,
        bytes_expected = expected.bytes,
        objects_per_second = whole(rates.objects),
        bytes_per_second = whole(rates.bytes),
        seconds_left = rates.left(snapshot).map(|left| left.as_secs()),
        "progress"
    );
}

/// What stands beside the bar.
fn text(snapshot: &Snapshot, rates: Rates) -> String {
    let Snapshot { done, expected, .. } = snapshot;
    let of = |done: String, expected: String, is_known: bool| {
        if is_known {
            format!("{done}/{expected}")
        } else {
            done
        }
    };
    let count = |done, expected| {
        of(
            HumanCount(done).to_string(),
            HumanCount(expected).to_string(),
            expected > 0,
        )
    };
    let bytes = of(
        BinaryBytes(done.bytes).to_string(),
        BinaryBytes(expected.bytes).to_string(),
        expected.bytes > 0,
    );
    let left = rates
        .left(snapshot)
        .map(|left| format!("  {} left", HumanDuration(left)));
    // A narrow terminal cuts off the end.
    format!(
        "{} objects  {}/s{}  {bytes}  {}/s  {} groups",
        count(done.objects, expected.objects),
        HumanCount(whole(rates.objects)),
        left.unwrap_or_default(),
        BinaryBytes(whole(rates.bytes)),
        count(done.groups, expected.groups),
    )
}

/// What is done in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Rates {
    objects: f64,
    bytes: f64,
}

impl Rates {
    /// Until all that is known of is done.
    fn left(self, snapshot: &Snapshot) -> Option<Duration> {
        let objects = snapshot
            .expected
            .objects
            .checked_sub(snapshot.done.objects)
            .filter(|left| *left > 0)?;
        let left = Duration::try_from_secs_f64((float(objects) / self.objects).round()).ok()?;
        // A rate that has almost faded says nothing of the future.
        (left < LONGEST_LEFT).then_some(left)
    }
}

/// Rates that follow changes within [`MEMORY`]: an average in which the past fades, exact for work
/// that is even.
#[derive(Debug, Default)]
struct Meter {
    last: Option<Snapshot>,
    rates: Rates,
}

impl Meter {
    fn read(&mut self, now: &Snapshot) -> Rates {
        let (before, since) = match &self.last {
            Some(last) => (last.done, now.elapsed.saturating_sub(last.elapsed)),
            None => (Amount::default(), now.elapsed),
        };
        if since.is_zero() {
            return self.rates;
        }
        let seconds = since.as_secs_f64();
        let fresh = |now: u64, before: u64| float(now.saturating_sub(before)) / seconds;
        let weight = if self.last.is_none() {
            1.0
        } else {
            1.0 - (-seconds / MEMORY.as_secs_f64()).exp()
        };
        let blend = |old: f64, new: f64| old + weight * (new - old);
        self.rates = Rates {
            objects: blend(self.rates.objects, fresh(now.done.objects, before.objects)),
            bytes: blend(self.rates.bytes, fresh(now.done.bytes, before.bytes)),
        };
        self.last = Some(*now);
        self.rates
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "for people, who do not read past the third digit"
)]
fn float(n: u64) -> f64 {
    n as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of floats saturates; rates are not negative"
)]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

#[cfg(test)]
mod tests;
