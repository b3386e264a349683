//! The data plane of S3 Bundler: from an S3 Inventory to archives that standard tools read.
//!
//! ```text
//! inventory ──► group ──► queue ──► bundle ──► catalog ──► verify
//! rows of an    manifests  one       fetch, pack,  index, dead     proof from
//! inventory     of 65,000  message   upload,       letters and     S3 alone
//!               objects    a group   commit        receipt from it
//! ```
//!
//! `plan` counts what all of that will do, with the same code. [`runs`] and [`find`] read what is there,
//! and [`compact`] makes that quick. Data flows down this list; [`run`]
//! strings it together in one process, `main` gives each part a command.

#![allow(
    missing_docs,
    reason = "a program: only tests and fuzz targets use the library"
)]
#![warn(unreachable_pub)]

pub mod args;
mod budget;
pub mod bundle;
pub mod catalog;
pub mod commands;
pub mod compact;
mod description;
pub mod destination;
pub mod find;
pub mod group;
pub mod inventory;
pub mod logging;
mod plan;
pub mod progress;
pub mod queue;
mod reexec;
mod run_totals;
pub mod runs;
pub mod s3;
mod table;
mod termination;
pub mod verify;
mod worker_status;
