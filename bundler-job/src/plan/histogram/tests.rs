#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use super::{Bar, GIB, Histogram, KIB};

fn objects(histogram: &Histogram) -> Vec<(&'static str, u64)> {
    let bars = histogram.bars().into_iter();
    let bars = bars.filter(|bar| bar.objects > 0);
    bars.map(|bar| (bar.class, bar.objects)).collect()
}

#[test]
fn a_class_ends_with_its_largest_value() {
    let mut sizes = Histogram::of_sizes();
    for size in [
        0,
        1,
        KIB,
        KIB + 1,
        128 * KIB - 1,
        128 * KIB,
        5 * GIB,
        5 * GIB + 1,
        u64::MAX,
    ] {
        sizes.add(size, 1);
    }
    assert_eq!(
        objects(&sizes),
        [
            ("0", 1),
            ("to 1 KiB", 2),
            ("to 4 KiB", 1),
            ("below 128 KiB", 1),
            ("to 512 KiB", 1),
            ("to 5 GiB", 1),
            ("over 5 GiB", 2),
        ]
    );
    let mut ages = Histogram::of_ages();
    for days in [0, 6, 7, 29, 30, 179, 180, 1_825] {
        ages.add(days, 1);
    }
    assert_eq!(
        objects(&ages),
        [
            ("today", 1),
            ("below a week", 1),
            ("below 30 days", 2),
            ("below 90 days", 1),
            ("below 180 days", 1),
            ("below a year", 1),
            ("5 years or more", 1),
        ]
    );
}

#[test]
fn bytes_do_not_overflow_and_histograms_add_up() {
    let mut one = Histogram::of_sizes();
    one.add(u64::MAX, u64::MAX);
    let mut two = one.clone();
    two.merge(&one);
    let last = two.bars().pop().unwrap();
    let bytes = u128::from(u64::MAX) * 2;
    let class = "over 5 GiB";
    assert_eq!(
        last,
        Bar {
            class,
            objects: 2,
            bytes
        }
    );
}

#[test]
fn a_plot_has_a_bar_for_each_class_between_the_first_and_the_last() {
    assert_eq!(Histogram::of_sizes().plot(), "");
    let mut sizes = Histogram::of_sizes();
    for _ in 0..80 {
        sizes.add(2 * KIB, 2 * KIB);
    }
    sizes.add(60 * KIB, 60 * KIB);
    insta::assert_snapshot!(sizes.plot(), @r"
             to 4 KiB              80   160.00 KiB  ########################################
            to 16 KiB               0          0 B
            to 64 KiB               1    60.00 KiB  #
    ");
}
