//! Which files, row groups and pages may have an object that is asked for: a pure decision over the
//! smallest and largest values in them.

use jiff::Timestamp;
use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Hir, Look};

use super::{Filter, OutcomeFilter};
use crate::catalog::{Bounds, Outline, Parts};

/// What the keys that a filter is for have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KeyRanges {
    /// Conditions, all of which hold: the key begins with one of these.
    conditions: Vec<Vec<String>>,
}

impl KeyRanges {
    /// Those of a filter, other than its exact keys.
    pub(super) fn of(filter: &Filter) -> Self {
        let glob = filter
            .glob
            .iter()
            .map(|glob| vec![glob.literal().to_owned()]);
        let regex = filter.regex.iter().filter_map(|it| beginnings(it.as_str()));
        let prefixes = (!filter.prefixes.is_empty()).then(|| filter.prefixes.clone());
        let conditions = glob.chain(regex).chain(prefixes);
        Self {
            conditions: conditions
                .filter(|beginnings| !beginnings.iter().any(String::is_empty))
                .collect(),
        }
    }

    fn may_have(&self, bounds: Bounds<'_>) -> bool {
        self.conditions
            .iter()
            .all(|beginnings| beginnings.iter().any(|it| may_begin(bounds, it.as_bytes())))
    }
}

/// Whether a text between these bounds may begin so.
fn may_begin(Bounds { min, max }: Bounds<'_>, beginning: &[u8]) -> bool {
    max >= beginning && (min <= beginning || min.starts_with(beginning))
}

/// What every text that matches a regular expression begins with, if that is known.
fn beginnings(regex: &str) -> Option<Vec<String>> {
    let hir: Hir = regex_syntax::parse(regex).ok()?;
    if !hir.properties().look_set_prefix().contains(Look::Start) {
        return None;
    }
    let literals = Extractor::new().extract(&hir);
    let literals = literals.literals()?.iter();
    // A literal may end inside a character.
    let texts = literals.map(|it| str::from_utf8(it.as_bytes()).ok().map(str::to_owned));
    texts.collect()
}

/// What a filter asks of bounds.
#[derive(Debug, Clone)]
pub(super) struct Pruner {
    filter: Filter,
    ranges: KeyRanges,
}

impl Pruner {
    /// That of a filter.
    pub(super) fn new(filter: &Filter) -> Self {
        Self {
            ranges: KeyRanges::of(filter),
            filter: filter.clone(),
        }
    }

    /// Whether bloom filters can help: they know whole keys.
    pub(super) fn asks_for_keys(&self) -> bool {
        !self.filter.keys.is_empty()
    }

    /// Whether statistics can help.
    pub(super) fn asks_for_some(&self) -> bool {
        let Filter {
            modified_before,
            modified_after,
            version_ids,
            outcomes,
            buckets,
            ..
        } = &self.filter;
        self.asks_for_keys()
            || !self.ranges.conditions.is_empty()
            || modified_before.is_some()
            || modified_after.is_some()
            || !version_ids.is_empty()
            || !outcomes.is_empty()
            || !buckets.is_empty()
    }

    /// Whether a key between these bounds may be asked for.
    pub(super) fn may_have_key(&self, bounds: Bounds<'_>) -> bool {
        let keys = &self.filter.keys;
        (keys.is_empty() || self.keys(bounds).next().is_some()) && self.ranges.may_have(bounds)
    }

    /// The keys asked for that are between these bounds.
    fn keys<'a>(&'a self, Bounds { min, max }: Bounds<'a>) -> impl Iterator<Item = &'a String> {
        // Bounds of keys are UTF-8 unless they are damaged, and text sorts like its bytes.
        let from = str::from_utf8(min).unwrap_or_default().to_owned();
        let keys = self.filter.keys.range(from..);
        keys.take_while(move |key| key.as_bytes() <= max)
    }

    /// Whether a row group may have an object that is asked for.
    pub(super) fn may_have(&self, outline: &Outline, row_group: usize, parts: &Parts) -> bool {
        let any = |column: &str, wanted: &[String]| {
            wanted.is_empty()
                || outline.bounds(row_group, column).is_none_or(|bounds| {
                    let mut wanted = wanted.iter().map(String::as_bytes);
                    wanted.any(|it| bounds.min <= it && it <= bounds.max)
                })
        };
        let instants = outline
            .bounds(row_group, "last_modified")
            .and_then(|bounds| Some((milliseconds(bounds.min)?, milliseconds(bounds.max)?)));
        any("bucket", &self.filter.buckets)
            && any("version_id", &self.filter.version_ids)
            && instants.is_none_or(|(min, max)| self.may_have_instant(min, max))
            && outline
                .bounds(row_group, "outcome")
                .is_none_or(|bounds| self.may_have_outcome(bounds))
            && outline
                .bounds(row_group, "key")
                .is_none_or(|bounds| self.may_have_key(bounds))
            && self.passes_bloom_filter(outline, row_group, parts)
    }

    fn may_have_instant(&self, min: i64, max: i64) -> bool {
        let Filter {
            modified_before,
            modified_after,
            ..
        } = &self.filter;
        modified_before.is_none_or(|before| min <= before.as_millisecond())
            && modified_after.is_none_or(|after| max >= after.as_millisecond())
    }

    fn may_have_outcome(&self, bounds: Bounds<'_>) -> bool {
        let between = |text: &str| bounds.min <= text.as_bytes() && text.as_bytes() <= bounds.max;
        let may_be = |outcome: &OutcomeFilter| match outcome {
            OutcomeFilter::Archived => between("archived"),
            OutcomeFilter::Copied => between("copied"),
            OutcomeFilter::Reason(reason) => between(reason.as_str()),
            // Reasons begin with a capital, and capitals come before small letters.
            OutcomeFilter::Failed => bounds.min < b"a".as_slice(),
        };
        self.filter.outcomes.is_empty() || self.filter.outcomes.iter().any(may_be)
    }

    fn passes_bloom_filter(&self, outline: &Outline, row_group: usize, parts: &Parts) -> bool {
        if !self.asks_for_keys() {
            return true;
        }
        let Some(filter) = outline.bloom_filter(row_group, parts) else {
            return true;
        };
        match outline.bounds(row_group, "key") {
            Some(bounds) => self.keys(bounds).any(|key| filter.may_have(key)),
            None => self.filter.keys.iter().any(|key| filter.may_have(key)),
        }
    }
}

/// A bound of a column of milliseconds.
fn milliseconds(bytes: &[u8]) -> Option<i64> {
    let number = i64::from_le_bytes(bytes.try_into().ok()?);
    // Out of range is damage, which rules nothing out.
    Timestamp::from_millisecond(number).ok().map(|_| number)
}

#[cfg(test)]
mod tests;
