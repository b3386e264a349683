//! Dollars: what the objects cost now, what a run costs once, and what is billed for a month after it,
//! for each storage class that archives can have. All sums are exact.

use std::collections::BTreeMap;

use serde::Serialize;

use super::money::{DAYS, Price, Usd};
use super::prices::{ClassPrices, PriceList};
use super::profile::{ClassFigures, Profile};
use super::requests::{Class, Line, Tariff};

/// What a run writes that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Written {
    /// Archives in the class of archives.
    pub(crate) archives: Stored,
    /// Indexes in the class of archives.
    pub(crate) indexes: Stored,
    /// Copies in the class of archives.
    pub(crate) copies: Stored,
    /// Group manifests, in a class of their own.
    pub(crate) manifests: Stored,
    /// Catalogs, descriptions and other records, in STANDARD.
    pub(crate) records: Stored,
}

/// Objects of some kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Stored {
    pub(crate) objects: u64,
    pub(crate) bytes: u128,
}

/// What a month of the objects costs now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Now {
    pub(crate) classes: Vec<ClassNow>,
    pub(crate) monthly: Usd,
    /// For objects that are deleted before the minimum duration of their class.
    pub(crate) early_deletion: Usd,
    /// For reading all of them once.
    pub(crate) retrieval: Usd,
    /// Objects of classes that have no prices.
    pub(crate) unpriced: Stored,
}

/// The same of a class or tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClassNow {
    pub(crate) class: String,
    #[serde(flatten)]
    pub(crate) stored: Stored,
    /// Bytes that are billed, with minimum sizes and overhead.
    pub(crate) billed_bytes: u128,
    /// `None` if the class has no prices.
    pub(crate) monthly: Option<Usd>,
    /// Objects that are younger than the minimum duration.
    pub(crate) early_objects: u64,
    pub(crate) early_deletion: Usd,
}

/// What a run into one class costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Target {
    pub(crate) class: String,
    /// Whether a price of the class is disputed.
    pub(crate) disputed: bool,
    pub(crate) requests: Usd,
    /// Reading the sources.
    pub(crate) retrieval: Usd,
    /// Both of these.
    pub(crate) once: Usd,
    /// What the run has written, for a month.
    pub(crate) monthly: Usd,
    /// Months after which a run has paid for itself, if the originals are deleted at once; `None` if
    /// it never has.
    pub(crate) break_even_months: Option<f64>,
    /// Days that archives are billed at least.
    pub(crate) min_days: u64,
    /// The same objects in the same class without a run.
    pub(crate) lifecycle: Lifecycle,
    /// Reading all archives.
    pub(crate) read_back: ReadBack,
}

/// The objects as they are, moved by a lifecycle rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lifecycle {
    /// All of them: the rule names a minimum size.
    pub(crate) once: Usd,
    pub(crate) monthly: Usd,
    /// Those of 128 KiB and more, as rules do unless they name a minimum size.
    pub(crate) default_once: Usd,
    pub(crate) default_monthly: Usd,
}

/// What reading all archives costs, as `verify --full` and a whole restore do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReadBack {
    /// The GETs and what is paid for the bytes.
    pub(crate) read: Usd,
    /// The restore before it; `None` if none is needed.
    pub(crate) thaw: Option<Usd>,
    /// The slow one.
    pub(crate) bulk_thaw: Option<Usd>,
    /// The PUTs of all objects into STANDARD, of a whole restore alone.
    pub(crate) put: Usd,
}

/// A month of so many objects in a class. Smaller objects are billed as its minimum size, on average.
fn month(stored: Stored, class: &ClassPrices, standard: &ClassPrices) -> Usd {
    let least = u128::from(stored.objects) * u128::from(class.min_size);
    billed(
        stored,
        stored.bytes.max(least),
        stored.objects,
        class,
        standard,
    )
}

/// A month of objects with these billed bytes, of which so many are watched.
fn billed(
    stored: Stored,
    bytes: u128,
    watched: u64,
    class: &ClassPrices,
    standard: &ClassPrices,
) -> Usd {
    let overhead = |each: u64| u128::from(stored.objects) * u128::from(each);
    class.storage.of_bytes(bytes + overhead(class.overhead))
        + standard.storage.of_bytes(overhead(class.overhead_standard))
        + class.monitoring.of(watched, 1_000)
}

/// The class whose requests a tier has.
fn without_tier(class: &str) -> &str {
    class.split_once('/').map_or(class, |(class, _)| class)
}

/// The class of rows that do not say theirs.
pub(crate) fn class_or_standard(class: &str) -> &str {
    if class.is_empty() { "STANDARD" } else { class }
}

/// What the objects cost now.
pub(crate) fn now(profile: &Profile, prices: &PriceList) -> Now {
    let mut now = Now::default();
    for (name, figures) in profile.classes() {
        let name = class_or_standard(name);
        let stored = Stored {
            objects: figures.objects,
            bytes: figures.bytes,
        };
        let (Some(class), Some(of_requests)) =
            (prices.class(name), prices.class(without_tier(name)))
        else {
            now.unpriced.objects += stored.objects;
            now.unpriced.bytes += stored.bytes;
            now.classes.push(ClassNow {
                class: name.to_owned(),
                stored,
                billed_bytes: stored.bytes,
                monthly: None,
                early_objects: 0,
                early_deletion: Usd::ZERO,
            });
            continue;
        };
        let least = figures.at_least(profile.rules(), class.min_size);
        let overhead = u128::from(class.overhead + class.overhead_standard);
        let watched = figures.objects - figures.small;
        let of_class = ClassPrices {
            monitoring: of_requests.monitoring,
            ..*class
        };
        let monthly = billed(stored, least, watched, &of_class, prices.standard());
        let early_deletion = class.storage.of_byte_days(figures.early_byte_days);
        now.monthly += monthly;
        now.early_deletion += early_deletion;
        now.retrieval += of_requests.retrieval.of_bytes(figures.bytes);
        now.classes.push(ClassNow {
            class: name.to_owned(),
            stored,
            billed_bytes: least + u128::from(stored.objects) * overhead,
            monthly: Some(monthly),
            early_objects: figures.early,
            early_deletion,
        });
    }
    now
}

/// What a run into each class costs.
pub(crate) fn targets(
    lines: &[Line],
    profile: &Profile,
    written: &Written,
    manifest_class: &str,
    prices: &PriceList,
) -> Vec<Target> {
    let now = now(profile, prices);
    let sources = of_sources(profile, prices);
    let manifests = prices.class(manifest_class).unwrap_or(prices.standard());
    let of_class = |(name, class): (&str, &ClassPrices)| {
        let tariffs = Tariffs {
            archives: class,
            manifests,
            standard: prices.standard(),
            sources: &sources,
            sqs: prices.services.sqs,
        };
        let requests = lines.iter().map(|line| tariffs.cost(line)).sum();
        let once = requests + now.retrieval;
        let standard = prices.standard();
        let monthly = [written.archives, written.indexes, written.copies]
            .into_iter()
            .map(|stored| month(stored, class, standard))
            .chain([
                month(written.manifests, manifests, standard),
                month(written.records, standard, standard),
            ])
            .sum();
        Target {
            class: name.to_owned(),
            disputed: prices.is_disputed(name),
            requests,
            retrieval: now.retrieval,
            once,
            monthly,
            break_even_months: break_even(once + now.early_deletion, now.monthly, monthly),
            min_days: class.min_days,
            lifecycle: lifecycle(name, class, profile, prices, &now),
            read_back: read_back(class, profile, written, standard),
        }
    };
    prices.targets().into_iter().map(of_class).collect()
}

/// Months until what is saved each month is as much as was paid once; `None` if nothing is saved.
pub(crate) fn break_even(once: Usd, now: Usd, after: Usd) -> Option<f64> {
    let saved = now - after;
    (saved > Usd::ZERO).then(|| once.dollars() / saved.dollars())
}

/// The share of sources in each class, for requests that go to all of them alike.
fn of_sources<'a>(profile: &Profile, prices: &'a PriceList) -> Vec<(u64, &'a ClassPrices)> {
    let mut objects: BTreeMap<&str, u64> = BTreeMap::new();
    let classes = profile.classes();
    for (name, figures) in &classes {
        *objects
            .entry(without_tier(class_or_standard(name)))
            .or_default() += figures.objects;
    }
    let priced = objects.into_iter();
    priced
        .map(|(name, objects)| (objects, prices.class(name).unwrap_or(prices.standard())))
        .collect()
}

/// The cost of a line whose requests go to the sources.
pub(crate) fn of_sources_alone(line: &Line, profile: &Profile, prices: &PriceList) -> Usd {
    let sources = of_sources(profile, prices);
    let tariffs = Tariffs {
        archives: prices.standard(),
        manifests: prices.standard(),
        standard: prices.standard(),
        sources: &sources,
        sqs: prices.services.sqs,
    };
    tariffs.cost(line)
}

/// The cost of each line for one class of archives.
pub(crate) fn of_lines(
    lines: &[Line],
    profile: &Profile,
    (archives, manifests): (&str, &str),
    prices: &PriceList,
) -> Vec<Usd> {
    let sources = of_sources(profile, prices);
    let of = |class: &str| prices.class(class).unwrap_or(prices.standard());
    let tariffs = Tariffs {
        archives: of(archives),
        manifests: of(manifests),
        standard: prices.standard(),
        sources: &sources,
        sqs: prices.services.sqs,
    };
    lines.iter().map(|line| tariffs.cost(line)).collect()
}

/// The cost of so many days, by that of a month of 30 days.
pub(crate) fn days(monthly: Usd, days: u64) -> Usd {
    monthly.times(days, DAYS)
}

/// The prices of lines for one class of archives.
struct Tariffs<'a> {
    archives: &'a ClassPrices,
    manifests: &'a ClassPrices,
    standard: &'a ClassPrices,
    sources: &'a [(u64, &'a ClassPrices)],
    sqs: Price,
}

impl Tariffs<'_> {
    fn cost(&self, line: &Line) -> Usd {
        let count = line.count;
        let of = |class: Class, price: fn(&ClassPrices) -> Price| match class {
            Class::Archives => price(self.archives).of(count, 1_000),
            Class::Manifests => price(self.manifests).of(count, 1_000),
            Class::Standard => price(self.standard).of(count, 1_000),
            Class::Sources => self.of_sources(count, price),
        };
        match line.tariff {
            Tariff::Free => Usd::ZERO,
            Tariff::Put(class) => of(class, |it| it.put),
            Tariff::Part(class) => of(class, |it| it.part),
            Tariff::Get(class) => of(class, |it| it.get),
            Tariff::Queue => self.sqs.of(count, 1_000_000),
        }
    }

    /// Requests that are spread over the sources as the sources are over classes.
    fn of_sources(&self, count: u64, price: fn(&ClassPrices) -> Price) -> Usd {
        let all: u64 = self.sources.iter().map(|(objects, _)| objects).sum();
        let shares = self.sources.iter().map(|(objects, class)| {
            let share = u128::from(count) * u128::from(*objects) / u128::from(all.max(1));
            price(class).of(u64::try_from(share).unwrap_or(u64::MAX), 1_000)
        });
        shares.sum()
    }
}

/// The objects that a lifecycle rule would move to a class, all and by default.
fn lifecycle(
    name: &str,
    class: &ClassPrices,
    profile: &Profile,
    prices: &PriceList,
    now: &Now,
) -> Lifecycle {
    let standard = prices.standard();
    let mut lifecycle = Lifecycle {
        once: Usd::ZERO,
        monthly: Usd::ZERO,
        default_once: Usd::ZERO,
        default_monthly: Usd::ZERO,
    };
    let classes = profile.classes();
    for ((_, figures), now) in classes.iter().zip(&now.classes) {
        let stays = now.monthly.unwrap_or(Usd::ZERO);
        if without_tier(&now.class) == name || name == "STANDARD" {
            // No rule moves an object to STANDARD.
            lifecycle.monthly += stays;
            lifecycle.default_monthly += stays;
            continue;
        }
        let all = Stored {
            objects: figures.objects,
            bytes: figures.bytes,
        };
        let (objects, small) = (figures.objects, figures.small);
        let large = Stored {
            objects: objects - small,
            bytes: figures.bytes - figures.small_bytes,
        };
        let least = figures.at_least(profile.rules(), class.min_size);
        let large_least = figures.large_at_least(profile.rules(), class.min_size);
        lifecycle.once += class.transition.of(objects, 1_000);
        lifecycle.monthly += billed(all, least, objects - small, class, standard);
        lifecycle.default_once += class.transition.of(objects - small, 1_000);
        lifecycle.default_monthly += billed(large, large_least, objects - small, class, standard)
            + of_small(figures, &now.class, profile, prices);
    }
    lifecycle
}

/// A month of the small objects of a class, where they are now.
fn of_small(figures: &ClassFigures, class: &str, profile: &Profile, prices: &PriceList) -> Usd {
    let Some(prices_of_class) = prices.class(class) else {
        return Usd::ZERO;
    };
    let rules = profile.rules();
    let least = prices_of_class.min_size;
    let bytes = figures.at_least(rules, least) - figures.large_at_least(rules, least);
    let small = Stored {
        objects: figures.small,
        bytes: figures.small_bytes,
    };
    billed(small, bytes, 0, prices_of_class, prices.standard())
}

fn read_back(
    class: &ClassPrices,
    profile: &Profile,
    written: &Written,
    standard: &ClassPrices,
) -> ReadBack {
    let objects = written.archives.objects + written.copies.objects;
    let bytes = written.archives.bytes + written.copies.bytes;
    let thaw = |thaw: Option<super::prices::Thaw>| {
        thaw.map(|thaw| thaw.data.of_bytes(bytes) + thaw.request.of(objects, 1_000))
    };
    ReadBack {
        read: class.get.of(objects, 1_000) + class.retrieval.of_bytes(bytes),
        thaw: thaw(class.thaw),
        bulk_thaw: thaw(class.bulk_thaw),
        put: standard.put.of(profile.total().objects, 1_000),
    }
}

/// Objects and bytes that lifecycle rules leave where they are by default.
pub(crate) fn small(profile: &Profile) -> Stored {
    let total = profile.total();
    Stored {
        objects: total.small,
        bytes: total.small_bytes,
    }
}

#[cfg(test)]
mod tests;
