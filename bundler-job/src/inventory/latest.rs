//! The newest finished inventory under a prefix, `<prefix>/<date>/manifest.json`.

use std::collections::BTreeSet;
use std::time::Duration;

use s3bundler_contract::{InventoryRef, S3Address};

use super::{Inventory, InventoryError};
use crate::s3::{ErrorKind, S3};

/// Deliveries, from the newest on, among which a finished one is looked for.
const DELIVERIES: usize = 50;

/// The inventories that S3 delivers under a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deliveries {
    /// The address above the inventories' dates, with or without a slash at its end.
    pub prefix: S3Address,
    /// How old the newest may be; `None` is any age.
    pub max_age: Option<Duration>,
}

impl Deliveries {
    /// Whether an inventory is one of them.
    pub fn have(&self, inventory: &InventoryRef) -> bool {
        let manifest = &inventory.manifest;
        manifest.bucket == self.prefix.bucket && manifest.key.starts_with(&self.folder())
    }

    /// The manifest.json of the newest finished inventory. Unfinished ones are passed over. `now` is
    /// the time since 1970; an inventory that does not say when it was begun has no age.
    pub async fn newest(&self, s3: &S3, now: Duration) -> Result<S3Address, InventoryError> {
        for folder in self.dated_folders(s3).await?.iter().rev() {
            let manifest = S3Address::new(&self.prefix.bucket, format!("{folder}manifest.json"));
            let found = match Inventory::open(s3, &manifest).await {
                Err(InventoryError::NoManifest(_) | InventoryError::Unfinished { .. }) => continue,
                opened => opened?,
            };
            let created = found.manifest().creation_timestamp;
            let age = created.map(|created| now.saturating_sub(Duration::from_millis(created)));
            return match (age, self.max_age) {
                (Some(age), Some(max)) if age > max => {
                    Err(InventoryError::TooOld { manifest, age, max })
                }
                _ => Ok(manifest),
            };
        }
        Err(InventoryError::NoneFinished(self.prefix.clone()))
    }

    /// The folders of the last deliveries, oldest first.
    async fn dated_folders(&self, s3: &S3) -> Result<BTreeSet<String>, InventoryError> {
        let (mut dated, above) = (BTreeSet::new(), self.folder());
        let listing = s3.folders(&self.prefix.bucket, &above, |folder| {
            // Named 2026-11-22T01-00Z ("Locating your inventory list", S3 user guide): the newest
            // is the last.
            if is_dated(folder) {
                dated.insert(folder.to_owned());
            }
            if dated.len() > DELIVERIES {
                dated.pop_first();
            }
        });
        listing.await.map_err(|error| match error.kind {
            ErrorKind::NoBucket => InventoryError::NoBucket(self.prefix.clone()),
            _ => InventoryError::Read(error),
        })?;
        Ok(dated)
    }

    /// What the keys of all of them begin with.
    fn folder(&self) -> String {
        match self.prefix.key.trim_end_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        }
    }
}

/// Whether a folder is one of a delivery, `…/2026-11-22T01-00Z/`.
fn is_dated(folder: &str) -> bool {
    let name = folder
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    let shape = b"dddd-dd-ddTdd-ddZ";
    name.len() == shape.len()
        && name.bytes().zip(shape).all(|(byte, shape)| {
            if *shape == b'd' {
                byte.is_ascii_digit()
            } else {
                byte == *shape
            }
        })
}

#[cfg(test)]
mod tests;
