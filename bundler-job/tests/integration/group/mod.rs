//! Grouping against a real S3 server: what it writes, what it refuses, and what happens when it is
//! done again.

mod command;
mod damaged;
mod existing_manifests;
mod grouping;
mod kubernetes;
mod resuming;
mod retrying;
mod scene;
mod unreadable;
