//! Which rows are taken, and where groups end.

use std::time::Duration;

use clap::{Args, ValueEnum};
use s3bundler_contract::{ByteSize, GroupOptions, S3Address, SelectOptions};

use crate::inventory::Deliveries;

/// Where the rows come from: one of these.
#[derive(Debug, PartialEq, Eq, Args)]
pub struct OriginArgs {
    /// The manifest.json of a finished S3 Inventory.
    #[arg(
        long,
        short = 'm',
        env = "S3BUNDLER_INVENTORY",
        value_name = "s3://BUCKET/…/manifest.json"
    )]
    pub inventory: Option<S3Address>,
    /// Instead of one inventory, the newest finished one under this prefix, the address above the
    /// inventories' dates. A run that was started before keeps its inventory, however many came
    /// since.
    #[arg(
        long,
        env = "S3BUNDLER_INVENTORY_LATEST",
        value_name = "s3://BUCKET/PREFIX"
    )]
    pub inventory_latest: Option<S3Address>,
    /// Maximum age of the newest inventory, in hours: an older one ends the command with exit code
    /// 3. Default: any age.
    #[arg(
        long,
        env = "S3BUNDLER_MAX_INVENTORY_AGE",
        value_name = "HOURS",
        requires = "inventory_latest",
        value_parser = clap::value_parser!(u32).range(1..=87_600)
    )]
    pub max_inventory_age: Option<u32>,
    /// Instead of an inventory, group manifests that are there already, as awslabs/s3bundler wrote
    /// them: every object under this prefix whose key ends in .index. Rows of two manifests do not
    /// share a group. An empty one is skipped with a warning. The name belongs to just these: add
    /// none and replace none while the run lasts.
    #[arg(long, env = "S3BUNDLER_MANIFESTS", value_name = "s3://BUCKET/PREFIX")]
    pub manifests: Option<S3Address>,
}

impl OriginArgs {
    /// The inventories of which the newest is to be read.
    pub fn deliveries(&self) -> Option<Deliveries> {
        let hours = |hours: u32| Duration::from_hours(hours.into());
        self.inventory_latest.clone().map(|prefix| Deliveries {
            prefix,
            max_age: self.max_inventory_age.map(hours),
        })
    }
}

/// Which rows of an inventory to take, and where groups end.
#[derive(Debug, Args)]
pub struct GroupingArgs {
    /// Objects in a group, at most.
    #[arg(long, short = 'c', env = "S3BUNDLER_MAX_OBJECTS", default_value_t = 65_000,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000), help_heading = "Grouping")]
    pub max_objects: u64,
    /// Close a group once its objects reach this size.
    #[arg(
        long,
        short = 's',
        env = "S3BUNDLER_MAX_SIZE",
        default_value = "4GiB",
        help_heading = "Grouping"
    )]
    pub max_size: ByteSize,
    /// Take only keys with this prefix; may be repeated.
    #[arg(
        long,
        short = 'i',
        env = "S3BUNDLER_INCLUDE",
        value_name = "PREFIX",
        help_heading = "Selection"
    )]
    pub include: Vec<String>,
    /// Leave out keys with this prefix; may be repeated, wins over --include.
    #[arg(
        long,
        env = "S3BUNDLER_EXCLUDE",
        value_name = "PREFIX",
        help_heading = "Selection"
    )]
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
    #[arg(
        long,
        short = 'g',
        env = "S3BUNDLER_GLACIER",
        default_value = "skip",
        help_heading = "Selection"
    )]
    pub glacier: GlacierObjects,
    /// Take only objects modified before this instant (RFC 3339, for example 2026-01-01T00:00:00Z).
    #[arg(
        long,
        env = "S3BUNDLER_MODIFIED_BEFORE",
        value_name = "INSTANT",
        help_heading = "Selection"
    )]
    pub modified_before: Option<String>,
    /// Take only objects of at least this size.
    #[arg(
        long,
        env = "S3BUNDLER_MIN_SOURCE_SIZE",
        value_name = "SIZE",
        help_heading = "Selection"
    )]
    pub min_source_size: Option<ByteSize>,
    /// Take only objects of at most this size.
    #[arg(
        long,
        env = "S3BUNDLER_MAX_SOURCE_SIZE",
        value_name = "SIZE",
        help_heading = "Selection"
    )]
    pub max_source_size: Option<ByteSize>,
    /// Take only current versions, or all of an all-versions inventory.
    #[arg(
        long,
        env = "S3BUNDLER_VERSIONS",
        default_value = "current",
        help_heading = "Selection"
    )]
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
        GroupOptions {
            max_objects: self.max_objects,
            max_size: self.max_size,
        }
    }
}
