//! An ArchiveRun as the operator keeps it between reconciles. There may be thousands that have
//! ended: of those it keeps no more than is shown of them and what says when they are deleted.

use std::borrow::Cow;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::decide::{finished, queues_are_gone, time_left};
use super::finalizer;
use crate::crd::{ArchiveRun, ArchiveRunSpec, ArchiveRunStatus};

/// `kubectl apply` keeps the whole manifest here.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

#[derive(Debug, Clone)]
pub(crate) enum CachedRun {
    /// Something may still have to be done about it.
    Active(Box<ArchiveRun>),
    /// It has ended, and its pods and queues are deleted.
    Ended(Box<EndedRun>),
    /// Of a version that this operator does not know: it must not stop the others.
    Unreadable(Box<UnreadableRun>),
}

#[derive(Debug, Clone)]
pub(crate) struct EndedRun {
    pub(crate) metadata: ObjectMeta,
    /// Without messages.
    pub(crate) status: ArchiveRunStatus,
    ttl: Option<Duration>,
}

#[derive(Debug, Clone)]
pub(crate) struct UnreadableRun {
    pub(crate) metadata: ObjectMeta,
    pub(crate) error: String,
}

/// The parts of a resource that are read one by one.
#[derive(Deserialize)]
struct Parts {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

impl EndedRun {
    /// Time until it is to be deleted, if it ever is.
    pub(crate) fn time_left(&self, now: Timestamp) -> Option<Duration> {
        time_left(self.ttl, &self.status, now)
    }
}

impl From<ArchiveRun> for CachedRun {
    fn from(mut run: ArchiveRun) -> Self {
        trim(&mut run.metadata);
        let status = run.status.take_if(|status| {
            finished(status).is_some()
                // That of an earlier release has none yet.
                && status.state.is_some()
                && status.queue.is_some()
                && queues_are_gone(status)
                && !finalizer::is_present(&run.metadata)
        });
        let Some(mut status) = status else {
            return Self::Active(Box::new(run));
        };
        for condition in &mut status.conditions {
            condition.message = String::new();
        }
        let metadata = ObjectMeta {
            annotations: None,
            labels: None,
            owner_references: None,
            ..run.metadata
        };
        Self::Ended(Box::new(EndedRun {
            metadata,
            status,
            ttl: run.spec.ttl(),
        }))
    }
}

impl<'de> Deserialize<'de> for CachedRun {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Parts {
            mut metadata,
            spec,
            status,
        } = Parts::deserialize(deserializer)?;
        let spec = serde_json::from_value::<ArchiveRunSpec>(spec);
        let read = spec.and_then(|spec| Ok((spec, serde_json::from_value(status)?)));
        Ok(match read {
            Ok((spec, status)) => ArchiveRun {
                metadata,
                spec,
                status,
            }
            .into(),
            Err(error) => {
                trim(&mut metadata);
                let error = error.to_string();
                Self::Unreadable(Box::new(UnreadableRun { metadata, error }))
            }
        })
    }
}

impl Resource for CachedRun {
    type DynamicType = ();
    type Scope = <ArchiveRun as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        ArchiveRun::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        ArchiveRun::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        ArchiveRun::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        ArchiveRun::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Active(run) => &run.metadata,
            Self::Ended(run) => &run.metadata,
            Self::Unreadable(run) => &run.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Active(run) => &mut run.metadata,
            Self::Ended(run) => &mut run.metadata,
            Self::Unreadable(run) => &mut run.metadata,
        }
    }
}

/// Drops the bookkeeping of the API server and of `kubectl apply`, most of a resource's bytes.
fn trim(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

#[cfg(test)]
mod tests;
