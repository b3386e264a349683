//! One row of an inventory: an object, a version or a delete marker. What a test does not care
//! about has the value that S3 would write for a small, plain object.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Column;
use super::shard::encode_key;

/// The MD5 of nothing: the ETag of a row that was given none.
const EMPTY_ETAG: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The literal key; it is encoded when written.
    pub key: String,
    /// Empty for the null version.
    pub version_id: String,
    /// Whether this is the newest version of its key.
    pub is_latest: bool,
    /// Whether it is a delete marker, which has no size, ETag or storage class.
    pub is_delete_marker: bool,
    /// In bytes.
    pub size: u64,
    /// Written with milliseconds.
    pub last_modified: Timestamp,
    /// Without quotes.
    pub etag: String,
    /// Such as `STANDARD`.
    pub storage_class: String,
    /// Texts that are written as they are, whatever the fields above say.
    texts: BTreeMap<Column, String>,
}

impl Row {
    /// A current object in STANDARD.
    pub fn new(key: impl Into<String>, size: u64) -> Self {
        Self {
            key: key.into(),
            version_id: String::new(),
            is_latest: true,
            is_delete_marker: false,
            size,
            last_modified: Timestamp::UNIX_EPOCH,
            etag: EMPTY_ETAG.to_owned(),
            storage_class: "STANDARD".to_owned(),
            texts: BTreeMap::new(),
        }
    }

    /// A delete marker.
    pub fn delete_marker(
        key: impl Into<String>,
        version_id: impl Into<String>,
        is_latest: bool,
    ) -> Self {
        Self {
            is_delete_marker: true,
            ..Self::new(key, 0).version(version_id, is_latest)
        }
    }

    /// The version's id, and whether it is the newest.
    #[must_use]
    pub fn version(mut self, version_id: impl Into<String>, is_latest: bool) -> Self {
        self.version_id = version_id.into();
        self.is_latest = is_latest;
        self
    }

    /// Another ETag, without quotes.
    #[must_use]
    pub fn etag(mut self, etag: impl Into<String>) -> Self {
        self.etag = etag.into();
        self
    }

    /// Another storage class.
    #[must_use]
    pub fn storage_class(mut self, class: impl Into<String>) -> Self {
        self.storage_class = class.into();
        self
    }

    /// Another date.
    #[must_use]
    pub fn last_modified(mut self, date: Timestamp) -> Self {
        self.last_modified = date;
        self
    }

    /// The exact text of a cell: values of columns that have no field here, and values that S3
    /// would never write.
    #[must_use]
    pub fn with(mut self, column: Column, text: impl Into<String>) -> Self {
        self.texts.insert(column, text.into());
        self
    }

    /// The text of a cell before CSV quotes it.
    pub fn cell<'a>(&'a self, column: Column, bucket: &'a str) -> Cow<'a, str> {
        if let Some(text) = self.texts.get(&column) {
            return Cow::Borrowed(text);
        }
        let flag = |value: bool| Cow::Borrowed(if value { "true" } else { "false" });
        match column {
            Column::Bucket => Cow::Borrowed(bucket),
            Column::Key => encode_key(&self.key),
            Column::VersionId => Cow::Borrowed(&self.version_id),
            Column::IsLatest => flag(self.is_latest),
            Column::IsDeleteMarker => flag(self.is_delete_marker),
            Column::LastModifiedDate => Cow::Owned(
                self.last_modified
                    .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
                    .to_string(),
            ),
            // S3 writes it for delete markers too.
            Column::BucketKeyStatus => Cow::Borrowed("DISABLED"),
            _ if self.is_delete_marker => Cow::Borrowed(""),
            Column::Size => Cow::Owned(self.size.to_string()),
            Column::ETag => Cow::Borrowed(&self.etag),
            Column::StorageClass => Cow::Borrowed(&self.storage_class),
            Column::IsMultipartUploaded => flag(self.etag.contains('-')),
            Column::EncryptionStatus => Cow::Borrowed("SSE-S3"),
            Column::ReplicationStatus
            | Column::ObjectLockRetainUntilDate
            | Column::ObjectLockMode
            | Column::ObjectLockLegalHoldStatus
            | Column::IntelligentTieringAccessTier
            | Column::ChecksumAlgorithm
            | Column::ObjectAccessControlList
            | Column::ObjectOwner => Cow::Borrowed(""),
        }
    }
}
