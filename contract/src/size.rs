//! Sizes in bytes, as people write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of bytes. Written `64MiB`, `2GB`, `4Gi` or `1048576`; every unit is a power of 1,024,
/// as in awslabs/s3bundler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

/// Why a text is not a [`ByteSize`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a size: a whole number, then nothing or k, m, g, t (kb, KiB and so on mean the \
     same: powers of 1,024)"
)]
pub struct SizeError(String);

impl ByteSize {
    /// `n` × 1,024 bytes.
    pub const fn kib(n: u64) -> Self {
        Self(n * 1024)
    }
    /// `n` × 1,024² bytes.
    pub const fn mib(n: u64) -> Self {
        Self(n * 1024 * 1024)
    }
    /// `n` × 1,024³ bytes.
    pub const fn gib(n: u64) -> Self {
        Self(n * 1024 * 1024 * 1024)
    }
    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let error = || SizeError(text.to_owned());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| error())?;
        let power = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "ki" | "kib" => 1,
            "m" | "mb" | "mi" | "mib" => 2,
            "g" | "gb" | "gi" | "gib" => 3,
            "t" | "tb" | "ti" | "tib" => 4,
            _ => return Err(error()),
        };
        number
            .checked_mul(1024_u64.pow(power))
            .map(Self)
            .ok_or_else(error)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = [(4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")]
            .into_iter()
            .map(|(power, unit)| (1024_u64.pow(power), unit))
            .find(|(bytes, _)| self.0 >= *bytes && self.0.is_multiple_of(*bytes));
        match exact {
            Some((bytes, unit)) => write!(f, "{}{unit}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests;
