//! A finished inventory: its manifest read and checked, its data files looked at.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::{StreamExt, TryStreamExt, stream};
use md5::{Digest, Md5};
use s3bundler_contract::group_manifest::Columns;
use s3bundler_contract::{ByteSize, InventoryRef, S3Address};

use super::manifest::{MAX_MANIFEST_SIZE, md5_from_hex};
use super::spool::{DOWNLOADS, FIRST_WAIT};
use super::{DataFile, InventoryError, Manifest, ManifestProblem};
use crate::s3::{ErrorKind, Length, Opened, S3, S3Error, content_length};

/// 32 hex digits and a newline, with room for what a person's editor adds.
const MAX_CHECKSUM_SIZE: ByteSize = ByteSize(256);
/// HEADs in flight: a thousand data files are looked at in a few seconds.
const HEADS_IN_FLIGHT: usize = 16;

/// A finished inventory.
#[derive(Debug, Clone)]
pub struct Inventory {
    address: S3Address,
    etag: String,
    manifest: Manifest,
}

/// What S3 wrote to deliver an inventory: no part of what is to be archived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnFiles {
    /// The bucket they are in.
    pub bucket: String,
    /// What the keys of all deliveries of this inventory begin with, where they lie as S3 lays
    /// them.
    pub root: Option<String>,
    /// The keys of this delivery.
    pub keys: Vec<String>,
}

impl Inventory {
    /// Reads manifest.json and compares it with its manifest.checksum ("Amazon S3 Inventory", S3
    /// user guide: the checksum is written last, so without it the inventory is not finished).
    /// Bytes that differ may have been damaged on their way: both are read again before that is an
    /// error.
    pub async fn open(s3: &S3, address: &S3Address) -> Result<Self, InventoryError> {
        let mut downloads = 1;
        loop {
            match Self::open_once(s3, address).await {
                Err(error @ InventoryError::ManifestChecksum { .. }) if downloads < DOWNLOADS => {
                    tracing::warn!(%error, "reading the inventory's manifest again");
                    tokio::time::sleep(FIRST_WAIT * 2_u32.pow(downloads - 1)).await;
                    downloads += 1;
                }
                opened => return opened,
            }
        }
    }

    async fn open_once(s3: &S3, address: &S3Address) -> Result<Self, InventoryError> {
        let checksum =
            checksum_of(address).ok_or_else(|| InventoryError::NotAManifest(address.clone()))?;
        let (json, etag) = match whole(s3, address, MAX_MANIFEST_SIZE).await {
            Ok(Whole::Bytes(json, etag)) => (json, etag),
            Ok(Whole::TooLarge(size)) => {
                return Err(unusable(address, ManifestProblem::TooLarge(size)));
            }
            Err(error) if error.kind == ErrorKind::NotFound => {
                return Err(InventoryError::NoManifest(address.clone()));
            }
            Err(error) if error.kind == ErrorKind::NoBucket => {
                return Err(InventoryError::NoBucket(address.clone()));
            }
            Err(error) => return Err(error.into()),
        };
        let expected = match whole(s3, &checksum, MAX_CHECKSUM_SIZE).await {
            Ok(Whole::Bytes(text, _)) => text,
            Ok(Whole::TooLarge(_)) => Bytes::from_static(b"more than a checksum"),
            Err(error) if error.kind == ErrorKind::NotFound => {
                return Err(InventoryError::Unfinished {
                    manifest: address.clone(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        compare(address, &json, &String::from_utf8_lossy(&expected))?;
        let manifest = Manifest::parse(&json).map_err(|problem| unusable(address, problem))?;
        Ok(Self {
            address: address.clone(),
            etag,
            manifest,
        })
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The columns of its rows.
    pub fn columns(&self) -> &Columns {
        &self.manifest.columns
    }

    /// How a run's claim names it.
    pub fn reference(&self) -> InventoryRef {
        InventoryRef {
            manifest: self.address.clone(),
            etag: self.etag.clone(),
            creation_timestamp: self.manifest.creation_timestamp,
        }
    }

    /// Where a data file is: beside the manifest, whatever `destinationBucket` says.
    pub(super) fn file_address(&self, file: &DataFile) -> S3Address {
        S3Address::new(&self.address.bucket, &file.key)
    }

    /// HEADs every data file, so that one that is missing, cut off or denied is known before
    /// anything is made of the rest.
    pub async fn check_files(&self, s3: &S3) -> Result<(), InventoryError> {
        stream::iter(&self.manifest.files)
            .map(|file| self.check_file(s3, file))
            .buffered(HEADS_IN_FLIGHT)
            .try_collect::<()>()
            .await
    }

    async fn check_file(&self, s3: &S3, file: &DataFile) -> Result<(), InventoryError> {
        let address = self.file_address(file);
        let Some(head) = s3.head(&address).await? else {
            let delivered_to = self.manifest.destination_bucket.clone();
            return Err(InventoryError::FileMissing {
                file: address,
                delivered_to,
            });
        };
        let Length::Known(found) = content_length(head.content_length()) else {
            let detail = "it was answered without a Content-Length";
            return Err(S3Error::local("HeadObject", address, ErrorKind::Transient, detail).into());
        };
        if found != file.size.bytes() {
            return Err(InventoryError::FileSize {
                file: address,
                found,
                expected: file.size.bytes(),
            });
        }
        Ok(())
    }

    /// The files that S3 Inventory wrote. It writes `<root>/<date>/manifest.json` beside
    /// `<root>/data/` and `<root>/hive/`; where the data files of this manifest lie so, every
    /// delivery under that root is meant.
    pub fn own_files(&self) -> OwnFiles {
        let mut keys: Vec<String> = self
            .manifest
            .files
            .iter()
            .map(|file| file.key.clone())
            .collect();
        let root = delivery_root(&self.address.key, &keys).map(str::to_owned);
        keys.push(self.address.key.clone());
        keys.extend(checksum_of(&self.address).map(|checksum| checksum.key));
        OwnFiles {
            bucket: self.address.bucket.clone(),
            root,
            keys,
        }
    }
}

fn delivery_root<'a>(manifest_key: &'a str, data_keys: &[String]) -> Option<&'a str> {
    let (folder, _) = manifest_key.rsplit_once('/')?;
    let root = &folder[..=folder.rfind('/')?];
    let below = |key: &String| {
        // `files/` in older descriptions.
        key.strip_prefix(root)
            .is_some_and(|rest| rest.starts_with("data/") || rest.starts_with("files/"))
    };
    (!data_keys.is_empty() && data_keys.iter().all(below)).then_some(root)
}

fn checksum_of(manifest: &S3Address) -> Option<S3Address> {
    let stem = manifest.key.strip_suffix(".json")?;
    Some(S3Address::new(&manifest.bucket, format!("{stem}.checksum")))
}

fn compare(manifest: &S3Address, json: &[u8], checksum: &str) -> Result<(), InventoryError> {
    let found = Md5::digest(json);
    if md5_from_hex(checksum.trim()) == Some(found.into()) {
        return Ok(());
    }
    let expected = checksum.trim().chars().take(40).collect();
    Err(InventoryError::ManifestChecksum {
        manifest: manifest.clone(),
        found: HEXLOWER.encode(&found),
        expected,
    })
}

fn unusable(manifest: &S3Address, problem: ManifestProblem) -> InventoryError {
    InventoryError::Manifest {
        manifest: manifest.clone(),
        problem,
    }
}

enum Whole {
    Bytes(Bytes, String),
    TooLarge(u64),
}

/// A small object in memory, with its ETag, unless it is larger than it can sensibly be.
async fn whole(s3: &S3, address: &S3Address, limit: ByteSize) -> Result<Whole, S3Error> {
    let Opened { mut body, etag, .. } = s3.open(address, None).await?;
    let mut bytes = Vec::new();
    loop {
        let known = match body.length() {
            Length::Known(length) => length,
            Length::Unknown => bytes.len() as u64,
        };
        if known > limit.bytes() {
            return Ok(Whole::TooLarge(known));
        }
        let Some(chunk) = body.next().await? else {
            return Ok(Whole::Bytes(bytes.into(), etag));
        };
        bytes.extend_from_slice(&chunk);
    }
}

#[cfg(test)]
mod tests;
