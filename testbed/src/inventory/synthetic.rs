//! Rows of a bucket that never was: any number, the same for the same seed, made one at a time. For
//! benches of grouping, where a billion objects would be too many to write.

use std::fmt::Write;

use jiff::Timestamp;

use super::Row;

/// 2024-01-01T00:00:00Z, the date of the first row.
const FIRST_SECOND: i64 = 1_704_067_200;
/// Keys per day of the key's date folders: a million spreads over as many days as a real log
/// bucket.
const KEYS_PER_DAY: u64 = 100_000;

/// An iterator of made-up rows: keys of about 60 bytes in date folders, sizes around 10 KiB.
#[derive(Debug, Clone)]
pub struct Synthetic {
    next: u64,
    end: u64,
    seed: u64,
    mean_size: u64,
}

impl Synthetic {
    /// This many rows.
    pub fn rows(count: u64) -> Self {
        Self {
            next: 0,
            end: count,
            seed: 1,
            mean_size: 10 * 1024,
        }
    }

    /// Other rows.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Another mean size; sizes are spread evenly from 0 to twice that.
    #[must_use]
    pub fn mean_size(mut self, bytes: u64) -> Self {
        self.mean_size = bytes;
        self
    }
}

impl Iterator for Synthetic {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        if self.next == self.end {
            return None;
        }
        let number = self.next;
        self.next += 1;
        let random = mix(self
            .seed
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(number));
        let day = number / KEYS_PER_DAY;
        let mut key = String::with_capacity(64);
        // Months of 28 days: every date exists.
        let (year, month, of_month) = (2024 + day / 336, day / 28 % 12 + 1, day % 28 + 1);
        let _ = write!(
            key,
            "events/{year}/{month:02}/{of_month:02}/host-{:03}/{random:016x}-{number:010}.json",
            random % 1000
        );
        let mut etag = String::with_capacity(32);
        let _ = write!(etag, "{random:016x}{:016x}", mix(random));
        let seconds = FIRST_SECOND + i64::try_from(day * 86_400 + random % 86_400).unwrap_or(0);
        let size = mix(random ^ 1) % (2 * self.mean_size + 1);
        Some(
            Row::new(key, size)
                .etag(etag)
                .last_modified(Timestamp::new(seconds, 0).unwrap_or(Timestamp::UNIX_EPOCH)),
        )
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}

/// The finaliser of splitmix64: a well-mixed 64-bit value of any 64-bit number.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
