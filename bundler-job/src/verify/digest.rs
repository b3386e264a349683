//! The digests that a row of the catalog has of its object, against the bytes at its place.

use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::catalog::Entry;

/// The bytes of a row, hashed as they go by.
pub(super) struct RowDigest {
    md5: (Md5, Option<String>),
    /// Only of runs that archived with `--sha256`.
    sha256: Option<(Sha256, String)>,
}

impl RowDigest {
    /// No bytes yet of this row.
    pub(super) fn of(entry: &Entry) -> Self {
        let sha256 = entry
            .sha256
            .clone()
            .map(|expected| (Sha256::new(), expected));
        Self {
            md5: (Md5::new(), entry.md5.clone()),
            sha256,
        }
    }

    /// The next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.md5.0.update(bytes);
        if let Some((hash, _)) = &mut self.sha256 {
            hash.update(bytes);
        }
    }

    /// Whether these were the bytes of the catalog, or what is wrong with them.
    pub(super) fn compare(self) -> Result<(), String> {
        let (hash, md5) = self.md5;
        let expected = md5.ok_or_else(|| "the catalog has no MD5 of it".to_owned())?;
        same("MD5", &HEXLOWER.encode(&hash.finalize()), &expected)?;
        match self.sha256 {
            Some((hash, expected)) => {
                same("SHA-256", &HEXLOWER.encode(&hash.finalize()), &expected)
            }
            None => Ok(()),
        }
    }
}

fn same(name: &str, found: &str, expected: &str) -> Result<(), String> {
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(format!(
        "its bytes have the {name} {found}, the catalog's is {expected}"
    ))
}
