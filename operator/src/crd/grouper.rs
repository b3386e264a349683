//! The pod that makes the groups.

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use s3bundler_contract::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::SpecError;
use super::pod_template::PodTemplate;
use super::{quantity, schema};

/// The pod that reads the inventory and makes the groups.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Grouper {
    /// The pod's directory for data files of the inventory, existing manifests and dead letters.
    #[serde(default)]
    pub scratch: GrouperScratch,
    /// CPU and memory of the container. Default: the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::bare::<ResourceRequirements>")]
    pub resources: Option<ResourceRequirements>,
    /// Labels, annotations and placement of the pod. Its annotation karpenter.sh/do-not-disrupt is
    /// true unless it is set here.
    #[serde(default)]
    pub pod_template: PodTemplate,
}

/// The grouper's directory on the node's disk: files are verified there before their first row is
/// used.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct GrouperScratch {
    /// Size of the directory, such as 6Gi. The grouper downloads files ahead as far as nine tenths
    /// of it have room, and always one. It has to be larger than the largest data file, which is 2
    /// GB at most if S3 Inventory wrote it.
    #[schemars(schema_with = "quantity::schema")]
    pub size_limit: Quantity,
}

impl Default for GrouperScratch {
    fn default() -> Self {
        Self {
            size_limit: Quantity("6Gi".to_owned()),
        }
    }
}

impl GrouperScratch {
    /// The limit in bytes. Fails if it is not a size.
    pub fn size(&self) -> Result<ByteSize, SpecError> {
        quantity::read("spec.grouper.scratch.sizeLimit", &self.size_limit)
    }
}
