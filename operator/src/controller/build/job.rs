//! What the Jobs of a run have in common. Each may run as often as it likes.

use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use s3bundler_contract::ExitCode;

use super::pod::Pod;
use super::{CONTAINER, metadata};

/// Tries after failures that may pass.
const BACKOFF_LIMIT: i32 = 6;
/// A pod of a Job holds nothing that has to be finished.
pub(super) const GRACE_SECONDS: i64 = 30;
/// Karpenter leaves a node alone while a pod on it has this ("Disruption", Karpenter documentation):
/// a pod that starts again reads everything from its beginning.
pub(super) const NOT_DISRUPTED: (&str, &str) = ("karpenter.sh/do-not-disrupt", "true");

/// A Job of this pod that ends with the first of these exit codes, because no other try changes it.
pub(super) fn job(name: String, pod: Pod<'_>, for_good: &[ExitCode]) -> Job {
    Job {
        metadata: metadata(pod.run, name, pod.component),
        spec: Some(JobSpec {
            backoff_limit: Some(BACKOFF_LIMIT),
            pod_failure_policy: Some(failure_policy(for_good)),
            pod_replacement_policy: Some("Failed".to_owned()),
            template: pod.template(|_| ()),
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// A pod that was evicted counts for nothing.
fn failure_policy(for_good: &[ExitCode]) -> PodFailurePolicy {
    let values = for_good.iter().map(|code| i32::from(code.code()));
    PodFailurePolicy {
        rules: vec![
            PodFailurePolicyRule {
                action: "Ignore".to_owned(),
                on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                    type_: "DisruptionTarget".to_owned(),
                    status: "True".to_owned(),
                }]),
                on_exit_codes: None,
            },
            PodFailurePolicyRule {
                action: "FailJob".to_owned(),
                on_pod_conditions: None,
                on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                    container_name: Some(CONTAINER.to_owned()),
                    operator: "In".to_owned(),
                    values: values.collect(),
                }),
            },
        ],
    }
}
