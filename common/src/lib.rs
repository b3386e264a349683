//! What the command line and the operator do the same way.
//!
//! ```text
//! environment ──► config: region, credentials, endpoints
//! AWS clients ──► http_client: whom to trust (AWS_CA_BUNDLE), which proxy to take (HTTPS_PROXY) ──► S3, SQS, STS
//!      └── requests to S3 ──► payer: who pays for them
//! their answers ──► latin1: headers that are not UTF-8 ──► answer: whose they are, and what kind of error
//! no answer ──► causes: why not
//! their listings ──► listing: whether a page can be counted on
//! queues ──► queue_url: region and ARN
//! signals ──► shutdown; errors ──► failure: message and exit code; events ──► logging
//! keys and messages ──► text: what may be shown
//! probes, Prometheus ──► http_pages: /healthz, /metrics and whatever else a program has to say
//!                └─► process: version, CPU and memory; outcome: the words for what came of requests
//! ```

pub mod answer;
pub mod causes;
pub mod config;
pub mod failure;
pub mod http_client;
pub mod http_pages;
pub mod latin1;
pub mod listing;
pub mod logging;
pub mod outcome;
pub mod payer;
pub mod process;
pub mod queue_url;
pub mod shutdown;
pub mod text;
