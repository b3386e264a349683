//! The testbed's own parts, so that other tests may trust them, and the chart as Helm renders it. All
//! suites are one program: `cargo test --test integration proxy::` runs one.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

mod binary;
mod chart;
mod cli;
mod generated;
mod inventory;
mod proxy;
mod servers;
mod simulator;
