//! How many objects of a run may fail.

use std::fmt;
use std::str::FromStr;

/// Millionths of a percent: what a share is kept in, so that it compares exactly.
const PARTS: u64 = 1_000_000;

/// A number of objects, or a share of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxFailed {
    /// So many objects.
    Objects(u64),
    /// So many millionths of a percent of all objects.
    Share(u64),
}

/// Not a number and not a percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither a number of objects, such as 100, nor a percentage of 0% to 100%, such as \
     0.5%"
)]
pub struct MaxFailedError(String);

impl MaxFailed {
    /// Whether `failed` objects of `all` are more than this.
    pub fn is_exceeded(self, failed: u64, all: u64) -> bool {
        match self {
            Self::Objects(most) => failed > most,
            Self::Share(most) => {
                u128::from(failed) * 100 * u128::from(PARTS) > u128::from(most) * u128::from(all)
            }
        }
    }
}

impl FromStr for MaxFailed {
    type Err = MaxFailedError;

    fn from_str(text: &str) -> Result<Self, MaxFailedError> {
        let error = || MaxFailedError(text.to_owned());
        let Some(percent) = text.strip_suffix('%') else {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            return digits
                .then(|| text.parse().ok())
                .flatten()
                .map(Self::Objects)
                .ok_or_else(error);
        };
        let (whole, part) = percent.split_once('.').unwrap_or((percent, "0"));
        let number = |text: &str| {
            let digits = !text.is_empty()
                && text.len() <= 6
                && text.bytes().all(|byte| byte.is_ascii_digit());
            digits
                .then(|| text.parse::<u64>().ok())
                .flatten()
                .ok_or_else(error)
        };
        let share = number(whole)? * PARTS + number(&format!("{part:0<6}"))?;
        if share > 100 * PARTS {
            Err(error())
        } else {
            Ok(Self::Share(share))
        }
    }
}

impl fmt::Display for MaxFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Objects(most) => most.fmt(f),
            Self::Share(most) => {
                let (whole, part) = (most / PARTS, format!("{:06}", most % PARTS));
                let part = part.trim_end_matches('0');
                if part.is_empty() {
                    write!(f, "{whole}%")
                } else {
                    write!(f, "{whole}.{part}%")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
