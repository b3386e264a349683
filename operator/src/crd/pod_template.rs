//! The few fields of a pod that a run may set: what it is called and where it runs. What it runs is
//! the operator's.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, LocalObjectReference, Toleration, TopologySpreadConstraint,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::Rule;
use super::schema;

/// Labels, annotations and placement of a pod.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
pub struct PodTemplate {
    /// Labels and annotations of the pod.
    #[serde(default, skip_serializing_if = "PodMetadata::is_empty")]
    pub metadata: PodMetadata,
    /// Where the pod runs.
    #[serde(default, skip_serializing_if = "PodPlacement::is_empty")]
    pub spec: PodPlacement,
}

/// Labels and annotations of a pod.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
pub struct PodMetadata {
    /// Labels, 32 at most; those of archive.s3bundler.dev/ and app.kubernetes.io/ are the
    /// operator's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "maxProperties" = 32,
        "additionalProperties" = {"type": "string", "maxLength": 63},
        "x-kubernetes-validations" = [not_reserved()],
    ))]
    pub labels: BTreeMap<String, String>,
    /// Annotations, 32 at most; those of archive.s3bundler.dev/ and app.kubernetes.io/ are the
    /// operator's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "maxProperties" = 32,
        "additionalProperties" = {"type": "string", "maxLength": 4096},
        "x-kubernetes-validations" = [not_reserved()],
    ))]
    pub annotations: BTreeMap<String, String>,
}

fn not_reserved() -> Rule {
    Rule::new(
        "self.all(k, !k.startsWith('archive.s3bundler.dev/') && \
         !k.startsWith('app.kubernetes.io/'))",
        "archive.s3bundler.dev/ and app.kubernetes.io/ are reserved for the operator",
    )
}

impl PodMetadata {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a pod runs.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PodPlacement {
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that the pod tolerates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::bare::<Vec<Toleration>>")]
    pub tolerations: Vec<Toleration>,
    /// Affinity to nodes and pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::bare::<Affinity>")]
    pub affinity: Option<Affinity>,
    /// How the pods spread over nodes and zones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::bare::<Vec<TopologySpreadConstraint>>")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// PriorityClass of the pod. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// RuntimeClass of the pod. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub runtime_class_name: Option<String>,
    /// Scheduler of the pod. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub scheduler_name: Option<String>,
    /// Secrets of the run's namespace to pull the image with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::bare::<Vec<LocalObjectReference>>")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
}

impl PodPlacement {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
