//! manifest.json and its checksum.

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use md5::{Digest, Md5};
use serde::Serialize;

use super::Column;

/// manifest.json, with the field names and the order of S3.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The bucket that was listed.
    pub source_bucket: String,
    /// An ARN.
    pub destination_bucket: String,
    /// Always `2016-11-30`.
    pub version: String,
    /// Epoch milliseconds, as a string.
    pub creation_timestamp: String,
    /// `CSV`.
    pub file_format: String,
    /// The columns, joined by a comma and a space.
    pub file_schema: String,
    /// The data files.
    pub files: Vec<ManifestFile>,
}

/// One data file of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ManifestFile {
    /// Its key in the destination bucket.
    pub key: String,
    /// Its size in bytes, compressed.
    pub size: u64,
    /// Hex MD5 of its bytes.
    #[serde(rename = "MD5checksum")]
    pub md5: String,
}

impl Manifest {
    pub(super) fn new(
        source: &str,
        destination: &str,
        created: Timestamp,
        columns: &[Column],
    ) -> Self {
        let names: Vec<_> = columns.iter().map(|column| column.name()).collect();
        Self {
            source_bucket: source.to_owned(),
            destination_bucket: format!("arn:aws:s3:::{destination}"),
            version: "2016-11-30".to_owned(),
            creation_timestamp: created.as_millisecond().to_string(),
            file_format: "CSV".to_owned(),
            file_schema: names.join(", "),
            files: Vec::new(),
        }
    }
}

/// The content of manifest.checksum: the MD5 of manifest.json.
pub fn checksum_of(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Md5::digest(bytes))
}
