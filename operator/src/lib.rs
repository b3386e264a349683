//! The Kubernetes side of S3 Bundler. It talks to Kubernetes, and to SQS and S3 for queues, depth
//! and receipts; it never moves object data.
//!
//! ```text
//! crd: ArchiveRun ──► controller ──► Job, Deployment, ScaledObject
//!                       │   └──────► queues (SQS), autoscale (how many workers)
//!                       └──────────► records, receipts (S3: what it has come to)
//! ```
//!
//! [`crd`] is the API: what an `ArchiveRun` says, and what the operator says back. [`controller`]
//! carries it out.

#![allow(
    missing_docs,
    reason = "a program: only its tests and the testbed use the library"
)]
#![warn(unreachable_pub)]

pub mod args;
mod autoscale;
pub mod aws;
pub mod controller;
pub mod crd;
pub mod defaults;
pub mod kubernetes;
pub mod lease;
mod liveness;
pub mod metrics;
pub mod policy;
pub mod queues;
pub mod ready;
pub mod receipts;
pub mod records;
mod watch_health;
