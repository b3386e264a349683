//! Which objects a run archives: an S3 Inventory, or group manifests that somebody else made, and a
//! selection of its rows.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use s3bundler_contract::{S3Address, SelectOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::SpecError;
use super::quantity;
use super::rule::Rule;
use super::schema;

/// Which objects to archive: exactly one of inventory and manifests.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    Rule::new("has(self.inventory) != has(self.manifests)", "exactly one of inventory and \
        manifests is needed")
]))]
pub struct Source {
    /// An S3 Inventory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Inventory>,
    /// Group manifests that are there already, as awslabs/s3bundler wrote them. The filters below
    /// apply to their rows too, where the manifests have the columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Manifests>,
    /// AWS region of inventory and source buckets. Default: the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = "^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$"),
        length(min = 1, max = 63)
    )]
    pub region: Option<String>,
    /// The 12-digit account that has to own inventory and source buckets; sent with every request.
    /// Default: not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9]{12}$"), length(max = 12))]
    pub expected_bucket_owner: Option<String>,
    /// Maximum number of requests a second to each source bucket (objects, tags and copies), over
    /// all workers of the run. Each worker gets the number divided by workers.scaling.maxReplicas;
    /// if the number is lower, the run has no more workers than the number. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_requests_per_second: Option<i32>,
    /// Who pays for reads of inventory and source buckets, sent with every request. Requester
    /// charges the account of the pods, which buckets with Requester Pays demand. Default: not
    /// sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_payer: Option<RequestPayer>,
    /// Seconds that workers wait for the first byte of an object before they ask for it on another
    /// connection. Default: 10. A store that reads from slow disks may need 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 600))]
    pub first_byte_timeout_seconds: Option<i32>,
    /// Takes only keys that begin with one of these. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::set::<100, 1024>")]
    pub include_prefixes: Vec<String>,
    /// Leaves out keys that begin with one of these; wins over includePrefixes. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::set::<100, 1024>")]
    pub exclude_prefixes: Vec<String>,
    /// Takes only objects of these storage classes, as S3 spells them. Default: every class that
    /// can be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::storage_classes")]
    pub storage_classes: Vec<String>,
    /// Takes only objects modified before this instant (RFC 3339). Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub modified_before: Option<Time>,
    /// Takes only objects of at least this size, such as 1Ki. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity::schema")]
    pub min_size: Option<Quantity>,
    /// Takes only objects of at most this size, such as 1Gi. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity::schema")]
    pub max_size: Option<Quantity>,
    /// Current takes current versions only, All takes noncurrent ones too.
    #[serde(default)]
    pub versions: Versions,
    /// What becomes of objects in GLACIER and DEEP_ARCHIVE: Skip leaves them out, OnlyRestored
    /// takes them alone, because somebody restored them.
    #[serde(default)]
    pub glacier_objects: GlacierObjects,
}

/// Who pays for reads.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestPayer {
    Requester,
}

/// An S3 Inventory: exactly one of manifest and latest.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    Rule::new("has(self.manifest) != has(self.latest)", "exactly one of manifest and latest is \
        needed")
]))]
pub struct Inventory {
    /// Address of the inventory's manifest.json: s3://bucket/path/manifest.json.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^s3://[^/]+/"), length(max = 1100))]
    pub manifest: Option<String>,
    /// The newest finished inventory, looked for once, when the run starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<LatestInventory>,
}

/// The newest finished inventory under a prefix.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LatestInventory {
    /// Address above the inventories' dates: s3://bucket/source-bucket/configuration/.
    #[schemars(regex(pattern = "^s3://[^/]+"), length(max = 1100))]
    pub prefix: String,
    /// Hours; waits for a newer inventory where the newest is older than this. Default: however
    /// old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 87_600))]
    pub max_age_hours: Option<i32>,
}

/// Group manifests that are there already.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifests {
    /// Address that the manifests' addresses begin with: s3://bucket/prefix/.
    #[schemars(regex(pattern = "^s3://[^/]+"), length(max = 1100))]
    pub prefix: String,
}

/// Which versions of an object are taken.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Versions {
    #[default]
    Current,
    All,
}

/// What becomes of objects that cannot be read at once.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GlacierObjects {
    #[default]
    Skip,
    OnlyRestored,
}

/// Where a run's rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The inventory with this manifest.json.
    Inventory(S3Address),
    /// The newest finished inventory under a prefix.
    Latest {
        /// What stands above the inventories' dates; without a slash at its end unless one was
        /// given.
        prefix: S3Address,
        /// How old it may be.
        max_age: Option<Duration>,
    },
    /// Group manifests under this prefix.
    Manifests(S3Address),
}

impl Origin {
    /// The address that it begins at.
    pub fn address(&self) -> &S3Address {
        match self {
            Self::Inventory(manifest) => manifest,
            Self::Latest { prefix, .. } | Self::Manifests(prefix) => prefix,
        }
    }
}

impl Source {
    /// Where the rows come from. Fails where an address is none, or where the schema's either-or
    /// was passed by.
    pub fn origin(&self) -> Result<Origin, SpecError> {
        match (&self.inventory, &self.manifests) {
            (Some(inventory), None) => inventory.origin(),
            (None, Some(manifests)) => {
                let prefix = parse_address("spec.source.manifests.prefix", &manifests.prefix)?;
                Ok(Origin::Manifests(prefix))
            }
            _ => Err(SpecError::NotOne {
                field: "spec.source",
                of: "inventory and manifests",
            }),
        }
    }

    /// Which rows are taken. Fails where a size is none.
    pub fn select(&self) -> Result<SelectOptions, SpecError> {
        let size = |field, size: &Option<Quantity>| {
            size.as_ref()
                .map(|size| quantity::read(field, size))
                .transpose()
        };
        Ok(SelectOptions {
            include: self.include_prefixes.clone(),
            exclude: self.exclude_prefixes.clone(),
            storage_classes: self.storage_classes.clone(),
            modified_before: self
                .modified_before
                .as_ref()
                .map(|instant| instant.0.to_string()),
            min_size: size("spec.source.minSize", &self.min_size)?,
            max_size: size("spec.source.maxSize", &self.max_size)?,
            all_versions: self.versions == Versions::All,
            only_restored: self.glacier_objects == GlacierObjects::OnlyRestored,
        })
    }
}

impl Inventory {
    fn origin(&self) -> Result<Origin, SpecError> {
        match (&self.manifest, &self.latest) {
            (Some(manifest), None) => {
                let field = "spec.source.inventory.manifest";
                let manifest = parse_address(field, manifest)?;
                if manifest.file_name().is_empty() {
                    return Err(SpecError::NoObject {
                        field,
                        address: manifest,
                    });
                }
                Ok(Origin::Inventory(manifest))
            }
            (None, Some(latest)) => Ok(Origin::Latest {
                prefix: parse_address("spec.source.inventory.latest.prefix", &latest.prefix)?,
                max_age: latest
                    .max_age_hours
                    .map(|hours| Duration::from_hours(u64::from(hours.unsigned_abs()))),
            }),
            _ => Err(SpecError::NotOne {
                field: "spec.source.inventory",
                of: "manifest and latest",
            }),
        }
    }
}

fn parse_address(field: &'static str, text: &str) -> Result<S3Address, SpecError> {
    text.parse()
        .map_err(|cause| SpecError::Address { field, cause })
}

#[cfg(test)]
mod tests;
