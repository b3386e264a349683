//! The operator without a cluster: what it makes and reads, against real S3 and SQS servers, and as a
//! process beside an API server in memory. All suites are one program: `cargo test --test integration admission::` runs one.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

mod admission;
mod answers;
mod begin;
mod common;
mod examples;
mod generated;
mod iam;
mod isolation;
mod notifications;
mod outbound;
mod process;
mod program;
mod queues;
mod readiness;
mod records;
mod requests;
mod verify;
