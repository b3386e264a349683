//! The arguments of `plan`: those of `run`, and what no inventory says.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use s3bundler_contract::{RunName, S3Address};

use super::{ArchiveArgs, GroupingArgs, OriginArgs, WorkArgs};

/// `s3bundler plan`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("rows").required(true).args(["inventory", "inventory_latest", "manifests", "listing"]))]
pub struct PlanArgs {
    /// Which rows.
    #[command(flatten)]
    pub origin: OriginArgs,
    /// Instead of an inventory, list the objects whose address begins so: one LIST for 1,000
    /// objects. It is for buckets that have no inventory yet; a run needs one.
    #[arg(long, env = "S3BUNDLER_LISTING", value_name = "s3://BUCKET/PREFIX")]
    pub listing: Option<S3Address>,
    /// Name of the run: lower-case letters, digits and inner hyphens, 48 at most.
    #[arg(long, short = 'k', env = "S3BUNDLER_NAME", default_value = "plan")]
    pub name: RunName,
    /// Bucket and prefix that the run would write under. Objects below it are left out, as by the
    /// run. Default: no object is left out for this.
    #[arg(long, env = "S3BUNDLER_DESTINATION", value_name = "s3://BUCKET/PREFIX")]
    pub destination: Option<S3Address>,
    /// Which of them, and where groups end.
    #[command(flatten)]
    pub grouping: GroupingArgs,
    /// How archives are written.
    #[command(flatten)]
    pub archive: ArchiveArgs,
    /// With how much.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Plan for `group` and this many `bundle` processes with an SQS queue. Default: plan for `run`,
    /// one process with the queue in memory.
    #[arg(long, env = "S3BUNDLER_WORKERS", value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=100_000), help_heading = "Plan")]
    pub workers: Option<u64>,
    /// File with prices, in the format of bundler-job/prices/us-east-1.csv. Default: the prices of
    /// us-east-1 that are part of the program.
    #[arg(
        long,
        env = "S3BUNDLER_PRICES",
        value_name = "FILE",
        help_heading = "Plan"
    )]
    pub prices: Option<PathBuf>,
    /// Objects a second of the whole run, for its duration. Default: 2000, about what one process
    /// reaches with small objects. --max-requests-per-second makes it longer.
    #[arg(long, env = "S3BUNDLER_RATE", value_name = "N", default_value_t = 2_000,
          value_parser = clap::value_parser!(u32).range(1..), hide_default_value = true, help_heading = "Plan")]
    pub rate: u32,
    /// Share of the objects that have tags, which no inventory says: a fraction or a percentage.
    /// Each costs a second request. Default: that of --sample, or none. Example: 0.25, or 25%.
    #[arg(
        long,
        env = "S3BUNDLER_TAGGED_SHARE",
        value_name = "SHARE",
        help_heading = "Plan"
    )]
    pub tagged_share: Option<Share>,
    /// Size of a compressed archive as a share of a plain tar, with --format tar.gz or tar.zst: a
    /// fraction or a percentage. Default: that of --sample, or 1. Example: 0.3, or 30%.
    #[arg(
        long,
        env = "S3BUNDLER_RATIO",
        value_name = "SHARE",
        help_heading = "Plan"
    )]
    pub ratio: Option<Share>,
    /// Number of objects to read, chosen from all rows by a hash, to find out how many have tags and
    /// how well they compress: a GET for each, of 8 MiB at most, or of one byte with --format tar.
    /// Default: 0, nothing is read.
    #[arg(long, env = "S3BUNDLER_SAMPLE", value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u16).range(0..=10_000), hide_default_value = true, help_heading = "Plan")]
    pub sample: u16,
}

/// A share between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(pub f64);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, parts) = match text.strip_suffix('%') {
            Some(percent) => (percent.trim_end(), 100.0),
            None => (text, 1.0),
        };
        let is_plain = number.bytes().all(|it| it.is_ascii_digit() || it == b'.');
        let share = number.parse::<f64>().ok().map(|number| number / parts);
        match share.filter(|share| is_plain && (0.0..=1.0).contains(share)) {
            Some(share) => Ok(Self(share)),
            None => Err(format!(
                "{text:?} is not a share: a fraction from 0 to 1, or a percentage, such as 25%"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn a_share_is_a_fraction_or_a_percentage() {
        for (text, share) in [
            ("0", 0.0),
            ("1", 1.0),
            ("0.25", 0.25),
            ("25%", 0.25),
            ("2.5 %", 0.025),
        ] {
            assert_eq!(text.parse(), Ok(Share(share)), "{text}");
        }
        for text in ["", "%", "-0.1", "1.1", "101%", "1e-3", "NaN", "inf", "a"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }
}
