//! The program against real servers. All suites are one program, so that there is one to link and
//! their tests, which mostly wait, run side by side: `cargo test --test integration verify::` runs
//! one suite. What a suite is about is said at its top.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

mod answers;
mod bad_input;
mod bodies;
mod commands;
mod commit;
mod copies;
mod crash;
mod destination;
mod doubt;
mod find;
mod first_contact;
mod foreign;
mod generated;
mod golden;
mod group;
mod iam;
mod manifests;
mod outages;
mod outbound;
mod parts;
mod plan;
mod queue;
mod rate;
mod simulated;
mod tls;
mod verify;
mod world;
mod writes;
