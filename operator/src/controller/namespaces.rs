//! The labels of namespaces, by which policies go. They are not watched: a change shows within a
//! minute.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};

use super::error::ReconcileError;

/// How long labels are believed.
const PERIOD: Duration = Duration::from_mins(1);

type Labels = BTreeMap<String, String>;

/// The labels of namespaces with runs, and when they were read.
#[derive(Debug, Default)]
pub(crate) struct Namespaces(Mutex<HashMap<String, (Instant, Labels)>>);

impl Namespaces {
    /// The labels of a namespace.
    pub(crate) async fn labels(
        &self,
        client: &Client,
        name: &str,
    ) -> Result<Labels, ReconcileError> {
        let now = Instant::now();
        if let Some((at, labels)) = self.lock().get(name)
            && now.saturating_duration_since(*at) < PERIOD
        {
            return Ok(labels.clone());
        }
        let found = Api::<Namespace>::all(client.clone())
            .get_metadata(name)
            .await
            .map_err(|cause| ReconcileError::Read(Box::new(cause)))?;
        let labels = found.metadata.labels.unwrap_or_default();
        self.lock().insert(name.to_owned(), (now, labels.clone()));
        Ok(labels)
    }

    /// Forgets all namespaces but these.
    pub(crate) fn retain(&self, names: &HashSet<String>) {
        self.lock().retain(|name, _| names.contains(name));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Instant, Labels)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
