//! Exact sums of money and prices: whole billionths of a dollar, so that sums do not depend on their
//! order.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

use indicatif::HumanCount;
use serde::{Serialize, Serializer};

/// Billionths of a dollar in a dollar.
const NANOS: u64 = 1_000_000_000;
/// Bytes of a GB as AWS bills it: a binary one.
const GB: u128 = 1 << 30;

/// Days of a month.
pub(crate) const DAYS: u64 = 30;

/// An amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Usd(i128);

/// The price of a unit, which the price list names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Price(u64);

impl Price {
    /// The price of so many where it is the price of `unit` of them.
    pub(crate) fn of(self, count: u64, unit: u64) -> Usd {
        self.times(u128::from(count), u128::from(unit.max(1)))
    }

    /// The price of so many bytes where it is the price of a GB.
    pub(crate) fn of_bytes(self, bytes: u128) -> Usd {
        self.times(bytes, GB)
    }

    /// The price of so many bytes for a day each where it is the price of a GB for a month.
    pub(crate) fn of_byte_days(self, byte_days: u128) -> Usd {
        self.times(byte_days, GB * u128::from(DAYS))
    }

    fn times(self, count: u128, unit: u128) -> Usd {
        let nanos = count
            .saturating_mul(u128::from(self.0))
            .saturating_add(unit / 2)
            / unit;
        Usd(i128::try_from(nanos).unwrap_or(i128::MAX))
    }
}

/// A decimal number without a sign, with nine digits after the point at most.
impl FromStr for Price {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || {
            format!("{text:?} is not a price: a decimal number with nine decimal places at most")
        };
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        if !is_number(whole) || !is_number(part) || part.len() > 9 {
            return Err(error());
        }
        let nanos: u64 = format!("{part:0<9}").parse().map_err(|_| error())?;
        let whole: u64 = whole.parse().map_err(|_| error())?;
        let dollars = whole.checked_mul(NANOS).ok_or_else(error)?;
        dollars.checked_add(nanos).map(Self).ok_or_else(error)
    }
}

impl Usd {
    /// Nothing.
    pub(crate) const ZERO: Self = Self(0);

    /// So many times a part of it.
    pub(crate) fn times(self, count: u64, parts: u64) -> Self {
        Self(self.0.saturating_mul(count.into()) / i128::from(parts.max(1)))
    }

    /// Dollars, for ratios.
    #[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
    pub(crate) fn dollars(self) -> f64 {
        self.0 as f64 / NANOS as f64
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Usd {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::add)
    }
}

/// In cents; less than a cent is shown as such.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let cents = (nanos + 5_000_000) / 10_000_000;
        if nanos > 0 && cents == 0 {
            return f.pad(&format!("{sign}<$0.01"));
        }
        let dollars = HumanCount(u64::try_from(cents / 100).unwrap_or(u64::MAX));
        f.pad(&format!("{sign}${dollars}.{:02}", cents % 100))
    }
}

/// As dollars with six decimal places.
impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((self.dollars() * 1e6).round() / 1e6)
    }
}

#[cfg(test)]
mod tests;
