//! Which rows of an inventory are taken, and why the others are not: a pure decision.

use std::collections::HashSet;

use jiff::Timestamp;
use s3bundler_contract::group_manifest::{Column, Columns, RowProblem};
use s3bundler_contract::{ByteSize, LeftOut, SelectOptions};

use crate::destination::Destination;
use crate::inventory::{InventoryRow, OwnFiles};

/// Why the options cannot be applied to this inventory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// Not an instant.
    #[error("{text:?} is not an instant: it should look like 2026-01-01T00:00:00Z ({cause})")]
    ModifiedBefore {
        /// What was given.
        text: String,
        cause: String,
    },
    /// The inventory lacks what an option needs.
    #[error(
        "{option} needs the column {column}, which this inventory does not have: add it to the \
         inventory's optional fields, or do without the option"
    )]
    Column {
        /// The option on the command line.
        option: &'static str,
        /// The column.
        column: &'static str,
    },
}

/// What this program and S3 Inventory write themselves, so that it is never archived where
/// destination, inventory and source share a bucket.
#[derive(Debug, Clone)]
pub struct OwnOutput {
    destination_bucket: String,
    destination_root: String,
    inventory_bucket: String,
    inventory_root: Option<String>,
    inventory_keys: HashSet<String>,
}

impl OwnOutput {
    /// All under the destination's prefix if there is a destination, and the inventory's files.
    pub fn new(destination: Option<&Destination>, inventory: OwnFiles) -> Self {
        Self {
            // No bucket has an empty name.
            destination_bucket: destination.map_or_else(String::new, |it| it.bucket.clone()),
            destination_root: destination
                .map_or_else(String::new, |it| it.layout.root().to_owned()),
            inventory_bucket: inventory.bucket,
            inventory_root: inventory.root,
            inventory_keys: inventory.keys.into_iter().collect(),
        }
    }

    /// Whether the destination is this bucket without a prefix.
    pub fn is_everything_in(&self, bucket: &str) -> bool {
        self.destination_root.is_empty() && self.destination_bucket == bucket
    }

    fn has(&self, bucket: &str, key: &str) -> bool {
        let ours = self.destination_bucket == bucket && key.starts_with(&self.destination_root);
        ours || self.inventory_bucket == bucket
            && (self
                .inventory_root
                .as_ref()
                .is_some_and(|root| key.starts_with(root))
                || self.inventory_keys.contains(key))
    }
}

/// Options that were checked against an inventory's columns.
#[derive(Debug, Clone)]
pub struct Selection {
    include: Vec<String>,
    exclude: Vec<String>,
    storage_classes: Vec<String>,
    modified_before: Option<Timestamp>,
    min_size: Option<u64>,
    max_size: Option<u64>,
    all_versions: bool,
    only_restored: bool,
    own: OwnOutput,
}

impl Selection {
    /// Checks that the inventory has what the options ask about: a filter on a column that is not
    /// there would take or leave everything.
    pub fn new(
        options: &SelectOptions,
        columns: &Columns,
        own: OwnOutput,
    ) -> Result<Self, SelectError> {
        for (asked, option, column, name) in [
            (
                !options.storage_classes.is_empty(),
                "--storage-class",
                Column::StorageClass,
                "StorageClass",
            ),
            (
                options.only_restored,
                "--glacier only-restored",
                Column::StorageClass,
                "StorageClass",
            ),
            (
                options.modified_before.is_some(),
                "--modified-before",
                Column::LastModifiedDate,
                "LastModifiedDate",
            ),
            (
                options.min_size.is_some(),
                "--min-source-size",
                Column::Size,
                "Size",
            ),
            (
                options.max_size.is_some(),
                "--max-source-size",
                Column::Size,
                "Size",
            ),
        ] {
            if asked && columns.position(&column).is_none() {
                return Err(SelectError::Column {
                    option,
                    column: name,
                });
            }
        }
        let modified_before = options.modified_before.as_ref().map(|text| {
            text.parse::<Timestamp>()
                .map_err(|error| SelectError::ModifiedBefore {
                    text: text.clone(),
                    cause: error.to_string(),
                })
        });
        Ok(Self {
            include: options.include.clone(),
            exclude: options.exclude.clone(),
            storage_classes: options.storage_classes.clone(),
            modified_before: modified_before.transpose()?,
            min_size: options.min_size.map(ByteSize::bytes),
            max_size: options.max_size.map(ByteSize::bytes),
            all_versions: options.all_versions,
            only_restored: options.only_restored,
            own,
        })
    }

    /// The first reason to leave a row out; `None` takes it. A date that has to be compared and
    /// cannot be read is an error.
    pub fn decide(&self, it: &InventoryRow<'_>) -> Result<Option<LeftOut>, RowProblem> {
        let row = &it.row;
        if it.is_delete_marker {
            return Ok(Some(LeftOut::DeleteMarker));
        }
        if !it.is_latest && !self.all_versions {
            return Ok(Some(LeftOut::NotLatest));
        }
        if self.own.has(row.bucket, row.key) {
            return Ok(Some(LeftOut::OwnOutput));
        }
        if begins_with_one_of(row.key, &self.exclude) {
            return Ok(Some(LeftOut::Excluded));
        }
        if !self.include.is_empty() && !begins_with_one_of(row.key, &self.include) {
            return Ok(Some(LeftOut::NotIncluded));
        }
        let class = row.storage_class.unwrap_or_default();
        if !self.storage_classes.is_empty()
            && !self
                .storage_classes
                .iter()
                .any(|it| it.eq_ignore_ascii_case(class))
        {
            return Ok(Some(LeftOut::StorageClass));
        }
        match (
            is_in_archive_tier(class, it.access_tier),
            self.only_restored,
        ) {
            (true, false) => return Ok(Some(LeftOut::Glacier)),
            (false, true) => return Ok(Some(LeftOut::NotGlacier)),
            (true, true) | (false, false) => {}
        }
        if let Some(before) = self.modified_before
            && modified(row.last_modified)? >= before
        {
            return Ok(Some(LeftOut::ModifiedSince));
        }
        let size = row.size.unwrap_or(0);
        if self.min_size.is_some_and(|min| size < min) {
            return Ok(Some(LeftOut::TooSmall));
        }
        if self.max_size.is_some_and(|max| size > max) {
            return Ok(Some(LeftOut::TooLarge));
        }
        Ok(None)
    }
}

fn begins_with_one_of(key: &str, prefixes: &[String]) -> bool {
    prefixes.iter().any(|prefix| key.starts_with(prefix))
}

/// Whether a GET answers InvalidObjectState until somebody restores the object ("Understanding
/// archive retrieval options", S3 user guide). GLACIER_IR and Intelligent-Tiering's Archive Instant
/// Access tier are read at once. Inventories have been described with ARCHIVE and with
/// ARCHIVE_ACCESS, which HeadObject says.
fn is_in_archive_tier(class: &str, access_tier: Option<&str>) -> bool {
    match class {
        "GLACIER" | "DEEP_ARCHIVE" => true,
        "INTELLIGENT_TIERING" => {
            matches!(
                access_tier,
                Some("ARCHIVE" | "ARCHIVE_ACCESS" | "DEEP_ARCHIVE" | "DEEP_ARCHIVE_ACCESS")
            )
        }
        _ => false,
    }
}

fn modified(date: Option<&str>) -> Result<Timestamp, RowProblem> {
    date.and_then(|date| date.parse().ok())
        .ok_or(RowProblem::Impossible(
            "its LastModifiedDate, which --modified-before needs, is not a date",
        ))
}

#[cfg(test)]
mod tests;
