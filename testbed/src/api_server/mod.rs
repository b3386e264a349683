//! A Kubernetes API server in memory: objects and watches, and nothing that acts on them. For loads
//! that no cluster on this machine can carry, thousands of runs with their pods, and for tests that
//! count the requests of the operator.
//!
//! ```text
//! test or bench ──► apply, change, remove ──┐
//!                                           ├──► store ──► watches
//! operator ──► HTTP: get, list, patch, … ───┘
//! ```
//!
//! It knows no schema, no admission and no roles, and it takes every server-side apply for a merge.
//! The status of a Deployment always speaks of its last generation. Scenarios in a real cluster show
//! that the operator is right; this shows what it costs.

mod asked;
mod server;
mod store;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use self::server::Shared;

/// A running API server, gone when dropped.
#[derive(Debug)]
pub struct ApiServer {
    shared: Arc<Shared>,
    folder: TempDir,
    runtime: Option<Runtime>,
}

impl ApiServer {
    /// Starts an API server without objects.
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("api-server")
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        runtime.spawn(server::serve(listener, Arc::clone(&shared)));
        let folder = TempDir::new()?;
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "memory",
            "clusters": [{"name": "memory", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "memory", "user": {}}],
            "contexts": [{"name": "memory", "context": {"cluster": "memory", "user": "memory"}}],
        });
        std::fs::write(folder.path().join("config"), config.to_string())?;
        Ok(Self {
            shared,
            folder,
            runtime: Some(runtime),
        })
    }

    /// The file for `KUBECONFIG`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// The folder of that file, which has room for others.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Creates or replaces an object of a resource, such as `pods`.
    pub fn apply(&self, resource: &str, object: Value) {
        self.shared.store().put(resource, object);
    }

    /// Changes an object. Returns false if it does not exist.
    pub fn change(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> bool {
        let mut store = self.shared.store();
        let Some(mut object) = store.get(resource, namespace, name).cloned() else {
            return false;
        };
        change(&mut object);
        store.put(resource, object);
        true
    }

    /// Deletes an object as a request would. Returns false if it does not exist.
    pub fn remove(&self, resource: &str, namespace: &str, name: &str) -> bool {
        self.shared
            .store()
            .delete(resource, namespace, name)
            .is_some()
    }

    /// An object, if it exists.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.shared.store().get(resource, namespace, name).cloned()
    }

    /// All objects of a resource.
    pub fn all(&self, resource: &str) -> Vec<Value> {
        self.shared.store().all(resource).cloned().collect()
    }

    /// From now on requests for a resource are answered with this status: 404 as without its
    /// definition, 403 as without a role.
    pub fn refuse(&self, resource: &str, status: StatusCode) {
        self.shared.refused().insert(resource.to_owned(), status);
    }

    /// From now on requests for a resource are carried out again.
    pub fn allow(&self, resource: &str) {
        self.shared.refused().remove(resource);
    }

    /// Requests since the start or [`ApiServer::forget_requests`], by verb and resource, such as
    /// `PATCH archiveruns/status`.
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.shared.requests().clone()
    }

    /// Counts requests from 0 again.
    pub fn forget_requests(&self) {
        self.shared.requests().clear();
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Allowed inside another runtime, which an ordinary drop is not.
            runtime.shutdown_background();
        }
    }
}
