//! How many objects may fail: a number, or a share of all objects.

use serde::{Deserialize, Serialize};

use super::error::SpecError;

/// Decimals of a percentage. A run of a billion objects can bear a thousandth of a percent.
const DECIMALS: usize = 4;

/// A number, or a percentage such as `0.01%`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(untagged)]
pub enum CountOrPercent {
    Count(i64),
    Percent(String),
}

/// [`CountOrPercent`] as it can be calculated with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureLimit {
    Objects(u64),
    /// Of all objects.
    Millionths(u64),
}

impl FailureLimit {
    /// The most objects of `all` that may fail.
    pub fn of(self, all: u64) -> u64 {
        match self {
            Self::Objects(objects) => objects,
            Self::Millionths(millionths) => {
                let most = u128::from(all) * u128::from(millionths) / 1_000_000;
                u64::try_from(most).unwrap_or(u64::MAX)
            }
        }
    }
}

impl CountOrPercent {
    /// What is meant.
    pub fn limit(&self) -> Result<FailureLimit, SpecError> {
        match self {
            Self::Count(count) => Ok(FailureLimit::Objects(u64::try_from(*count).unwrap_or(0))),
            Self::Percent(text) => millionths(text)
                .map(FailureLimit::Millionths)
                .ok_or_else(|| SpecError::Percent(text.chars().take(32).collect())),
        }
    }
}

/// `12.5%` is 125,000 millionths.
fn millionths(text: &str) -> Option<u64> {
    let number = text.strip_suffix('%')?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > DECIMALS {
        return None;
    }
    let digits = format!("{whole}{fraction:0<DECIMALS$}");
    let millionths = digits.parse().ok()?;
    (millionths <= 1_000_000).then_some(millionths)
}

#[cfg(test)]
mod tests;
