//! How archives are written, and with how much of the machine.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use s3bundler_contract::{ArchiveFormat, ArchiveOptions, ByteSize, KeyLayout};

use super::OutageArgs;
use crate::s3::S3Options;

/// How archives are written. Part of the run's claim: workers take them from there.
#[derive(Debug, Args)]
pub struct ArchiveArgs {
    /// Format of the archives: tar, tar.gz or tar.zst.
    #[arg(
        long,
        env = "S3BUNDLER_FORMAT",
        default_value = "tar",
        help_heading = "Archives"
    )]
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
    #[arg(
        long,
        env = "S3BUNDLER_KEY_LAYOUT",
        default_value = "hashed",
        help_heading = "Archives"
    )]
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
    /// Maximum number of requests a second to each source bucket, of this process: GETs and HEADs
    /// of objects and of their tags, copies, and all of their retries. Default: no limit, the
    /// process adapts to what the bucket accepts. Several processes each have a limit of their own.
    /// Example: 500.
    #[arg(long, env = "S3BUNDLER_MAX_REQUESTS_PER_SECOND", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..), help_heading = "Work")]
    pub max_requests_per_second: Option<u32>,
    /// Memory for object data. Default: half of the container's limit, or 128MiB without one.
    #[arg(
        long,
        env = "S3BUNDLER_MEMORY",
        value_name = "SIZE",
        help_heading = "Work"
    )]
    pub memory: Option<ByteSize>,
    /// Directory for objects over 8 MiB, unfinished catalogs and parts larger than planned. Files
    /// in it have no names. Default: that of temporary files. Use a fast local disk, for example
    /// /mnt/nvme.
    #[arg(
        long,
        env = "S3BUNDLER_SCRATCH",
        value_name = "DIR",
        help_heading = "Work"
    )]
    pub scratch: Option<PathBuf>,
    /// How long to wait for buckets.
    #[command(flatten)]
    pub outage: OutageArgs,
    /// Room in that directory for objects of all groups together: one that does not fit waits for
    /// others to leave. Default: as much as there is.
    #[arg(
        long,
        env = "S3BUNDLER_SCRATCH_SIZE",
        value_name = "SIZE",
        help_heading = "Work"
    )]
    pub scratch_size: Option<ByteSize>,
    /// Compute the SHA-256 of each archived object, for the column sha256 of catalog and index.
    /// Default: off, because it costs CPU; archives for auditors turn it on.
    #[arg(long, env = "S3BUNDLER_SHA256", help_heading = "Work")]
    pub sha256: bool,
    /// Seconds to wait for the first byte of an object before it is asked for on another
    /// connection. Default: 10. A store that reads from slow disks may need 60.
    #[arg(long, env = "S3BUNDLER_FIRST_BYTE_TIMEOUT", default_value_t = 10, value_name = "SECONDS",
          value_parser = clap::value_parser!(u16).range(1..=600), help_heading = "Work")]
    pub first_byte_timeout: u16,
}

impl WorkArgs {
    /// These connections, with what they say of the time to the first byte and of outages.
    pub fn s3_options(&self, options: S3Options) -> S3Options {
        S3Options {
            first_byte_timeout: Some(Duration::from_secs(self.first_byte_timeout.into())),
            requests_per_second: self.max_requests_per_second.and_then(NonZeroU32::new),
            ..self.outage.s3_options(options)
        }
    }
}
