//! What the pods of grouper and workers have in common: restricted Pod Security, no Kubernetes
//! permissions, and only a directory to write to.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource,
    KeyToPath, ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec,
    ResourceRequirements, SeccompProfile, SecretKeySelector, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use s3bundler_contract::ByteSize;

use super::{CONTAINER, labels};
use crate::controller::run::Run;
use crate::crd::PodTemplate;
use crate::defaults::{CaBundle, Defaults};

/// Where the writable directory is.
pub(crate) const SCRATCH: &str = "/scratch";
/// The node's disk, as a resource.
const DISK: &str = "ephemeral-storage";
const SCRATCH_VOLUME: &str = "scratch";
/// Where the certificates are that the pods trust, if they are not the system's.
const CERTIFICATES: &str = "/etc/s3bundler/certificates";
const CERTIFICATES_VOLUME: &str = "certificates";
const CERTIFICATES_FILE: &str = "ca.crt";

/// A pod of a component.
pub(crate) struct Pod<'a> {
    pub(crate) run: &'a Run,
    pub(crate) defaults: &'a Defaults,
    pub(crate) component: &'static str,
    /// Annotations that the template may replace.
    pub(crate) annotations: &'static [(&'static str, &'static str)],
    pub(crate) template: &'a PodTemplate,
    pub(crate) resources: &'a ResourceRequirements,
    pub(crate) args: Vec<String>,
    pub(crate) scratch: Volume,
    pub(crate) scratch_sub_path: Option<String>,
    /// Who owns volumes that are made for the pod.
    pub(crate) fs_group: Option<i64>,
    pub(crate) grace_seconds: i64,
    pub(crate) restart_policy: &'static str,
}

/// A directory of this size on the node's disk.
pub(crate) fn empty_dir(size: &Quantity) -> Volume {
    let empty_dir = EmptyDirVolumeSource {
        size_limit: Some(size.clone()),
        medium: None,
    };
    Volume {
        empty_dir: Some(empty_dir),
        ..Volume::default()
    }
}

/// What a container with such a directory requests: its room too, unless the resources name another
/// amount, so that a node that has room for it is found or created. No limit goes with it: the
/// volume has its own (docs/decisions/scratch-is-asked-for.md).
pub(crate) fn with_disk(resources: &ResourceRequirements, size: &Quantity) -> ResourceRequirements {
    let mut resources = resources.clone();
    let is_named = [&resources.requests, &resources.limits]
        .into_iter()
        .flatten()
        .any(|list| list.contains_key(DISK));
    if !is_named {
        resources
            .requests
            .get_or_insert_default()
            .insert(DISK.to_owned(), size.clone());
    }
    resources
}

/// The part of a directory of this size for the files that the options of the program limit. The
/// rest is for what they do not count, such as catalogs and group manifests.
pub(crate) const fn scratch_size(size: ByteSize) -> u64 {
    size.bytes() / 10 * 9
}

impl Pod<'_> {
    /// The template; `more` adds to its container.
    pub(crate) fn template(self, more: impl FnOnce(&mut Container)) -> PodTemplateSpec {
        let Self { run, template, .. } = self;
        let mut labels = labels(run, self.component);
        labels.extend(template.metadata.labels.clone());
        let own = self.annotations.iter();
        let own = own.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut annotations: BTreeMap<_, _> = own.collect();
        annotations.extend(template.metadata.annotations.clone());
        let mut container = Container {
            name: CONTAINER.to_owned(),
            image: Some(run.image.clone()),
            image_pull_policy: Some(self.defaults.image_pull_policy.clone()),
            args: Some(self.args.iter().map(|arg| literal(arg)).collect()),
            env: Some(env(run, self.defaults)),
            resources: Some(self.resources.clone()),
            security_context: Some(restricted()),
            // The end of the log says why it ended.
            termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
            volume_mounts: Some(vec![VolumeMount {
                name: SCRATCH_VOLUME.to_owned(),
                mount_path: SCRATCH.to_owned(),
                sub_path_expr: self.scratch_sub_path,
                ..VolumeMount::default()
            }]),
            ..Container::default()
        };
        more(&mut container);
        let mut volumes = vec![Volume {
            name: SCRATCH_VOLUME.to_owned(),
            ..self.scratch
        }];
        if let Some(bundle) = &self.defaults.ca_bundle {
            volumes.push(certificates(bundle));
            container
                .volume_mounts
                .get_or_insert_default()
                .push(VolumeMount {
                    name: CERTIFICATES_VOLUME.to_owned(),
                    mount_path: CERTIFICATES.to_owned(),
                    read_only: Some(true),
                    ..VolumeMount::default()
                });
            let file = plain(
                "AWS_CA_BUNDLE",
                &format!("{CERTIFICATES}/{CERTIFICATES_FILE}"),
            );
            container.env.get_or_insert_default().push(file);
        }
        container.env = container.env.map(last_of_each);
        let placement = template.spec.clone();
        let some = |list: Vec<_>| (!list.is_empty()).then_some(list);
        PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(labels),
                annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
                ..ObjectMeta::default()
            }),
            spec: Some(PodSpec {
                containers: vec![container],
                service_account_name: Some(run.service_account.clone()),
                automount_service_account_token: Some(false),
                enable_service_links: Some(false),
                restart_policy: Some(self.restart_policy.to_owned()),
                termination_grace_period_seconds: Some(self.grace_seconds),
                security_context: Some(PodSecurityContext {
                    run_as_non_root: Some(true),
                    fs_group: self.fs_group,
                    seccomp_profile: Some(seccomp()),
                    ..PodSecurityContext::default()
                }),
                volumes: Some(volumes),
                node_selector: Some(placement.node_selector).filter(|labels| !labels.is_empty()),
                tolerations: (!placement.tolerations.is_empty()).then_some(placement.tolerations),
                affinity: placement.affinity,
                topology_spread_constraints: (!placement.topology_spread_constraints.is_empty())
                    .then_some(placement.topology_spread_constraints),
                priority_class_name: placement.priority_class_name,
                runtime_class_name: placement.runtime_class_name,
                scheduler_name: placement.scheduler_name,
                image_pull_secrets: some(placement.image_pull_secrets),
                ..PodSpec::default()
            }),
        }
    }
}

fn certificates(bundle: &CaBundle) -> Volume {
    let file = KeyToPath {
        key: bundle.key.clone(),
        path: CERTIFICATES_FILE.to_owned(),
        mode: None,
    };
    Volume {
        name: CERTIFICATES_VOLUME.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: bundle.config_map.clone(),
            items: Some(vec![file]),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// No user id: OpenShift gives one of its own, elsewhere the image's applies.
fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: None,
        }),
        seccomp_profile: Some(seccomp()),
        ..SecurityContext::default()
    }
}

fn seccomp() -> SeccompProfile {
    SeccompProfile {
        type_: "RuntimeDefault".to_owned(),
        localhost_profile: None,
    }
}

fn env(run: &Run, defaults: &Defaults) -> Vec<EnvVar> {
    let mut env: Vec<EnvVar> = defaults
        .env
        .iter()
        .map(|(name, value)| plain(name, value))
        .collect();
    env.push(plain("TMPDIR", SCRATCH));
    let field = ObjectFieldSelector {
        field_path: "metadata.name".to_owned(),
        api_version: None,
    };
    let source = EnvVarSource {
        field_ref: Some(field),
        ..EnvVarSource::default()
    };
    env.push(EnvVar {
        name: "POD_NAME".to_owned(),
        value: None,
        value_from: Some(source),
    });
    if let Some(secret) = &run.secret {
        // By reference: the kubelet reads it, the operator never does. Key by key: a secret may
        // hold more.
        let keys = [
            ("AWS_ACCESS_KEY_ID", false),
            ("AWS_SECRET_ACCESS_KEY", false),
            ("AWS_SESSION_TOKEN", true),
        ];
        env.extend(keys.map(|(key, optional)| EnvVar {
            name: key.to_owned(),
            value: None,
            value_from: Some(EnvVarSource {
                secret_key_ref: Some(SecretKeySelector {
                    name: secret.clone(),
                    key: key.to_owned(),
                    optional: Some(optional),
                }),
                ..EnvVarSource::default()
            }),
        }));
    }
    env
}

/// Of variables with the same name the last, so the run's win over those of the operator's
/// settings: two of them cannot be applied (`env` is a list-map by name).
fn last_of_each(env: Vec<EnvVar>) -> Vec<EnvVar> {
    let mut names = BTreeSet::new();
    let mut last: Vec<_> = env
        .into_iter()
        .rev()
        .filter(|variable| names.insert(variable.name.clone()))
        .collect();
    last.reverse();
    last
}

/// An argument as it is: `$(NAME)` in one would be the variable of that name, a Secret's too, and
/// `$$` a single `$` ("Define a Command and Arguments for a Container", Kubernetes documentation).
fn literal(arg: &str) -> String {
    arg.replace('$', "$$")
}

pub(super) fn plain(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        value_from: None,
    }
}

#[cfg(test)]
mod tests;
