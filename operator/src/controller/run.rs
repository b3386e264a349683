//! A run as it can be carried out: the strict form of an ArchiveRun, with what the operator's own
//! settings add. Plain data, and the stores that it names.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ResourceRequirements;
use s3bundler_contract::layout::RunName;
use s3bundler_contract::record::resource_owner;
use s3bundler_contract::{
    ArchiveOptions, ByteSize, GroupOptions, Layout, Reason, ResourceUid, SelectOptions,
};

use super::build::PodRevision;
use crate::autoscale::fair_shares::NamespaceTerms;
use crate::aws::Aws;
use crate::crd::{
    Delivery, Encryption, FailureLimit, GrouperScratch, Keda, Origin, PodTemplate, ScalingMode,
    Scratch, Verify,
};
use crate::queues::{ClusterName, QueuePair, RunQueue};
use crate::records::Records;

/// Where the groups come from and go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QueuePlan {
    /// A queue that the operator makes and deletes.
    Managed(RunQueue),
    /// A queue that was there before and stays.
    Existing(QueuePair),
}

/// A run as it can be carried out.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// The resource's name, which names the run everywhere.
    pub(crate) name: RunName,
    pub(crate) namespace: String,
    pub(crate) uid: ResourceUid,
    /// The generation that this was read from.
    pub(crate) generation: i64,
    /// Where the rows come from.
    pub(crate) origin: Origin,
    /// Region of what names none, the run's queue included.
    pub(crate) region: String,
    pub(crate) source_region: String,
    /// Account that must own the source's buckets.
    pub(crate) source_owner: Option<String>,
    pub(crate) bucket: String,
    pub(crate) layout: Layout,
    pub(crate) destination_region: String,
    /// Account that must own the destination.
    pub(crate) destination_owner: Option<String>,
    /// How what is written is encrypted.
    pub(crate) encryption: Encryption,
    /// Tags of archives, indexes and copies.
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) select: SelectOptions,
    pub(crate) group: GroupOptions,
    pub(crate) archive: ArchiveOptions,
    pub(crate) queue: QueuePlan,
    /// Who puts messages on it.
    pub(crate) delivery: Delivery,
    /// Service account of the pods.
    pub(crate) service_account: String,
    /// Secret with keys of AWS.
    pub(crate) secret: Option<String>,
    pub(crate) image: String,
    /// What goes with that image.
    pub(crate) pod_revision: PodRevision,
    /// The request that moves the run to the image of this operator.
    pub(crate) upgrade_requested: Option<String>,
    pub(crate) grouper_resources: ResourceRequirements,
    /// Grouper's labels and placement.
    pub(crate) grouper_template: PodTemplate,
    /// The grouper's directory for what it verifies.
    pub(crate) grouper_scratch: GrouperScratch,
    /// Its size.
    pub(crate) grouper_scratch_size: ByteSize,
    pub(crate) worker_resources: ResourceRequirements,
    /// Workers' labels and placement.
    pub(crate) worker_template: PodTemplate,
    pub(crate) mode: ScalingMode,
    /// What KEDA is told.
    pub(crate) keda: Option<Keda>,
    /// Fewest workers while work is left.
    pub(crate) min_replicas: u32,
    pub(crate) max_replicas: u32,
    /// What the policy says of the workers of its namespace.
    pub(crate) terms: NamespaceTerms,
    /// Groups a worker is to have.
    pub(crate) groups_per_worker: u32,
    /// How long groups may go on after SIGTERM.
    pub(crate) drain: Duration,
    /// Groups after which a worker starts over.
    pub(crate) recycle_after: Option<u32>,
    /// Whether the requester pays for reads of sources.
    pub(crate) requester_pays: bool,
    /// Seconds until the first byte of an object.
    pub(crate) first_byte_timeout: Option<u32>,
    /// Seconds that an outage is waited for.
    pub(crate) outage_budget: Option<u32>,
    /// Whether catalogs have the SHA-256 of each object.
    pub sha256: bool,
    /// Requests a second to each source bucket, for one worker.
    pub(crate) requests_per_second: Option<u32>,
    /// The workers' directory for large objects.
    pub(crate) scratch: Scratch,
    /// Its size.
    pub(crate) scratch_size: ByteSize,
    /// Retry passes, at most.
    pub(crate) max_passes: u32,
    /// The reasons of failed objects that a retry pass takes.
    pub(crate) retry_reasons: Vec<Reason>,
    /// How many objects may fail. `None`: all but one.
    pub(crate) max_failed_objects: Option<FailureLimit>,
    /// What is proved before the run is complete.
    pub(crate) verify: Verify,
    /// How long the run may take, suspension not counted.
    pub(crate) deadline: Option<Duration>,
    /// Whether it is to rest.
    pub(crate) suspend: bool,
    /// How long a finished run is kept.
    pub(crate) ttl: Option<Duration>,
    /// Labels that kueue reads.
    pub(crate) kueue_labels: BTreeMap<String, String>,
    /// When somebody last asked for dead-lettered groups to be put back.
    pub(crate) redrive_requested: Option<String>,
}

impl Run {
    /// The destination, with the account that must own it.
    pub(crate) fn destination(&self, aws: &Aws) -> Records {
        Records::new(
            aws,
            &self.destination_region,
            self.destination_owner.clone(),
        )
    }

    /// Who the run's claim is of, in a cluster of this name.
    pub(crate) fn claim_owner(&self, cluster: &ClusterName) -> String {
        resource_owner(&self.namespace, self.name.as_str(), cluster.as_str())
    }
}
