//! Ranges of groups that all have a receipt.

use std::collections::BTreeMap;
use std::ops::Bound;

use s3bundler_contract::layout::GroupName;
use s3bundler_contract::{Figures, RunName, Stage};

use super::{PAGE, Sums};

/// Groups of a stage whose numbers follow each other, with one receipt each and no other name
/// between those.
#[derive(Debug, Clone)]
pub(super) struct Range {
    pub(super) stage: Stage,
    pub(super) numbers: std::ops::Range<u64>,
    /// Name of the first receipt.
    first: String,
    /// Name of the last receipt.
    pub(super) last: String,
    /// Whether it begins with the run's first group, and no name is before that.
    pub(super) is_first: bool,
    /// What its groups add up to, without those whose place others take.
    pub(super) sums: Sums,
}

impl Range {
    /// A range of one group.
    pub(super) fn of(
        name: &str,
        stage: Stage,
        number: u64,
        figures: Option<&Figures>,
        is_first: bool,
    ) -> Self {
        let mut range = Self {
            stage,
            numbers: number..number,
            first: name.to_owned(),
            last: String::new(),
            is_first,
            sums: Sums::default(),
        };
        range.add(name, figures);
        range
    }

    /// Adds the next group.
    pub(super) fn add(&mut self, name: &str, figures: Option<&Figures>) {
        if let Some(figures) = figures {
            self.sums.add(self.numbers.end, figures);
        }
        self.numbers.end = self.numbers.end.saturating_add(1);
        name.clone_into(&mut self.last);
    }

    /// Adds the range that follows.
    pub(super) fn join(&mut self, next: &Self) {
        self.sums.add_all(&next.sums);
        self.numbers.end = next.numbers.end;
        self.last.clone_from(&next.last);
    }

    pub(super) fn is_followed_by(&self, stage: Stage, number: u64) -> bool {
        (self.stage, self.numbers.end) == (stage, number)
    }

    /// Whether it is of the run's own groups, from the first one on.
    pub(super) fn is_beginning(&self) -> bool {
        (self.stage, self.numbers.start) == (Stage::OWN, 0)
    }

    /// Whether a sweep that skips it saves a LIST. The names of a shorter one are in the answer to
    /// the LIST that the gap before it needs anyway.
    pub(super) fn is_worth_skipping(&self) -> bool {
        self.is_first || self.len() >= PAGE
    }

    pub(super) fn len(&self) -> u64 {
        self.numbers.end.saturating_sub(self.numbers.start)
    }

    pub(super) fn last_group(&self, run: &RunName) -> GroupName {
        GroupName::of_stage(run, self.stage, self.numbers.end.saturating_sub(1))
    }
}

/// Ranges in the order of their names.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranges(BTreeMap<String, Range>);

impl Ranges {
    pub(super) fn insert(&mut self, range: Range) {
        self.0.insert(range.first.clone(), range);
    }

    pub(super) fn first(&self) -> Option<&Range> {
        self.0.values().next()
    }

    /// The first range that begins after a name; the first one of all for `None`.
    pub(super) fn after(&self, name: Option<&str>) -> Option<&Range> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let mut ranges = self.0.range::<str, _>((from, Bound::Unbounded));
        ranges.next().map(|(_, range)| range)
    }

    /// The range that a name is in.
    pub(super) fn around(&self, name: &str) -> Option<&Range> {
        let to = (Bound::Unbounded, Bound::Included(name));
        let (_, range) = self.0.range::<str, _>(to).next_back()?;
        (name <= range.last.as_str()).then_some(range)
    }

    /// What is not in any range: before, between and after them.
    pub(super) fn gaps(&self) -> u64 {
        let gaps = (self.0.len() as u64).saturating_add(1);
        gaps.saturating_sub(u64::from(self.first().is_some_and(|range| range.is_first)))
    }
}
