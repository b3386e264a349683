//! The arguments of each command.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use s3bundler_contract::address::AddressError;
use s3bundler_contract::{
    ByteSize, GroupName, Reason, ResourceUid, RunName, S3Address, termination,
};

use super::max_failed::MaxFailed;
use super::{ArchiveArgs, DestinationArgs, GroupingArgs, OriginArgs, OutageArgs, WorkArgs};

/// `s3bundler run`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("rows").required(true).args(["inventory", "inventory_latest", "manifests"]))]
pub struct RunArgs {
    /// Which rows.
    #[command(flatten)]
    pub origin: OriginArgs,
    /// Name of the run: lower-case letters, digits and inner hyphens, 48 at most.
    #[arg(long, short = 'k', env = "S3BUNDLER_NAME")]
    pub name: RunName,
    /// Which of them, and where groups end.
    #[command(flatten)]
    pub grouping: GroupingArgs,
    /// Where to.
    #[command(flatten)]
    pub destination: DestinationArgs,
    /// How.
    #[command(flatten)]
    pub archive: ArchiveArgs,
    /// With how much.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Maximum number of passes over the rows that failed, once all groups are archived. Each pass
    /// takes the rows that failed for one of --retry-reasons; there is none if no row did. Passes
    /// that an earlier start planned are finished, and do not count. Default: 2. 0 is none.
    #[arg(
        long,
        env = "S3BUNDLER_RETRY_PASSES",
        value_name = "N",
        default_value_t = 2,
        value_parser = clap::value_parser!(u32).range(0..=10),
        help_heading = "Failures"
    )]
    pub retry_passes: u32,
    /// Which failed rows.
    #[command(flatten)]
    pub retry: RetryArgs,
    /// Number of failed objects, or percentage of the objects in groups, above which the run ends
    /// with exit code 9. The archives stay, and the same command resumes the run. Default: the run
    /// ends so if all objects failed. Example: 100, or 0.5%.
    #[arg(
        long,
        env = "S3BUNDLER_MAX_FAILED",
        value_name = "N|N%",
        help_heading = "Failures"
    )]
    pub max_failed: Option<MaxFailed>,
}

/// Which failed rows a retry pass takes.
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// Reasons of the failed rows that a retry pass takes, comma-separated: rows of these reasons
    /// from all earlier passes that no later pass took. Default: Retry, for objects that were
    /// throttled or whose server failed. Example: Retry,AccessDenied after a permission was
    /// granted.
    #[arg(
        long,
        env = "S3BUNDLER_RETRY_REASONS",
        value_name = "REASONS",
        value_delimiter = ',',
        default_value = "Retry",
        help_heading = "Failures"
    )]
    pub retry_reasons: Vec<Reason>,
}

impl RetryArgs {
    /// The reasons, in order and without doubles.
    pub fn reasons(&self) -> Vec<Reason> {
        let reasons: std::collections::BTreeSet<_> = self.retry_reasons.iter().copied().collect();
        reasons.into_iter().collect()
    }
}

/// What a retry pass or a redo takes from the run's claim, by the ids of the options that would say
/// it again.
const CLAIMED: [&str; 18] = [
    "inventory",
    "inventory_latest",
    "max_inventory_age",
    "manifests",
    "max_objects",
    "max_size",
    "include",
    "exclude",
    "storage_class",
    "glacier",
    "modified_before",
    "min_source_size",
    "max_source_size",
    "versions",
    "format",
    "max_object_size",
    "archive_storage_class",
    "key_layout",
];

/// `s3bundler group`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("rows").required(true).args(["inventory", "inventory_latest", "manifests", "retry_pass", "redo"]))]
pub struct GroupArgs {
    /// Which rows.
    #[command(flatten)]
    pub origin: OriginArgs,
    /// Name of the run: lower-case letters, digits and inner hyphens, 48 at most.
    #[arg(long, short = 'k', env = "S3BUNDLER_NAME")]
    pub name: RunName,
    /// Instead of an inventory's rows, group those that earlier passes dead-lettered for one of
    /// --retry-reasons: pass 1 those of the run's own groups, pass 2 those of pass 1. That pass has
    /// to be whole. Everything else is in the run's claim.
    #[arg(
        long,
        env = "S3BUNDLER_RETRY_PASS",
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..),
        conflicts_with_all = CLAIMED
    )]
    pub retry_pass: Option<u32>,
    /// Which failed rows.
    #[command(flatten)]
    pub retry: RetryArgs,
    /// Archive the groups named by --groups again, because what is archived of them is damaged or
    /// wrong. Redos of a run are numbered from 1. Every count of the run uses the new groups in
    /// place of the old ones, whose catalogs and archives stay. The sources must still exist.
    #[arg(
        long,
        env = "S3BUNDLER_REDO",
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..),
        requires = "groups",
        conflicts_with_all = CLAIMED
    )]
    pub redo: Option<u32>,
    /// Groups to archive again with --redo, comma-separated, as `s3bundler verify` names them.
    /// Example: logs.000007.
    #[arg(
        long,
        env = "S3BUNDLER_REDO_GROUPS",
        value_name = "GROUPS",
        value_delimiter = ',',
        requires = "redo"
    )]
    pub groups: Vec<GroupName>,
    /// Which rows, and where groups end.
    #[command(flatten)]
    pub grouping: GroupingArgs,
    /// Where to.
    #[command(flatten)]
    pub destination: DestinationArgs,
    /// How workers are to write archives.
    #[command(flatten)]
    pub archive: ArchiveArgs,
    /// URL, ARN, name or ACCOUNT/NAME of the SQS queue that gets one message a group. Without it
    /// only the manifests are written (S3 events can announce them).
    #[arg(long, env = "S3BUNDLER_QUEUE", value_name = "QUEUE")]
    pub queue: Option<String>,
    /// Directory for the data files of the inventory, for existing manifests and for dead letters,
    /// which are verified there before they are used. Default: that of temporary files.
    #[arg(long, env = "S3BUNDLER_SCRATCH", value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// Room in that directory, for example 6GiB: files are downloaded ahead as far as they fit, and
    /// always one. Default: 6GiB.
    #[arg(long, env = "S3BUNDLER_SCRATCH_SIZE", value_name = "SIZE")]
    pub scratch_size: Option<ByteSize>,
    /// Who started the run, written into its claim. Default: s3bundler group. An ArchiveRun never
    /// resumes the run of an owner that is another ArchiveRun.
    #[arg(
        long,
        env = "S3BUNDLER_OWNER",
        value_name = "TEXT",
        default_value = "s3bundler group",
        hide_default_value = true,
        help_heading = "Kubernetes"
    )]
    pub owner: String,
    /// UID of the ArchiveRun that the run is of. Once the name of the run is claimed,
    /// runs/NAME.ack.UID.json in the destination proves that the pods of this ArchiveRun may write
    /// there, and the operator begins to read the receipts of the run. The operator sets it.
    #[arg(
        long,
        env = "S3BUNDLER_ACKNOWLEDGE",
        value_name = "UID",
        conflicts_with_all = ["retry_pass", "redo"],
        help_heading = "Kubernetes"
    )]
    pub acknowledge: Option<ResourceUid>,
    /// File that gets the reason as JSON if the rows or the name of the run cannot be had, unless
    /// it does not exist: the termination message of a container.
    #[arg(
        long,
        env = "S3BUNDLER_TERMINATION_LOG",
        value_name = "FILE",
        default_value = termination::PATH,
        help_heading = "Kubernetes"
    )]
    pub termination_log: PathBuf,
    /// How long to wait for buckets.
    #[command(flatten)]
    pub outage: OutageArgs,
}

/// `s3bundler bundle`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("work-source").required(true).args(["queue", "manifest"]))]
pub struct BundleArgs {
    /// Where to.
    #[command(flatten)]
    pub destination: DestinationArgs,
    /// URL, ARN, name or ACCOUNT/NAME of the SQS queue to work from.
    #[arg(long, short = 'q', env = "S3BUNDLER_QUEUE", value_name = "QUEUE")]
    pub queue: Option<String>,
    /// A group manifest to archive, with no queue; may be repeated.
    #[arg(
        long,
        short = 'm',
        env = "S3BUNDLER_MANIFEST",
        value_name = "s3://BUCKET/KEY",
        conflicts_with = "queue"
    )]
    pub manifest: Vec<S3Address>,
    /// The run that foreign manifests (those not under this destination's groups/) are recorded
    /// under.
    #[arg(long, short = 'k', env = "S3BUNDLER_NAME", default_value = "manifests")]
    pub name: RunName,
    /// Columns of manifests, comma-separated, where their own metadata is missing or wrong.
    #[arg(
        long,
        short = 'f',
        env = "S3BUNDLER_FIELDNAMES",
        value_name = "COLUMNS"
    )]
    pub fieldnames: Option<String>,
    /// Re-execute the process after this many groups (awslabs/s3bundler: 2); 0 is never.
    #[arg(
        long,
        env = "S3BUNDLER_RECYCLE_AFTER",
        default_value_t = 0,
        requires = "queue"
    )]
    pub recycle_after: u64,
    /// End once the queue has given nothing for this many seconds, instead of waiting for ever.
    #[arg(
        long,
        env = "S3BUNDLER_IDLE_EXIT",
        value_name = "SECONDS",
        requires = "queue"
    )]
    pub idle_exit: Option<u64>,
    /// On SIGTERM, let groups finish for this many seconds before they are given back.
    #[arg(
        long,
        env = "S3BUNDLER_DRAIN",
        value_name = "SECONDS",
        default_value_t = 90,
        requires = "queue"
    )]
    pub drain: u64,
    /// While this file holds the word `true`, take no other group. The operator uses it to take
    /// workers from a run without breaking off a group.
    #[arg(
        long,
        env = "S3BUNDLER_PAUSE_FILE",
        value_name = "FILE",
        requires = "queue"
    )]
    pub pause_file: Option<PathBuf>,
    /// Answer here to /busy (200 while a group is held), /healthz and /metrics.
    #[arg(
        long,
        env = "S3BUNDLER_LISTEN",
        value_name = "ADDRESS:PORT",
        requires = "queue"
    )]
    pub listen: Option<SocketAddr>,
    /// How, for manifests of runs without a claim; a run's claim wins.
    #[command(flatten)]
    pub archive: ArchiveArgs,
    /// With how much.
    #[command(flatten)]
    pub work: WorkArgs,
}

/// An address, or `-` for those on standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressOrStdin {
    /// An address.
    Address(S3Address),
    /// `-`.
    Stdin,
}

impl FromStr for AddressOrStdin {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text == "-" {
            Ok(Self::Stdin)
        } else {
            text.parse().map(Self::Address)
        }
    }
}

/// `s3bundler submit`.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// Inventory manifests, group manifests or dead letters (.dlq). Where - or none is given, they
    /// come from standard input, one a line; blank lines and those that begin with # are skipped.
    #[arg(value_name = "s3://BUCKET/KEY")]
    pub manifests: Vec<AddressOrStdin>,
    /// URL, ARN, name or ACCOUNT/NAME of the SQS queue.
    #[arg(long, short = 'q', env = "S3BUNDLER_QUEUE", value_name = "QUEUE")]
    pub queue: String,
    /// Where an inventory's groups go; needed for inventory manifests only.
    #[arg(long, env = "S3BUNDLER_DESTINATION", value_name = "s3://BUCKET/PREFIX")]
    pub destination: Option<S3Address>,
    /// Name of the run, for a single inventory manifest. Default: made of the inventory's source
    /// bucket and date.
    #[arg(long, short = 'k', env = "S3BUNDLER_NAME")]
    pub name: Option<RunName>,
    /// Which rows of an inventory.
    #[command(flatten)]
    pub grouping: GroupingArgs,
    /// How workers are to write an inventory's archives.
    #[command(flatten)]
    pub archive: ArchiveArgs,
}

/// `s3bundler verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Where the run is.
    #[command(flatten)]
    pub destination: DestinationArgs,
    /// The run.
    #[arg(long, short = 'k', env = "S3BUNDLER_NAME")]
    pub name: RunName,
    /// Read every archive, and every copy of which a sum is known, and compare every row with its
    /// bytes.
    #[arg(long, env = "S3BUNDLER_FULL")]
    pub full: bool,
    /// Finish what a dead worker left between commit and receipt, and rewrite what is derived and
    /// wrong.
    ///
    /// Archives, indexes and open uploads of attempts that lost are removed if the catalog of their
    /// group names another attempt, the archive that it names is intact, and they are older than an
    /// hour. Those of a group without a catalog are reported and kept.
    #[arg(long, env = "S3BUNDLER_REPAIR")]
    pub repair: bool,
    /// Groups to check at a time.
    #[arg(long, env = "S3BUNDLER_GROUPS", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub groups: u16,
    /// Directory for catalogs while they are read; fast local disk.
    #[arg(long, env = "S3BUNDLER_SCRATCH", value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// File that gets the numbers of the report and its first findings as JSON, unless it does not
    /// exist: the termination message of a container.
    #[arg(
        long,
        env = "S3BUNDLER_TERMINATION_LOG",
        value_name = "FILE",
        default_value = termination::PATH,
        help_heading = "Kubernetes"
    )]
    pub termination_log: PathBuf,
}

#[cfg(test)]
mod tests;
