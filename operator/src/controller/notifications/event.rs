//! The CloudEvent of a run's end (CloudEvents 1.0, in the JSON format). docs/kubernetes/notifications.md
//! describes it to its receivers.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use serde::Serialize;

use crate::controller::decide::{Phase, finished};
use crate::crd::{
    ArchiveRun, ArchiveRunStatus, ByteCounts, FailureCount, GroupCounts, ObjectCounts,
};
use crate::queues::ClusterName;

/// The API group in the reverse, and the resource. Fields are only ever added to version 1.
const TYPE: &str = "dev.s3bundler.archive.archiverun";

/// The event. Source and id together are the same for every delivery.
#[derive(Debug, Serialize)]
pub(super) struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: &'a str,
    time: Option<&'a Time>,
    datacontenttype: &'static str,
    data: Data<'a>,
}

/// What the run came to, in the words of its status.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    cluster: &'a str,
    namespace: String,
    name: &'a str,
    uid: &'a str,
    phase: &'static str,
    reason: &'a str,
    message: &'a str,
    inventory: Option<&'a str>,
    destination: String,
    start_time: Option<&'a Time>,
    completion_time: Option<&'a Time>,
    groups: GroupCounts,
    objects: ObjectCounts,
    bytes: ByteCounts,
    failures: &'a [FailureCount],
}

impl<'a> CloudEvent<'a> {
    /// The event of a run; `None` unless it has ended.
    pub(super) fn of(
        run: &'a ArchiveRun,
        status: &'a ArchiveRunStatus,
        cluster: &'a ClusterName,
    ) -> Option<Self> {
        let phase = finished(status)?;
        let (condition, end) = match phase {
            Phase::Failed => ("Failed", "failed"),
            Phase::CompleteWithFailures => ("Ready", "completedwithfailures"),
            _ => ("Ready", "completed"),
        };
        let condition = status.condition(condition)?;
        let namespace = run.namespace().unwrap_or_default();
        let name = run.metadata.name.as_deref().unwrap_or_default();
        let uid = run.metadata.uid.as_deref().unwrap_or_default();
        let destination = &run.spec.destination;
        let destination = format!("s3://{}/{}", destination.bucket, destination.prefix);
        Some(Self {
            specversion: "1.0",
            id: format!("{uid}/{}", phase.reason()),
            source: format!("/clusters/{}/namespaces/{namespace}", cluster.as_str()),
            kind: format!("{TYPE}.{end}.v1"),
            subject: name,
            time: status.completion_time.as_ref(),
            datacontenttype: "application/json",
            data: Data {
                cluster: cluster.as_str(),
                namespace,
                name,
                uid,
                phase: phase.reason(),
                reason: &condition.reason,
                message: &condition.message,
                inventory: status.inventory.as_ref().map(|it| it.manifest.as_str()),
                destination: destination.trim_end_matches('/').to_owned(),
                start_time: status.start_time.as_ref(),
                completion_time: status.completion_time.as_ref(),
                groups: status.groups.unwrap_or_default(),
                objects: status.objects.unwrap_or_default(),
                bytes: status.bytes.unwrap_or_default(),
                failures: &status.failures,
            },
        })
    }
}

#[cfg(test)]
mod tests;
