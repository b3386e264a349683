//! What the selected rows are, whatever groups they are in: objects and bytes by storage class, size
//! and age. Each block of the inventory has its own, so that blocks are read side by side.

use std::collections::BinaryHeap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use s3bundler_contract::{Row, RowRef};

use super::histogram::Histogram;
use super::prices::PriceList;
use crate::group::Observer;
use crate::inventory::InventoryRow;

/// Smaller objects are not moved by lifecycle rules unless a rule says so
/// ("TransitionDefaultMinimumObjectSize", S3 API reference), nor watched by Intelligent-Tiering.
pub(crate) const SMALL: u64 = 128 << 10;
/// Maximum number of storage classes that are distinguished. S3 has ten; a damaged inventory may have
/// any number.
const MOST_CLASSES: usize = 64;
/// The name of all others.
const OTHER_CLASSES: &str = "(more classes)";

/// What is counted of a storage class depends on its prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The different minimum sizes of classes, in bytes.
    minima: Vec<u64>,
    /// Minimum size and minimum days of the classes that have one.
    classes: Vec<(String, u64, u64)>,
    /// Days since 1970-01-01.
    today: i64,
    /// Rows to sample.
    sample: usize,
}

/// The objects of a storage class, or of a tier of Intelligent-Tiering.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ClassFigures {
    pub(crate) objects: u64,
    pub(crate) bytes: u128,
    /// Objects below [`SMALL`].
    pub(crate) small: u64,
    pub(crate) small_bytes: u128,
    /// Bytes if smaller objects count as a minimum size, for each of the rules.
    at_least: Vec<u128>,
    /// The same of objects that are not small.
    large_at_least: Vec<u128>,
    /// Bytes by days that they have to stay in their class, by the dates of their objects.
    pub(crate) early_byte_days: u128,
    /// Objects that have to stay.
    pub(crate) early: u64,
}

/// What the rows say of encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kms {
    /// Objects under a key of KMS.
    pub(crate) objects: u64,
    /// Those without an S3 Bucket Key.
    pub(crate) without_bucket_key: u64,
}

/// What the selected rows are.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    rules: Arc<Rules>,
    /// By class, or by class and tier as `CLASS/TIER`; empty if the row has none.
    classes: Vec<(String, ClassFigures)>,
    pub(crate) sizes: Histogram,
    pub(crate) ages: Histogram,
    /// Objects without a date that can be read.
    pub(crate) undated: u64,
    /// Objects without a size.
    pub(crate) unsized_objects: u64,
    pub(crate) kms: Kms,
    sample: BinaryHeap<Sampled>,
}

/// A row of the sample, by a hash of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sampled {
    hash: u64,
    row: Row,
}

impl Ord for Sampled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |it: &Self| (it.hash, it.row.bucket.clone(), it.row.key.clone());
        self.hash
            .cmp(&other.hash)
            .then_with(|| key(self).cmp(&key(other)))
    }
}

impl PartialOrd for Sampled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Rules {
    /// The rules of a price list on a day, in days since 1970-01-01, with a sample of so many rows.
    pub(crate) fn new(prices: &PriceList, today: i64, sample: usize) -> Self {
        let classes = prices.classes();
        let mut minima: Vec<_> = classes.map(|(_, prices)| prices.min_size).collect();
        minima.sort_unstable();
        minima.dedup();
        let classes = prices.classes();
        let classes =
            classes.map(|(name, prices)| (name.to_owned(), prices.min_size, prices.min_days));
        Self {
            minima,
            classes: classes.collect(),
            today,
            sample,
        }
    }

    fn class(&self, name: &str) -> (u64, u64) {
        let found = self.classes.iter().find(|(it, ..)| it == name);
        found.map_or((0, 0), |(_, min_size, min_days)| (*min_size, *min_days))
    }
}

impl ClassFigures {
    fn add(&mut self, rules: &Rules, size: u64, early_byte_days: u128) {
        self.objects += 1;
        self.bytes += u128::from(size);
        let is_small = size < SMALL;
        if is_small {
            self.small += 1;
            self.small_bytes += u128::from(size);
        }
        self.at_least.resize(rules.minima.len(), 0);
        self.large_at_least.resize(rules.minima.len(), 0);
        for (n, least) in rules.minima.iter().enumerate() {
            let billed = u128::from(size.max(*least));
            self.at_least[n] += billed;
            if !is_small {
                self.large_at_least[n] += billed;
            }
        }
        self.early_byte_days += early_byte_days;
        self.early += u64::from(early_byte_days > 0);
    }

    fn merge(&mut self, other: &Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.small += other.small;
        self.small_bytes += other.small_bytes;
        for (ours, theirs) in [
            (&mut self.at_least, &other.at_least),
            (&mut self.large_at_least, &other.large_at_least),
        ] {
            ours.resize(ours.len().max(theirs.len()), 0);
            for (ours, theirs) in ours.iter_mut().zip(theirs) {
                *ours += theirs;
            }
        }
        self.early_byte_days += other.early_byte_days;
        self.early += other.early;
    }

    /// Bytes if objects below `least` bytes, which is a minimum of the rules, count as so many.
    pub(crate) fn at_least(&self, rules: &Rules, least: u64) -> u128 {
        of_minimum(&self.at_least, rules, least).unwrap_or(self.bytes)
    }

    /// The same of objects that are not small.
    pub(crate) fn large_at_least(&self, rules: &Rules, least: u64) -> u128 {
        let all = self.bytes - self.small_bytes;
        of_minimum(&self.large_at_least, rules, least).unwrap_or(all)
    }
}

fn of_minimum(sums: &[u128], rules: &Rules, least: u64) -> Option<u128> {
    let n = rules.minima.iter().position(|it| *it == least)?;
    sums.get(n).copied()
}

impl Profile {
    /// Of no rows yet.
    pub(crate) fn new(rules: Arc<Rules>) -> Self {
        Self {
            rules,
            classes: Vec::new(),
            sizes: Histogram::of_sizes(),
            ages: Histogram::of_ages(),
            undated: 0,
            unsized_objects: 0,
            kms: Kms::default(),
            sample: BinaryHeap::new(),
        }
    }

    /// The rules by which it counts.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Adds what another has seen.
    pub(crate) fn merge(&mut self, other: Self) {
        for (name, figures) in &other.classes {
            let at = self.place_of(name);
            self.classes[at].1.merge(figures);
        }
        self.sizes.merge(&other.sizes);
        self.ages.merge(&other.ages);
        self.undated += other.undated;
        self.unsized_objects += other.unsized_objects;
        self.kms.objects += other.kms.objects;
        self.kms.without_bucket_key += other.kms.without_bucket_key;
        for sampled in other.sample {
            self.keep(sampled);
        }
    }

    /// Classes and tiers in the order of their names.
    pub(crate) fn classes(&self) -> Vec<(&str, &ClassFigures)> {
        let classes = self.classes.iter();
        let mut classes: Vec<_> = classes.map(|(name, it)| (name.as_str(), it)).collect();
        classes.sort_by_key(|(name, _)| *name);
        classes
    }

    /// Of all classes.
    pub(crate) fn total(&self) -> ClassFigures {
        let mut total = ClassFigures::default();
        for (_, figures) in &self.classes {
            total.merge(figures);
        }
        total
    }

    /// The sampled rows, in an order that does not depend on that of the blocks.
    pub(crate) fn into_sample(self) -> Vec<Row> {
        let sample = self.sample.into_sorted_vec();
        sample.into_iter().map(|sampled| sampled.row).collect()
    }

    /// Where a class is among the classes.
    fn place_of(&mut self, name: &str) -> usize {
        let known = self.classes.iter().position(|(it, _)| it == name);
        known.unwrap_or_else(|| {
            let is_full = self.classes.len() >= MOST_CLASSES;
            let name = if is_full { OTHER_CLASSES } else { name };
            let other = self.classes.iter().position(|(it, _)| it == name);
            other.unwrap_or_else(|| {
                self.classes
                    .push((name.to_owned(), ClassFigures::default()));
                self.classes.len() - 1
            })
        })
    }

    /// Rows whose hashes are the smallest are a sample of all, wherever they are.
    fn sample(&mut self, row: &RowRef<'_>) {
        let mut hasher = DefaultHasher::new();
        (row.bucket, row.key, row.version_id).hash(&mut hasher);
        let hash = hasher.finish();
        let is_full = self.sample.len() >= self.rules.sample;
        if !is_full
            || self
                .sample
                .peek()
                .is_some_and(|largest| hash < largest.hash)
        {
            let row = row.to_row();
            self.keep(Sampled { hash, row });
        }
    }

    fn keep(&mut self, sampled: Sampled) {
        self.sample.push(sampled);
        if self.sample.len() > self.rules.sample {
            self.sample.pop();
        }
    }
}

impl Observer for Profile {
    fn see(&mut self, it: &InventoryRow<'_>) {
        let row = &it.row;
        let size = row.size.unwrap_or(0);
        self.unsized_objects += u64::from(row.size.is_none());
        self.sizes.add(size, size);
        let class = row.storage_class.unwrap_or_default();
        let age = row
            .last_modified
            .and_then(days)
            .map(|day| u64::try_from(self.rules.today - day).unwrap_or(0));
        let (min_size, min_days) = self.rules.class(class);
        let early = if let Some(age) = age {
            self.ages.add(age, size);
            u128::from(size.max(min_size)) * u128::from(min_days.saturating_sub(age))
        } else {
            self.undated += 1;
            0
        };
        let is_kms = it
            .encryption
            .is_some_and(|it| it.contains("KMS") || it.contains("kms"));
        if is_kms {
            self.kms.objects += 1;
            let has_key = it
                .bucket_key
                .is_some_and(|it| it.eq_ignore_ascii_case("enabled"));
            self.kms.without_bucket_key += u64::from(!has_key);
        }
        let at = match it.access_tier.and_then(tier) {
            Some(tier) if class == "INTELLIGENT_TIERING" && size >= SMALL => {
                self.place_of(&format!("{class}/{tier}"))
            }
            _ => self.place_of(class),
        };
        self.classes[at].1.add(&self.rules, size, early);
        if self.rules.sample > 0 {
            self.sample(row);
        }
    }
}

/// The tier of Intelligent-Tiering that is not the first one. Inventories and HeadObject spell them
/// in several ways.
fn tier(text: &str) -> Option<&'static str> {
    match text.to_ascii_uppercase().as_str() {
        "INFREQUENT" | "INFREQUENT_ACCESS" => Some("INFREQUENT"),
        "ARCHIVE_INSTANT" | "ARCHIVE_INSTANT_ACCESS" => Some("ARCHIVE_INSTANT"),
        "ARCHIVE" | "ARCHIVE_ACCESS" => Some("ARCHIVE"),
        "DEEP_ARCHIVE" | "DEEP_ARCHIVE_ACCESS" => Some("DEEP_ARCHIVE"),
        _ => None,
    }
}

/// Days since 1970-01-01 of an instant in RFC 3339: only its date is read.
fn days(text: &str) -> Option<i64> {
    let (date, time) = text.split_at_checked(10)?;
    if !time.starts_with('T') {
        return None;
    }
    days_of(date.parse().ok()?)
}

/// Days since 1970-01-01.
pub(crate) fn days_of(date: jiff::civil::Date) -> Option<i64> {
    let since = date.since(jiff::civil::date(1970, 1, 1)).ok()?;
    Some(i64::from(since.get_days()))
}

#[cfg(test)]
mod tests;
