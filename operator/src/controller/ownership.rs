//! Whose an object is. Names say nothing: `web-worker` may be an application of somebody's, who
//! knows of no run `web`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;

use super::run::Run;
use crate::crd::ArchiveRun;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Run,
    /// A deleted run's of the same name: it goes with its run.
    Former,
    /// Somebody else's.
    Other,
}

/// Whose an object is that has a name of the run's.
pub(crate) fn owner(run: &Run, object: &ObjectMeta) -> Owner {
    match controlling_run(object) {
        Some(owner) if owner.uid == run.uid.as_str() => Owner::Run,
        Some(owner) if owner.name == run.name.as_str() => Owner::Former,
        _ => Owner::Other,
    }
}

/// The run that an object belongs to.
pub(crate) fn controlling_run(object: &ObjectMeta) -> Option<&OwnerReference> {
    let controller = object
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true))?;
    let is_a_run = controller.api_version == ArchiveRun::api_version(&())
        && controller.kind == ArchiveRun::kind(&());
    is_a_run.then_some(controller)
}

/// What has a name that the run needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameConflict {
    /// Kind and name.
    pub(crate) object: String,
    /// Whether it goes by itself.
    pub(crate) is_temporary: bool,
}

impl NameConflict {
    /// The object as one that is in the run's way, unless it is the run's.
    pub(crate) fn of(run: &Run, kind: &str, object: Option<&ObjectMeta>) -> Option<Self> {
        let object = object?;
        let name = format!("{kind} {}", object.name.as_deref().unwrap_or_default());
        match owner(run, object) {
            Owner::Run => None,
            Owner::Former => Some(Self {
                object: name,
                is_temporary: true,
            }),
            Owner::Other => Some(Self {
                object: name,
                is_temporary: false,
            }),
        }
    }
}

/// The object if it is the run's.
pub(crate) fn owned<K: Resource>(run: &Run, object: Option<K>) -> Option<K> {
    object.filter(|object| owner(run, object.meta()) == Owner::Run)
}

#[cfg(test)]
mod tests;
