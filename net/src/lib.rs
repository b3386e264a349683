//! What the command line and the operator both do on the network.
//!
//! ```text
//! AWS clients ──► outbound: whom to trust (AWS_CA_BUNDLE), which proxy to take (HTTPS_PROXY) ──► S3, SQS, STS
//!      └── requests to S3 ──► payer: who pays for them
//! their answers ──► latin1: headers that are not UTF-8 ──► answer: whose they are, and what kind of error
//! their listings ──► listing: whether a page can be counted on
//! probes, Prometheus ──► pages: /healthz, /metrics and whatever else a program has to say
//! ```

pub mod answer;
pub mod latin1;
pub mod listing;
pub mod outbound;
pub mod pages;
pub mod payer;
