//! How long to wait for a bucket that does not answer.

use std::time::Duration;

use clap::Args;

use crate::s3::S3Options;

/// How long to wait for buckets.
#[derive(Debug, Args)]
pub struct OutageArgs {
    /// Seconds to wait for a bucket whose server refuses connections or fails every request.
    ///
    /// Nothing is received meanwhile, messages stay invisible, and what is packed is kept. After that time groups fail, and
    /// a queue's worker receives nothing until the bucket answers; the command group fails, and continues when it is started
    /// again. If no bucket has answered since the process started, only a queue's worker waits, for as long as it takes.
    /// Default: 900. For example --outage-budget 3600.
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
        S3Options { outage_budget: Duration::from_secs(self.outage_budget), ..options }
    }
}
