//! `s3://bucket/key`, the one way this project writes where something is in S3.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An object or a prefix in S3. The key is literal (not URL-encoded) and may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct S3Address {
    /// The bucket's name, an access point alias or an access point ARN without slashes.
    pub bucket: String,
    /// The key, as S3 has it.
    pub key: String,
}

/// Why a text is not an [`S3Address`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text does not start with `s3://`.
    #[error("{0:?} is not an S3 address: it should look like s3://bucket/key")]
    NotS3(String),
    /// Nothing stands between `s3://` and the next slash.
    #[error("{0:?} names no bucket: it should look like s3://bucket/key")]
    NoBucket(String),
}

impl S3Address {
    /// The address of `key` in `bucket`.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            key: key.into(),
        }
    }

    /// The last part of the key: what follows its last slash.
    pub fn file_name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for S3Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = text
            .strip_prefix("s3://")
            .ok_or_else(|| AddressError::NotS3(text.to_owned()))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(AddressError::NoBucket(text.to_owned()));
        }
        Ok(Self::new(bucket, key))
    }
}

impl TryFrom<String> for S3Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<S3Address> for String {
    fn from(address: S3Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for S3Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests;
