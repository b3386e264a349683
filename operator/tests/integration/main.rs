//! The operator without a cluster: what it makes and reads, against real S3 and SQS servers. All
//! suites are one program: `cargo test --test integration admission::` runs one.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

mod admission;
mod answers;
mod claim;
mod common;
mod examples;
mod generated;
mod iam;
mod outbound;
mod program;
mod queues;
mod readiness;
mod requests;
mod source;
