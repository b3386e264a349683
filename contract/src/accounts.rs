//! What the receipts of a run add up to, by the summaries of its stages: which group counts, which
//! rows another group has by now, and whether nothing is missing. Pure; `run` and the operator
//! count with it.
//!
//! ```text
//! receipts ──► Counted: figures by stage ──┐
//!                                          ├──► Accounts: missing groups, outcome, mismatch
//! summaries of passes and redos ───────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::figures::{Figures, add_all};
use crate::layout::{GroupName, RunName, Stage};
use crate::reason::Reason;
use crate::record::RunSummary;

/// What the groups of a stage that count add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// Groups with a receipt. A group that a redo replaced is none of them.
    pub groups: u64,
    /// One more than the highest number of these groups.
    pub beyond: u64,
    /// Sums over their receipts.
    pub figures: Figures,
}

impl Counted {
    /// Adds the receipt of the group with this number.
    pub fn add(&mut self, number: u64, figures: &Figures) {
        self.groups = self.groups.saturating_add(1);
        self.beyond = self.beyond.max(number.saturating_add(1));
        self.figures.add(figures);
    }

    /// Adds other groups of the stage.
    pub fn add_all(&mut self, other: &Self) {
        self.groups = self.groups.saturating_add(other.groups);
        self.beyond = self.beyond.max(other.beyond);
        self.figures.add(&other.figures);
    }
}

/// The figures of a run do not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Rows of the inventory.
    pub rows: u64,
    /// Rows that the selection left out.
    pub left_out: u64,
    /// Rows of all groups, each counted once.
    pub figures: Figures,
}

impl Mismatch {
    /// How figures contradict the summary of the run's own groups; `None` if they do not.
    pub fn of(summary: &RunSummary, figures: Figures) -> Option<Self> {
        let left_out = summary.left_out_rows();
        let found = figures.rows().checked_add(left_out);
        (found != Some(summary.rows)).then_some(Self {
            rows: summary.rows,
            left_out,
            figures,
        })
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rows,
            left_out,
            figures,
        } = self;
        let (archived, copied, failed) =
            (figures.archived, figures.copied, figures.failed_objects());
        let found = figures.rows().saturating_add(*left_out);
        write!(
            f,
            "the inventory has {rows} rows, but {archived} archived + {copied} copied + {failed} \
             failed + {left_out} left out are {found}; do not delete the sources before \
             `s3bundler verify` has named the groups that differ"
        )
    }
}

/// The summaries of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    summaries: BTreeMap<Stage, RunSummary>,
    replaced: BTreeSet<GroupName>,
}

impl Accounts {
    /// The accounts with these summaries.
    pub fn of(summaries: impl IntoIterator<Item = RunSummary>) -> Self {
        let mut accounts = Self::default();
        accounts.extend(summaries);
        accounts
    }

    /// Adds the summary of a stage.
    pub fn insert(&mut self, summary: RunSummary) {
        self.replaced
            .extend(summary.replaces.iter().map(|it| it.group.clone()));
        self.summaries.insert(summary.stage(), summary);
    }

    /// The summary of a stage.
    pub fn get(&self, stage: Stage) -> Option<&RunSummary> {
        self.summaries.get(&stage)
    }

    /// All summaries: the run's own, retry passes, redos.
    pub fn summaries(&self) -> impl Iterator<Item = &RunSummary> {
        self.summaries.values()
    }

    /// Whether groups of a redo take this group's place.
    pub fn is_replaced(&self, group: &GroupName) -> bool {
        self.replaced.contains(group)
    }

    /// The groups whose place others take.
    pub const fn replaced(&self) -> &BTreeSet<GroupName> {
        &self.replaced
    }

    /// Groups of a stage, of `total`, whose place others take.
    pub fn replaced_of(&self, run: &RunName, stage: Stage, total: u64) -> u64 {
        let of_stage = |group: &&GroupName| {
            group
                .stage_in(run)
                .is_some_and(|(of, n)| of == stage && n < total)
        };
        self.replaced.iter().filter(of_stage).count() as u64
    }

    /// Groups of a stage that have no receipt and are not replaced; `None` if the stage has no
    /// summary.
    pub fn missing(&self, stage: Stage, counted: &BTreeMap<Stage, Counted>) -> Option<u64> {
        let summary = self.get(stage)?;
        let replaced = self.replaced_of(&summary.run, stage, summary.groups);
        let there = counted.get(&stage).map_or(0, |counted| counted.groups);
        Some(
            summary
                .groups
                .saturating_sub(replaced)
                .saturating_sub(there),
        )
    }

    /// Whether every group of a stage has a receipt or is replaced, and there is no receipt beyond
    /// those groups.
    pub fn is_whole(&self, stage: Stage, counted: &BTreeMap<Stage, Counted>) -> bool {
        let Some(summary) = self.get(stage) else {
            return false;
        };
        let nothing = Counted::default();
        let counted = counted.get(&stage).unwrap_or(&nothing);
        let replaced = self.replaced_of(&summary.run, stage, summary.groups);
        counted.groups.saturating_add(replaced) == summary.groups
            && counted.beyond <= summary.groups
    }

    /// What became of the rows of the run: each row counts once, as the last group that has it
    /// says.
    pub fn outcome(&self, counted: &BTreeMap<Stage, Counted>) -> Figures {
        let mut outcome = Figures::default();
        for counted in counted.values() {
            outcome.add(&counted.figures);
        }
        let mut retried_bytes = 0_u64;
        let mut retried = BTreeMap::new();
        for (stage, counted_of) in counted {
            if !matches!(stage, Stage::Pass(1..)) {
                continue;
            }
            let of_pass = match self.get(*stage) {
                Some(summary) if self.is_whole(*stage, counted) => summary.retried_rows(),
                Some(summary) => summary.first_retried_rows(counted_of.figures.rows()),
                // Its grouper is at work. Which reasons it takes is in no record yet.
                None => [(Reason::Retry, counted_of.figures.rows())].into(),
            };
            add_all(&mut retried, &of_pass);
            retried_bytes = retried_bytes.saturating_add(counted_of.figures.bytes());
        }
        // A pass that is whole because all its groups are replaced has no receipt.
        for summary in self.summaries.values() {
            let stage = summary.stage();
            if !counted.contains_key(&stage)
                && matches!(stage, Stage::Pass(1..))
                && self.is_whole(stage, counted)
            {
                add_all(&mut retried, &summary.retried_rows());
            }
        }
        // Rows that were taken from a group that does not count any more are not among the failed
        // ones.
        for replaced in self
            .summaries
            .values()
            .flat_map(|summary| &summary.replaces)
        {
            for (reason, count) in &replaced.taken {
                if let Some(retried) = retried.get_mut(reason) {
                    *retried = retried.saturating_sub(*count);
                }
            }
        }
        outcome.take_failed(&retried);
        // A retried object may have another size by now.
        outcome.failed_bytes = outcome.failed_bytes.saturating_sub(retried_bytes);
        outcome
    }

    /// How the figures of the run contradict its summary; `None` if they do not, or if there is no
    /// summary.
    pub fn mismatch(&self, counted: &BTreeMap<Stage, Counted>) -> Option<Mismatch> {
        Mismatch::of(self.get(Stage::OWN)?, self.outcome(counted))
    }
}

impl Extend<RunSummary> for Accounts {
    fn extend<I: IntoIterator<Item = RunSummary>>(&mut self, summaries: I) {
        for summary in summaries {
            self.insert(summary);
        }
    }
}

#[cfg(test)]
mod tests;
