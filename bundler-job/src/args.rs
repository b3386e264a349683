//! The command line. Every option is also a variable `S3BUNDLER_…`; credentials, region, profile and endpoints come
//! from the `AWS_…` variables and files that every AWS tool reads.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use s3bundler_contract::address::AddressError;
use s3bundler_contract::{
    ArchiveFormat, ArchiveOptions, ByteSize, GroupOptions, KeyLayout, Layout, RunName, S3Address, SelectOptions,
};

use crate::failure::Failure;
use crate::s3::{AccountId, Encryption, KmsKeyId, PathStyle, RequestOptions, S3Options, Tag, Tags};

/// Packs the many small objects of an S3 Inventory into few indexed archives.
#[derive(Debug, Parser)]
#[command(name = "s3bundler", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "\
Examples:
  Archive an inventory, in one process and with no queue:
    s3bundler run --inventory s3://inv/src/daily/2026-11-22T01-00Z/manifest.json \\
        --destination s3://archive/logs --name logs-2026-11
  Prove it from S3 alone:
    s3bundler verify --destination s3://archive/logs --name logs-2026-11
  Spread the work over machines:
    s3bundler group --inventory … --destination … --name … --queue https://sqs.…/groups
    s3bundler bundle --destination … --queue https://sqs.…/groups
  Try once more what failed and is worth it, when all groups are archived:
    s3bundler group --retry-pass 1 --destination … --name … --queue https://sqs.…/groups

Exit codes: 0 done, 1 unexpected, 2 disk or memory, 3 unreadable inventory or manifest, 4 upload, 5 download,
6 usage or name taken, 7 permission, 8 verify found something, 130 SIGINT, 143 SIGTERM.")]
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
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// AWS region, where the environment and the profile name none.
    #[arg(long, global = true, env = "S3BUNDLER_REGION", help_heading = "Connection")]
    pub region: Option<String>,
    /// Address objects as endpoint/bucket/key instead of bucket.endpoint/key. auto: when an endpoint URL is set.
    #[arg(long, global = true, env = "S3BUNDLER_PATH_STYLE", default_value = "auto", help_heading = "Connection")]
    pub path_style: PathStyle,
    /// What goes with requests.
    #[command(flatten)]
    pub requests: RequestArgs,
    /// The summary's form on standard output.
    #[arg(long, global = true, env = "S3BUNDLER_OUTPUT", default_value = "text", help_heading = "Output")]
    pub output: OutputFormat,
    /// The log's form on standard error.
    #[arg(long, global = true, env = "S3BUNDLER_LOG_FORMAT", default_value = "text", help_heading = "Output")]
    pub log_format: OutputFormat,
    /// What to log: a level, or directives as in RUST_LOG.
    #[arg(long, global = true, env = "S3BUNDLER_LOG", default_value = "info", help_heading = "Output")]
    pub log: String,
}

impl GlobalArgs {
    /// What they say of connection and requests, where this is the bucket that everything is written to.
    pub fn s3_options(&self, destination: Option<&S3Address>) -> Result<S3Options, Failure> {
        let destination = destination.map(|destination| destination.bucket.clone());
        let requests = self.requests.options(destination)?;
        Ok(S3Options { path_style: self.path_style, region: self.region.clone(), requests })
    }
}

/// What goes with requests. No part of the run's claim: as credentials, every process gets it anew.
#[derive(Debug, Args)]
pub struct RequestArgs {
    /// How S3 encrypts everything that is written to the destination. bucket-default: as the bucket says.
    #[arg(
        long,
        global = true,
        env = "S3BUNDLER_ENCRYPTION",
        default_value = "bucket-default",
        value_name = "TYPE",
        help_heading = "Requests"
    )]
    pub encryption: EncryptionType,
    /// Id, ARN or alias of the KMS key, with --encryption sse-kms or dsse-kms. Default: the key that AWS manages.
    #[arg(long, global = true, env = "S3BUNDLER_KMS_KEY_ID", value_name = "ID", help_heading = "Requests")]
    pub kms_key_id: Option<KmsKeyId>,
    /// Tag of archives, indexes and copied objects; may be repeated, 10 at most. Copies keep as many of their source's
    /// tags as fit.
    #[arg(long, global = true, env = "S3BUNDLER_TAG", value_name = "KEY=VALUE", help_heading = "Requests")]
    pub tag: Vec<Tag>,
    /// The account that has to own the buckets of sources and inventory: all but the destination.
    #[arg(long, global = true, env = "S3BUNDLER_SOURCE_OWNER", value_name = "ACCOUNT", help_heading = "Requests")]
    pub source_owner: Option<AccountId>,
    /// The account that has to own the destination's bucket.
    #[arg(long, global = true, env = "S3BUNDLER_DESTINATION_OWNER", value_name = "ACCOUNT", help_heading = "Requests")]
    pub destination_owner: Option<AccountId>,
}

/// [`Encryption`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EncryptionType {
    /// As the bucket says.
    BucketDefault,
    /// With keys of S3's own.
    SseS3,
    /// With a key of KMS.
    SseKms,
    /// Twice, with a key of KMS.
    DsseKms,
}

impl RequestArgs {
    /// The options they stand for, with this bucket as the destination.
    pub fn options(&self, destination: Option<String>) -> Result<RequestOptions, Failure> {
        let usage = |problem: &dyn std::fmt::Display| Failure::new(s3bundler_contract::ExitCode::Usage, problem);
        let encryption = match (self.encryption, self.kms_key_id.clone()) {
            (EncryptionType::BucketDefault, None) => Encryption::BucketDefault,
            (EncryptionType::SseS3, None) => Encryption::SseS3,
            (EncryptionType::SseKms, key) => Encryption::SseKms(key),
            (EncryptionType::DsseKms, key) => Encryption::DsseKms(key),
            (EncryptionType::BucketDefault | EncryptionType::SseS3, Some(_)) => {
                return Err(usage(&"--kms-key-id needs --encryption sse-kms or dsse-kms"));
            }
        };
        let tags = Tags::new(self.tag.iter().cloned()).map_err(|error| usage(&format_args!("--tag: {error}")))?;
        let (source_owner, destination_owner) = (self.source_owner.clone(), self.destination_owner.clone());
        Ok(RequestOptions { destination, encryption, tags, destination_owner, source_owner })
    }
}

/// A form of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Where everything is written.
#[derive(Debug, Args)]
pub struct DestinationArgs {
    /// Bucket and prefix to write everything under.
    #[arg(long, env = "S3BUNDLER_DESTINATION", value_name = "s3://BUCKET/PREFIX")]
    pub destination: S3Address,
}

/// Bucket, prefix and layout of a destination.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The bucket.
    pub bucket: String,
    /// The keys under the prefix.
    pub layout: Layout,
}

impl DestinationArgs {
    /// The destination with this layout of keys.
    pub fn resolve(&self, keys: KeyLayout) -> Result<Destination, Failure> {
        let prefix = self.destination.key.trim_end_matches('/');
        let layout =
            Layout::new(prefix, keys).map_err(|error| Failure::new(s3bundler_contract::ExitCode::Usage, error))?;
        Ok(Destination { bucket: self.destination.bucket.clone(), layout })
    }
}

impl Destination {
    /// The same bucket and prefix with another layout of keys.
    #[must_use]
    pub fn with_keys(&self, keys: KeyLayout) -> Self {
        Self { bucket: self.bucket.clone(), layout: self.layout.with_keys(keys) }
    }

    /// A key of the destination as an address.
    pub fn address(&self, key: impl Into<String>) -> S3Address {
        S3Address::new(&self.bucket, key)
    }
}

/// Where the rows come from: one of these.
#[derive(Debug, Args)]
pub struct OriginArgs {
    /// The manifest.json of a finished S3 Inventory.
    #[arg(long, short = 'm', env = "S3BUNDLER_INVENTORY", value_name = "s3://BUCKET/…/manifest.json")]
    pub inventory: Option<S3Address>,
    /// Instead of an inventory, group manifests that are there already, as awslabs/s3bundler wrote them: every object under
    /// this prefix whose key ends in .index. Rows of two manifests do not share a group. The name belongs to just these:
    /// add none and replace none while the run lasts.
    #[arg(long, env = "S3BUNDLER_MANIFESTS", value_name = "s3://BUCKET/PREFIX")]
    pub manifests: Option<S3Address>,
}

/// Which rows of an inventory to take, and where groups end.
#[derive(Debug, Args)]
pub struct GroupingArgs {
    /// Objects in a group, at most.
    #[arg(long, short = 'c', env = "S3BUNDLER_MAX_OBJECTS", default_value_t = 65_000,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000), help_heading = "Grouping")]
    pub max_objects: u64,
    /// Close a group once its objects reach this size.
    #[arg(long, short = 's', env = "S3BUNDLER_MAX_SIZE", default_value = "4GiB", help_heading = "Grouping")]
    pub max_size: ByteSize,
    /// Take only keys with this prefix; may be repeated.
    #[arg(long, short = 'i', env = "S3BUNDLER_INCLUDE", value_name = "PREFIX", help_heading = "Selection")]
    pub include: Vec<String>,
    /// Leave out keys with this prefix; may be repeated, wins over --include.
    #[arg(long, env = "S3BUNDLER_EXCLUDE", value_name = "PREFIX", help_heading = "Selection")]
    pub exclude: Vec<String>,
    /// Take only objects of this storage class, as S3 spells it; may be repeated.
    #[arg(
        long,
        env = "S3BUNDLER_STORAGE_CLASS",
        value_delimiter = ',',
        value_name = "CLASS",
        help_heading = "Selection"
    )]
    pub storage_class: Vec<String>,
    /// Skip objects in GLACIER and DEEP_ARCHIVE, or take only those (after somebody restored them).
    #[arg(long, short = 'g', env = "S3BUNDLER_GLACIER", default_value = "skip", help_heading = "Selection")]
    pub glacier: GlacierObjects,
    /// Take only objects modified before this instant (RFC 3339, for example 2026-01-01T00:00:00Z).
    #[arg(long, env = "S3BUNDLER_MODIFIED_BEFORE", value_name = "INSTANT", help_heading = "Selection")]
    pub modified_before: Option<String>,
    /// Take only objects of at least this size.
    #[arg(long, env = "S3BUNDLER_MIN_SOURCE_SIZE", value_name = "SIZE", help_heading = "Selection")]
    pub min_source_size: Option<ByteSize>,
    /// Take only objects of at most this size.
    #[arg(long, env = "S3BUNDLER_MAX_SOURCE_SIZE", value_name = "SIZE", help_heading = "Selection")]
    pub max_source_size: Option<ByteSize>,
    /// Take only current versions, or all of an all-versions inventory.
    #[arg(long, env = "S3BUNDLER_VERSIONS", default_value = "current", help_heading = "Selection")]
    pub versions: Versions,
    /// Storage class of the group manifests.
    #[arg(
        long,
        env = "S3BUNDLER_MANIFEST_STORAGE_CLASS",
        default_value = "STANDARD",
        value_name = "CLASS",
        help_heading = "Grouping"
    )]
    pub manifest_storage_class: String,
}

/// What to do with objects in archive tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GlacierObjects {
    /// Leave them out.
    Skip,
    /// Take only them.
    OnlyRestored,
}

/// Which versions to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Versions {
    /// The current ones.
    Current,
    /// All that the inventory lists.
    All,
}

impl GroupingArgs {
    /// Which rows it asks for.
    pub fn select(&self) -> SelectOptions {
        SelectOptions {
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            storage_classes: self.storage_class.clone(),
            modified_before: self.modified_before.clone(),
            min_size: self.min_source_size,
            max_size: self.max_source_size,
            all_versions: self.versions == Versions::All,
            only_restored: self.glacier == GlacierObjects::OnlyRestored,
        }
    }

    /// Where groups end.
    pub fn group(&self) -> GroupOptions {
        GroupOptions { max_objects: self.max_objects, max_size: self.max_size }
    }
}

/// How archives are written. Part of the run's claim: workers take them from there.
#[derive(Debug, Args)]
pub struct ArchiveArgs {
    /// Format of the archives: tar, tar.gz or tar.zst.
    #[arg(long, env = "S3BUNDLER_FORMAT", default_value = "tar", help_heading = "Archives")]
    pub format: ArchiveFormat,
    /// Larger objects are copied by the server instead of packed.
    #[arg(
        long,
        env = "S3BUNDLER_MAX_OBJECT_SIZE",
        default_value = "2GiB",
        value_name = "SIZE",
        help_heading = "Archives"
    )]
    pub max_object_size: ByteSize,
    /// Storage class of archives, indexes and copied objects, as S3 spells it.
    #[arg(
        long,
        env = "S3BUNDLER_ARCHIVE_STORAGE_CLASS",
        default_value = "STANDARD",
        value_name = "CLASS",
        help_heading = "Archives"
    )]
    pub archive_storage_class: String,
    /// Put six hex digits of a hash into keys, for S3's request-rate partitions, or not.
    #[arg(long, env = "S3BUNDLER_KEY_LAYOUT", default_value = "hashed", help_heading = "Archives")]
    pub key_layout: KeyLayoutArg,
}

/// [`KeyLayout`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeyLayoutArg {
    /// With the hash.
    Hashed,
    /// Without.
    Plain,
}

impl ArchiveArgs {
    /// The options they stand for.
    pub fn options(&self) -> ArchiveOptions {
        ArchiveOptions {
            format: self.format,
            max_object_size: self.max_object_size,
            storage_class: self.archive_storage_class.clone(),
            key_layout: match self.key_layout {
                KeyLayoutArg::Hashed => KeyLayout::Hashed,
                KeyLayoutArg::Plain => KeyLayout::Plain,
            },
        }
    }
}

/// How much of this machine to use.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// Groups to work on at a time.
    #[arg(long, env = "S3BUNDLER_GROUPS", default_value_t = 2,
          value_parser = clap::value_parser!(u16).range(1..=64), help_heading = "Work")]
    pub groups: u16,
    /// GETs in flight for each source bucket; found by itself unless given.
    #[arg(long, env = "S3BUNDLER_CONCURRENCY", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Work")]
    pub concurrency: Option<u16>,
    /// Memory for object data. Default: half of the container's limit, or 128MiB without one.
    #[arg(long, env = "S3BUNDLER_MEMORY", value_name = "SIZE", help_heading = "Work")]
    pub memory: Option<ByteSize>,
    /// Directory for objects over 8 MiB and unfinished catalogs; fast local disk.
    #[arg(long, env = "S3BUNDLER_SCRATCH", value_name = "DIR", help_heading = "Work")]
    pub scratch: Option<PathBuf>,
    /// Go on with a store that ignores If-None-Match: only right while no other process writes this run.
    #[arg(long, env = "S3BUNDLER_SINGLE_WRITER", help_heading = "Work")]
    pub single_writer: bool,
    /// Do not send, ask for or check CRC64NVME: for S3-compatible stores that do not know it.
    #[arg(long, env = "S3BUNDLER_NO_CRC64NVME", help_heading = "Work")]
    pub no_crc64nvme: bool,
}

/// `s3bundler run`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("rows").required(true).args(["inventory", "manifests"]))]
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
}

/// What a retry pass takes from the run's claim, by the ids of the options that would say it again.
const CLAIMED: [&str; 16] = [
    "inventory",
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
#[command(group = clap::ArgGroup::new("rows").required(true).args(["inventory", "manifests", "retry_pass"]))]
pub struct GroupArgs {
    /// Which rows.
    #[command(flatten)]
    pub origin: OriginArgs,
    /// Name of the run: lower-case letters, digits and inner hyphens, 48 at most.
    #[arg(long, short = 'k', env = "S3BUNDLER_NAME")]
    pub name: RunName,
    /// Instead of an inventory's rows, group those that the pass before dead-lettered with reason Retry: pass 1 those of
    /// the run's own groups, pass 2 those of pass 1. That pass has to be whole. Everything else is in the run's claim.
    #[arg(
        long,
        env = "S3BUNDLER_RETRY_PASS",
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..),
        conflicts_with_all = CLAIMED
    )]
    pub retry_pass: Option<u32>,
    /// Which rows, and where groups end.
    #[command(flatten)]
    pub grouping: GroupingArgs,
    /// Where to.
    #[command(flatten)]
    pub destination: DestinationArgs,
    /// How workers are to write archives.
    #[command(flatten)]
    pub archive: ArchiveArgs,
    /// URL or name of the SQS queue that gets one message a group. Without it only the manifests are written (S3
    /// events can announce them).
    #[arg(long, env = "S3BUNDLER_QUEUE", value_name = "URL")]
    pub queue: Option<String>,
}

/// `s3bundler bundle`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("work-source").required(true).args(["queue", "manifest"]))]
pub struct BundleArgs {
    /// Where to.
    #[command(flatten)]
    pub destination: DestinationArgs,
    /// URL or name of the SQS queue to work from.
    #[arg(long, short = 'q', env = "S3BUNDLER_QUEUE", value_name = "URL")]
    pub queue: Option<String>,
    /// A group manifest to archive, with no queue; may be repeated.
    #[arg(long, short = 'm', env = "S3BUNDLER_MANIFEST", value_name = "s3://BUCKET/KEY", conflicts_with = "queue")]
    pub manifest: Vec<S3Address>,
    /// The run that foreign manifests (those not under this destination's groups/) are recorded under.
    #[arg(long, short = 'k', env = "S3BUNDLER_NAME", default_value = "manifests")]
    pub name: RunName,
    /// Columns of manifests, comma-separated, where their own metadata is missing or wrong.
    #[arg(long, short = 'f', env = "S3BUNDLER_FIELDNAMES", value_name = "COLUMNS")]
    pub fieldnames: Option<String>,
    /// Re-execute the process after this many groups (awslabs/s3bundler: 2); 0 is never.
    #[arg(long, env = "S3BUNDLER_RECYCLE_AFTER", default_value_t = 0, requires = "queue")]
    pub recycle_after: u64,
    /// End once the queue has given nothing for this many seconds, instead of waiting for ever.
    #[arg(long, env = "S3BUNDLER_IDLE_EXIT", value_name = "SECONDS", requires = "queue")]
    pub idle_exit: Option<u64>,
    /// On SIGTERM, let groups finish for this many seconds before they are given back.
    #[arg(long, env = "S3BUNDLER_DRAIN", value_name = "SECONDS", default_value_t = 90, requires = "queue")]
    pub drain: u64,
    /// Answer here to /busy (200 while a group is held), /healthz and /metrics.
    #[arg(long, env = "S3BUNDLER_LISTEN", value_name = "ADDRESS:PORT", requires = "queue")]
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
        if text == "-" { Ok(Self::Stdin) } else { text.parse().map(Self::Address) }
    }
}

/// `s3bundler submit`.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// Inventory manifests, group manifests or dead letters (.dlq). Where - or none is given, they come from standard
    /// input, one a line; blank lines and those that begin with # are skipped.
    #[arg(value_name = "s3://BUCKET/KEY")]
    pub manifests: Vec<AddressOrStdin>,
    /// URL or name of the SQS queue.
    #[arg(long, short = 'q', env = "S3BUNDLER_QUEUE", value_name = "URL")]
    pub queue: String,
    /// Where an inventory's groups go; needed for inventory manifests only.
    #[arg(long, env = "S3BUNDLER_DESTINATION", value_name = "s3://BUCKET/PREFIX")]
    pub destination: Option<S3Address>,
    /// Name of the run, for a single inventory manifest. Default: made of the inventory's source bucket and date.
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
    /// Read every archive and compare every row with its bytes.
    #[arg(long, env = "S3BUNDLER_FULL")]
    pub full: bool,
    /// Finish what a dead worker left between commit and receipt, and rewrite what is derived and wrong.
    #[arg(long, env = "S3BUNDLER_REPAIR")]
    pub repair: bool,
    /// Groups to check at a time.
    #[arg(long, env = "S3BUNDLER_GROUPS", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub groups: u16,
    /// Directory for catalogs while they are read; fast local disk.
    #[arg(long, env = "S3BUNDLER_SCRATCH", value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// Do not send or compare CRC64NVME: for S3-compatible stores that do not know it.
    #[arg(long, env = "S3BUNDLER_NO_CRC64NVME")]
    pub no_crc64nvme: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// What becomes of these options.
    fn requests(options: &[&str]) -> Result<RequestOptions, Failure> {
        let words = ["s3bundler", "verify", "--name", "r", "--destination", "s3://b/p"];
        let cli = Cli::try_parse_from(words.iter().chain(options)).expect("options");
        cli.global.s3_options(Some(&S3Address::new("b", "p"))).map(|options| options.requests)
    }

    #[test]
    fn a_kms_key_needs_an_encryption_that_uses_it() {
        let key = || Some("alias/a".parse().expect("a key"));
        for (options, expected) in [
            (&[][..], Encryption::BucketDefault),
            (&["--encryption", "sse-s3"], Encryption::SseS3),
            (&["--encryption", "sse-kms"], Encryption::SseKms(None)),
            (&["--encryption", "sse-kms", "--kms-key-id", "alias/a"], Encryption::SseKms(key())),
            (&["--encryption", "dsse-kms", "--kms-key-id", "alias/a"], Encryption::DsseKms(key())),
        ] {
            let requests = requests(options).expect("options that go together");
            assert_eq!((requests.encryption, requests.destination.as_deref()), (expected, Some("b")), "{options:?}");
        }
        for options in [
            &["--kms-key-id", "alias/a"][..],
            &["--kms-key-id", "a", "--encryption", "sse-s3"],
            &["--tag", "a=1", "--tag", "a=2"],
        ] {
            let failure = requests(options).expect_err("options that do not go together");
            assert_eq!(failure.exit, s3bundler_contract::ExitCode::Usage, "{options:?}");
        }
    }

    #[test]
    fn a_retry_pass_takes_what_goes_with_requests() {
        let given = ["--encryption", "sse-kms", "--kms-key-id", "k", "--tag", "a=b", "--source-owner", "111111111111"];
        assert!(Cli::try_parse_from(RETRY.iter().chain(&given)).is_ok());
        for bad in [["--source-owner", "1"], ["--destination-owner", "x"], ["--tag", "a"], ["--encryption", "none"]] {
            assert!(Cli::try_parse_from(RETRY.iter().chain(&bad)).is_err(), "{bad:?}");
        }
    }

    const RETRY: [&str; 8] = ["s3bundler", "group", "--name", "r", "--destination", "s3://b/p", "--retry-pass", "1"];

    #[test]
    fn a_retry_pass_needs_no_inventory_and_takes_nothing_that_the_claim_says() {
        assert!(Cli::try_parse_from(RETRY).is_ok());
        assert!(Cli::try_parse_from(RETRY.iter().copied().chain(["--queue", "q"])).is_ok());
        let cli = Cli::command();
        let group = cli.find_subcommand("group").expect("a command");
        let of_claim = |arg: &&clap::Arg| {
            let heading = arg.get_help_heading();
            matches!(arg.get_id().as_str(), "inventory" | "manifests")
                || matches!(heading, Some("Grouping" | "Selection" | "Archives"))
        };
        let mut asked = 0;
        for arg in group.get_arguments().filter(of_claim).filter(|arg| arg.get_id() != "manifest_storage_class") {
            let possible = arg.get_possible_values();
            let value = match arg.get_id().as_str() {
                "inventory" | "manifests" => "s3://b/manifest.json".to_owned(),
                "format" => "tar".to_owned(),
                _ => possible.first().map_or_else(|| "1".to_owned(), |value| value.get_name().to_owned()),
            };
            let option = format!("--{}", arg.get_long().expect("a long name"));
            let error = Cli::try_parse_from(RETRY.iter().copied().chain([option.as_str(), &value])).expect_err(&option);
            assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict, "{error}");
            assert!(error.to_string().contains(&option), "{error}");
            asked += 1;
        }
        assert_eq!(asked, CLAIMED.len());
    }

    #[test]
    fn passes_count_from_one() {
        let with = |pass| Cli::try_parse_from(RETRY[..7].iter().copied().chain([pass]));
        assert!(with("2").is_ok());
        for bad in ["0", "-1", "x", "4294967296"] {
            assert!(with(bad).is_err(), "{bad}");
        }
        let without = Cli::try_parse_from(&RETRY[..6]).expect_err("neither inventory nor pass");
        assert!(without.to_string().contains("--inventory"), "{without}");
    }
}
