//! The command line. Every option is also a variable `S3BUNDLER_…`; credentials, region, profile
//! and endpoints come from the `AWS_…` variables and files that every AWS tool reads.

mod archive;
mod commands;
mod destination;
mod filter;
mod find;
mod max_failed;
mod outage;
mod plan;
mod requests;
mod rows;

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use s3bundler_common::failure::Failure;
use s3bundler_contract::{ExitCode, S3Address};

pub use archive::{ArchiveArgs, KeyLayoutArg, WorkArgs};
pub use commands::{
    AddressOrStdin, BundleArgs, GroupArgs, RetryArgs, RunArgs, SubmitArgs, VerifyArgs,
};
pub use destination::DestinationArgs;
pub use filter::{FilterArgs, NameValue};
pub use find::{CompactArgs, FindArgs, LsArgs};
pub use max_failed::MaxFailed;
pub use outage::OutageArgs;
pub use plan::{PlanArgs, Share};
pub use requests::{EncryptionType, RequestArgs, RequestPayer};
pub use rows::{GlacierObjects, GroupingArgs, OriginArgs, Versions};

use crate::s3::{PathStyle, S3Options};

/// Packs the many small objects of an S3 Inventory into few indexed archives.
#[derive(Debug, Parser)]
#[command(
    name = "s3bundler",
    version,
    propagate_version = true,
    max_term_width = 110
)]
#[command(after_help = "\
Examples:
  See what a run will do and cost, with nothing written:
    s3bundler plan --inventory s3://inv/src/daily/2026-11-22T01-00Z/manifest.json \\
        --archive-storage-class GLACIER_IR
  Archive an inventory, in one process and with no queue:
    s3bundler run --inventory s3://inv/src/daily/2026-11-22T01-00Z/manifest.json \\
        --destination s3://archive/logs --name logs-2026-11
  Prove it from S3 alone:
    s3bundler verify --destination s3://archive/logs --name logs-2026-11
  Find an object in all runs, and list the runs:
    s3bundler find --destination s3://archive/logs --key 2026/01/31/app.log
    s3bundler ls --destination s3://archive/logs
  Spread the work over machines:
    s3bundler group --inventory … --destination … --name … --queue https://sqs.…/groups
    s3bundler bundle --destination … --queue https://sqs.…/groups
  Try once more what failed and is worth it, when all groups are archived:
    s3bundler group --retry-pass 1 --destination … --name … --queue https://sqs.…/groups
  Archive a damaged group again while its sources exist:
    s3bundler group --redo 1 --groups logs-2026-11.000007 --destination … --name … --queue https://sqs.…/groups

Exit codes: 0 done, 1 unexpected, 2 disk or memory, 3 unreadable inventory or manifest, 4 upload, 5 download,
6 usage or name taken, 7 permission, 8 verify found something, 9 too many failed, 10 figures that do not add
up, 11 find found nothing, 130 SIGINT, 143 SIGTERM.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what a run will do and cost, and write nothing.
    Plan(PlanArgs),
    /// Group and archive an inventory in one process.
    Run(RunArgs),
    /// Split an inventory into group manifests and put them on a queue.
    Group(GroupArgs),
    /// Archive groups from a queue, or the given manifests.
    Bundle(BundleArgs),
    /// Put manifests on a queue.
    Submit(SubmitArgs),
    /// Prove that a run is whole, from S3 alone.
    Verify(VerifyArgs),
    /// List the runs of a destination, or the groups of a run.
    Ls(LsArgs),
    /// Find objects in the catalogs of a destination.
    Find(FindArgs),
    /// Write the catalogs of a run again, sorted by key, so that find reads less.
    Compact(CompactArgs),
}

impl Cli {
    /// What is wrong with arguments that the parser takes.
    pub fn check(&self) -> Result<(), Failure> {
        let of_find = matches!(self.global.output, OutputFormat::Csv | OutputFormat::Paths);
        if of_find && !matches!(self.command, Command::Find(_)) {
            let problem = "--output csv and --output paths are for find; use table or json";
            return Err(Failure::new(ExitCode::Usage, problem));
        }
        Ok(())
    }
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// AWS region, instead of that of the environment or the profile.
    #[arg(
        long,
        global = true,
        env = "S3BUNDLER_REGION",
        help_heading = "Connection"
    )]
    pub region: Option<String>,
    /// Address objects as endpoint/bucket/key instead of bucket.endpoint/key. auto: when an
    /// endpoint URL is set.
    #[arg(
        long,
        global = true,
        env = "S3BUNDLER_PATH_STYLE",
        default_value = "auto",
        help_heading = "Connection"
    )]
    pub path_style: PathStyleArg,
    /// What goes with requests.
    #[command(flatten)]
    pub requests: RequestArgs,
    /// Form of what is printed on standard output. text and table are the same.
    #[arg(
        long,
        global = true,
        env = "S3BUNDLER_OUTPUT",
        default_value = "text",
        help_heading = "Output"
    )]
    pub output: OutputFormat,
    /// The log's form on standard error.
    #[arg(
        long,
        global = true,
        env = "S3BUNDLER_LOG_FORMAT",
        default_value = "text",
        help_heading = "Output"
    )]
    pub log_format: LogFormatArg,
    /// What to log: a level, or directives as in RUST_LOG.
    #[arg(
        long,
        global = true,
        env = "S3BUNDLER_LOG",
        default_value = "info",
        help_heading = "Output"
    )]
    pub log: String,
}

impl GlobalArgs {
    /// What they say of connection and requests, where this is the bucket that everything is
    /// written to.
    pub fn s3_options(&self, destination: Option<&S3Address>) -> Result<S3Options, Failure> {
        let destination = destination.map(|destination| destination.bucket.clone());
        let requests = self.requests.options(destination)?;
        Ok(S3Options {
            path_style: match self.path_style {
                PathStyleArg::Auto => PathStyle::Auto,
                PathStyleArg::Always => PathStyle::Always,
                PathStyleArg::Never => PathStyle::Never,
            },
            region: self.region.clone(),
            requests,
            first_byte_timeout: None,
            outage_budget: Duration::ZERO,
            requests_per_second: None,
        })
    }
}

/// [`PathStyle`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PathStyleArg {
    /// Path style where an endpoint URL is set, virtual hosts otherwise.
    Auto,
    /// `endpoint/bucket/key`.
    Always,
    /// `bucket.endpoint/key`.
    Never,
}

/// A form of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    #[value(alias = "table")]
    Text,
    /// For machines. find prints one object a line.
    Json,
    /// With a header row, of find only.
    Csv,
    /// One address a line, of find only.
    Paths,
}

/// A form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormatArg {
    /// For people.
    Text,
    /// For machines.
    Json,
}
