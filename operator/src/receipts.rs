//! What a run has come to, counted from the names of its receipts: one LIST for every 1,000 of
//! them, and fewer once the beginning of the run is whole.
//!
//! ```text
//! LIST receipts/<run>/, after the whole beginning ──► Count::page ──► Counted: groups, objects, bytes, failures, defects
//! ```
//!
//! Groups are counted by name and not by number: a receipt stands for its own group only, and two
//! receipts of one group are a defect to report, never summed.

use std::collections::{BTreeMap, BTreeSet};

use s3bundler_contract::layout::GroupName;
use s3bundler_contract::{Accounts, Figures, Receipt, RunName, RunSummary, Stage};

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
/// Retry passes, and redos, that are counted. Anyone who may write to the destination can name
/// billions of them in receipts, and the operator keeps the sums of each.
pub const MOST_STAGES: u32 = 1000;

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

/// Counts the receipts of one run over and over, and remembers its whole beginning: receipts are
/// named after their groups, which are numbered, so where all groups up to one have a receipt no
/// LIST has to look there again.
#[derive(Debug, Clone)]
pub struct Count {
    run: RunName,
    /// The whole beginning.
    settled: Counted,
    /// Groups in it: all with a lower number.
    next: u64,
    /// The name of its last receipt.
    last: Option<String>,
    /// What this sweep has come to, beginning included.
    sweep: Counted,
    /// The group whose receipt was seen last.
    previous: Option<GroupName>,
    /// Whether this sweep has seen nothing yet that is not in the beginning.
    contiguous: bool,
}

impl Count {
    pub fn new(run: RunName) -> Self {
        Self::by(run, Accounts::default())
    }

    /// Nothing counted yet, where these summaries say which groups count.
    pub fn by(run: RunName, accounts: Accounts) -> Self {
        Self {
            run,
            settled: Counted {
                accounts,
                ..Counted::default()
            },
            next: 0,
            last: None,
            sweep: Counted::default(),
            previous: None,
            contiguous: true,
        }
    }

    /// Begins a sweep; gives the name after which to LIST.
    pub fn begin(&mut self) -> Option<&str> {
        self.sweep = self.settled.clone();
        self.contiguous = true;
        self.previous = self
            .next
            .checked_sub(1)
            .map(|number| GroupName::numbered(&self.run, number));
        self.last.as_deref()
    }

    /// Counts the names of one page, the last parts of their keys, in the order of LIST.
    pub fn page<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            self.name(name);
        }
    }

    /// Takes in the summaries that are there now. If other groups count than before, the count
    /// begins anew.
    pub fn know(&mut self, accounts: Accounts) {
        if self.settled.accounts.replaced() == accounts.replaced() {
            self.settled.accounts = accounts;
        } else {
            *self = Self::by(self.run.clone(), accounts);
        }
    }

    /// The summaries by which it counts.
    pub const fn accounts(&self) -> &Accounts {
        &self.settled.accounts
    }

    /// Forgets what was counted: a receipt may have been deleted by hand.
    pub fn begin_anew(&mut self) {
        *self = Self::by(self.run.clone(), self.settled.accounts.clone());
    }

    /// What the sweep has come to.
    pub fn counted(&self) -> &Counted {
        &self.sweep
    }

    /// Whether a grouper of the run made a group with this name. A group of an existing manifest
    /// may have such a name, too: then the summary of the stage decides, and before it is known
    /// only a group that continues the whole beginning is the run's own. `None` if that is not
    /// known yet.
    fn is_own(&self, group: &GroupName, stage: Stage, number: u64) -> Option<bool> {
        if !group.may_be_foreign() {
            return Some(true);
        }
        match self.sweep.accounts.get(stage) {
            Some(summary) => Some(number < summary.groups),
            None => (self.contiguous && stage == Stage::OWN && number == self.next).then_some(true),
        }
    }

    fn name(&mut self, name: &str) {
        let receipt = Receipt::parse(name)
            .ok()
            .filter(|receipt| receipt.is_consistent(&self.run));
        let known = receipt.and_then(|receipt| Some((receipt.group.stage_in(&self.run)?, receipt)));
        let known = known.filter(|((stage, _), _)| is_counted(*stage));
        let Some(((stage, number), receipt)) = known else {
            return self.unexpected(name);
        };
        match self.is_own(&receipt.group, stage, number) {
            Some(true) if self.previous.as_ref() != Some(&receipt.group) => {
                self.add(name, stage, number, receipt);
            }
            // Counted once the summary is there.
            None => self.contiguous = false,
            // Not a group of the run, or the second receipt of one: names of one group stand side
            // by side.
            Some(_) => self.unexpected(name),
        }
    }

    fn unexpected(&mut self, name: &str) {
        self.sweep.defect(name);
        self.contiguous = false;
    }

    fn add(&mut self, name: &str, stage: Stage, number: u64, receipt: Receipt) {
        let counts = !self.sweep.accounts.is_replaced(&receipt.group);
        if counts {
            self.sweep
                .stages
                .entry(stage)
                .or_default()
                .add(number, &receipt.figures);
        }
        self.contiguous &= stage == Stage::OWN && number == self.next;
        if self.contiguous {
            if counts {
                self.settled
                    .stages
                    .entry(stage)
                    .or_default()
                    .add(number, &receipt.figures);
            }
            self.next += 1;
            self.last = Some(name.to_owned());
        }
        self.previous = Some(receipt.group);
    }
}

fn is_counted(stage: Stage) -> bool {
    let (Stage::Pass(number) | Stage::Redo(number)) = stage;
    number <= MOST_STAGES
}

#[cfg(test)]
mod tests;
