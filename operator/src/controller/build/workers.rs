//! The workers: a Deployment whose replicas belong to whoever scales it.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, DownwardAPIVolumeFile, DownwardAPIVolumeSource,
    EphemeralVolumeSource, HTTPGetAction, HostPathVolumeSource, ObjectFieldSelector,
    PersistentVolumeClaimSpec, PersistentVolumeClaimTemplate, PodTemplateSpec, Probe,
    ResourceRequirements, Volume, VolumeMount, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sha2::{Digest as _, Sha256};

use super::pod::{Pod, SCRATCH, empty_dir, plain, scratch_size, with_disk};
use super::requests::request_args;
use super::{PodRevision, WORKER, destination, metadata, selector};
use crate::controller::run::Run;
use crate::crd::ScratchType;
use crate::defaults::Defaults;

/// Where a worker says whether it is busy.
const PORT: i32 = 8081;
const PORT_NAME: &str = "http";
/// Groups that a worker may work on at a time, as `bundle --groups` takes them.
const MOST_GROUPS: u32 = 64;
/// Time after the drain in which uploads are aborted and messages given back.
const AFTER_DRAIN: Duration = Duration::from_secs(30);

/// The annotation that asks a worker to take no other group, with the value [`PAUSED`].
pub(crate) const PAUSE_ANNOTATION: &str = "archive.s3bundler.dev/pause";
pub(crate) const PAUSED: &str = "true";
/// Where a worker reads that annotation. It is told by a variable, not by an argument: a worker of
/// an earlier release ignores a variable that it does not know.
const POD_INFO: &str = "/etc/s3bundler/pod";
const POD_INFO_VOLUME: &str = "pod";
const PAUSE_FILE: &str = "pause";
const PAUSE_FILE_VARIABLE: &str = "S3BUNDLER_PAUSE_FILE";

/// The annotation of the Deployment with a digest of its pods' template: whether workers are replaced
/// can be told without the template.
pub(crate) const POD_TEMPLATE_ANNOTATION: &str = "archive.s3bundler.dev/pod-template";

/// The name of Deployment and ScaledObject.
pub(crate) fn workers_name(run: &Run) -> String {
    format!("{}-worker", run.name)
}

/// How long a worker has to end.
pub(crate) fn worker_grace(run: &Run) -> Duration {
    run.drain.saturating_add(AFTER_DRAIN)
}

/// The Deployment, without its replicas.
pub(crate) fn workers(run: &Run, defaults: &Defaults, queue: &str) -> Deployment {
    let (scratch, scratch_sub_path) = scratch(run);
    let resources = resources(run);
    let pod = Pod {
        run,
        defaults,
        component: WORKER,
        annotations: &[],
        template: &run.worker_template,
        resources: &resources,
        args: worker_args(run, queue),
        scratch,
        scratch_sub_path,
        // A new disk is root's. Not for the others: an EmptyDir is everybody's, and a HostPath
        // never changes hands.
        fs_group: defaults
            .worker_fs_group
            .filter(|_| run.scratch.kind == ScratchType::Ephemeral),
        grace_seconds: i64::try_from(worker_grace(run).as_secs()).unwrap_or(i64::MAX),
        restart_policy: "Always",
    };
    let is_pausable = run.pod_revision >= PodRevision::Pausable;
    let mut template = pod.template(|container| {
        if is_pausable {
            tell_pauses(container);
        }
        container.ports = Some(vec![ContainerPort {
            name: Some(PORT_NAME.to_owned()),
            container_port: PORT,
            ..ContainerPort::default()
        }]);
        // Ready is busy: ReplicaSets take pods away that are not ready first, so scaling in takes
        // the idle ones.
        container.readiness_probe = Some(Probe {
            period_seconds: Some(2),
            ..get("/busy")
        });
        container.liveness_probe = Some(Probe {
            period_seconds: Some(20),
            failure_threshold: Some(6),
            ..get("/healthz")
        });
    });
    if let Some(spec) = template.spec.as_mut().filter(|_| is_pausable) {
        spec.volumes.get_or_insert_default().push(pod_info());
    }
    let mut metadata = metadata(run, workers_name(run), WORKER);
    let digest = (POD_TEMPLATE_ANNOTATION.to_owned(), digest(&template));
    metadata.annotations = Some([digest].into());
    Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            selector: LabelSelector {
                match_labels: Some(selector(run, WORKER)),
                match_expressions: None,
            },
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::String("25%".to_owned())),
                    // Idle workers are not ready, which is no reason to wait for them.
                    max_unavailable: Some(IntOrString::String("100%".to_owned())),
                }),
            }),
            template,
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// A digest of a template.
fn digest(template: &PodTemplateSpec) -> String {
    let json = serde_json::to_vec(template).expect("a template is JSON");
    data_encoding::HEXLOWER.encode(&Sha256::digest(json)[..16])
}

/// Tells a worker where it reads that it is paused.
fn tell_pauses(container: &mut Container) {
    container.env.get_or_insert_default().push(plain(
        PAUSE_FILE_VARIABLE,
        &format!("{POD_INFO}/{PAUSE_FILE}"),
    ));
    container
        .volume_mounts
        .get_or_insert_default()
        .push(VolumeMount {
            name: POD_INFO_VOLUME.to_owned(),
            mount_path: POD_INFO.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        });
}

/// What a worker can read of its own pod while it runs.
fn pod_info() -> Volume {
    let pause = DownwardAPIVolumeFile {
        path: PAUSE_FILE.to_owned(),
        field_ref: Some(ObjectFieldSelector {
            field_path: format!("metadata.annotations['{PAUSE_ANNOTATION}']"),
            api_version: None,
        }),
        ..DownwardAPIVolumeFile::default()
    };
    Volume {
        name: POD_INFO_VOLUME.to_owned(),
        downward_api: Some(DownwardAPIVolumeSource {
            items: Some(vec![pause]),
            default_mode: None,
        }),
        ..Volume::default()
    }
}

fn get(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

fn worker_args(run: &Run, queue: &str) -> Vec<String> {
    let mut args = vec!["bundle".to_owned()];
    let mut arg =
        |name: &str, value: &dyn std::fmt::Display| args.push(format!("--{name}={value}"));
    arg("destination", &destination(run));
    arg("queue", &queue);
    arg("name", &run.name);
    arg("groups", &run.groups_per_worker.min(MOST_GROUPS));
    arg("drain", &run.drain.as_secs());
    arg("scratch", &SCRATCH);
    arg("scratch-size", &scratch_size(run.scratch_size));
    if let Some(requests) = run.requests_per_second {
        arg("max-requests-per-second", &requests);
    }
    if let Some(seconds) = run.first_byte_timeout {
        arg("first-byte-timeout", &seconds);
    }
    if let Some(seconds) = run.outage_budget {
        arg("outage-budget", &seconds);
    }
    arg("listen", &format_args!("[::]:{PORT}"));
    if let Some(groups) = run.recycle_after {
        arg("recycle-after", &groups);
    }
    arg("region", &run.destination_region);
    if run.sha256 {
        args.push("--sha256".to_owned());
    }
    args.extend(request_args(run));
    args
}

/// The volume of the scratch directory, and the part of it that is a pod's own.
fn scratch(run: &Run) -> (Volume, Option<String>) {
    let scratch = &run.scratch;
    match (scratch.kind, &scratch.host_path) {
        (ScratchType::HostPath, Some(host_path)) => {
            let path = host_path.path.clone();
            let volume = Volume {
                host_path: Some(HostPathVolumeSource {
                    path,
                    type_: Some("DirectoryOrCreate".to_owned()),
                }),
                ..Volume::default()
            };
            // Set by the kubelet, so that workers on one node do not meet.
            (volume, Some("$(POD_NAME)".to_owned()))
        }
        (ScratchType::Ephemeral, _) => {
            let class = scratch
                .ephemeral
                .as_ref()
                .and_then(|ephemeral| ephemeral.storage_class_name.clone());
            let claim = PersistentVolumeClaimSpec {
                access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
                storage_class_name: class,
                resources: Some(VolumeResourceRequirements {
                    requests: Some([("storage".to_owned(), run.scratch.size_limit.clone())].into()),
                    limits: None,
                }),
                ..PersistentVolumeClaimSpec::default()
            };
            let template = PersistentVolumeClaimTemplate {
                metadata: None,
                spec: claim,
            };
            let ephemeral = EphemeralVolumeSource {
                volume_claim_template: Some(template),
            };
            (
                Volume {
                    ephemeral: Some(ephemeral),
                    ..Volume::default()
                },
                None,
            )
        }
        _ => (empty_dir(&run.scratch.size_limit), None),
    }
}

fn resources(run: &Run) -> ResourceRequirements {
    match run.scratch.kind {
        ScratchType::EmptyDir => with_disk(&run.worker_resources, &run.scratch.size_limit),
        ScratchType::Ephemeral | ScratchType::HostPath => run.worker_resources.clone(),
    }
}

#[cfg(test)]
mod tests;
