use proptest::prelude::*;

use super::*;

#[test]
fn figures_add_up_and_saturate() {
    let most = Figures {
        archived: u64::MAX,
        copied: 1,
        failed: [(Reason::Retry, u64::MAX), (Reason::Changed, 2)].into(),
        archived_bytes: 3,
        copied_bytes: u64::MAX,
        failed_bytes: 5,
    };
    let mut sum = Figures::default();
    sum.add(&most);
    assert_eq!(sum, most);
    sum.add(&most);
    assert_eq!(
        (sum.archived, sum.copied, sum.copied_bytes),
        (u64::MAX, 2, u64::MAX)
    );
    assert_eq!((sum.archived_bytes, sum.failed_bytes), (6, 10));
    assert_eq!(
        sum.failed,
        [(Reason::Retry, u64::MAX), (Reason::Changed, 4)].into()
    );
    assert_eq!(
        (sum.rows(), sum.bytes(), sum.failed_objects()),
        (u64::MAX, u64::MAX, u64::MAX)
    );
    assert_eq!(sum.failed_for_any(&[Reason::Changed, Reason::SseC]), 4);
}

#[test]
fn rows_that_another_group_has_are_taken_off_and_no_zeros_remain() {
    let mut sum = Figures {
        failed: [(Reason::Retry, 3), (Reason::Changed, 2)].into(),
        ..Figures::default()
    };
    sum.take_failed(&[(Reason::Retry, 9), (Reason::Changed, 1), (Reason::SseC, 1)].into());
    assert_eq!(sum.failed, [(Reason::Changed, 1)].into());
}

proptest! {
    #[test]
    fn no_figures_overflow(a in any::<[u64; 7]>(), b in any::<[u64; 7]>()) {
        let figures = |[a, c, r, k, ab, cb, fb]: [u64; 7]| Figures {
            archived: a,
            copied: c,
            failed: [(Reason::Retry, r), (Reason::NoSuchKey, k)].into(),
            archived_bytes: ab,
            copied_bytes: cb,
            failed_bytes: fb,
        };
        let (mut sum, other) = (figures(a), figures(b));
        sum.add(&other);
        prop_assert!(sum.rows() >= other.archived && sum.bytes() >= other.failed_bytes);
        sum.take_failed(&other.failed);
        prop_assert!(sum.failed_objects() <= figures(a).failed_objects());
    }
}
