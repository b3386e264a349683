//! Where the footer of a Parquet file is.

use std::ops::Range;

use super::CatalogError;
use super::positioned::ReadAt;

/// Bytes of the footer, at most: a million row groups would not fill it.
const FOOTER_BYTES: u64 = 64 << 20;
/// The footer ends in its length, 4 bytes, and `PAR1`.
const FOOTER_END: u64 = 8;

/// The bytes of the footer, without its length and magic.
pub(super) fn footer(file: &impl ReadAt) -> Result<Range<u64>, CatalogError> {
    let broken = |problem: &str| Err(CatalogError::Parquet(problem.to_owned()));
    let Some(at) = file.size().checked_sub(FOOTER_END) else {
        return broken("the file is shorter than any Parquet file");
    };
    let mut end = [0; 8];
    file.read_exact(at, &mut end)?;
    let [a, b, c, d, magic @ ..] = end;
    if &magic != b"PAR1" {
        return broken(
            "the file does not end as a Parquet file does: it is another file, or cut off",
        );
    }
    let footer = u64::from(u32::from_le_bytes([a, b, c, d]));
    if footer > FOOTER_BYTES || footer > at {
        return broken("its footer is longer than it can sensibly be");
    }
    Ok(at - footer..at)
}
