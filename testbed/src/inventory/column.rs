//! The columns of an inventory, in the order in which S3 writes them.

/// One column of an S3 Inventory in CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// Name of the source bucket.
    Bucket,
    /// The object's key, form-url-encoded.
    Key,
    /// Empty for the null version. Only in inventories of all versions.
    VersionId,
    /// `true` or `false`. Only in inventories of all versions.
    IsLatest,
    /// `true` or `false`. Only in inventories of all versions.
    IsDeleteMarker,
    /// Bytes; empty for delete markers.
    Size,
    /// `2024-05-06T22:37:48.000Z`.
    LastModifiedDate,
    /// Without quotes.
    ETag,
    /// `STANDARD`, `GLACIER`, …
    StorageClass,
    /// `true` or `false`.
    IsMultipartUploaded,
    /// `PENDING`, `COMPLETED`, `FAILED`, `REPLICA` or empty.
    ReplicationStatus,
    /// `NOT-SSE`, `SSE-S3`, `SSE-C`, `SSE-KMS`, `DSSE-KMS`.
    EncryptionStatus,
    /// A date or empty.
    ObjectLockRetainUntilDate,
    /// `GOVERNANCE`, `COMPLIANCE` or empty.
    ObjectLockMode,
    /// `On`, `Off` or empty.
    ObjectLockLegalHoldStatus,
    /// `FREQUENT`, `ARCHIVE_ACCESS`, … or empty.
    IntelligentTieringAccessTier,
    /// `ENABLED` or `DISABLED`.
    BucketKeyStatus,
    /// `CRC32`, `SHA256`, … or empty.
    ChecksumAlgorithm,
    /// Base64 of a JSON document.
    ObjectAccessControlList,
    /// A canonical user id.
    ObjectOwner,
}

impl Column {
    /// What an inventory without optional columns has.
    pub const SEED: [Self; 3] = [Self::Bucket, Self::Key, Self::Size];

    /// The columns that matter to the bundler, of current versions only.
    pub const CURRENT: [Self; 6] = [
        Self::Bucket,
        Self::Key,
        Self::Size,
        Self::LastModifiedDate,
        Self::ETag,
        Self::StorageClass,
    ];

    /// The columns that matter to the bundler, of all versions.
    pub const VERSIONS: [Self; 9] = [
        Self::Bucket,
        Self::Key,
        Self::VersionId,
        Self::IsLatest,
        Self::IsDeleteMarker,
        Self::Size,
        Self::LastModifiedDate,
        Self::ETag,
        Self::StorageClass,
    ];

    /// Every column, of all versions.
    pub const ALL: [Self; 20] = [
        Self::Bucket,
        Self::Key,
        Self::VersionId,
        Self::IsLatest,
        Self::IsDeleteMarker,
        Self::Size,
        Self::LastModifiedDate,
        Self::ETag,
        Self::StorageClass,
        Self::IsMultipartUploaded,
        Self::ReplicationStatus,
        Self::EncryptionStatus,
        Self::ObjectLockRetainUntilDate,
        Self::ObjectLockMode,
        Self::ObjectLockLegalHoldStatus,
        Self::IntelligentTieringAccessTier,
        Self::BucketKeyStatus,
        Self::ChecksumAlgorithm,
        Self::ObjectAccessControlList,
        Self::ObjectOwner,
    ];

    /// Every column of an inventory of current versions.
    pub fn all_current() -> Vec<Self> {
        Self::ALL
            .into_iter()
            .filter(|column| !column.is_of_versions())
            .collect()
    }

    /// Whether only inventories of all versions have it.
    pub fn is_of_versions(self) -> bool {
        matches!(
            self,
            Self::VersionId | Self::IsLatest | Self::IsDeleteMarker
        )
    }

    /// The name in the manifest's `fileSchema`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bucket => "Bucket",
            Self::Key => "Key",
            Self::VersionId => "VersionId",
            Self::IsLatest => "IsLatest",
            Self::IsDeleteMarker => "IsDeleteMarker",
            Self::Size => "Size",
            Self::LastModifiedDate => "LastModifiedDate",
            Self::ETag => "ETag",
            Self::StorageClass => "StorageClass",
            Self::IsMultipartUploaded => "IsMultipartUploaded",
            Self::ReplicationStatus => "ReplicationStatus",
            Self::EncryptionStatus => "EncryptionStatus",
            Self::ObjectLockRetainUntilDate => "ObjectLockRetainUntilDate",
            Self::ObjectLockMode => "ObjectLockMode",
            Self::ObjectLockLegalHoldStatus => "ObjectLockLegalHoldStatus",
            Self::IntelligentTieringAccessTier => "IntelligentTieringAccessTier",
            Self::BucketKeyStatus => "BucketKeyStatus",
            Self::ChecksumAlgorithm => "ChecksumAlgorithm",
            Self::ObjectAccessControlList => "ObjectAccessControlList",
            Self::ObjectOwner => "ObjectOwner",
        }
    }
}
