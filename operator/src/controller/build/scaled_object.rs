//! What KEDA is told: scale the workers by the queue's depth, messages in flight included.

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use s3bundler_common::queue_url::QueueUrl;
use serde_json::json;

use super::{WORKER, metadata, workers_name};
use crate::autoscale::plan::Bounds;
use crate::controller::run::Run;
use crate::crd::AuthenticationKind;

/// KEDA's resource: group, version, kind, plural.
pub(crate) const SCALED_OBJECT: (&str, &str, &str, &str) =
    ("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects");

/// The ScaledObject of the workers.
pub(crate) fn scaled_object(run: &Run, queue: &str, bounds: Bounds) -> DynamicObject {
    let (group, version, kind, plural) = SCALED_OBJECT;
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let keda = run.keda.clone().unwrap_or_default();
    let url = QueueUrl::parse(queue);
    let region = url
        .as_ref()
        .and_then(QueueUrl::region)
        .unwrap_or(&run.region);
    let mut trigger = json!({
        "type": "aws-sqs-queue",
        "metadata": {
            "queueURL": queue,
            "queueLength": run.groups_per_worker.to_string(),
            "awsRegion": region,
            "scaleOnInFlight": "true",
        },
    });
    if let Some(url) = url.as_ref().filter(|url| !url.is_public()) {
        trigger["metadata"]["awsEndpoint"] = json!(url.endpoint());
    }
    match &keda.authentication_ref {
        // Unless told so, KEDA looks for keys of the pods that it scales ("AWS SQS Queue", KEDA
        // documentation).
        None => trigger["metadata"]["identityOwner"] = json!("operator"),
        Some(reference) => {
            let kind = match reference.kind {
                AuthenticationKind::TriggerAuthentication => "TriggerAuthentication",
                AuthenticationKind::ClusterTriggerAuthentication => "ClusterTriggerAuthentication",
            };
            trigger["authenticationRef"] = json!({"name": reference.name, "kind": kind});
        }
    }
    // KEDA and the HPA that it makes know no maximum of zero.
    let (min, max) = match bounds {
        Bounds { most: 0, .. } => (run.min_replicas.min(run.max_replicas), run.max_replicas),
        Bounds { least, most } => (least, most),
    };
    let mut object = DynamicObject::new(&workers_name(run), &resource).data(json!({
        "spec": {
            "scaleTargetRef": {"name": workers_name(run)},
            "pollingInterval": keda.polling_interval_seconds,
            "minReplicaCount": min,
            "maxReplicaCount": max,
            // Never fewer because of an error.
            "fallback": {"failureThreshold": 3, "replicas": min, "behavior": "currentReplicas"},
            "triggers": [trigger],
        },
    }));
    object.metadata = metadata(run, workers_name(run), WORKER);
    if bounds.most == 0 {
        let hold = (
            "autoscaling.keda.sh/paused-replicas".to_owned(),
            "0".to_owned(),
        );
        object.metadata.annotations = Some([hold].into());
    }
    object
}
