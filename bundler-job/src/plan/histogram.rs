//! How many objects, of how many bytes, are of which size and age, as text plots.

use std::fmt::Write as _;

use indicatif::{BinaryBytes, HumanCount};
use serde::Serialize;

/// Characters of the longest bar.
const BAR: u64 = 40;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Classes of a histogram: the largest value of each, and its name. The last has no end.
type Classes = &'static [(u64, &'static str)];

/// Sizes in bytes. 128 KiB is where minimum sizes and lifecycle rules begin.
const SIZES: Classes = &[
    (0, "0"),
    (KIB, "to 1 KiB"),
    (4 * KIB, "to 4 KiB"),
    (16 * KIB, "to 16 KiB"),
    (64 * KIB, "to 64 KiB"),
    (128 * KIB - 1, "below 128 KiB"),
    (512 * KIB, "to 512 KiB"),
    (2 * MIB, "to 2 MiB"),
    (8 * MIB, "to 8 MiB"),
    (64 * MIB, "to 64 MiB"),
    (512 * MIB, "to 512 MiB"),
    (5 * GIB, "to 5 GiB"),
    (u64::MAX, "over 5 GiB"),
];

/// Ages in days. Minimum durations are 30, 90 and 180 days.
const AGES: Classes = &[
    (0, "today"),
    (6, "below a week"),
    (29, "below 30 days"),
    (89, "below 90 days"),
    (179, "below 180 days"),
    (364, "below a year"),
    (729, "below 2 years"),
    (1_824, "below 5 years"),
    (u64::MAX, "5 years or more"),
];

/// Objects by size or age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Histogram {
    classes: Classes,
    /// Objects and bytes of each class.
    counts: Vec<(u64, u128)>,
}

/// A class as machines read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Bar {
    pub(crate) class: &'static str,
    pub(crate) objects: u64,
    pub(crate) bytes: u128,
}

impl Histogram {
    /// Of sizes in bytes.
    pub(crate) fn of_sizes() -> Self {
        Self::of(SIZES)
    }

    /// Of ages in days.
    pub(crate) fn of_ages() -> Self {
        Self::of(AGES)
    }

    fn of(classes: Classes) -> Self {
        Self {
            classes,
            counts: vec![(0, 0); classes.len()],
        }
    }

    /// Adds an object with this size or age, and these bytes.
    pub(crate) fn add(&mut self, value: u64, bytes: u64) {
        let class = self.classes.partition_point(|(most, _)| *most < value);
        if let Some((objects, sum)) = self.counts.get_mut(class) {
            *objects += 1;
            *sum += u128::from(bytes);
        }
    }

    /// Adds all objects of another histogram of the same kind.
    pub(crate) fn merge(&mut self, other: &Self) {
        for ((objects, bytes), (more, more_bytes)) in self.counts.iter_mut().zip(&other.counts) {
            *objects += more;
            *bytes += more_bytes;
        }
    }

    /// Its classes, those without objects too.
    pub(crate) fn bars(&self) -> Vec<Bar> {
        let classes = self.classes.iter().zip(&self.counts);
        let bars = classes.map(|((_, class), (objects, bytes))| Bar {
            class,
            objects: *objects,
            bytes: *bytes,
        });
        bars.collect()
    }

    /// A line for each class from the first to the last that has objects, each with a bar of `#`;
    /// empty if there are no objects.
    pub(crate) fn plot(&self) -> String {
        let bars = self.bars();
        let largest = bars.iter().map(|bar| bar.objects).max().unwrap_or(0);
        let first = bars.iter().position(|bar| bar.objects > 0);
        let last = bars.iter().rposition(|bar| bar.objects > 0);
        let (Some(first), Some(last)) = (first, last) else {
            return String::new();
        };
        let mut plot = String::new();
        for bar in &bars[first..=last] {
            let length = (u128::from(bar.objects) * u128::from(BAR)).div_ceil(largest.into());
            let length = usize::try_from(length).unwrap_or(0);
            let bytes = BinaryBytes(u64::try_from(bar.bytes).unwrap_or(u64::MAX)).to_string();
            let objects = HumanCount(bar.objects).to_string();
            let line = format!(
                "  {:>15} {objects:>15} {bytes:>12}  {}",
                bar.class,
                "#".repeat(length)
            );
            let _ = writeln!(plot, "{}", line.trim_end());
        }
        plot
    }
}

#[cfg(test)]
mod tests;
