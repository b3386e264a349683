//! Real S3 and SQS servers for tests.
//!
//! Each server is a struct that owns a process: starting it installs what is missing, takes a free
//! loopback port, and returns when the server answers; dropping it ends the process. Tests read
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use s3bundler_testbed::{client, servers::VersityGw};
//!
//! let server = VersityGw::start().await?;
//! let s3 = client::s3(server.access());
//! client::create_bucket(&s3, "source").await?;
//! # Ok(()) }
//! ```
//!
//! ```text
//! install ──► port ──► process (own group, log file, watchdog) ──► ready? ──► Access (endpoint and keys)
//! ```
//!
//! | server | good for | not for |
//! |---|---|---|
//! | [`Moto`] | meaning: S3 to SQS events, IAM, STS, tags, versions, Glacier, conditional writes | speed; whole-object checksums |
//! | [`VersityGw`] | load, real files, `BadDigest` | keys that are not file paths; SQS |
//! | [`ElasticMq`] | a second, strict SQS | retention |
//! | [`ForwardProxy`] | what company networks put between a program and AWS | faults: those are of [`crate::proxy`] |
//! | [`S3Mock`] | keys exactly as they are | conditional complete; speed |

mod access;
mod certificate;
mod elasticmq;
mod forward_proxy;
mod iam;
mod listeners;
mod moto;
mod policy;
mod port;
mod process;
mod s3mock;
mod server;
mod versitygw;

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

pub use access::{Access, REGION};
pub use certificate::Certificate;
pub use elasticmq::ElasticMq;
pub use forward_proxy::ForwardProxy;
pub use iam::{Decision, MotoError};
pub use moto::{Moto, MotoOptions};
pub use policy::{Permission, Policy};
pub use port::Port;
pub use process::Watchdog;
pub use s3mock::S3Mock;
pub use versitygw::{VersityGw, VersityGwOptions};

use crate::install::InstallError;

/// Why a server is not there.
#[derive(Debug, Error)]
pub enum ServerError {
    /// It could not be installed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// No port could be had.
    #[error("no free port: {0}")]
    NoPort(std::io::Error),
    /// Its files or its process could not be made.
    #[error("starting {name}: {source}")]
    Start {
        /// The server.
        name: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// It ended instead of answering.
    #[error("{name} ended at once ({status}); see {log}:\n{tail}", log = log.display())]
    EndedEarly {
        /// The server.
        name: &'static str,
        /// How it ended.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The end of the log.
        tail: String,
    },
    /// It runs but did not answer in time.
    #[error("{name} did not answer within {waited:?}; see {log}:\n{tail}", log = log.display())]
    NotReady {
        /// The server.
        name: &'static str,
        /// How long we waited.
        waited: Duration,
        /// Its log file.
        log: PathBuf,
        /// The end of the log.
        tail: String,
    },
    /// A certificate could not be made or written.
    #[error("certificate: {0}")]
    Certificate(String),
}
