//! What the receipts of a run add up to, by the summaries of its stages: which group counts, which rows another group has
//! by now, and whether nothing is missing. Pure; `run` and the operator count with it.
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
        (found != Some(summary.rows)).then_some(Self { rows: summary.rows, left_out, figures })
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, left_out, figures } = self;
        let (archived, copied, failed) = (figures.archived, figures.copied, figures.failed_objects());
        let found = figures.rows().saturating_add(*left_out);
        write!(
            f,
            "the inventory has {rows} rows, but {archived} archived + {copied} copied + {failed} failed + {left_out} left \
             out are {found}; do not delete the sources before `s3bundler verify` has named the groups that differ"
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
        self.replaced.extend(summary.replaces.iter().map(|it| it.group.clone()));
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
        let of_stage = |group: &&GroupName| group.stage_in(run).is_some_and(|(of, n)| of == stage && n < total);
        self.replaced.iter().filter(of_stage).count() as u64
    }

    /// Groups of a stage that have no receipt and are not replaced; `None` if the stage has no summary.
    pub fn missing(&self, stage: Stage, counted: &BTreeMap<Stage, Counted>) -> Option<u64> {
        let summary = self.get(stage)?;
        let replaced = self.replaced_of(&summary.run, stage, summary.groups);
        let there = counted.get(&stage).map_or(0, |counted| counted.groups);
        Some(summary.groups.saturating_sub(replaced).saturating_sub(there))
    }

    /// Whether every group of a stage has a receipt or is replaced, and there is no receipt beyond those groups.
    pub fn is_whole(&self, stage: Stage, counted: &BTreeMap<Stage, Counted>) -> bool {
        let Some(summary) = self.get(stage) else { return false };
        let nothing = Counted::default();
        let counted = counted.get(&stage).unwrap_or(&nothing);
        let replaced = self.replaced_of(&summary.run, stage, summary.groups);
        counted.groups.saturating_add(replaced) == summary.groups && counted.beyond <= summary.groups
    }

    /// What became of the rows of the run: each row counts once, as the last group that has it says.
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
            if !counted.contains_key(&stage) && matches!(stage, Stage::Pass(1..)) && self.is_whole(stage, counted) {
                add_all(&mut retried, &summary.retried_rows());
            }
        }
        // Rows that were taken from a group that does not count any more are not among the failed ones.
        for replaced in self.summaries.values().flat_map(|summary| &summary.replaces) {
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

    /// How the figures of the run contradict its summary; `None` if they do not, or if there is no summary.
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
mod tests {
    use super::*;
    use crate::figures::sum;
    use crate::reason::LeftOut;
    use crate::receipt::Receipt;
    use crate::record::Replaced;

    fn run() -> RunName {
        "r".parse().expect("a name")
    }

    fn counted(accounts: &Accounts, receipts: &[&str]) -> BTreeMap<Stage, Counted> {
        let mut counted: BTreeMap<Stage, Counted> = BTreeMap::new();
        for receipt in receipts {
            let receipt = Receipt::parse(receipt).expect("a receipt");
            let (stage, number) = receipt.group.stage_in(&run()).expect("a group");
            if !accounts.is_replaced(&receipt.group) {
                counted.entry(stage).or_default().add(number, &receipt.figures);
            }
        }
        counted
    }

    fn own(groups: u64, rows: u64) -> RunSummary {
        let left_out = [(LeftOut::TooSmall, 5)].into();
        RunSummary { groups, objects: rows, rows: rows + 5, left_out, ..RunSummary::empty(run()) }
    }

    fn pass(pass: u32, rows_by_reason: &[(Reason, u64)]) -> RunSummary {
        let rows_by_reason: BTreeMap<_, _> = rows_by_reason.iter().copied().collect();
        let objects = sum(rows_by_reason.values());
        let reasons = rows_by_reason.keys().copied().collect();
        RunSummary { groups: 1, objects, rows: objects, reasons, rows_by_reason, ..RunSummary::of_pass(run(), pass) }
    }

    fn told(figures: &Figures) -> String {
        let failed: Vec<_> = figures.failed.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        format!("{} {} {}", figures.archived, figures.copied, failed.join(","))
    }

    #[test]
    fn every_row_counts_once_whatever_the_reasons_of_a_pass() {
        const OWN: &str = "r.000000~a6~c0~f4~b60~Retry2~AccessDenied2";
        let two = pass(1, &[(Reason::Retry, 2), (Reason::AccessDenied, 2)]);
        let denied = pass(1, &[(Reason::AccessDenied, 2)]);
        for (summaries, receipts, outcome) in [
            (vec![own(1, 10)], vec![OWN], "6 0 Retry 2,AccessDenied 2"),
            (vec![own(1, 10), two.clone()], vec![OWN], "6 0 Retry 2,AccessDenied 2"),
            (vec![own(1, 10), two], vec![OWN, "r.retry1.000000~a3~c0~f1~b30~Changed1"], "9 0 Changed 1"),
            (vec![own(1, 10), denied], vec![OWN, "r.retry1.000000~a2~c0~f0~b20"], "8 0 Retry 2"),
            // The grouper of the pass is at work.
            (vec![own(1, 10)], vec![OWN, "r.retry1.000000~a1~c0~f0~b10"], "7 0 Retry 1,AccessDenied 2"),
        ] {
            let accounts = Accounts::of(summaries);
            let counted = counted(&accounts, &receipts);
            assert_eq!(told(&accounts.outcome(&counted)), outcome, "{receipts:?}");
            assert_eq!(accounts.mismatch(&counted), None, "{receipts:?}");
        }
    }

    fn redo(objects: u64, groups: &[(&str, &[(Reason, u64)])]) -> RunSummary {
        let replaced = |(group, taken): &(&str, &[(Reason, u64)])| Replaced {
            group: group.parse().expect("a name"),
            receipt: String::new(),
            rows: 0,
            digest: crate::RowDigest::default(),
            taken: taken.iter().copied().collect(),
        };
        let replaces = groups.iter().map(replaced).collect();
        RunSummary { redo: 1, groups: 1, objects, rows: objects, replaces, ..RunSummary::of_pass(run(), 1) }
    }

    #[test]
    fn a_redo_counts_in_place_of_the_groups_that_it_replaces() {
        const KEPT: &str = "r.000000~a9~c0~f1~b90~Retry1";
        const WRONG: &str = "r.000001~a1~c0~f9~b10~Retry2~NoSuchKey7";
        const RETRIED: &str = "r.retry1.000000~a3~c0~f0~b30";
        const REDONE: &str = "r.redo1.000000~redo~a8~c0~f0~b80";
        let (first, retry) = (own(2, 20), pass(1, &[(Reason::Retry, 3)]));
        let redo = redo(8, &[("r.000001", &[(Reason::Retry, 2)])]);
        let accounts = Accounts::of([first, retry, redo]);
        for receipts in [&[KEPT, WRONG, RETRIED, REDONE][..], &[KEPT, RETRIED, REDONE]] {
            let counted = counted(&accounts, receipts);
            assert_eq!(told(&accounts.outcome(&counted)), "20 0 ");
            assert_eq!(accounts.mismatch(&counted), None);
            for stage in [Stage::OWN, Stage::Pass(1), Stage::Redo(1)] {
                assert!(accounts.is_whole(stage, &counted), "{stage}");
                assert_eq!(accounts.missing(stage, &counted), Some(0), "{stage}");
            }
        }
        let under_way = counted(&accounts, &[KEPT, WRONG, RETRIED]);
        assert_eq!(accounts.missing(Stage::Redo(1), &under_way), Some(1));
        assert!(!accounts.is_whole(Stage::Redo(1), &under_way));
        assert!(accounts.mismatch(&under_way).is_some());
    }

    #[test]
    fn a_group_of_a_retry_pass_can_be_replaced_too() {
        let accounts = Accounts::of([own(1, 10), pass(1, &[(Reason::Retry, 4)]), redo(4, &[("r.retry1.000000", &[])])]);
        let receipts = ["r.000000~a6~c0~f4~b60~Retry4", "r.redo1.000000~redo~a4~c0~f0~b40"];
        let counted = counted(&accounts, &receipts);
        assert_eq!(told(&accounts.outcome(&counted)), "10 0 ");
        assert_eq!((accounts.mismatch(&counted), accounts.is_whole(Stage::Pass(1), &counted)), (None, true));
    }

    #[test]
    fn rows_too_few_and_too_many_are_a_mismatch_and_hostile_receipts_do_not_overflow() {
        let accounts = Accounts::of([own(1, 10)]);
        for (receipt, matches) in [
            ("r.000000~a10~c0~f0~b1", true),
            ("r.000000~a8~c1~f1~b1~NoSuchKey1", true),
            ("r.000000~a9~c0~f0~b1", false),
            ("r.000000~a11~c0~f0~b1", false),
            ("r.000000~a18446744073709551615~c18446744073709551615~f0~b18446744073709551615", false),
        ] {
            let mismatch = accounts.mismatch(&counted(&accounts, &[receipt]));
            assert_eq!(mismatch.is_none(), matches, "{receipt}: {mismatch:?}");
        }
        let told = accounts.mismatch(&counted(&accounts, &["r.000000~a0~c0~f0~b0"])).expect("a mismatch").to_string();
        assert!(told.contains("15 rows, but 0 archived + 0 copied + 0 failed + 5 left out are 5"), "{told}");
        assert_eq!(Accounts::default().mismatch(&BTreeMap::new()), None);
    }
}
