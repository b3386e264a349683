//! Where everything of a run goes.

use std::collections::BTreeMap;

use s3bundler_contract::Layout;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::SpecError;
use super::rule::Rule;

/// Where archives, catalogs and everything else of the run go.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// Name of the bucket, or alias of an access point.
    #[schemars(
        regex(pattern = "^[a-zA-Z0-9][a-zA-Z0-9._-]*$"),
        length(min = 3, max = 63)
    )]
    pub bucket: String,
    /// What every key begins with, without a slash at either end. Default: nothing.
    #[serde(default)]
    #[schemars(regex(pattern = "^([^/]+(/[^/]+)*)?$"), length(max = 512))]
    pub prefix: String,
    /// AWS region of the bucket. Default: the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = "^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$"),
        length(min = 1, max = 63)
    )]
    pub region: Option<String>,
    /// The 12-digit account that has to own the bucket; sent with every request. Default: not
    /// checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9]{12}$"), length(max = 12))]
    pub expected_bucket_owner: Option<String>,
    /// Storage class of archives, indexes and copied objects, as S3 spells it. Everything else is
    /// STANDARD.
    #[serde(default = "standard")]
    #[schemars(length(min = 1, max = 64))]
    pub storage_class: String,
    /// How S3 encrypts what is written.
    #[serde(default)]
    pub encryption: Encryption,
    /// Tags of every archive, 10 at most. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 10, "additionalProperties" = {"type": "string", "maxLength": 256, "pattern": TAG_VALUE},
                      "x-kubernetes-validations" = [tag_keys()]))]
    pub tags: BTreeMap<String, String>,
    /// Hashed puts six hex digits before the names of archives and copies, so that S3 can spread
    /// them; Plain does not.
    #[serde(default)]
    pub key_layout: KeyLayout,
}

impl Destination {
    /// The keys under the prefix. Fails where it is none.
    pub fn layout(&self) -> Result<Layout, SpecError> {
        Layout::new(&self.prefix, self.key_layout.into()).map_err(|cause| SpecError::Layout {
            field: "spec.destination.prefix",
            cause,
        })
    }
}

/// What S3 takes as the value of a tag ("Categorizing your objects using tags", S3 user guide).
const TAG_VALUE: &str = r"^[\p{L}\p{Z}\p{N}_.:/=+@-]*$";

/// As `--tag KEY=VALUE` takes them: what S3 does, but for the equals sign.
fn tag_keys() -> Rule {
    Rule::new(
        r"self.all(k, size(k) <= 128 && !k.startsWith('aws:') && k.matches(r'^[\p{L}\p{Z}\p{N}_.:/+@-]+$'))",
        "keys of tags have 1 to 128 letters, digits, spaces and _.:/+@-, and aws: is reserved",
    )
}

fn standard() -> String {
    "STANDARD".to_owned()
}

/// How S3 encrypts what is written.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[schemars(extend("x-kubernetes-validations" = [
    Rule::new("!has(self.kmsKeyID) || self.type in ['SSEKMS', 'DSSEKMS']", "kmsKeyID needs type \
        SSEKMS or DSSEKMS")
]))]
pub struct Encryption {
    /// BucketDefault leaves it to the bucket; the others ask for it by name.
    #[serde(default, rename = "type")]
    pub kind: EncryptionType,
    /// ARN, id or alias of the KMS key, with type SSEKMS or DSSEKMS. Default: the key that AWS
    /// manages.
    #[serde(default, rename = "kmsKeyID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub kms_key_id: Option<String>,
}

/// Who encrypts with which key.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EncryptionType {
    #[default]
    BucketDefault,
    #[serde(rename = "SSES3")]
    SseS3,
    #[serde(rename = "SSEKMS")]
    SseKms,
    #[serde(rename = "DSSEKMS")]
    DsseKms,
}

/// How keys of archives and copied objects begin.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyLayout {
    #[default]
    Hashed,
    Plain,
}

impl From<KeyLayout> for s3bundler_contract::KeyLayout {
    fn from(layout: KeyLayout) -> Self {
        match layout {
            KeyLayout::Hashed => Self::Hashed,
            KeyLayout::Plain => Self::Plain,
        }
    }
}

#[cfg(test)]
mod tests;
