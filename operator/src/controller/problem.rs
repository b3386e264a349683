//! What can be wrong with a run's pods, told from their status. Pure.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStatus, Event, PodCondition,
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use s3bundler_common::text::printable;
use s3bundler_contract::{ExitCode, Termination, Verification};

use super::build::VERIFIER;
use super::workloads::{Pod, has_component};

/// Restarts after which a container counts as crash looping, before the kubelet calls it so.
const RESTARTS: i32 = 2;
/// A container that has run for so long is out of its loop: the kubelet forgets its back-off then.
const OUT_OF_LOOP: SignedDuration = SignedDuration::from_mins(10);
/// One that was denied something meets it with its first group; after this long it has been
/// allowed.
const ALLOWED: SignedDuration = SignedDuration::from_mins(1);
/// A pod may wait for a node for so long: one that is created for it has to boot.
const NODE_BOOTS: SignedDuration = SignedDuration::from_mins(5);
/// Characters of a pod's last words in a message.
const LAST_WORDS: usize = 300;

/// What is wrong, worst first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Problem {
    /// A container ended because S3, SQS or KMS denied it something.
    Denied(String),
    /// The image cannot be had.
    ImagePull(String),
    /// Pods cannot be made: a quota, an admission policy.
    FailedCreate(String),
    /// A container ends over and over.
    CrashLooping(String),
    /// No node has taken a pod for longer than one takes to boot.
    Unschedulable(String),
    /// Somebody holds the grouper.
    Suspended(String),
    /// Somebody holds the verifier.
    VerifierSuspended(String),
}

impl Problem {
    /// The reason in a condition.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Denied(_) => "AccessDenied",
            Self::ImagePull(_) => "ImagePull",
            Self::FailedCreate(_) => "QuotaExceeded",
            Self::CrashLooping(_) => "CrashLooping",
            Self::Unschedulable(_) => "Unschedulable",
            Self::Suspended(_) => "GrouperSuspended",
            Self::VerifierSuspended(_) => "VerifierSuspended",
        }
    }

    pub(crate) fn message(&self) -> &str {
        let (Self::Denied(text)
        | Self::ImagePull(text)
        | Self::FailedCreate(text)
        | Self::CrashLooping(text)
        | Self::Unschedulable(text)
        | Self::Suspended(text)
        | Self::VerifierSuspended(text)) = self;
        text
    }

    /// Whether nothing moves until a person acts, if so many others are at work: a pod with a problem
    /// does not keep the others from their work.
    pub(crate) const fn stalls(&self, at_work: u32) -> bool {
        match self {
            Self::Denied(_) | Self::ImagePull(_) | Self::FailedCreate(_) => at_work == 0,
            Self::CrashLooping(_)
            | Self::Unschedulable(_)
            | Self::Suspended(_)
            | Self::VerifierSuspended(_) => false,
        }
    }
}

/// What is wrong with a pod.
pub(crate) fn of_pod(pod: &Pod, now: Timestamp) -> Option<Problem> {
    let name = pod.metadata.name.as_deref().unwrap_or("pod");
    let status = pod.status.as_ref()?;
    let unscheduled = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    });
    let has_waited = |condition: &&PodCondition| {
        let since = condition.last_transition_time.as_ref();
        since.is_none_or(|since| now.duration_since(since.0) >= NODE_BOOTS)
    };
    if let Some(condition) = unscheduled.filter(has_waited) {
        let why = condition.message.as_deref().unwrap_or("no node takes it");
        return Some(Problem::Unschedulable(format!("{name}: {why}")));
    }
    for container in status.container_statuses.iter().flatten() {
        let waiting = container
            .state
            .as_ref()
            .and_then(|state| state.waiting.as_ref());
        let reason = waiting
            .and_then(|waiting| waiting.reason.as_deref())
            .unwrap_or_default();
        let message = waiting
            .and_then(|waiting| waiting.message.as_deref())
            .unwrap_or(reason);
        match reason {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull"
            | "ImageInspectError" => {
                return Some(Problem::ImagePull(format!(
                    "{name}: {} of image {}: {message}",
                    reason, container.image
                )));
            }
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                return Some(Problem::CrashLooping(format!(
                    "{name}: {reason}: {message}"
                )));
            }
            _ => {}
        }
        let ended = [&container.state, &container.last_state]
            .into_iter()
            .find_map(|state| terminated(state.as_ref()));
        let Some(ended) = ended.filter(|ended| ended.exit_code != 0) else {
            continue;
        };
        let message = format!(
            "{name} exited with {}{}",
            ended.exit_code,
            last_words(ended)
        );
        let running_for = running_for(container, now);
        let denied = ended.exit_code == i32::from(ExitCode::Permission.code());
        if denied && running_for < ALLOWED {
            return Some(Problem::Denied(message));
        }
        let loops = container.restart_count >= RESTARTS || reason == "CrashLoopBackOff";
        if loops && !denied && running_for < OUT_OF_LOOP {
            return Some(Problem::CrashLooping(message));
        }
    }
    None
}

fn running_for(container: &ContainerStatus, now: Timestamp) -> SignedDuration {
    let running = container
        .state
        .as_ref()
        .and_then(|state| state.running.as_ref());
    let since = running.and_then(|running| running.started_at.as_ref());
    since.map_or(SignedDuration::ZERO, |since| now.duration_since(since.0))
}

/// What keeps a Deployment from having its pods.
pub(crate) fn of_deployment(deployment: &Deployment) -> Option<Problem> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let failure = conditions
        .iter()
        .find(|it| it.type_ == "ReplicaFailure" && it.status == "True")?;
    Some(Problem::FailedCreate(
        failure
            .message
            .clone()
            .unwrap_or_else(|| "its pods cannot be made".to_owned()),
    ))
}

/// Who holds a Job back: never the operator, which deletes it instead.
pub(crate) fn of_job(job: &Job) -> Option<Problem> {
    let is_suspended =
        job.metadata.deletion_timestamp.is_none() && job.spec.as_ref()?.suspend == Some(true);
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let message =
        || format!("Job {name} is suspended: kueue has not admitted it yet, or somebody holds it");
    let problem = if has_component(&job.metadata, VERIFIER) {
        Problem::VerifierSuspended
    } else {
        Problem::Suspended
    };
    is_suspended.then(|| problem(message()))
}

/// What keeps a Job from having its pod, from the events of refused pods: it has no condition for
/// that.
pub(crate) fn of_events(events: &[Event], last_made: Option<Timestamp>) -> Option<Problem> {
    let at = |event: &Event| event.last_timestamp.as_ref().map(|time| time.0);
    let newest = events
        .iter()
        .max_by_key(|event| at(event))
        .filter(|newest| at(newest) > last_made)?;
    Some(Problem::FailedCreate(
        newest
            .message
            .clone()
            .unwrap_or_else(|| "its pods cannot be made".to_owned()),
    ))
}

/// When a Job failed, where it did.
pub(crate) fn failed_at(job: &Job) -> Option<Timestamp> {
    failed_condition(job)?
        .last_transition_time
        .as_ref()
        .map(|time| time.0)
}

fn failed_condition(job: &Job) -> Option<&JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|it| matches!(it.type_.as_str(), "Failed" | "FailureTarget") && it.status == "True")
}

/// Why a Job failed, where it did: its own words.
pub(crate) fn failure_of_job(job: &Job) -> Option<String> {
    let failed = failed_condition(job)?;
    let reason = failed.reason.as_deref().unwrap_or("Failed");
    Some(failed.message.as_ref().map_or_else(
        || reason.to_owned(),
        |message| format!("{reason}: {message}"),
    ))
}

/// What a pod's container exited with, and its last words.
pub(crate) fn exit_of_pod(pod: &Pod) -> Option<(i32, String)> {
    let ended = end_of_pod(pod)?;
    Some((ended.exit_code, last_words(ended)))
}

/// What the grouper of a pod waits for that could not begin.
pub(crate) fn termination_of_pod(pod: &Pod) -> Option<Termination> {
    Termination::parse(end_of_pod(pod)?.message.as_deref()?)
}

/// What the verifier of a pod reported at its end.
pub(crate) fn verification_of_pod(pod: &Pod) -> Option<Verification> {
    Verification::parse(end_of_pod(pod)?.message.as_deref()?)
}

fn end_of_pod(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses
        .iter()
        .find_map(|it| terminated(it.state.as_ref()).or_else(|| terminated(it.last_state.as_ref())))
}

fn terminated(state: Option<&ContainerState>) -> Option<&ContainerStateTerminated> {
    state?.terminated.as_ref()
}

/// What a program says last on standard error. Its report on standard output may come after that:
/// the two are different pipes to the kubelet.
const SAYS: &str = "s3bundler: ";

/// Why a container ended, from its termination message: with `FallbackToLogsOnError` that is the
/// end of the log if the program wrote none.
fn last_words(ended: &ContainerStateTerminated) -> String {
    let message = ended.message.as_deref().unwrap_or_default();
    let told = Termination::parse(message).map(|end| end.message);
    let found = || Verification::parse(message).map(|it| format!("{} findings", it.findings));
    let told = told.or_else(found);
    let message = told.as_deref().unwrap_or(message);
    let lines = || message.lines().rev().filter(|line| !line.trim().is_empty());
    let line = lines()
        .find(|line| line.starts_with(SAYS))
        .or_else(|| lines().next());
    let line = line.or(ended.reason.as_deref().filter(|reason| *reason != "Error"));
    let clean = |line: &str| printable(line).chars().take(LAST_WORDS).collect::<String>();
    line.map(|line| format!(": {}", clean(line.trim())))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
