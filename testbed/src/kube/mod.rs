//! A Kubernetes of one node, with S3 and SQS beside it, on this machine alone: no virtual machine,
//! no Docker, no registry.
//!
//! ```text
//! lock ──► folder ──► node (network, process and mount namespaces; teardown stands by)
//!                      │
//!                      ├──► containerd ──► image "pause" ───────────┐
//!                      ├──► certificates ──► control plane (etcd, ──┴──► kubelet ──► Ready ──► Cluster
//!                      │                     apiserver, controllers, scheduler)
//!                      └──► moto (S3, SQS)
//! ```
//!
//! Everything lives in namespaces that one process holds, the *node*. When that process is killed
//! the kernel ends every other process in it, down to the last container, takes the mounts away
//! with them, and the network with its links. What is left then, a folder and some empty control
//! groups, is removed by a shell that waits for our end from the beginning (the teardown,
//! `node.rs`); so a cluster that is stopped, one whose boot failed half way, and one whose test was
//! killed all leave the machine as it was.
//!
//! The network: a bridge in the node has 10.88.0.1 (S3, SQS and the API) and 10.96.0.1 (the API as
//! pods know it); pods get addresses from the same bridge, and this machine is on it too, as
//! 10.88.255.254, by a pair of virtual links. So test code, pods and servers reach each other at
//! the same addresses, and neither forwarding, nor `nsenter`, nor a proxy is in between. One
//! cluster at a time has these addresses; a second one waits for the first to end.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use s3bundler_testbed::kube::{Cluster, Image};
//!
//! let cluster = Cluster::start().await?;
//! cluster.load(&Image::of_program("localhost/s3bundler:test", "/path/to/s3bundler".as_ref())?).await?;
//! cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: archive}}").await?;
//! println!("{}", cluster.kubectl(["get", "nodes"]).await?);
//! cluster.stop().await?;
//! # Ok(()) }
//! ```

mod certificates;
mod cluster;
mod control_plane;
mod image;
mod kubelet;
mod node;
mod shell;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

pub use cluster::{Cluster, WAITING};
pub use image::Image;
pub use node::{HOST_ADDRESS, NODE_ADDRESS, SERVICE_ADDRESS};

use crate::cli::CliError;
use crate::install::InstallError;
use crate::servers::{MotoError, ServerError};

/// Why there is no cluster, or not what was asked of it.
#[derive(Debug, Error)]
pub enum KubeError {
    /// Namespaces and mounts need root.
    #[error("a Kubernetes on this machine needs root")]
    NotRoot,
    /// Something that it is made of is missing.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// Its S3 and SQS server did not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Its S3 and SQS server does not enforce IAM.
    #[error(transparent)]
    Iam(#[from] MotoError),
    /// A client could not be run.
    #[error(transparent)]
    Cli(#[from] CliError),
    /// A file or folder of the cluster cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Keys or certificates could not be made.
    #[error("certificates: {0}")]
    Certificates(String),
    /// Something else on this machine has the addresses, such as a Podman network.
    #[error("the addresses {network} are in use on this machine: {route}")]
    NetworkTaken {
        /// The network.
        network: &'static str,
        /// The route that is there.
        route: String,
    },
    /// A command that makes a part of the cluster failed.
    #[error("`{command}` failed with {status}:\n{output}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it printed.
        output: String,
    },
    /// A program of the cluster ended by itself.
    #[error("{program} ended ({status}):\n{log}")]
    Ended {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// Something did not happen in time.
    #[error("{what} not within {waited:?}:\n{log}")]
    NotReady {
        /// What was waited for.
        what: &'static str,
        /// How long.
        waited: Duration,
        /// What the last look said, or the end of a log.
        log: String,
    },
    /// A program for an image names a library that is not there.
    #[error("{program} needs {library}, which was not found", program = program.display())]
    LibraryMissing {
        /// The program.
        program: PathBuf,
        /// The library.
        library: String,
    },
    /// Another process keeps the cluster.
    #[error("the cluster in {0} is kept by another process")]
    NotOurs(PathBuf),
    /// No cluster runs here.
    #[error("no cluster runs in {0}")]
    NotRunning(PathBuf),
}

/// For `map_err`: what went wrong with this file.
fn with_path(path: &Path) -> impl FnOnce(io::Error) -> KubeError + use<> {
    let path = path.to_owned();
    move |source| KubeError::File { path, source }
}
