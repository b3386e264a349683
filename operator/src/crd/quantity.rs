//! Kubernetes quantities that are sizes: their schema, and how they become bytes.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use s3bundler_contract::ByteSize;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::error::{QuantityError, SpecError};
use super::rule::Rule;

/// Longest quantity: more digits than 2^63 has, a sign, a point and a suffix.
const MAX_LENGTH: usize = 32;

/// The schema of a size: a quantity above zero, as text or as a number.
pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": MAX_LENGTH,
        "x-kubernetes-validations": [Rule::new(
            "isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",
            "must be a quantity greater than 0, such as 512Mi or 4Gi",
        )],
    })
}

/// The bytes of a quantity, a fraction of a byte counting as one ("Quantity", Kubernetes API
/// reference). A plain number is bytes; `k`, `M`, … are powers of 1,000, `Ki`, `Mi`, … of 1,024,
/// `e3` is 10³.
pub(super) fn bytes(quantity: &Quantity) -> Result<ByteSize, QuantityError> {
    let text = quantity.0.as_str();
    let malformed = || QuantityError::Malformed(text.chars().take(MAX_LENGTH).collect());
    if text.len() > MAX_LENGTH {
        return Err(malformed());
    }
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = unsigned
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(malformed());
    }
    let (factor, exponent) = unit(suffix).ok_or_else(malformed)?;

    // At most 32 digits fit into 128 bits. What overflows later is too large, or too small to be
    // more than one byte.
    let digits = format!("0{whole}{}", fraction.trim_end_matches('0'));
    let mantissa: u128 = digits.parse().map_err(|_| malformed())?;
    if negative && mantissa > 0 {
        return Err(QuantityError::Negative(text.to_owned()));
    }
    let places = i32::try_from(fraction.trim_end_matches('0').len()).map_err(|_| malformed())?;
    let shift = exponent - places;
    let power = 10_u128.checked_pow(shift.unsigned_abs());
    let size = match (mantissa, power) {
        (0, _) => Some(0),
        (_, Some(power)) if shift >= 0 => mantissa
            .checked_mul(power)
            .and_then(|size| size.checked_mul(factor)),
        (_, None) if shift >= 0 => None,
        (_, Some(power)) => mantissa
            .checked_mul(factor)
            .map(|size| size.div_ceil(power)),
        (_, None) => Some(1),
    };
    let size = size.and_then(|size| i64::try_from(size).ok());
    size.map(|size| ByteSize(size.unsigned_abs()))
        .ok_or_else(|| QuantityError::TooLarge(text.to_owned()))
}

/// [`bytes`] of the field `field`.
pub(super) fn read(field: &'static str, quantity: &Quantity) -> Result<ByteSize, SpecError> {
    bytes(quantity).map_err(|cause| SpecError::Size { field, cause })
}

/// What a suffix multiplies by: a factor, and a power of ten.
fn unit(suffix: &str) -> Option<(u128, i32)> {
    let unit = match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            (1, (-1_000..=1_000).contains(&exponent).then_some(exponent)?)
        }
    };
    Some(unit)
}

#[cfg(test)]
mod tests;
