//! What KEDA is told: scale the workers by the queue's depth, messages in flight included.

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::json;

use super::{WORKER, metadata, workers_name};
use crate::controller::validate::Run;
use crate::crd::AuthenticationKind;

/// KEDA's resource: group, version, kind, plural.
pub const SCALED_OBJECT: (&str, &str, &str, &str) = ("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects");

/// The ScaledObject of the workers. Held at zero with `paused`.
pub fn scaled_object(run: &Run, queue: &str, paused: bool) -> DynamicObject {
    let (group, version, kind, plural) = SCALED_OBJECT;
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let keda = run.keda.clone().unwrap_or_default();
    let region = region_of(queue).or_else(|| run.destination_region.clone()).unwrap_or_else(|| "us-east-1".to_owned());
    let mut trigger = json!({
        "type": "aws-sqs-queue",
        "metadata": {
            "queueURL": queue,
            "queueLength": run.groups_per_worker.to_string(),
            "awsRegion": region,
            "scaleOnInFlight": "true",
        },
    });
    if let Some(reference) = &keda.authentication_ref {
        let kind = match reference.kind {
            AuthenticationKind::TriggerAuthentication => "TriggerAuthentication",
            AuthenticationKind::ClusterTriggerAuthentication => "ClusterTriggerAuthentication",
        };
        trigger["authenticationRef"] = json!({"name": reference.name, "kind": kind});
    }
    let mut object = DynamicObject::new(&workers_name(run), &resource).data(json!({
        "spec": {
            "scaleTargetRef": {"name": workers_name(run)},
            "pollingInterval": keda.polling_interval_seconds,
            "minReplicaCount": run.min_replicas,
            "maxReplicaCount": run.max_replicas,
            // Never fewer because of an error.
            "fallback": {"failureThreshold": 3, "replicas": run.min_replicas, "behavior": "currentReplicas"},
            "triggers": [trigger],
        },
    }));
    object.metadata = metadata(run, workers_name(run), WORKER);
    if paused {
        let hold = ("autoscaling.keda.sh/paused-replicas".to_owned(), "0".to_owned());
        object.metadata.annotations = Some([hold].into());
    }
    object
}

/// The region in the URL of a queue on SQS.
fn region_of(url: &str) -> Option<String> {
    let host = url.split_once("://")?.1.split('/').next()?;
    let region = host.strip_prefix("sqs.")?.split('.').next()?;
    Some(region.to_owned())
}
