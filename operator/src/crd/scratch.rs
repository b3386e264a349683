//! The worker's directory for objects that are too large for memory.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use s3bundler_contract::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::SpecError;
use super::quantity;
use super::rule::Rule;

/// The worker's directory for objects that are too large for memory.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    Rule::new("(self.type == 'Ephemeral') == has(self.ephemeral)", "ephemeral is needed with type \
        Ephemeral, and only then"),
    Rule::new("(self.type == 'HostPath') == has(self.hostPath)", "hostPath is needed with type \
        HostPath, and only then"),
]))]
pub struct Scratch {
    /// EmptyDir: the node's disk. Ephemeral: a volume that lives as long as the pod. HostPath: a
    /// directory of the node, where the operator's policy allows it.
    #[serde(rename = "type")]
    pub kind: ScratchType,
    /// Size of the directory, such as 20Gi; workers keep within it.
    #[schemars(schema_with = "quantity::schema")]
    pub size_limit: Quantity,
    /// The volume, with type Ephemeral.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<EphemeralScratch>,
    /// The directory, with type HostPath.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_path: Option<HostPathScratch>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            kind: ScratchType::EmptyDir,
            size_limit: Quantity("20Gi".to_owned()),
            ephemeral: None,
            host_path: None,
        }
    }
}

impl Scratch {
    /// The limit in bytes. Fails where it is none.
    pub fn size(&self) -> Result<ByteSize, SpecError> {
        quantity::read("spec.workers.scratch.sizeLimit", &self.size_limit)
    }
}

/// What the directory lies on.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScratchType {
    #[default]
    EmptyDir,
    Ephemeral,
    HostPath,
}

/// A volume that lives as long as the pod.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EphemeralScratch {
    /// StorageClass of the volume. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

/// A directory of the node.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPathScratch {
    /// Path on the node, such as /mnt/nvme; absolute and without two dots in a row.
    #[schemars(
        regex(pattern = "^/"),
        length(max = 1024),
        extend("x-kubernetes-validations" = [Rule::new("!self.contains('..')", "path cannot \
            contain ..")])
    )]
    pub path: String,
}
