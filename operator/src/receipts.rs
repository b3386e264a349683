//! What a run has come to, counted from the names of its receipts: one LIST for every 1,000 of them
//! the first time, and then one for every gap.
//!
//! ```text
//! receipts/<run>/  000000 … 004711   004712    004713 … 046153   046154 …
//!                  settled range     missing   settled range     not there yet
//!                  skipped           LIST      skipped           LIST
//! ```
//!
//! Groups are counted by name and not by number: a receipt stands for its own group only, and two
//! receipts of one group are a defect to report, never summed. LIST returns the groups of a stage
//! in the order of their numbers, so a range of groups that all have a receipt needs no LIST again
//! (docs/decisions/receipt-ranges.md).

mod ranges;

use std::collections::{BTreeMap, BTreeSet};

use s3bundler_contract::layout::GroupName;
use s3bundler_contract::{Accounts, Figures, Receipt, RunName, RunSummary, Stage};

use self::ranges::{Range, Ranges};

/// What the groups of a stage add up to.
pub use s3bundler_contract::accounts::Counted as Sums;

/// What a run has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// By stage: the inventory's own groups, retry passes, redos. Groups that a redo replaced are
    /// left out.
    pub stages: BTreeMap<Stage, Sums>,
    /// The summaries by which they were counted.
    pub accounts: Accounts,
    /// Names that should not be there, at most [`DEFECTS`] of them.
    pub defects: Vec<String>,
}

/// Names of defects that are kept: enough to see what they are.
const DEFECTS: usize = 10;
/// Names that should not be there, of one sweep, after which the sweep is not worth its requests.
pub const MOST_UNEXPECTED: u64 = 10_000;
/// Retry passes, and redos, that are counted. Anyone who may write to the destination can name
/// billions of them in receipts, and the operator keeps the sums of each.
pub const MOST_STAGES: u32 = 1000;
/// Names of one LIST ("ListObjectsV2", S3 API reference).
pub const PAGE: u64 = 1000;
/// Names that a LIST of a gap asks for beyond those that are missing there: the first of the next
/// range, and some that should not be there.
const BEYOND: u64 = 8;

impl Counted {
    /// The sums of a pass.
    pub fn pass(&self, pass: u32) -> Sums {
        self.stages
            .get(&Stage::Pass(pass))
            .cloned()
            .unwrap_or_default()
    }

    /// What became of the objects in the end: rows that a retry took up again failed only for the
    /// time being, and rows of a group that a redo replaced are what the redo made of them.
    pub fn outcome(&self) -> Figures {
        self.accounts.outcome(&self.stages)
    }

    /// Groups of all stages.
    pub fn groups(&self) -> u64 {
        self.stages
            .values()
            .fold(0, |sum, counted| sum.saturating_add(counted.groups))
    }

    /// Whether every group of a pass has a receipt or is replaced by a redo, and every redo has all
    /// of its receipts.
    pub fn is_whole(&self, summary: &RunSummary) -> bool {
        self.is_pass_whole(summary) && self.unfinished_redo().is_none()
    }

    /// The same of a pass without the redos.
    pub fn is_pass_whole(&self, summary: &RunSummary) -> bool {
        let mut accounts = self.accounts.clone();
        accounts.insert(summary.clone());
        accounts.is_whole(summary.stage(), &self.stages)
    }

    /// Groups of a pass, of `total`, that have a receipt or are replaced by a redo.
    pub fn committed(&self, run: &RunName, pass: u32, total: u64) -> u64 {
        let replaced = self.accounts.replaced_of(run, Stage::Pass(pass), total);
        self.pass(pass).groups.saturating_add(replaced)
    }

    /// The first redo of which a group has no receipt, or the summary is not known.
    pub fn unfinished_redo(&self) -> Option<u32> {
        self.redos()
            .find(|redo| !self.accounts.is_whole(Stage::Redo(*redo), &self.stages))
    }

    /// The redos of which there is a receipt or a summary.
    pub fn redos(&self) -> impl Iterator<Item = u32> {
        let known = self.accounts.summaries().map(|summary| summary.redo);
        let seen = self.stages.keys().map(|stage| match stage {
            Stage::Redo(redo) => *redo,
            Stage::Pass(_) => 0,
        });
        known
            .chain(seen)
            .filter(|redo| *redo > 0)
            .collect::<BTreeSet<_>>()
            .into_iter()
    }

    fn defect(&mut self, name: &str) {
        if self.defects.len() < DEFECTS && !self.defects.iter().any(|known| known == name) {
            self.defects.push(name.to_owned());
        }
    }
}

/// A LIST of the names of receipts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The name after which it begins; `None` is the first one.
    pub after: Option<String>,
    /// Names of its answer, at most [`PAGE`].
    pub most: u64,
}

/// Counts the receipts of one run in sweeps over all of their names. A sweep is a LIST after another
/// and may rest between two of them. It skips the ranges that the sweep before it has settled.
#[derive(Debug, Clone)]
pub struct Count {
    run: RunName,
    accounts: Accounts,
    settled: Ranges,
    sweep: Option<Sweep>,
    /// Names that the last sweep found outside of the ranges that it settled.
    unsettled: u64,
}

/// How far a sweep has come.
#[derive(Debug, Clone)]
struct Sweep {
    /// Without the range at hand.
    counted: Counted,
    settled: Ranges,
    unsettled: u64,
    /// Names that should not be there.
    unexpected: u64,
    /// The last name that was listed or skipped; `None` at the beginning.
    at: Option<String>,
    /// The group whose receipt was counted last.
    previous: Option<GroupName>,
    /// The groups up to `at` that follow each other; `None` if that is not the name of a group.
    range: Option<Range>,
}

impl Count {
    pub fn new(run: RunName) -> Self {
        Self::by(run, Accounts::default())
    }

    /// Nothing counted yet, where these summaries say which groups count.
    pub fn by(run: RunName, accounts: Accounts) -> Self {
        Self {
            run,
            accounts,
            settled: Ranges::default(),
            sweep: None,
            unsettled: 0,
        }
    }

    /// Begins a sweep.
    pub fn begin(&mut self) {
        let mut sweep = Sweep {
            counted: Counted {
                accounts: self.accounts.clone(),
                ..Counted::default()
            },
            settled: Ranges::default(),
            unsettled: 0,
            unexpected: 0,
            at: None,
            previous: None,
            range: None,
        };
        if let Some(range) = self.settled.first().filter(|range| range.is_first) {
            sweep.skip(range, &self.run);
        }
        self.sweep = Some(sweep);
    }

    /// Whether a sweep has begun and can go on to its end.
    pub fn is_under_way(&self) -> bool {
        self.sweep.as_ref().is_some_and(|sweep| !sweep.is_flooded())
    }

    /// Whether the last sweep was given up after more than [`MOST_UNEXPECTED`] names that should not
    /// be there.
    pub fn is_flooded(&self) -> bool {
        self.sweep.as_ref().is_some_and(Sweep::is_flooded)
    }

    /// The LIST that the sweep under way goes on with; `None` if there is no such sweep.
    pub fn listing(&self) -> Option<Listing> {
        let sweep = self.sweep.as_ref()?;
        let before = match (&sweep.range, &sweep.at) {
            (Some(range), _) => Some((range.stage, range.numbers.end)),
            (None, None) => Some((Stage::OWN, 0)),
            (None, Some(_)) => None,
        };
        let next = self.settled.after(sweep.at.as_deref());
        let missing = before.zip(next).and_then(|((stage, number), next)| {
            (next.stage == stage).then_some(next.numbers.start.saturating_sub(number))
        });
        let most = missing.map_or(PAGE, |missing| missing.saturating_add(BEYOND).min(PAGE));
        Some(Listing {
            after: sweep.at.clone(),
            most,
        })
    }

    /// Counts the names that [`Count::listing`] was answered with, the last parts of their keys, in
    /// the order of LIST. Returns what the sweep has come to if these are the last ones.
    pub fn page<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a str>,
        is_last: bool,
    ) -> Option<Counted> {
        let mut sweep = self.sweep.take()?;
        for name in names {
            self.name(&mut sweep, name);
        }
        if !is_last || sweep.is_flooded() {
            self.sweep = Some(sweep);
            return None;
        }
        sweep.end_range();
        (self.settled, self.unsettled) = (sweep.settled, sweep.unsettled);
        Some(sweep.counted)
    }

    /// LISTs that the next sweep needs, about: one for each gap, and more for what is in them.
    pub fn cost(&self) -> u64 {
        let gaps = self.settled.gaps();
        gaps.saturating_add(self.unsettled / PAGE)
    }

    /// Takes in the summaries that are there now. A sweep by others is given up, and if other groups
    /// count than before, nothing is settled any more.
    pub fn know(&mut self, accounts: Accounts) {
        if self.accounts.replaced() == accounts.replaced() {
            (self.accounts, self.sweep) = (accounts, None);
        } else {
            *self = Self::by(self.run.clone(), accounts);
        }
    }

    /// The summaries by which it counts.
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Forgets what was settled: a receipt may have been deleted by hand.
    pub fn begin_anew(&mut self) {
        *self = Self::by(self.run.clone(), self.accounts.clone());
    }

    fn name(&self, sweep: &mut Sweep, name: &str) {
        if sweep.at.as_deref() >= Some(name) {
            // It is in the range that was skipped.
            return;
        }
        if let Some(range) = self.settled.around(name) {
            sweep.skip(range, &self.run);
            return;
        }
        let receipt = Receipt::parse(name)
            .ok()
            .filter(|receipt| receipt.is_consistent(&self.run));
        let known = receipt.and_then(|receipt| Some((receipt.group.stage_in(&self.run)?, receipt)));
        let known = known.filter(|((stage, _), _)| is_counted(*stage));
        match known {
            Some(((stage, number), receipt)) => {
                match self.is_own(sweep.range.as_ref(), &receipt.group, stage, number) {
                    Some(true) if !self.is_second(sweep, name, &receipt.group, stage, number) => {
                        let counts = !self.accounts.is_replaced(&receipt.group);
                        let figures = counts.then_some(&receipt.figures);
                        sweep.add(name, stage, number, figures);
                        sweep.previous = Some(receipt.group);
                    }
                    // Counted once the summary is there.
                    None => sweep.end_range(),
                    // Not a group of the run, or the second receipt of one.
                    Some(_) => sweep.unexpected(name),
                }
            }
            None => sweep.unexpected(name),
        }
        sweep.at = Some(name.to_owned());
    }

    /// Whether a grouper of the run made a group with this name. A group of an existing manifest
    /// may have such a name, too: then the summary of the stage decides, and before it is known
    /// only a group that continues the whole beginning is the run's own. `None` if that is not
    /// known yet.
    fn is_own(
        &self,
        before: Option<&Range>,
        group: &GroupName,
        stage: Stage,
        number: u64,
    ) -> Option<bool> {
        if !group.may_be_foreign() {
            return Some(true);
        }
        match self.accounts.get(stage) {
            Some(summary) => Some(number < summary.groups),
            None => before
                .is_some_and(|it| it.is_beginning() && it.is_followed_by(stage, number))
                .then_some(true),
        }
    }

    /// Whether a group has a receipt already. Names of one group stand side by side: the other one
    /// is the last name, or the next if that is the first of a settled range.
    fn is_second(
        &self,
        sweep: &Sweep,
        name: &str,
        group: &GroupName,
        stage: Stage,
        number: u64,
    ) -> bool {
        let next = self.settled.after(Some(name));
        sweep.previous.as_ref() == Some(group)
            || next.is_some_and(|it| it.stage == stage && it.numbers.contains(&number))
    }
}

impl Sweep {
    /// Passes over a settled range.
    fn skip(&mut self, range: &Range, run: &RunName) {
        (self.at, self.previous) = (Some(range.last.clone()), Some(range.last_group(run)));
        match &mut self.range {
            Some(before) if before.is_followed_by(range.stage, range.numbers.start) => {
                before.join(range);
            }
            _ => {
                self.end_range();
                self.range = Some(range.clone());
            }
        }
    }

    /// Counts a group that has a receipt of this name, with its figures unless another group takes
    /// its place.
    fn add(&mut self, name: &str, stage: Stage, number: u64, figures: Option<&Figures>) {
        match &mut self.range {
            Some(range) if range.is_followed_by(stage, number) => range.add(name, figures),
            _ => {
                self.end_range();
                let is_first = self.at.is_none() && (stage, number) == (Stage::OWN, 0);
                self.range = Some(Range::of(name, stage, number, figures, is_first));
            }
        }
    }

    fn unexpected(&mut self, name: &str) {
        self.counted.defect(name);
        self.unsettled = self.unsettled.saturating_add(1);
        self.unexpected = self.unexpected.saturating_add(1);
        self.end_range();
    }

    const fn is_flooded(&self) -> bool {
        self.unexpected > MOST_UNEXPECTED
    }

    /// The next name does not follow the range at hand.
    fn end_range(&mut self) {
        let Some(range) = self.range.take() else {
            return;
        };
        if range.sums.groups > 0 {
            let sums = self.counted.stages.entry(range.stage).or_default();
            sums.add_all(&range.sums);
        }
        if range.is_worth_skipping() {
            self.settled.insert(range);
        } else {
            self.unsettled = self.unsettled.saturating_add(range.len());
        }
    }
}

fn is_counted(stage: Stage) -> bool {
    let (Stage::Pass(number) | Stage::Redo(number)) = stage;
    number <= MOST_STAGES
}

#[cfg(test)]
mod tests;
