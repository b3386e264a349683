//! The index beside an archive: the catalog's rows as RFC 4180 CSV with a header row, for people
//! and for the day when nothing else is left.

/// The header row. First the seed's columns, then where the object is, then all else that the
/// catalog knows.
///
/// `checksum` is the MD5 of the object in hex; `metadata`, `tags`, `headers` and `checksums` are
/// JSON objects; `offset` and `length` are the byte range of the archive to GET, `skip` the bytes
/// to drop after decompressing it. `detail` is the error code of a failed object, `sha256` the
/// SHA-256 of the object in hex if the run asked for it.
pub const COLUMNS: [&str; 19] = [
    "bucket",
    "key",
    "size",
    "lastmodified",
    "checksum",
    "metadata",
    "tags",
    "outcome",
    "archive",
    "offset",
    "length",
    "skip",
    "versionid",
    "etag",
    "storageclass",
    "headers",
    "checksums",
    "detail",
    "sha256",
];
