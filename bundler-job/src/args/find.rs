//! The arguments of the commands that read the catalogs of a destination.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use s3bundler_contract::layout::LayoutError;
use s3bundler_contract::{GroupName, RunName};

use super::{DestinationArgs, FilterArgs};

/// `s3bundler ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Where the runs are.
    #[command(flatten)]
    pub destination: DestinationArgs,
    /// List the groups of this run. Default: list the runs.
    #[arg(long, env = "S3BUNDLER_RUN", value_name = "RUN")]
    pub run: Option<RunName>,
    /// Show this group of the run: its number, or its name. Example: 7, or logs.retry1.000000.
    #[arg(long, env = "S3BUNDLER_GROUP", value_name = "GROUP", requires = "run")]
    pub group: Option<GroupArg>,
}

/// A group of a run: one of its own by its number, or any by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupArg {
    Number(u64),
    Name(GroupName),
}

impl GroupArg {
    /// The group of this run.
    pub fn of(&self, run: &RunName) -> GroupName {
        match self {
            Self::Number(number) => GroupName::numbered(run, *number),
            Self::Name(name) => name.clone(),
        }
    }
}

impl FromStr for GroupArg {
    type Err = LayoutError;

    fn from_str(text: &str) -> Result<Self, LayoutError> {
        match text.parse() {
            Ok(number) => Ok(Self::Number(number)),
            Err(_) => text.parse().map(Self::Name),
        }
    }
}

/// `s3bundler find`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  Where is this object?
    s3bundler find --destination s3://archive/logs --key 2026/01/31/app.log
  All that failed in a run, for a spreadsheet:
    s3bundler find --destination s3://archive/logs --run logs-2026-11 --outcome failed --output csv
  How many objects of a team are there?
    s3bundler find --destination s3://archive/logs --object-tag team=billing --output paths | wc -l

The exit code is 0 if an object was found and 11 if none was. If a part of the answer is missing, for example
because a catalog is damaged, it is the code of that error, and what was found is printed anyway.")]
pub struct FindArgs {
    /// Where the runs are.
    #[command(flatten)]
    pub destination: DestinationArgs,
    /// Search this run. May be repeated; runs are searched in this order. Default: all runs of the
    /// destination, the newest first.
    #[arg(long, env = "S3BUNDLER_RUN", value_name = "RUN")]
    pub run: Vec<RunName>,
    /// Which objects.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Maximum number of catalogs to read at a time. Each may need up to 16 MiB of memory.
    /// Default: 16.
    #[arg(long, env = "S3BUNDLER_CATALOGS", value_name = "N", default_value_t = 16,
          value_parser = clap::value_parser!(u16).range(1..=256), hide_default_value = true, help_heading = "Work")]
    pub catalogs: u16,
}

/// `s3bundler compact`.
#[derive(Debug, Args)]
pub struct CompactArgs {
    /// Where the run is.
    #[command(flatten)]
    pub destination: DestinationArgs,
    /// Compact this run. Default: each run of the destination that has new catalogs since it was
    /// compacted.
    #[arg(long, env = "S3BUNDLER_RUN", value_name = "RUN")]
    pub run: Option<RunName>,
    /// Maximum number of catalogs to download at a time. Default: 4.
    #[arg(long, env = "S3BUNDLER_CATALOGS", value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u16).range(1..=64), hide_default_value = true, help_heading = "Work")]
    pub catalogs: u16,
    /// Directory in which rows are sorted. It needs room for twice the catalogs of the run, and files
    /// in it have no names. Default: that of temporary files.
    #[arg(
        long,
        env = "S3BUNDLER_SCRATCH",
        value_name = "DIR",
        help_heading = "Work"
    )]
    pub scratch: Option<PathBuf>,
}
