//! A run as it can be carried out: the strict form of an ArchiveRun, with what the operator's own settings add. Plain data, and
//! the stores that it names.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::jiff::Timestamp;
use s3bundler_contract::layout::RunName;
use s3bundler_contract::record::{InventoryRef, RunClaim};
use s3bundler_contract::{ArchiveOptions, ByteSize, GroupOptions, Layout, Reason, SelectOptions};

use crate::aws::Aws;
use crate::crd::{Delivery, Encryption, GrouperScratch, Keda, Origin, PodTemplate, ScalingMode, Scratch};
use crate::queues::QueuePair;
use crate::store::{OWNER, Store};

/// Where the groups come from and go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueuePlan {
    /// A queue of this name, which the operator makes and deletes.
    Managed(String),
    /// A queue that was there before and stays.
    Existing(QueuePair),
}

/// A run as it can be carried out.
#[derive(Debug, Clone)]
pub struct Run {
    /// The resource's name, which names the run everywhere.
    pub name: RunName,
    /// Its namespace.
    pub namespace: String,
    /// Its UID.
    pub uid: String,
    /// The generation that this was read from.
    pub generation: i64,
    /// When the resource was made.
    pub created: Option<Timestamp>,
    /// Where the rows come from.
    pub origin: Origin,
    /// Region of what names none, the run's queue included.
    pub region: String,
    /// Region of the source.
    pub source_region: String,
    /// Account that must own the source's buckets.
    pub source_owner: Option<String>,
    /// Bucket of the destination.
    pub bucket: String,
    /// Keys of the destination.
    pub layout: Layout,
    /// Region of the destination.
    pub destination_region: String,
    /// Account that must own the destination.
    pub destination_owner: Option<String>,
    /// How what is written is encrypted.
    pub encryption: Encryption,
    /// Tags of archives, indexes and copies.
    pub tags: Vec<(String, String)>,
    /// Which rows.
    pub select: SelectOptions,
    /// Where groups end.
    pub group: GroupOptions,
    /// How archives are written.
    pub archive: ArchiveOptions,
    /// The queue.
    pub queue: QueuePlan,
    /// Who puts messages on it.
    pub delivery: Delivery,
    /// Service account of the pods.
    pub service_account: String,
    /// Secret with keys of AWS.
    pub secret: Option<String>,
    /// Image of the pods.
    pub image: String,
    /// Grouper's resources.
    pub grouper_resources: ResourceRequirements,
    /// Grouper's labels and placement.
    pub grouper_template: PodTemplate,
    /// The grouper's directory for what it verifies.
    pub grouper_scratch: GrouperScratch,
    /// Its size.
    pub grouper_scratch_size: ByteSize,
    /// Workers' resources.
    pub worker_resources: ResourceRequirements,
    /// Workers' labels and placement.
    pub worker_template: PodTemplate,
    /// Who scales.
    pub mode: ScalingMode,
    /// What KEDA is told.
    pub keda: Option<Keda>,
    /// Fewest workers while work is left.
    pub min_replicas: u32,
    /// Most workers.
    pub max_replicas: u32,
    /// Groups a worker is to have.
    pub groups_per_worker: u32,
    /// How long groups may go on after SIGTERM.
    pub drain: Duration,
    /// Groups after which a worker starts over.
    pub recycle_after: Option<u32>,
    /// Whether the requester pays for reads of sources.
    pub requester_pays: bool,
    /// Seconds until the first byte of an object.
    pub first_byte_timeout: Option<u32>,
    /// Seconds that an outage is waited for.
    pub outage_budget: Option<u32>,
    /// Whether catalogs have the SHA-256 of each object.
    pub sha256: bool,
    /// Requests a second to each source bucket, for one worker.
    pub requests_per_second: Option<u32>,
    /// The workers' directory for large objects.
    pub scratch: Scratch,
    /// Its size.
    pub scratch_size: ByteSize,
    /// Retry passes, at most.
    pub max_passes: u32,
    /// The reasons of failed objects that a retry pass takes.
    pub retry_reasons: Vec<Reason>,
    /// Failed objects that are too many.
    pub max_failed_objects: Option<u64>,
    /// How long the run may take, suspension not counted.
    pub deadline: Option<Duration>,
    /// Whether it is to rest.
    pub suspend: bool,
    /// How long a finished run is kept.
    pub ttl: Option<Duration>,
    /// Labels that kueue reads.
    pub kueue_labels: BTreeMap<String, String>,
    /// When somebody last asked for dead-lettered groups to be put back.
    pub redrive_requested: Option<String>,
}

impl Run {
    /// The destination, with the account that must own it.
    pub fn destination(&self, aws: &Aws) -> Store {
        Store::new(aws, &self.destination_region, self.destination_owner.clone())
    }

    /// The bucket of the inventory or of the existing manifests. If it is the destination's, it has that owner and nobody
    /// else pays, as for the pods.
    pub fn source(&self, aws: &Aws) -> Store {
        let is_destination = self.origin.address().bucket == self.bucket;
        let owner = if is_destination { &self.destination_owner } else { &self.source_owner };
        let store = if self.requester_pays && !is_destination { Store::paid_by_requester } else { Store::new };
        store(aws, &self.source_region, owner.clone())
    }

    /// The claim of the run's name for an inventory.
    pub fn claim(&self, inventory: &InventoryRef, cluster: &str) -> RunClaim {
        let owner = format!("{OWNER}{}/{} in cluster {cluster}", self.namespace, self.name);
        let (select, group) = (self.select.clone(), self.group.clone());
        RunClaim::new(self.name.clone(), inventory.clone(), select, group, self.archive.clone(), owner)
    }
}
