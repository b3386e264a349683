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
