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

/// The sizes of the parts of one archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn capacity(plan: PartPlan) -> u64 {
        (1..=plan.most())
            .map(|number| plan.size(number).expect("allowed"))
            .sum()
    }

    #[test]
    fn parts_have_the_planned_size_until_the_plan_proves_too_small_and_double_from_there() {
        let limits = PartLimits::default();
        for (planned, archive, number, expected) in [
            // Nothing is known of the sizes.
            (16, 1, 1, 16),
            (16, 1, 1_001, 16),
            (16, 1, 1_002, 32),
            (16, 1, 2_001, 32),
            (16, 1, 2_002, 64),
            (16, 1, 5_002, 512),
            (16, 1, 10_000, 512),
            (5, 1, 1_001, 5),
            (5, 1, 6_002, 320),
            (5, 1, 7_002, 512),
            // 4 GiB in 256 parts.
            (16, 4 * GIB, 256, 16),
            (16, 4 * GIB, 1_256, 16),
            (16, 4 * GIB, 1_257, 32),
            // 9,000 parts are planned, and 1,000 are left for what was not.
            (16, 9_000 * 16 * MIB, 9_000, 16),
            (16, 9_000 * 16 * MIB, 9_166, 16),
            (16, 9_000 * 16 * MIB, 9_167, 32),
            (16, 9_000 * 16 * MIB, 10_000, 512),
            // Planned for an archive of terabytes.
            (600, 9_000 * 600 * MIB, 10_000, 600),
        ] {
            let size = PartPlan::new(planned * MIB, archive, limits).size(number);
            assert_eq!(
                size,
                Some(expected * MIB),
                "part {number}, planned {planned} MiB of {archive}"
            );
        }
    }

    #[test]
    fn there_are_as_many_parts_as_s3_takes_and_they_hold_terabytes() {
        for (planned, archive, at_least) in [
            (16, 1, 2_900),
            (5, 1, 2_000),
            (16, 4 * GIB, 2_850),
            (16, 9_000 * 16 * MIB, 300),
            (46, 9_000 * 46 * MIB, 500),
        ] {
            let plan = PartPlan::new(planned * MIB, archive, PartLimits::default());
            assert_eq!((plan.size(10_001), plan.size(u32::MAX)), (None, None));
            let capacity = capacity(plan);
            assert!(
                capacity >= at_least * GIB,
                "{planned} {archive}: {} GiB",
                capacity / GIB
            );
        }
    }

    #[test]
    fn parts_never_shrink_and_never_exceed_the_largest() {
        for (planned, archive, limits) in [
            (
                5 * MIB,
                1,
                PartLimits {
                    most: 8,
                    step: 1,
                    largest: 20 * MIB,
                },
            ),
            (
                7 * MIB + 1,
                3 * MIB,
                PartLimits {
                    most: 100,
                    step: 1_000,
                    largest: 500 * MIB,
                },
            ),
            (5 * MIB, u64::MAX, PartLimits::default()),
            (
                16 * MIB,
                1,
                PartLimits {
                    largest: MIB,
                    ..PartLimits::default()
                },
            ),
            (
                1,
                1,
                PartLimits {
                    step: 0,
                    largest: u64::MAX,
                    ..PartLimits::default()
                },
            ),
        ] {
            let plan = PartPlan::new(planned, archive, limits);
            let sizes: Vec<_> = (1..=limits.most)
                .map(|number| plan.size(number).expect("allowed"))
                .collect();
            assert!(sizes.is_sorted(), "{limits:?}");
            assert_eq!(sizes[0], planned);
            assert!(
                sizes
                    .iter()
                    .all(|size| *size <= limits.largest.max(planned)),
                "{limits:?}"
            );
        }
    }

    #[test]
    fn equal_parts_are_a_largest_size_of_none() {
        let plan = PartPlan::new(
            16 * MIB,
            1,
            PartLimits {
                largest: 0,
                ..PartLimits::default()
            },
        );
        assert!((1..=10_000).all(|number| plan.size(number) == Some(16 * MIB)));
    }
}
