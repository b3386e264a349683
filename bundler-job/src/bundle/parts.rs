//! The sizes of an archive's parts: one size, planned from the manifest, for as long as the archive
//! is no larger than that says. Then parts grow, so that sizes that the manifest does not have, or
//! that were too small, do not need more parts than S3 takes.
//!
//! ```text
//! part     1 … planned parts      + 1,000       + 1,000       …            10,000
//! size     planned                planned       2 × planned   4 × planned  … 512 MiB
//! ```
//!
//! With parts of 16 MiB and no sizes at all, 10,000 parts are 3 TiB.

use s3bundler_contract::ByteSize;

/// How many parts there may be, and how they grow. The default is what S3 takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartLimits {
    /// Most parts of an upload.
    pub most: u32,
    /// Parts of one size before they double, at most.
    pub step: u32,
    /// Parts grow to this size in bytes; 0 if all have to have the planned size.
    pub largest: u64,
}

impl Default for PartLimits {
    fn default() -> Self {
        // "Amazon S3 multipart upload limits". Larger parts take longer to send again than they
        // save requests.
        Self {
            most: 10_000,
            step: 1_000,
            largest: ByteSize::mib(512).bytes(),
        }
    }
}

impl PartLimits {
    /// The same for a store. No part is larger than planned if all have to have one size.
    #[must_use]
    pub fn of_store(self, wants_equal_parts: bool) -> Self {
        Self {
            largest: if wants_equal_parts { 0 } else { self.largest },
            ..self
        }
    }
}

/// The sizes of the parts of one archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartPlan {
    planned: u64,
    /// Parts that the archive needs by its manifest.
    expected: u32,
    /// Parts of one size after those.
    step: u32,
    largest: u64,
    most: u32,
}

impl PartPlan {
    /// A plan for an archive of about `archive` bytes in parts of `planned` bytes.
    pub fn new(planned: u64, archive: u64, limits: PartLimits) -> Self {
        let PartLimits {
            most,
            step,
            largest,
        } = limits;
        let expected = u32::try_from(archive.div_ceil(planned.max(1)))
            .unwrap_or(u32::MAX)
            .max(1);
        let largest = largest.max(planned);
        // The fewer parts are left, the sooner they double.
        let doublings = largest
            .div_ceil(planned.max(1))
            .checked_next_power_of_two()
            .map_or(u64::BITS, u64::ilog2);
        let step = (most.saturating_sub(expected) / (doublings + 1)).clamp(1, step.max(1));
        Self {
            planned,
            expected,
            step,
            largest,
            most,
        }
    }

    /// The planned size, which every part has in memory.
    pub const fn planned(&self) -> u64 {
        self.planned
    }

    /// The most parts that there may be.
    pub const fn most(&self) -> u32 {
        self.most
    }

    /// The size in bytes of a part, counted from 1; `None` if that is one too many.
    pub fn size(&self, number: u32) -> Option<u64> {
        if number > self.most {
            return None;
        }
        let doublings = number.saturating_sub(self.expected).saturating_sub(1) / self.step;
        let grown = if doublings < 40 {
            self.planned.saturating_mul(1 << doublings)
        } else {
            self.largest
        };
        Some(grown.min(self.largest))
    }

    /// Number of parts of an archive of this size in bytes; `None` if they are too many.
    pub fn parts(&self, archive: u64) -> Option<u32> {
        let (mut number, mut left) = (0, archive);
        while left > 0 {
            number += 1;
            left = left.saturating_sub(self.size(number)?);
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests;
