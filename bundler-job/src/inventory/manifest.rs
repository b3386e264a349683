//! manifest.json, as "Amazon S3 Inventory" in the S3 user guide describes it.

use std::collections::HashSet;

use s3bundler_contract::ByteSize;
use s3bundler_contract::group_manifest::{Columns, ColumnsError};
use serde::Deserialize;

/// A manifest of this size would list 200,000 data files at some 300 bytes each, of a million rows
/// and more.
pub(super) const MAX_MANIFEST_SIZE: ByteSize = ByteSize::mib(64);

/// What an inventory consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The bucket that was listed.
    pub source_bucket: String,
    /// The bucket that S3 delivered the inventory to.
    pub destination_bucket: String,
    /// Milliseconds since 1970 at which S3 began it.
    pub creation_timestamp: Option<u64>,
    /// The columns of every data file, in order.
    pub columns: Columns,
    /// The data files, in order.
    pub files: Vec<DataFile>,
}

/// A data file of an inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    pub key: String,
    /// Its size, compressed.
    pub size: ByteSize,
    /// MD5 of its compressed bytes.
    pub md5: [u8; 16],
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestProblem {
    /// Larger than any manifest.
    #[error(
        "it has {0} bytes, more than the {MAX_MANIFEST_SIZE} that a manifest can sensibly have"
    )]
    TooLarge(u64),
    /// Not the JSON it should be.
    #[error("it is not the manifest of an S3 Inventory: {0}")]
    Json(#[from] serde_json::Error),
    /// A creationTimestamp that is no number.
    #[error("its creationTimestamp {0:?} is not a number of milliseconds")]
    CreationTimestamp(String),
    /// A format that is not read.
    #[error(
        "its data files are {0}, which is not read yet: configure the inventory for CSV (and wait \
         for the next one)"
    )]
    Format(String),
    /// A schema without the columns that every inventory has.
    #[error("its fileSchema cannot be used: {0}")]
    Schema(#[from] ColumnsError),
    /// A data file without a key, without an MD5, or named twice.
    #[error("its data file {key:?} {problem}")]
    File { key: String, problem: &'static str },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestJson {
    source_bucket: String,
    destination_bucket: String,
    creation_timestamp: Option<String>,
    file_format: String,
    file_schema: String,
    files: Vec<FileJson>,
}

#[derive(Deserialize)]
struct FileJson {
    key: String,
    size: u64,
    #[serde(rename = "MD5checksum")]
    md5: String,
}

impl Manifest {
    /// Reads manifest.json, whose checksum the caller compared.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestProblem> {
        let json: ManifestJson = serde_json::from_slice(json)?;
        // The format first: the schemas of the others look different.
        if !json.file_format.eq_ignore_ascii_case("CSV") {
            return Err(ManifestProblem::Format(json.file_format));
        }
        let creation_timestamp = json
            .creation_timestamp
            .map(|text| {
                text.parse()
                    .map_err(|_| ManifestProblem::CreationTimestamp(text))
            })
            .transpose()?;
        Ok(Self {
            source_bucket: bucket_name(&json.source_bucket),
            destination_bucket: bucket_name(&json.destination_bucket),
            creation_timestamp,
            columns: json.file_schema.parse()?,
            files: files(json.files)?,
        })
    }
}

/// `destinationBucket` is an ARN, `sourceBucket` a name.
fn bucket_name(text: &str) -> String {
    let name = text
        .strip_prefix("arn:")
        .and_then(|arn| arn.rsplit(":::").next());
    name.unwrap_or(text).to_owned()
}

fn files(files: Vec<FileJson>) -> Result<Vec<DataFile>, ManifestProblem> {
    let mut seen = HashSet::with_capacity(files.len());
    for file in &files {
        let problem = |problem| ManifestProblem::File {
            key: file.key.clone(),
            problem,
        };
        if file.key.is_empty() {
            return Err(problem("has no key"));
        }
        // S3 names them itself; anything else would end up in messages and on terminals.
        if file.key.chars().any(char::is_control) {
            return Err(problem("has control characters in its key"));
        }
        if !seen.insert(file.key.as_str()) {
            return Err(problem("is listed twice"));
        }
    }
    files
        .into_iter()
        .map(|file| match md5_from_hex(&file.md5) {
            Some(md5) => Ok(DataFile {
                key: file.key,
                size: ByteSize(file.size),
                md5,
            }),
            None => Err(ManifestProblem::File {
                key: file.key,
                problem: "has no MD5checksum of 32 hex digits",
            }),
        })
        .collect()
}

/// An MD5 as the inventory's files write it.
pub(super) fn md5_from_hex(text: &str) -> Option<[u8; 16]> {
    data_encoding::HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .ok()?
        .try_into()
        .ok()
}

#[cfg(test)]
mod tests;
