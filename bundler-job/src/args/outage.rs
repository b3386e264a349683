//! How long to wait for a bucket that does not answer.

use std::time::Duration;

use clap::Args;

use crate::s3::S3Options;

/// How long to wait for buckets.
#[derive(Debug, Args)]
pub struct OutageArgs {
    /// Seconds to wait for a bucket whose server refuses connections or fails every request.
    ///
    /// Nothing is received meanwhile, messages stay invisible, and what is packed is kept. After
    /// that time groups fail, and a queue's worker receives nothing until the bucket answers; other
    /// commands end with an error, and continue when they are started again. Outages at the start
    /// of a process are waited out too, but an endpoint whose host does not exist is an error at
    /// once. 0: nothing is waited for. Default: 900. For example --outage-budget 3600.
    #[arg(
        long,
        env = "S3BUNDLER_OUTAGE_BUDGET",
        value_name = "SECONDS",
        default_value_t = 900,
        hide_default_value = true,
        help_heading = "Work"
    )]
    pub outage_budget: u64,
}

impl OutageArgs {
    /// These connections, with what they say of outages.
    pub fn s3_options(&self, options: S3Options) -> S3Options {
        S3Options {
            outage_budget: Duration::from_secs(self.outage_budget),
            ..options
        }
    }
}
