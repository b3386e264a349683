//! What the operator says about a run. Counts come from receipts in S3, never from the queue's
//! depth, and do not fall while receipts are missing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use super::verify::Verify;

/// What became of the run.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveRunStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Stalled, Accepted, QueueReady, Grouped, Degraded, Suspended, Complete and Failed; Verified
    /// if spec.verify asks for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// What a person has to know first: the reason of Accepted if the run is not accepted, the reason
    /// of Stalled if it is stalled, otherwise the reason of Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub state: Option<String>,
    /// When the run was started: the time of its first grouper that did not wait for an inventory or
    /// for the name of the run, moved by the time that the run was suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub start_time: Option<Time>,
    /// When the run last archived something or changed its phase, the reason of its condition Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub last_progress_time: Option<Time>,
    /// When the run became Complete or Failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub completion_time: Option<Time>,
    /// When the operator saw in the destination that the pods of this run may write there. It reads
    /// no receipts and no summaries before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub acknowledged_at: Option<Time>,
    /// What the last grouper waited for, which could not begin. Absent once one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingStatus>,
    /// The inventory that is really read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<InventoryStatus>,
    /// Image of grouper and workers, fixed at the start: an upgrade of the operator does not change
    /// a run under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub worker_image: Option<String>,
    /// Revision of the arguments, variables and volumes of grouper and workers, fixed at the start like
    /// the image that knows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = i32::MAX))]
    pub pod_revision: Option<i32>,
    /// The request for an upgrade of grouper and workers that was carried out last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub upgrade_handled: Option<String>,
    /// AWS region of the queue and of whatever the spec names none for, fixed at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub region: Option<String>,
    /// Service account of the pods, fixed at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub service_account_name: Option<String>,
    /// Groups committed of all, such as 4821/15388.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub progress: Option<String>,
    /// How fast the run archives, on average of the last 10 minutes. Absent unless it archives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateStatus>,
    /// Estimated time until all groups are archived, such as 2h13m, at this rate. Absent if the rate
    /// is 0 or unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub eta: Option<String>,
    /// How often failed objects have been grouped once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = i32::MAX))]
    pub retry_pass: Option<i32>,
    /// Groups that the inventory was split into. Those of retry passes are made of the same objects
    /// and not among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<GroupCounts>,
    /// Objects of the inventory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectCounts>,
    /// Bytes of those objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<ByteCounts>,
    /// Failed objects by reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "maxItems" = 32, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["reason"]
    ))]
    pub failures: Vec<FailureCount>,
    /// The queue between grouper and workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueStatus>,
    /// The pods that make the archives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<WorkerStatus>,
    /// What the verification of the run has shown. Absent before it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerifyStatus>,
    /// What became of the notification of the run's end, for each sink that the operator had then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "maxItems" = 16, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["sink"]
    ))]
    pub notifications: Vec<NotificationStatus>,
}

impl ArchiveRunStatus {
    /// A condition by its name.
    pub fn condition(&self, name: &str) -> Option<&Condition> {
        self.conditions.iter().find(|it| it.type_ == name)
    }

    /// Whether the pods of the run have shown that they may write to the destination. A run that an
    /// earlier release has grouped needs no other proof.
    pub fn is_acknowledged(&self) -> bool {
        self.acknowledged_at.is_some() || self.is_true("Grouped")
    }

    /// The retry pass at hand, 0 before the first.
    pub fn pass(&self) -> u32 {
        self.retry_pass.map_or(0, i32::unsigned_abs)
    }

    /// Whether a condition is true.
    pub fn is_true(&self, name: &str) -> bool {
        self.condition(name).is_some_and(|it| it.status == "True")
    }
}

/// The inventory that is really read, or the group manifests.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct InventoryStatus {
    /// Address of its manifest.json; the prefix of group manifests.
    #[schemars(length(max = 1100))]
    pub manifest: String,
    /// ETag of its manifest.json; a digest of the group manifests' keys and ETags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub etag: Option<String>,
    /// When S3 made the inventory; absent of group manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub created_at: Option<Time>,
}

/// Groups of all passes.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GroupCounts {
    /// All that the grouper made; absent until it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub total: Option<i64>,
    /// Those with a receipt.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub committed: i64,
    /// Those whose message is in the dead-letter queue; fewer again when they are put back.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub dead_lettered: i64,
}

/// Objects of the inventory.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ObjectCounts {
    /// Rows of the inventory; absent until the grouper is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub total: Option<i64>,
    /// Those in an archive.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub archived: i64,
    /// Those too large for an archive, copied by S3.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub copied: i64,
    /// Those that failed and are not to be tried again.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub failed: i64,
    /// Those that the selection left out.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub left_out: i64,
}

/// Bytes of the inventory's objects.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ByteCounts {
    /// Bytes of all groups; absent until the grouper is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub total: Option<i64>,
    /// Bytes of objects in an archive.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub archived: i64,
    /// Bytes of objects copied by S3.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub copied: i64,
    /// Bytes of objects that failed, those that are to be tried again among them.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub failed: i64,
}

/// How fast a run archives.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RateStatus {
    /// Objects archived, copied or failed per second.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub objects_per_second: i64,
    /// Bytes of these objects per second.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub bytes_per_second: i64,
}

/// How many objects failed for one reason.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct FailureCount {
    /// The reason, as catalogs and dead letters spell it.
    #[schemars(length(min = 1, max = 64))]
    pub reason: String,
    /// Objects.
    #[schemars(range(min = 0))]
    pub count: i64,
}

/// What a grouper waited for. The run has no pod, no Job and no queue until the next try.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WaitingStatus {
    /// When it ended.
    #[schemars(schema_with = "schema::instant")]
    pub since: Time,
    /// Its termination message, which is JSON.
    #[schemars(length(max = 4096))]
    pub termination_message: String,
}

/// What became of the notification of the run's end to one sink.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NotificationStatus {
    /// Name of the sink.
    #[schemars(length(min = 1, max = 63))]
    pub sink: String,
    /// Pending until the sink accepts it. GivenUp if the sink did not accept it for a day, or does not
    /// exist any more.
    pub state: NotificationState,
    /// When it was accepted or given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub time: Option<Time>,
    /// Why the sink has not accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// How far a notification is.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotificationState {
    Pending,
    Delivered,
    GivenUp,
}

/// The queue between grouper and workers.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct QueueStatus {
    /// URL of the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub url: Option<String>,
    /// URL of its dead-letter queue.
    #[serde(
        default,
        rename = "deadLetterURL",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(length(max = 1024))]
    pub dead_letter_url: Option<String>,
    /// The request for a redrive that was carried out last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub redrive_handled: Option<String>,
    /// Messages that wait, about; absent while unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub visible: Option<i64>,
    /// Messages that a worker holds, about; absent while unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub in_flight: Option<i64>,
    /// When SQS said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub observed_at: Option<Time>,
}

/// The pods that make the archives.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Replicas asked for.
    #[serde(default)]
    #[schemars(range(min = 0, max = i32::MAX))]
    pub desired: i32,
    /// Pods that run.
    #[serde(default)]
    #[schemars(range(min = 0, max = i32::MAX))]
    pub running: i32,
    /// Pods that hold a group, which is what makes them ready.
    #[serde(default)]
    #[schemars(range(min = 0, max = i32::MAX))]
    pub busy: i32,
}

/// What a verification has shown. Its numbers are absent until it is over, and of an image that does
/// not report them.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VerifyStatus {
    /// What is proved.
    #[serde(default)]
    pub mode: Verify,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub start_time: Option<Time>,
    /// When it was over, with findings or without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub completion_time: Option<Time>,
    /// Groups that were verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub groups: Option<i64>,
    /// Archived and copied objects that were verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub objects: Option<i64>,
    /// Objects in S3 that could only be compared by size, because the store keeps no checksum of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub unproven: Option<i64>,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub findings: Option<i64>,
    /// Archives, indexes and open uploads that attempts which lost have left, such as those of workers
    /// that were killed. Nothing is wrong because of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub leftovers: Option<i64>,
}
