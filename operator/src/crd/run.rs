//! The resource itself, and those of its fields that are too small for a file.

#![allow(
    clippy::duplicated_attributes,
    reason = "columns may have the same type"
)]

use std::time::Duration;

use kube::CustomResource;
use s3bundler_contract::Reason;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::archive::Archive;
use super::destination::Destination;
use super::failure_limit::CountOrPercent;
use super::group::Group;
use super::grouper::Grouper;
use super::queue::Queue;
use super::schema;
use super::source::Source;
use super::status::ArchiveRunStatus;
use super::verify::Verify;
use super::workers::Workers;

/// What to archive, where to, and how.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "archive.s3bundler.dev",
    version = "v1alpha1",
    kind = "ArchiveRun",
    plural = "archiveruns",
    singular = "archiverun",
    shortname = "ar",
    category = "s3bundler",
    namespaced,
    status = "ArchiveRunStatus",
    derive = "PartialEq",
    doc = "ArchiveRun packs the objects of one S3 Inventory into archives with an index. Its \
        name, a DNS label of up to 48 characters, names the run in S3 and SQS too.",
    printcolumn(name = "Status", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Groups", type_ = "string", json_path = ".status.progress"),
    printcolumn(
        name = "Objects",
        type_ = "integer",
        json_path = ".status.objects.archived"
    ),
    printcolumn(
        name = "Failed",
        type_ = "integer",
        json_path = ".status.objects.failed"
    ),
    printcolumn(
        name = "Workers",
        type_ = "integer",
        json_path = ".status.workers.running"
    ),
    printcolumn(
        name = "Rate",
        type_ = "integer",
        json_path = ".status.rate.objectsPerSecond"
    ),
    printcolumn(name = "ETA", type_ = "string", json_path = ".status.eta"),
    printcolumn(
        name = "Bytes",
        type_ = "integer",
        json_path = ".status.bytes.archived",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveRunSpec {
    /// Which objects to archive. Immutable.
    pub source: Source,
    /// Where archives, catalogs and everything else of the run go. Immutable.
    pub destination: Destination,
    /// Where a group of objects ends; a group becomes an archive. Immutable.
    #[serde(default)]
    pub group: Group,
    /// How archives are written. Immutable.
    #[serde(default)]
    pub archive: Archive,
    /// The queue between grouper and workers. Immutable.
    #[serde(default)]
    pub queue: Queue,
    /// ServiceAccount of the run's namespace for grouper and workers; it has to exist. Default: the
    /// operator's --worker-service-account. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// Secret of the run's namespace with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and perhaps
    /// AWS_SESSION_TOKEN, for S3 servers without workload identity. Only the kubelet reads it.
    /// Default: none. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretRef>,
    /// The pod that reads the inventory and makes the groups. Inherits nothing from workers. The pod of
    /// spec.verify is made alike. Immutable.
    #[serde(default)]
    pub grouper: Grouper,
    /// The pods that make the archives.
    #[serde(default)]
    pub workers: Workers,
    /// What happens to objects that failed for a passing reason.
    #[serde(default)]
    pub retry: Retry,
    /// When the run as a whole fails. Default: if all objects fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_policy: Option<FailurePolicy>,
    /// Verifies what is archived before the run becomes Complete: a pod of the run executes
    /// `s3bundler verify` once all groups of all passes are archived. Checksums compares every row and
    /// every object that the run wrote with what S3 stores of it, without reading archives. Full also
    /// reads every archive, and compares every object in it byte for byte, which is impossible with the
    /// storage classes GLACIER and DEEP_ARCHIVE. If something is wrong, the run does not become Complete
    /// and is Stalled with reason VerifyFailed. Changes of a finished run have no effect.
    #[serde(default)]
    pub verify: Verify,
    /// Seconds that grouper and workers wait for a bucket whose server refuses connections or fails
    /// every request. Afterwards groups fail, and workers receive none until the bucket answers.
    /// Default: 900. 0 does not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 36_000))]
    pub outage_budget_seconds: Option<i32>,
    /// Seconds after which the run fails, verification included, not counting those it was suspended.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60))]
    pub active_deadline_seconds: Option<i64>,
    /// Stops the run: no pods, but the queue is kept. Created suspended, the run makes neither.
    #[serde(default)]
    pub suspend: bool,
    /// Seconds after its end in which the run is deleted; what it wrote to S3 stays. Pending
    /// notifications of its end are waited for, up to a day. Default: none, it is kept. Leave it out
    /// under GitOps, which would make the run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = i32::MAX))]
    pub ttl_seconds_after_finished: Option<i32>,
}

impl ArchiveRunSpec {
    /// How long the run is kept after its end.
    pub fn ttl(&self) -> Option<Duration> {
        let seconds = self.ttl_seconds_after_finished?;
        Some(Duration::from_secs(seconds.unsigned_abs().into()))
    }
}

/// A Secret of the same namespace.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What happens to objects that failed for a passing reason.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Retry {
    /// How often objects that failed for one of the reasons are grouped and tried once more.
    #[schemars(range(min = 0, max = 10))]
    pub max_object_passes: i32,
    /// Reasons of the failed objects that a retry pass takes, of all earlier passes. Retry is for
    /// objects that were throttled or whose server failed. Add others after their cause was
    /// removed, for example AccessDenied after a permission was granted.
    #[schemars(schema_with = "schema::retry_reasons")]
    pub reasons: Vec<Reason>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_object_passes: 2,
            reasons: vec![Reason::Retry],
        }
    }
}

/// When the run as a whole fails.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FailurePolicy {
    /// Maximum number of failed objects, such as 1000, or their maximum share of all objects of the
    /// run, such as 0.01%. If more fail, the run fails. Default: the run fails only if all objects
    /// fail. 100% never fails it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::count_or_percent")]
    pub max_failed_objects: Option<CountOrPercent>,
}
