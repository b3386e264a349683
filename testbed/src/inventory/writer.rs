//! Writing an inventory: rows are pulled one by one into shards on disk, a full shard goes to the
//! store, and the manifest and its checksum follow in that order. An inventory of any size takes
//! the memory of one row.

use std::io::{BufWriter, Read, Write};
use std::path::Path;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use flate2::Compression;
use jiff::Timestamp;
use md5::{Digest, Md5};
use rand::RngExt;

use super::manifest::{Manifest, ManifestFile, checksum_of};
use super::shard::ShardWriter;
use super::{Column, InventoryError, Row, Store};

/// What becomes of manifest.checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksum {
    /// The manifest's MD5.
    #[default]
    Right,
    /// Another MD5.
    Wrong,
    /// Not there: the inventory is unfinished.
    Missing,
}

/// An inventory configuration and one delivery of it.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// The bucket that the rows are of.
    pub source_bucket: String,
    /// The bucket that the inventory is written to.
    pub destination_bucket: String,
    /// The prefix in it; may be empty.
    pub prefix: String,
    /// The configuration's id.
    pub configuration: String,
    /// When it was made.
    pub created: Timestamp,
    /// The columns, in this order.
    pub columns: Vec<Column>,
    /// A shard is full at this number of rows.
    pub rows_per_shard: u64,
    /// gzip's level: 6 as everybody, 1 for very large ones.
    pub compression: u32,
    /// What to write as manifest.checksum.
    pub checksum: Checksum,
}

/// A data file that a test made itself.
#[derive(Debug, Clone)]
pub struct RawShard {
    /// What its key ends in, such as `csv.gz`, `parquet` or `orc`.
    pub extension: String,
    /// Its bytes, as they are.
    pub bytes: Bytes,
}

/// An inventory that was written.
#[derive(Debug, Clone)]
pub struct Published {
    /// `s3://bucket/…/manifest.json`, or its path where the store is a folder.
    pub manifest: String,
    /// The key of manifest.json.
    pub manifest_key: String,
    /// The data files, as the manifest lists them.
    pub files: Vec<ManifestFile>,
    /// Rows in all data files; 0 for raw shards.
    pub rows: u64,
}

impl Inventory {
    /// An inventory `inventory/<source>/daily` of now, with the columns of current versions.
    pub fn new(source_bucket: impl Into<String>, destination_bucket: impl Into<String>) -> Self {
        Self {
            source_bucket: source_bucket.into(),
            destination_bucket: destination_bucket.into(),
            prefix: "inventory".to_owned(),
            configuration: "daily".to_owned(),
            created: Timestamp::now(),
            columns: Column::CURRENT.to_vec(),
            rows_per_shard: 1_000_000,
            compression: 6,
            checksum: Checksum::Right,
        }
    }

    /// Other columns.
    #[must_use]
    pub fn columns(mut self, columns: impl IntoIterator<Item = Column>) -> Self {
        self.columns = columns.into_iter().collect();
        self
    }

    /// Smaller or larger shards.
    #[must_use]
    pub fn rows_per_shard(mut self, rows: u64) -> Self {
        self.rows_per_shard = rows.max(1);
        self
    }

    /// Another prefix.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Another configuration id.
    #[must_use]
    pub fn configuration(mut self, id: impl Into<String>) -> Self {
        self.configuration = id.into();
        self
    }

    /// Another date.
    #[must_use]
    pub fn created(mut self, created: Timestamp) -> Self {
        self.created = created;
        self
    }

    /// Another manifest.checksum.
    #[must_use]
    pub fn checksum(mut self, checksum: Checksum) -> Self {
        self.checksum = checksum;
        self
    }

    /// Another gzip level.
    #[must_use]
    pub fn compression(mut self, level: u32) -> Self {
        self.compression = level;
        self
    }

    /// Writes the rows, in their order. An inventory without rows has one shard without lines, as
    /// S3 delivers for an empty bucket.
    pub async fn publish(
        &self,
        store: impl Into<Store>,
        rows: impl IntoIterator<Item = Row>,
    ) -> Result<Published, InventoryError> {
        self.publish_repeated(store, rows, 1).await
    }

    /// Writes the rows this many times: the store copies the data files of the first time. An
    /// inventory of a billion rows costs as much as its first million.
    pub async fn publish_repeated(
        &self,
        store: impl Into<Store>,
        rows: impl IntoIterator<Item = Row>,
        times: u64,
    ) -> Result<Published, InventoryError> {
        let store = store.into();
        let mut rows = rows.into_iter().peekable();
        let mut files = Vec::new();
        let mut total = 0;
        loop {
            let (file, count) = self.write_shard(&mut rows)?;
            let key = self.data_key("csv.gz");
            files.push(ManifestFile {
                key: key.clone(),
                ..describe(file.path())?
            });
            store
                .put_file(&self.destination_bucket, &key, file.path())
                .await?;
            total += count;
            if rows.peek().is_none() {
                break;
            }
        }
        let written = files.clone();
        for _ in 1..times {
            for file in &written {
                let key = self.data_key("csv.gz");
                store
                    .copy(&self.destination_bucket, &file.key, &key)
                    .await?;
                files.push(ManifestFile {
                    key,
                    ..file.clone()
                });
            }
        }
        let published = self.publish_manifest(&store, files, |_| ()).await?;
        Ok(Published {
            rows: total * times,
            ..published
        })
    }

    /// Writes data files as they are given, and a manifest that describes them truly.
    pub async fn publish_raw(
        &self,
        store: impl Into<Store>,
        shards: impl IntoIterator<Item = RawShard>,
    ) -> Result<Published, InventoryError> {
        self.publish_edited(store, shards, |_| ()).await
    }

    /// Writes data files as they are given, and a manifest that the caller may change in any way.
    /// The checksum is that of the changed manifest.
    pub async fn publish_edited(
        &self,
        store: impl Into<Store>,
        shards: impl IntoIterator<Item = RawShard>,
        edit: impl FnOnce(&mut serde_json::Value),
    ) -> Result<Published, InventoryError> {
        let store = store.into();
        let mut files = Vec::new();
        for shard in shards {
            let key = self.data_key(&shard.extension);
            let size = u64::try_from(shard.bytes.len()).unwrap_or(u64::MAX);
            files.push(ManifestFile {
                key: key.clone(),
                size,
                md5: checksum_of(&shard.bytes),
            });
            store
                .put(&self.destination_bucket, &key, shard.bytes)
                .await?;
        }
        self.publish_manifest(&store, files, edit).await
    }

    async fn publish_manifest(
        &self,
        store: &Store,
        files: Vec<ManifestFile>,
        edit: impl FnOnce(&mut serde_json::Value),
    ) -> Result<Published, InventoryError> {
        let mut manifest = Manifest::new(
            &self.source_bucket,
            &self.destination_bucket,
            self.created,
            &self.columns,
        );
        manifest.files.clone_from(&files);
        // The text keeps the order of S3 unless somebody edits.
        let as_s3 = serde_json::to_value(&manifest)?;
        let mut edited = as_s3.clone();
        edit(&mut edited);
        let json = if edited == as_s3 {
            serde_json::to_vec_pretty(&manifest)?
        } else {
            serde_json::to_vec_pretty(&edited)?
        };

        let folder = format!(
            "{}{}",
            self.root(),
            self.created.strftime("%Y-%m-%dT%H-%MZ")
        );
        let manifest_key = format!("{folder}/manifest.json");
        let checksum = match self.checksum {
            Checksum::Right => Some(checksum_of(&json)),
            Checksum::Wrong => Some(checksum_of(b"another manifest")),
            Checksum::Missing => None,
        };
        store
            .put(&self.destination_bucket, &manifest_key, json.into())
            .await?;
        if let Some(checksum) = checksum {
            let line = Bytes::from(format!("{checksum}\n"));
            store
                .put(
                    &self.destination_bucket,
                    &format!("{folder}/manifest.checksum"),
                    line,
                )
                .await?;
        }
        let address = store.address(&self.destination_bucket, &manifest_key);
        Ok(Published {
            manifest: address,
            manifest_key,
            files,
            rows: 0,
        })
    }

    /// Writes one shard to a temporary file and gives it with its number of rows.
    fn write_shard(
        &self,
        rows: &mut impl Iterator<Item = Row>,
    ) -> Result<(tempfile::NamedTempFile, u64), InventoryError> {
        let file = tempfile::NamedTempFile::new().map_err(InventoryError::Shard)?;
        let output = BufWriter::with_capacity(1 << 20, file);
        let level = Compression::new(self.compression);
        let mut shard = ShardWriter::new(output, &self.source_bucket, &self.columns, level);
        let mut count = 0;
        while count < self.rows_per_shard {
            let Some(row) = rows.next() else { break };
            shard.write(&row).map_err(InventoryError::Shard)?;
            count += 1;
        }
        let mut output = shard.finish().map_err(InventoryError::Shard)?;
        output.flush().map_err(InventoryError::Shard)?;
        let file = output
            .into_inner()
            .map_err(|error| InventoryError::Shard(error.into_error()))?;
        Ok((file, count))
    }

    /// `<prefix>/<source bucket>/<configuration>/`.
    fn root(&self) -> String {
        let prefix = if self.prefix.is_empty() {
            String::new()
        } else {
            format!("{}/", self.prefix)
        };
        format!("{prefix}{}/{}/", self.source_bucket, self.configuration)
    }

    fn data_key(&self, extension: &str) -> String {
        format!("{}data/{}.{extension}", self.root(), uuid())
    }
}

/// A random (version 4) UUID.
fn uuid() -> String {
    let mut bytes: [u8; 16] = rand::rng().random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = HEXLOWER.encode(&bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// Size and MD5 of a file; the key is the caller's.
fn describe(path: &Path) -> Result<ManifestFile, InventoryError> {
    let mut file = std::fs::File::open(path).map_err(InventoryError::Shard)?;
    let mut hash = Md5::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let length = file.read(&mut buffer).map_err(InventoryError::Shard)?;
        if length == 0 {
            return Ok(ManifestFile {
                key: String::new(),
                size,
                md5: HEXLOWER.encode(&hash.finalize()),
            });
        }
        hash.update(&buffer[..length]);
        size += u64::try_from(length).unwrap_or(u64::MAX);
    }
}
