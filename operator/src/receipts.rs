//! What a run has come to, counted from the names of its receipts: one LIST for every 1,000 of them, and fewer once the
//! beginning of the run is whole.
//!
//! ```text
//! LIST receipts/<run>/, after the whole beginning ──► Count::page ──► Counted: groups, objects, bytes, failures, defects
//! ```
//!
//! Groups are counted by name and not by number: a receipt stands for its own group only, and two receipts of one group
//! are a defect to report, never summed.

use std::collections::BTreeMap;

use s3bundler_contract::layout::GroupName;
use s3bundler_contract::{Reason, Receipt, RunName};

/// Sums over receipts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    /// Groups.
    pub groups: u64,
    /// Objects in archives.
    pub archived: u64,
    /// Objects copied by the server.
    pub copied: u64,
    /// Bytes of the archived objects.
    pub archived_bytes: u64,
    /// Bytes of the copied objects.
    pub copied_bytes: u64,
    /// Bytes of the failed objects, by the inventory.
    pub failed_bytes: u64,
    /// Failed objects by reason.
    pub failed: BTreeMap<Reason, u64>,
    /// One more than the highest number of these groups: with `groups` as many, none is missing.
    pub beyond: u64,
}

impl Sums {
    fn add(&mut self, receipt: &Receipt, number: u64) {
        self.groups += 1;
        self.beyond = self.beyond.max(number.saturating_add(1));
        self.archived = self.archived.saturating_add(receipt.archived);
        self.copied = self.copied.saturating_add(receipt.copied);
        self.archived_bytes = self.archived_bytes.saturating_add(receipt.archived_bytes);
        self.copied_bytes = self.copied_bytes.saturating_add(receipt.copied_bytes);
        self.failed_bytes = self.failed_bytes.saturating_add(receipt.failed_bytes);
        for (reason, count) in &receipt.failed {
            let sum = self.failed.entry(*reason).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// Failed objects, for any reason.
    pub fn failed_objects(&self) -> u64 {
        self.failed.values().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Objects that may be had in another pass.
    pub fn retryable(&self) -> u64 {
        self.failed.get(&Reason::Retry).copied().unwrap_or(0)
    }

    /// Rows of all these groups.
    pub fn rows(&self) -> u64 {
        self.archived.saturating_add(self.copied).saturating_add(self.failed_objects())
    }
}

/// What a run has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// By pass: 0 is the inventory's own groups, n the nth retry's.
    pub passes: BTreeMap<u32, Sums>,
    /// Names that should not be there, at most [`DEFECTS`] of them.
    pub defects: Vec<String>,
}

/// Names of defects that are kept: enough to see what they are.
const DEFECTS: usize = 10;

impl Counted {
    /// The sums of a pass.
    pub fn pass(&self, pass: u32) -> Sums {
        self.passes.get(&pass).cloned().unwrap_or_default()
    }

    /// What became of the objects in the end: rows that a retry took up again failed only for the time being.
    pub fn outcome(&self) -> Sums {
        let mut outcome = Sums::default();
        for sums in self.passes.values() {
            outcome.groups += sums.groups;
            outcome.archived = outcome.archived.saturating_add(sums.archived);
            outcome.copied = outcome.copied.saturating_add(sums.copied);
            outcome.archived_bytes = outcome.archived_bytes.saturating_add(sums.archived_bytes);
            outcome.copied_bytes = outcome.copied_bytes.saturating_add(sums.copied_bytes);
            for (reason, count) in &sums.failed {
                let sum = outcome.failed.entry(*reason).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
        let (mut retried, mut retried_bytes) = (0_u64, 0_u64);
        for (_, sums) in self.passes.range(1..) {
            retried = retried.saturating_add(sums.rows());
            let bytes = sums.archived_bytes.saturating_add(sums.copied_bytes).saturating_add(sums.failed_bytes);
            retried_bytes = retried_bytes.saturating_add(bytes);
        }
        let failed_bytes = self.passes.values().fold(0_u64, |sum, it| sum.saturating_add(it.failed_bytes));
        // A retried object may have another size by now.
        outcome.failed_bytes = failed_bytes.saturating_sub(retried_bytes);
        if let Some(retry) = outcome.failed.get_mut(&Reason::Retry) {
            *retry = retry.saturating_sub(retried);
        }
        outcome.failed.retain(|_, count| *count > 0);
        outcome
    }

    fn defect(&mut self, name: &str) {
        if self.defects.len() < DEFECTS && !self.defects.iter().any(|known| known == name) {
            self.defects.push(name.to_owned());
        }
    }
}

/// Counts the receipts of one run over and over, and remembers its whole beginning: receipts are named after their
/// groups, which are numbered, so where all groups up to one have a receipt no LIST has to look there again.
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
    /// Nothing counted yet.
    pub fn new(run: RunName) -> Self {
        Self {
            run,
            settled: Counted::default(),
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
        self.previous = self.next.checked_sub(1).map(|number| GroupName::numbered(&self.run, number));
        self.last.as_deref()
    }

    /// Counts the names of one page, the last parts of their keys, in the order of LIST.
    pub fn page<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            self.name(name);
        }
    }

    /// What the sweep has come to.
    pub fn counted(&self) -> &Counted {
        &self.sweep
    }

    fn name(&mut self, name: &str) {
        let receipt = Receipt::parse(name).ok();
        let known = receipt.and_then(|receipt| Some((receipt.group.pass_in(&self.run)?, receipt)));
        let Some(((pass, number), receipt)) = known else {
            self.sweep.defect(name);
            self.contiguous = false;
            return;
        };
        if self.previous.as_ref() == Some(&receipt.group) {
            // Names of one group stand side by side.
            self.sweep.defect(name);
            self.contiguous = false;
            return;
        }
        self.sweep.passes.entry(pass).or_default().add(&receipt, number);
        self.contiguous &= receipt.group.number_in(&self.run) == Some(self.next);
        if self.contiguous {
            self.settled.passes.entry(pass).or_default().add(&receipt, number);
            self.next += 1;
            self.last = Some(name.to_owned());
        }
        self.previous = Some(receipt.group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunName {
        "r".parse().expect("a name")
    }

    fn count(names: &[String]) -> Counted {
        let mut count = Count::new(run());
        count.begin();
        count.page(names.iter().map(String::as_str));
        count.counted().clone()
    }

    fn names(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
        numbers
            .into_iter()
            .map(|number| format!("{}~a2~c1~f1~b20~bc5~bf3~NoSuchKey1", GroupName::numbered(&run(), number)))
            .collect()
    }

    #[test]
    fn a_million_groups_and_more_are_one_beginning() {
        let mut count = Count::new(run());
        count.next = 999_998;
        let mut shown = names(999_998..1_000_003);
        shown.push("r.retry1.000000~a1~c0~f0~b1".to_owned());
        assert!(shown.is_sorted(), "{shown:?}");
        count.begin();
        count.page(shown.iter().map(String::as_str));
        assert_eq!((count.next, count.counted().pass(0).groups, count.counted().pass(1).groups), (1_000_003, 5, 1));
        assert_eq!(count.begin(), Some("r.a1000002~a2~c1~f1~b20~bc5~bf3~NoSuchKey1"));
    }

    #[test]
    fn receipts_add_up() {
        let sums = count(&names(0..3)).pass(0);
        assert_eq!((sums.groups, sums.archived, sums.copied, sums.rows()), (3, 6, 3, 12));
        assert_eq!((sums.archived_bytes, sums.copied_bytes, sums.failed_bytes), (60, 15, 9));
        assert_eq!(sums.failed, [(Reason::NoSuchKey, 3)].into());
    }

    #[test]
    fn only_what_is_new_is_listed_and_the_sums_are_the_same() {
        let mut incremental = Count::new(run());
        let all = names([0, 1, 2, 4, 5, 7]);
        let mut shown: Vec<String> = Vec::new();
        // Receipts appear in any order.
        for number in [4, 0, 7, 1, 2, 5] {
            shown.extend(names([number]));
            shown.sort();
            let after = incremental.begin().map(str::to_owned);
            let listed: Vec<_> = shown.iter().filter(|name| after.as_ref().is_none_or(|after| *name > after)).collect();
            incremental.page(listed.iter().map(|name| name.as_str()));
            assert_eq!(incremental.counted(), &count(&shown));
        }
        assert_eq!(incremental.begin(), Some(all[2].as_str()), "0 to 2 are the whole beginning");
        assert_eq!(shown, all);
    }

    #[test]
    fn two_receipts_of_a_group_are_a_defect_and_counted_once() {
        let mut shown = names([0, 1]);
        shown.insert(1, "r.000000~a9~c0~f0~b20".to_owned());
        let mut incremental = Count::new(run());
        for _ in 0..2 {
            let after = incremental.begin().map(str::to_owned);
            let listed = shown.iter().filter(|name| after.as_ref().is_none_or(|after| *name > after));
            incremental.page(listed.map(String::as_str));
            assert_eq!(incremental.counted().pass(0).groups, 2);
            assert_eq!(incremental.counted().defects, ["r.000000~a9~c0~f0~b20"], "it is told in every sweep");
        }
    }

    #[test]
    fn foreign_names_are_defects() {
        let shown = ["nonsense", "r.000000", "q.000000~a1~c0~f0~b1", "r.retry0.000000~a1~c0~f0~b1", "r.x~a1~c0~f0~b1"];
        let counted = count(&shown.map(str::to_owned));
        assert_eq!((counted.passes.len(), counted.defects.len()), (0, shown.len()));
    }

    #[test]
    fn what_a_retry_took_up_again_did_not_fail_in_the_end() {
        let shown = [
            "r.000000~a2~c0~f3~b20~bf30~NoSuchKey1~Retry2",
            "r.retry1.000000~a1~c0~f1~b10~bf10~Retry1",
            "r.retry2.000000~a0~c1~f0~b0~bc10",
        ];
        let counted = count(&shown.map(str::to_owned));
        let outcome = counted.outcome();
        assert_eq!((outcome.archived, outcome.copied, outcome.failed_objects()), (3, 1, 1));
        assert_eq!((outcome.archived_bytes, outcome.copied_bytes, outcome.failed_bytes), (30, 10, 10));
        assert_eq!(outcome.failed, [(Reason::NoSuchKey, 1)].into());
        assert_eq!(counted.pass(1).retryable(), 1);
    }

    #[test]
    fn fifty_thousand_receipts_are_counted() {
        let counted = count(&names(0..50_000));
        assert_eq!((counted.pass(0).groups, counted.pass(0).rows()), (50_000, 200_000));
    }
}
