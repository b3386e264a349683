//! What a run does with each group, from the rows of its manifest, as its worker does.

use std::collections::BTreeMap;

use s3bundler_contract::group_manifest::{Columns, KeyEncoding, RowError, RowReader};
use s3bundler_contract::{ArchiveOptions, ByteSize};

use crate::budget::Share;
use crate::bundle::attempt::{Estimate, plan_parts};
use crate::bundle::copy::parts_of_copy;
use crate::bundle::pack::{END_BYTES, member_bytes};
use crate::bundle::parts::{PartLimits, PartPlan};
use crate::bundle::scratch_of_group;
use crate::bundle::tags::shown::{Questions, directory};

/// Archives whose sizes differ by less are counted together.
const GRAIN: u64 = 64 << 10;

/// What a worker has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    /// Memory for object data.
    pub(crate) memory: ByteSize,
    /// Groups at a time.
    pub(crate) groups: u64,
    /// Room for the objects of all groups, if that is limited.
    pub(crate) scratch_size: Option<ByteSize>,
    /// Whether the store wants parts of one size.
    pub(crate) equal_parts: bool,
}

/// What becomes of the rows of one group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct GroupFigures {
    pub(crate) rows: u64,
    /// Rows that no object can have, and no request is made for.
    pub(crate) invalid: u64,
    pub(crate) packed: u64,
    pub(crate) packed_bytes: u128,
    pub(crate) copies: Copies,
    /// Bytes of the archive as a plain tar; 0 without an archive.
    pub(crate) tar: u64,
    /// About how large the worker takes it to be.
    estimate: u64,
    manifest_bytes: u64,
    /// The directories of its objects in order, each with a number of neighbours.
    directories: Vec<(String, u64)>,
}

/// Objects that are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Copies {
    pub(crate) objects: u64,
    pub(crate) bytes: u128,
    /// Those that are copied in parts.
    pub(crate) in_parts: u64,
    /// Their parts.
    pub(crate) parts: u64,
    /// Those whose source gets another HEAD, because the ETag of one side is not an MD5.
    pub(crate) source_heads: u64,
    /// Those of which no ETag is listed.
    pub(crate) without_etag: u64,
}

/// All groups together.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) groups: u64,
    /// Groups that have an archive.
    pub(crate) archives: u64,
    /// Groups that have dead letters.
    pub(crate) with_dead_letters: u64,
    pub(crate) rows: u64,
    pub(crate) invalid: u64,
    pub(crate) packed: u64,
    pub(crate) packed_bytes: u128,
    pub(crate) copies: Copies,
    pub(crate) tar: u128,
    pub(crate) manifest_bytes: u128,
    /// Archives by the plan of their parts and their size.
    pub(super) sizes: BTreeMap<(PartPlan, u64), u64>,
    pub(super) questions: Questions,
    /// Groups that a worker with this memory refuses, with the first error.
    pub(crate) refused: Option<(u64, String)>,
}

impl Copies {
    fn add(&mut self, size: u64, etag: Option<&str>) {
        self.objects += 1;
        self.bytes += u128::from(size);
        let parts = parts_of_copy(size);
        self.in_parts += u64::from(parts.is_some());
        self.parts += parts.unwrap_or(0);
        // A copy in parts has an ETag with a hyphen, and so has a source that was uploaded in parts.
        let is_md5 = etag.is_some_and(|etag| s3bundler_contract::etag::md5(etag).is_some());
        self.source_heads += u64::from(parts.is_some() || !is_md5);
        self.without_etag += u64::from(etag.is_none());
    }

    fn merge(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.in_parts += other.in_parts;
        self.parts += other.parts;
        self.source_heads += other.source_heads;
        self.without_etag += other.without_etag;
    }
}

impl GroupFigures {
    /// Reads a group manifest that the grouper would write.
    pub(crate) fn of(manifest: &[u8], options: &ArchiveOptions) -> Result<Self, RowError> {
        let mut rows = RowReader::new(manifest, Columns::full(), KeyEncoding::Literal);
        let (mut figures, mut estimate) = (Self::default(), Estimate::default());
        while let Some((row, _)) = rows.next_ref()? {
            figures.rows += 1;
            let size = row.size.unwrap_or(0);
            estimate.add(size, options);
            if row.impossible().is_some() {
                figures.invalid += 1;
                continue;
            }
            if options.copies(size) {
                figures.copies.add(size, row.etag);
            } else {
                figures.packed += 1;
                figures.packed_bytes += u128::from(size);
                let member = member_bytes(row.bucket, row.key, size);
                figures.tar = figures.tar.saturating_add(member);
            }
            let directory = directory(row.key);
            match figures.directories.last_mut() {
                Some((last, objects)) if last == directory => *objects += 1,
                _ => figures.directories.push((directory.to_owned(), 1)),
            }
        }
        if figures.packed > 0 {
            figures.tar = figures.tar.saturating_add(END_BYTES);
        }
        figures.estimate = estimate.bytes();
        figures.manifest_bytes = manifest.len() as u64;
        Ok(figures)
    }
}

impl Totals {
    /// Adds a group, in the order of the inventory. `tagged` is the share of objects with tags.
    pub(crate) fn add(&mut self, group: &GroupFigures, machine: Machine, tagged: f64) {
        self.groups += 1;
        self.rows += group.rows;
        self.invalid += group.invalid;
        self.with_dead_letters += u64::from(group.invalid > 0);
        self.packed += group.packed;
        self.packed_bytes += group.packed_bytes;
        self.copies.merge(group.copies);
        self.tar += u128::from(group.tar);
        self.manifest_bytes += u128::from(group.manifest_bytes);
        for (directory, objects) in &group.directories {
            self.questions.add(directory, *objects, tagged);
        }
        let share = match Share::plan(machine.memory, machine.groups, group.estimate) {
            Ok(share) => share,
            Err(error) => {
                let refused = self.refused.get_or_insert_with(|| (0, error.to_string()));
                refused.0 += 1;
                return;
            }
        };
        if group.packed > 0 {
            self.archives += 1;
            let limits = PartLimits::default().of_store(machine.equal_parts);
            let scratch = scratch_of_group(machine.scratch_size, machine.groups);
            let (plan, _) = plan_parts(share, group.estimate, limits, scratch);
            let size = group.tar.div_ceil(GRAIN);
            *self.sizes.entry((plan, size)).or_default() += 1;
        }
    }

    /// Number of GetObjectTagging that ask whether tags are shown.
    pub(crate) const fn questions(&self) -> u64 {
        self.questions.asked()
    }

    /// Number of parts of all archives if they are compressed to this share of a plain tar; the
    /// second number counts archives that would have too many.
    pub(crate) fn parts(&self, ratio: f64) -> (u64, u64) {
        let (mut parts, mut too_large) = (0, 0);
        for ((plan, size), archives) in &self.sizes {
            match plan.parts(scaled(size.saturating_mul(GRAIN), ratio).max(1)) {
                Some(number) => parts += u64::from(number) * archives,
                None => too_large += archives,
            }
        }
        (parts, too_large)
    }
}

/// A number of bytes times a ratio.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of an assumed size, which saturates"
)]
pub(crate) fn scaled(bytes: u64, ratio: f64) -> u64 {
    if (ratio - 1.0).abs() < f64::EPSILON {
        bytes
    } else {
        (bytes as f64 * ratio).ceil() as u64
    }
}

#[cfg(test)]
mod tests;
