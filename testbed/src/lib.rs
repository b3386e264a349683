//! The testbed of S3 Bundler: development only, linked by tests and benches, never by the programs.
//!
//! ```text
//! install ──► servers (moto, versitygw, ElasticMQ, S3Mock) ──► proxy (faults) ──► client, inventory (fill and describe buckets)
//!         └───► kube (a Kubernetes of one node, with moto in it)            └──► cli (run the program under test)
//! ```
//!
//! Everything is real but the cloud: real S3 servers, real processes, real sockets. Faults that a
//! server cannot produce are made by the [`proxy`] in front of it. Loads that no server here can
//! carry are those of the [`simulator`] and of the [`api_server`].

pub mod api_server;
pub mod bench;
pub mod cli;
pub mod client;
pub mod demo;
pub mod fleet;
pub mod generated;
pub mod health;
pub mod idle_queues;
pub mod install;
pub mod interop;
pub mod inventory;
pub mod kube;
pub mod metrics;
pub mod namespaces;
pub mod patience;
pub mod proxy;
pub mod servers;
pub mod simulator;
pub mod sink;
