//! The pods that make the archives, and how many of them.

use k8s_openapi::api::core::v1::ResourceRequirements;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pod_template::PodTemplate;
use super::rule::Rule;
use super::schema;
use super::scratch::Scratch;

/// The pods that make the archives.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Workers {
    /// How many there are.
    pub scaling: Scaling,
    /// Seconds in which a worker that is told to stop may still finish its group; the pod's grace
    /// period is 30 more. A spot notice is 120.
    #[schemars(range(min = 0, max = 3600))]
    pub drain_seconds: i32,
    /// Groups after which a worker's process starts itself afresh, in the same container. Default:
    /// never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = i32::MAX))]
    pub recycle_after_groups: Option<i32>,
    /// The directory for objects that are too large for memory. Immutable.
    pub scratch: Scratch,
    /// CPU and memory of the container; half of the memory limit holds objects. Default: the
    /// operator's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::bare::<ResourceRequirements>")]
    pub resources: Option<ResourceRequirements>,
    /// Labels, annotations and placement of the pods. A change rolls the Deployment, and workers
    /// drain.
    pub pod_template: PodTemplate,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            scaling: Scaling::default(),
            drain_seconds: 90,
            recycle_after_groups: None,
            scratch: Scratch::default(),
            resources: None,
            pod_template: PodTemplate::default(),
        }
    }
}

/// How many workers there are.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    Rule::new("self.minReplicas <= self.maxReplicas", "minReplicas cannot be more than maxReplicas"),
    Rule::new("self.mode == 'Keda' || !has(self.keda)", "keda needs mode Keda"),
]))]
pub struct Scaling {
    /// Builtin: the operator scales by the queue's depth. Keda: a ScaledObject does. External:
    /// replicas are left alone, but zero when the run is done or suspended. Immutable.
    pub mode: ScalingMode,
    /// Workers while work is left, at least.
    #[schemars(range(min = 0, max = 1000))]
    pub min_replicas: i32,
    /// Workers, at most. The operator may cap the sum over all runs.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// Groups waiting or in flight for each worker: as many workers are wanted as groups divided by
    /// this.
    #[schemars(range(min = 1, max = i32::MAX))]
    pub target_groups_per_worker: i32,
    /// What KEDA needs to know, with mode Keda only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keda: Option<Keda>,
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            mode: ScalingMode::Builtin,
            min_replicas: 0,
            max_replicas: 20,
            target_groups_per_worker: 1,
            keda: None,
        }
    }
}

/// Who scales the workers.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScalingMode {
    #[default]
    Builtin,
    Keda,
    External,
}

/// What KEDA needs to know.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Keda {
    /// How KEDA signs in to SQS. Default: as its own operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication_ref: Option<AuthenticationRef>,
    /// Seconds between two looks at the queue.
    #[schemars(range(min = 1, max = 3600))]
    pub polling_interval_seconds: i32,
}

impl Default for Keda {
    fn default() -> Self {
        Self {
            authentication_ref: None,
            polling_interval_seconds: 15,
        }
    }
}

/// A TriggerAuthentication of the run's namespace, or a ClusterTriggerAuthentication.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct AuthenticationRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// TriggerAuthentication or ClusterTriggerAuthentication.
    #[serde(default)]
    pub kind: AuthenticationKind,
}

/// KEDA's kinds of authentication.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AuthenticationKind {
    #[default]
    TriggerAuthentication,
    ClusterTriggerAuthentication,
}
