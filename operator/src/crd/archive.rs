//! How archives are written.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use s3bundler_contract::ArchiveOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::destination::Destination;
use super::error::SpecError;
use super::quantity;

/// How archives are written.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Archive {
    /// Tar, or TarGzip and TarZstd: the same, compressed so that every object can still be read
    /// alone.
    pub format: ArchiveFormat,
    /// Objects larger than this are copied by S3 instead of being packed.
    #[schemars(schema_with = "quantity::schema")]
    pub max_object_size: Quantity,
    /// Adds the SHA-256 of each archived object to catalog and index. It costs CPU; archives for
    /// auditors turn it on.
    pub sha256: bool,
}

impl Default for Archive {
    fn default() -> Self {
        Self {
            format: ArchiveFormat::Tar,
            max_object_size: Quantity("2Gi".to_owned()),
            sha256: false,
        }
    }
}

impl Archive {
    /// The same in the words of the contract, which counts the destination's storage class and key
    /// layout in. Fails where the size is none.
    pub fn options(&self, destination: &Destination) -> Result<ArchiveOptions, SpecError> {
        Ok(ArchiveOptions {
            format: self.format.into(),
            max_object_size: quantity::read("spec.archive.maxObjectSize", &self.max_object_size)?,
            storage_class: destination.storage_class.clone(),
            key_layout: destination.key_layout.into(),
        })
    }
}

/// Format of an archive.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ArchiveFormat {
    #[default]
    Tar,
    TarGzip,
    TarZstd,
}

impl From<ArchiveFormat> for s3bundler_contract::ArchiveFormat {
    fn from(format: ArchiveFormat) -> Self {
        match format {
            ArchiveFormat::Tar => Self::Tar,
            ArchiveFormat::TarGzip => Self::TarGzip,
            ArchiveFormat::TarZstd => Self::TarZstd,
        }
    }
}

#[cfg(test)]
mod tests;
