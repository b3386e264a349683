//! The operator's own settings, as far as runs depend on them.

use k8s_openapi::api::core::v1::ResourceRequirements;

use crate::policy::PolicyFile;
use crate::queues::ClusterName;

/// What the operator's own settings add to every run.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// Image of grouper and workers.
    pub image: String,
    pub image_pull_policy: String,
    /// Service account of runs that name none.
    pub service_account: String,
    /// AWS region of whatever names none.
    pub region: String,
    /// Variables of grouper and workers.
    pub env: Vec<(String, String)>,
    /// Resources of workers that ask for none.
    pub worker_resources: ResourceRequirements,
    /// Resources of groupers that ask for none.
    pub grouper_resources: ResourceRequirements,
    /// Group of workers' volumes that are made for them.
    pub worker_fs_group: Option<i64>,
    /// What names this cluster in claims, queues and their tags.
    pub cluster: ClusterName,
    /// What runs may do.
    pub policy: Option<PolicyFile>,
    /// Whether ScaledObjects may be written.
    pub keda: bool,
    /// The certificates that the pods trust.
    pub ca_bundle: Option<CaBundle>,
    /// Hosts of queue URLs besides those of AWS: those of configured endpoints.
    pub queue_hosts: Vec<String>,
}

/// A PEM file in a ConfigMap, which has to be in the namespaces of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaBundle {
    pub config_map: String,
    pub key: String,
}
