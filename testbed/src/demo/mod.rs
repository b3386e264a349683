//! The main job before one's eyes: real files become objects, an inventory of them becomes
//! archives, one object comes back with a single ranged GET and is compared with the file it was.
//! On Kubernetes, or on the command line alone. `s3bundler plan` shows before it what the run will do.
//!
//! ```text
//! kubernetes: cluster ──► helm install ─┐                          ┌─► kubectl apply ArchiveRun ──► Complete ─┐
//! local:      moto ─────────────────────┴─► files ──► inventory ───┴─► s3bundler run ─────────────────────────┤
//!                                                                                                             │
//!                                          GET range ◄── index ◄── tar --list ◄── s3bundler verify --full ◄───┘
//! ```

mod archive;
mod kubernetes;
mod local;
mod progress;
mod source;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use kubernetes::{OPERATOR, on_kubernetes, where_to_look_on_kubernetes};
pub use local::{locally, where_to_look_locally};
pub use source::real_files;

use crate::cli::{CliError, Program};
use crate::client::ClientError;
use crate::inventory::InventoryError;
use crate::kube::KubeError;
use crate::servers::ServerError;

const SOURCE: &str = "demo-sources";
const INVENTORIES: &str = "demo-inventories";
const ARCHIVES: &str = "demo-archives";
/// Of the destination.
const PREFIX: &str = "logs";
/// The run's name.
const RUN: &str = "demo";

/// Why the demo ended early.
#[derive(Debug, Error)]
pub enum DemoError {
    /// A server did not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// There is no cluster, or it did not do as asked.
    #[error(transparent)]
    Kube(#[from] KubeError),
    /// No cluster without root.
    #[error("a Kubernetes on this machine needs root; `make demo-local` does without both")]
    NotRoot,
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The inventory could not be written.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// A program could not be run.
    #[error(transparent)]
    Cli(#[from] CliError),
    /// A program failed.
    #[error("{0} failed: {1}")]
    Program(&'static str, String),
    /// A file could not be read.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// What came back is not what was sent.
    #[error("{0}")]
    Wrong(String),
}

fn say(what: &str) {
    println!("==> {what}");
}

fn wrong(what: impl Into<String>) -> DemoError {
    DemoError::Wrong(what.into())
}

fn destination() -> String {
    format!("s3://{ARCHIVES}/{PREFIX}")
}

/// Runs `s3bundler`, shows what it prints, and takes nothing but success.
async fn s3bundler(program: Program, arguments: &[&str]) -> Result<(), DemoError> {
    say(&format!("s3bundler {}", arguments.join(" ")));
    let outcome = program.args(arguments).run().await?;
    for line in outcome.stdout.lines() {
        println!("    {line}");
    }
    if outcome.code == Some(0) {
        Ok(())
    } else {
        Err(DemoError::Program("s3bundler", outcome.to_string()))
    }
}

/// Plans the run, and shows the beginning of the plan: all of it has several screens.
async fn plan(program: Program, manifest: &str, limits: &[&str]) -> Result<(), DemoError> {
    let destination = destination();
    let rows = [
        "plan",
        "--inventory",
        manifest,
        "--destination",
        &destination,
    ];
    let arguments = [&rows[..], limits].concat();
    say(&format!("s3bundler {}", arguments.join(" ")));
    let outcome = program.args(&arguments).run().await?;
    for line in outcome.stdout.lines().take_while(|line| !line.is_empty()) {
        println!("    {line}");
    }
    if outcome.code == Some(0) {
        Ok(())
    } else {
        Err(DemoError::Program("s3bundler", outcome.to_string()))
    }
}

/// Commands that look at what was archived, for whoever has the server's exports.
fn look_at_archives(s3bundler: &Path) -> String {
    let (program, destination) = (s3bundler.display(), destination());
    format!(
        "    {program} verify --destination {destination} --name {RUN}\n    aws s3 ls --recursive \
         s3://{ARCHIVES}/"
    )
}

/// How to get what is about to end, to look at it.
fn another_time(command: &str, what: &str) -> String {
    format!(
        "Now {what} ends. To look around yourself, `{command} KEEP=1` leaves it up and says what \
         to export; then:"
    )
}

/// Proves the run from S3 alone, every member read.
async fn verify(program: Program) -> Result<(), DemoError> {
    s3bundler(
        program,
        &[
            "verify",
            "--full",
            "--destination",
            &destination(),
            "--name",
            RUN,
        ],
    )
    .await
}
