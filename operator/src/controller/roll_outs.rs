//! How many runs replace their workers at a time. A setting of the operator that reaches live runs,
//! such as `caBundle`, would end the workers of all of them at once: every group in progress would be
//! given back, and all nodes would pull and start pods.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;

use super::build::POD_TEMPLATE_ANNOTATION;
use super::workloads::{RunKey, replicas};

/// Runs that replace their workers at a time.
const MOST: usize = 10;
/// After so long a run does not keep others waiting: its new pods may find no node.
const LONGEST: Duration = Duration::from_mins(10);

/// The runs that replace their workers.
#[derive(Debug, Default)]
pub(crate) struct RollOuts(Mutex<HashMap<RunKey, RollOut>>);

#[derive(Debug)]
struct RollOut {
    began: Instant,
    /// The generation of the Deployment with the new pods, once it is applied.
    generation: Option<i64>,
}

impl RollOuts {
    /// Whether a run may begin to replace its workers. If so, it is counted until `is_done` says of
    /// its generation that it has done so.
    pub(crate) fn begin(
        &self,
        run: &RunKey,
        now: Instant,
        is_done: impl Fn(&RunKey, i64) -> bool,
    ) -> bool {
        let mut under_way = self.lock();
        under_way.retain(|key, it| {
            let is_late = now.saturating_duration_since(it.began) >= LONGEST;
            !is_late
                && !it
                    .generation
                    .is_some_and(|generation| is_done(key, generation))
        });
        if under_way.len() >= MOST && !under_way.contains_key(run) {
            return false;
        }
        let roll_out = RollOut {
            began: now,
            generation: None,
        };
        under_way.insert(run.clone(), roll_out);
        true
    }

    /// Records which generation of its Deployment a run that began has applied, or that it could not.
    pub(crate) fn applied(&self, run: &RunKey, generation: Option<i64>) {
        let mut under_way = self.lock();
        match generation {
            Some(_) => {
                if let Some(it) = under_way.get_mut(run) {
                    it.generation = generation;
                }
            }
            None => {
                under_way.remove(run);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunKey, RollOut>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether pods are replaced if the Deployment that the watch shows becomes this one.
pub(crate) fn replaces_pods(shown: &Deployment, wanted: &Deployment) -> bool {
    replicas(shown) > 0 && pod_template(shown) != pod_template(wanted)
}

/// Whether this generation of a Deployment, or a later one, has only pods of its own.
pub(crate) fn is_rolled_out(shown: &Deployment, generation: i64) -> bool {
    let status = shown.status.clone().unwrap_or_default();
    let pods = status.replicas.unwrap_or_default();
    shown.metadata.generation >= Some(generation)
        && status.observed_generation >= Some(generation)
        && status.updated_replicas.unwrap_or_default() >= pods
}

fn pod_template(deployment: &Deployment) -> Option<&String> {
    deployment
        .metadata
        .annotations
        .as_ref()?
        .get(POD_TEMPLATE_ANNOTATION)
}

#[cfg(test)]
mod tests;
