//! Events: one for every condition that changed, so that `kubectl describe` tells the story.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource as _;
use kube::runtime::events::{Event, EventType, Recorder};

use crate::crd::{ArchiveRun, ArchiveRunStatus};

/// Conditions whose changes become events. The others repeat these in other words.
const REPORTED: [&str; 7] = [
    "Accepted",
    "QueueReady",
    "Grouped",
    "Verified",
    "Ready",
    "Stalled",
    "Degraded",
];
/// Longest note ("Event" of events.k8s.io/v1).
const MAX_NOTE: usize = 1024;

/// Tells what changed. An event that is lost is no reason to stop.
pub(crate) async fn publish(
    recorder: &Recorder,
    resource: &ArchiveRun,
    prior: &ArchiveRunStatus,
    next: &ArchiveRunStatus,
) {
    for (kind, changed) in changes(prior, next) {
        let event = Event {
            type_: kind,
            reason: changed.reason.clone(),
            note: Some(changed.message.chars().take(MAX_NOTE / 4).collect()),
            action: changed.type_.clone(),
            secondary: None,
        };
        if let Err(error) = recorder.publish(&event, &resource.object_ref(&())).await {
            tracing::debug!(%error, "event was not written");
        }
    }
}

fn changes<'a>(
    prior: &ArchiveRunStatus,
    next: &'a ArchiveRunStatus,
) -> Vec<(EventType, &'a Condition)> {
    let changed = |name: &&str| {
        let (before, after) = (prior.condition(name), next.condition(name)?);
        let same = before.is_some_and(|before| {
            (&before.status, &before.reason) == (&after.status, &after.reason)
        });
        let is_bad = match after.type_.as_str() {
            "Stalled" | "Degraded" => after.status == "True",
            "Accepted" => after.status == "False",
            "Ready" => after.reason == "Failed",
            _ => false,
        };
        let is_good = match after.type_.as_str() {
            "Ready" => !is_bad,
            "QueueReady" => after.reason != "Pending",
            "Grouped" | "Verified" => after.status == "True",
            _ => false,
        };
        let kind = if is_bad {
            EventType::Warning
        } else {
            EventType::Normal
        };
        (!same && (is_bad || is_good)).then_some((kind, after))
    };
    REPORTED.iter().filter_map(changed).collect()
}
