//! Objects that exist by rule and are not stored. A key contains the number of its object; body,
//! metadata, tags and time follow from the hash of the key.
//!
//! ```text
//! logs/0000/0042/00420017.json ──► number 420017 ──► hash ──► one of a few thousand bodies
//!                                                        ├──► metadata, tags
//!                                                        └──► storage class, time
//! ```
//!
//! All numbers have as many digits as the largest, so keys sort like numbers and a page of a listing
//! is found by binary search.

use std::ops::Range;

use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use super::bodies::{Bodies, Body};

/// Objects in each folder.
const FOLDER: u64 = 1_000;

/// A bucket full of objects by rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Population {
    /// What all keys begin with.
    pub prefix: String,
    /// What all keys end with, such as `.json`.
    #[serde(default)]
    pub suffix: String,
    /// Number of objects.
    pub objects: u64,
    /// Whether there are no folders between prefix and number.
    #[serde(default)]
    pub is_flat: bool,
    /// Sizes in bytes; the end is exclusive.
    pub sizes: Range<u64>,
    /// Seed of bodies, metadata and tags.
    #[serde(default)]
    pub seed: u64,
    /// One in so many has user metadata; 0 is none.
    #[serde(default)]
    pub with_metadata: u64,
    /// One in so many has tags; 0 is none.
    #[serde(default)]
    pub with_tags: u64,
    /// Their storage class.
    #[serde(default = "standard")]
    pub storage_class: String,
}

fn standard() -> String {
    "STANDARD".to_owned()
}

/// The properties that follow from a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits {
    hash: u64,
}

impl Population {
    fn digits(&self) -> usize {
        self.objects
            .saturating_sub(1)
            .max(1)
            .ilog10()
            .try_into()
            .map_or(1, |digits: usize| digits + 1)
    }

    /// The key of an object.
    pub fn key(&self, number: u64) -> String {
        let digits = self.digits();
        let Self { prefix, suffix, .. } = self;
        if self.is_flat {
            return format!("{prefix}{number:0digits$}{suffix}");
        }
        let folder = number / FOLDER;
        format!("{prefix}{folder:0digits$}/{number:0digits$}{suffix}")
    }

    /// The number of a key, if it is one of these objects.
    pub fn number(&self, key: &str) -> Option<u64> {
        let middle = key
            .strip_prefix(self.prefix.as_str())?
            .strip_suffix(self.suffix.as_str())?;
        let number = if self.is_flat {
            middle
        } else {
            middle.split_once('/')?.1
        };
        let number = number.parse().ok()?;
        (number < self.objects && self.key(number) == key).then_some(number)
    }

    /// The first object whose key is not before `key`.
    pub(super) fn first_from(&self, key: &str) -> u64 {
        let (mut low, mut high) = (0, self.objects);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.key(middle).as_str() < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Returns the properties that follow from a key.
    pub(super) fn traits(&self, key: &str) -> Traits {
        // FNV-1a: the same on every machine and in every release.
        let mut hash = 0xcbf2_9ce4_8422_2325 ^ self.seed;
        for byte in key.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        // The last bytes of a key change only the lower bits of it (finalizer of MurmurHash3).
        hash ^= hash >> 33;
        hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 33;
        Traits { hash }
    }
}

impl Traits {
    /// The object's body.
    pub(super) fn body(self, bodies: &Bodies) -> &Body {
        bodies.nth(self.hash)
    }

    fn is_one_in(self, often: u64, salt: u32) -> bool {
        often > 0 && self.hash.rotate_right(salt).is_multiple_of(often)
    }

    /// Headers of the user metadata.
    pub(super) fn metadata(self, population: &Population) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.is_one_in(population.with_metadata, 17) {
            let device = format!("device-{}", self.hash % 1_000);
            let device = HeaderValue::try_from(device).expect("visible ASCII");
            headers.insert("x-amz-meta-origin", device);
        }
        headers
    }

    /// Tags, by key.
    pub(super) fn tags(self, population: &Population) -> Vec<(String, String)> {
        if self.is_one_in(population.with_tags, 29) {
            vec![("team".to_owned(), format!("team-{}", self.hash % 50))]
        } else {
            Vec::new()
        }
    }

    /// Seconds after the beginning of 2024.
    pub(super) const fn age(self) -> u64 {
        self.hash % (365 * 24 * 3_600)
    }
}

#[cfg(test)]
mod tests;
