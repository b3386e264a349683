//! The CRC64NVME of a catalog, which is inside it. Parquet has no checksum of a footer, of
//! statistics or of bloom filters, and its checksums of pages are optional. See
//! docs/decisions/sealed-catalogs.md.
//!
//! ```text
//! write the file with UNSEALED as the value ──► CRC64NVME of its bytes ──► write that over UNSEALED
//! check: the CRC64NVME of the bytes, with UNSEALED in place of the value, is the value
//! ```

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use crc_fast::{CrcAlgorithm, Digest};

use super::CatalogError;
use super::footer::footer;
use super::positioned::{Positioned, ReadAt};
use super::schema::PREFIX;
use crate::s3::crc64nvme_to_base64;

/// The key of the file metadata.
pub(super) const KEY: &str = "crc64nvme";
/// The value of a catalog that is not sealed yet: as long as every other one.
pub(super) const UNSEALED: &str = "AAAAAAAAAAA=";

/// Bytes that are summed at a time.
const BUFFER: usize = 128 << 10;

/// Writes the sum of a catalog into it. Blocking.
pub(super) fn seal(file: &File) -> Result<(), CatalogError> {
    let bytes = Positioned::new(file.try_clone()?)?;
    let at = position(&bytes, UNSEALED)?;
    file.write_all_at(sum(&bytes, at)?.as_bytes(), at)?;
    Ok(())
}

/// Compares the bytes of a catalog with the sum that it records. Blocking.
pub(super) fn check(file: &impl ReadAt, recorded: &str) -> Result<(), CatalogError> {
    let found = sum(file, position(file, recorded)?)?;
    if found == recorded {
        return Ok(());
    }
    Err(CatalogError::Sum {
        recorded: recorded.to_owned(),
        found,
    })
}

/// Where the value is in the file.
fn position(file: &impl ReadAt, value: &str) -> Result<u64, CatalogError> {
    let at = footer(file)?;
    let mut bytes = vec![0; usize::try_from(at.end - at.start).unwrap_or(usize::MAX)];
    file.read_exact(at.start, &mut bytes)?;
    // Two texts, fields 1 and 2 of a struct, each after its length (Thrift compact protocol).
    let length = |text: &str| u8::try_from(text.len()).unwrap_or(u8::MAX);
    let key = format!("{PREFIX}{KEY}");
    let entry = [
        &[0x18, length(&key)][..],
        key.as_bytes(),
        &[0x18, length(value)],
        value.as_bytes(),
    ]
    .concat();
    // The last one: what the program does not choose, such as the key of a manifest, is before it.
    let found = bytes
        .windows(entry.len())
        .rposition(|window| window == entry);
    let end = found
        .filter(|_| value.len() == UNSEALED.len())
        .map(|found| found + entry.len() - value.len());
    end.map(|offset| at.start + offset as u64)
        .ok_or_else(|| CatalogError::Metadata {
            key,
            problem: format!("cannot be {value:?}"),
        })
}

/// The sum of a file with [`UNSEALED`] at this position.
fn sum(file: &impl ReadAt, at: u64) -> Result<String, CatalogError> {
    let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
    let mut buffer = vec![0; BUFFER];
    let after = at + UNSEALED.len() as u64;
    for (mut from, end, next) in [(0, at, UNSEALED), (after, file.size(), "")] {
        while from < end {
            let taken = usize::try_from(end - from).map_or(BUFFER, |left| left.min(BUFFER));
            file.read_exact(from, &mut buffer[..taken])?;
            digest.update(&buffer[..taken]);
            from += taken as u64;
        }
        digest.update(next.as_bytes());
    }
    Ok(crc64nvme_to_base64(digest.finalize()))
}
