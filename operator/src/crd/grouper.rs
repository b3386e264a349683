//! The pod that makes the groups.

use k8s_openapi::api::core::v1::ResourceRequirements;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pod_template::PodTemplate;
use super::schema;

/// The pod that reads the inventory and makes the groups.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Grouper {
    /// CPU and memory of the container. Default: the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::bare::<ResourceRequirements>")]
    pub resources: Option<ResourceRequirements>,
    /// Labels, annotations and placement of the pod.
    #[serde(default)]
    pub pod_template: PodTemplate,
}
