//! Other projects, tried for real with the operator in a cluster of its own: KEDA, the health checks
//! of Argo CD and Flux, Prometheus, and the queries of the Grafana dashboard. docs/interop.md has
//! what the last trial showed.
//!
//! ```text
//!                    ┌─► keda:       KEDA and its metrics adapter scale runs ───────────┐
//! cluster ──► chart ─┼─► prometheus: scrapes ──► a good run, broken runs ──► alerts     ├─► gitops: health of every
//!                    │                   └─────► grafana: queries of the dashboard      │   status that was seen
//!                    └─► gitops:     a suspended run, and one that cannot start ────────┘
//! ```

mod alerts;
mod dashboard;
mod gitops;
mod keda;
mod prometheus;
mod scene;
mod scrape;
mod timeline;
mod watch;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use thiserror::Error;

use crate::cli::CliError;
use crate::client::ClientError;
use crate::health::HealthError;
use crate::install::{InstallError, Recipe, found};
use crate::inventory::InventoryError;
use crate::kube::KubeError;
use crate::proxy::ProxyError;
use prometheus::Prometheus;
use scene::Scene;
use watch::Watch;

/// A part that can be run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// KEDA with its metrics adapter scales runs.
    Keda,
    /// The health checks of Argo CD and Flux, on the statuses of this trial.
    Gitops,
    /// Prometheus with the monitors and the alerts of the chart.
    Prometheus,
    /// The queries of the dashboard, asked of Prometheus.
    Grafana,
}

/// Why the trial ended early.
#[derive(Debug, Error)]
pub enum InteropError {
    /// There is no cluster, or it did not do as asked.
    #[error(transparent)]
    Kube(#[from] KubeError),
    /// Something that is tried could not be installed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// A request to S3 or SQS failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// An inventory could not be written.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The fault proxy did not start.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// A program could not be run.
    #[error(transparent)]
    Cli(#[from] CliError),
    /// A health check could not be evaluated.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// A file cannot be read or written, or a port not be had.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An answer is not the JSON that it should be.
    #[error("{what}: {source}")]
    Json {
        /// What was asked for.
        what: String,
        /// Why it cannot be read.
        source: serde_json::Error,
    },
    /// Prometheus did not answer.
    #[error("Prometheus: {0}")]
    Prometheus(String),
    /// Something did not happen in time.
    #[error("{what}: not within {waited:?}")]
    NotInTime {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
    },
    /// Something is not as promised.
    #[error("{0}")]
    Wrong(String),
}

fn wrong(what: impl Into<String>) -> InteropError {
    InteropError::Wrong(what.into())
}

fn say(what: &str) {
    println!("==> {what}");
}

/// For `map_err`: what the system said about a file.
fn with_path(path: &Path) -> impl FnOnce(io::Error) -> InteropError + use<> {
    let path = path.to_owned();
    move |source| InteropError::File { path, source }
}

/// Runs these parts, all if there are none, and prints what was seen.
pub async fn interop(s3bundler: &Path, operator: &Path, only: &[Part]) -> Result<(), InteropError> {
    let is_wanted = |part| only.is_empty() || only.contains(&part);
    prepare(is_wanted).await?;
    let scene = Scene::start(s3bundler, operator).await?;
    let played = play(&scene, is_wanted).await;
    if played.is_err() {
        scene.print_state().await;
    }
    let stopped = scene.stop().await;
    played.and(stopped)
}

/// Installs what is missing. Before a cluster is booted: only one of them fits on a machine, and KEDA
/// takes its time.
async fn prepare(is_wanted: impl Fn(Part) -> bool) -> Result<(), InteropError> {
    if !rustix::process::geteuid().is_root() {
        return Err(KubeError::NotRoot.into());
    }
    let has_prometheus = is_wanted(Part::Prometheus) || is_wanted(Part::Grafana);
    for (recipe, is_wanted) in [
        (Recipe::Crds, true),
        (Recipe::Keda, is_wanted(Part::Keda)),
        (Recipe::Prometheus, has_prometheus),
    ] {
        if is_wanted && found(recipe)?.is_none() {
            say(&format!(
                "Installing {} (KEDA is built, which takes some fifteen minutes)",
                recipe.name()
            ));
            scene::install(recipe).await?;
        }
    }
    Ok(())
}

async fn play(scene: &Scene, is_wanted: impl Fn(Part) -> bool) -> Result<(), InteropError> {
    let runs = Watch::start(scene, &["archiveruns", "--all-namespaces"])?;
    if is_wanted(Part::Keda) {
        keda::scales_runs(scene).await?;
    }
    if is_wanted(Part::Gitops) {
        gitops::play(scene).await?;
    }
    if is_wanted(Part::Prometheus) || is_wanted(Part::Grafana) {
        let prometheus = Prometheus::start(scene).await?;
        alerts::a_good_run_fires_none(scene, &prometheus).await?;
        if is_wanted(Part::Grafana) {
            dashboard::shows_a_good_run(scene, &prometheus).await?;
        }
        alerts::broken_runs_fire_theirs(scene, &prometheus).await?;
        if is_wanted(Part::Grafana) {
            dashboard::shows_broken_runs(scene, &prometheus).await?;
        }
        alerts::a_missing_operator_fires_its_own(scene, &prometheus).await?;
    }
    if is_wanted(Part::Gitops) {
        gitops::judge(&runs.objects()?)?;
    }
    Ok(())
}
