use super::*;

#[test]
fn a_share_is_three_parts_and_members() {
    for (budget, groups, archive, part, in_memory) in [
        (128, 2, 1 << 30, 16, 8),
        (128, 1, 1 << 30, 16, 8),
        (64, 2, 1 << 30, 8, 4),
        (32, 2, 1 << 30, 5, 0),
        (17, 1, 1 << 30, 5, 1),
        // 400 GB in 9,000 parts.
        (512, 2, 400 << 30, 46, 8),
    ] {
        let share = Share::plan(ByteSize::mib(budget), groups, archive).expect("enough");
        assert_eq!(
            (share.part >> 20, share.in_memory >> 20),
            (part, in_memory),
            "{budget} {groups}"
        );
        assert!(3 * share.part + share.members <= ByteSize::mib(budget / groups).bytes());
    }
}

#[tokio::test]
async fn what_is_larger_than_a_budget_has_it_alone() {
    let budget = Budget::new(10 * UNIT);
    let alone = budget.take(u64::MAX).await;
    assert!(budget.try_take(1).is_none());
    drop(alone);
    let _some = budget.take(9 * UNIT).await;
    assert!(budget.try_take(1).is_some());
    let none = Budget::new(0);
    let _alone = none.take(5).await;
    assert!(
        none.try_take(5).is_none(),
        "a budget of nothing is one at a time"
    );
}

#[test]
fn a_share_too_small_is_refused_with_what_it_needs() {
    assert!(Share::plan(ByteSize::mib(16), 2, 1 << 30).is_err());
    let error = Share::plan(ByteSize::mib(64), 2, 400 << 30)
        .expect_err("parts of 46 MiB")
        .to_string();
    assert!(error.contains("raise --memory"), "{error}");
}

#[tokio::test]
async fn budgets_show_what_is_used_of_them_until_their_group_is_done() {
    let budgets = Budgets::default();
    let (first, second) = (budgets.budget(10 * UNIT), budgets.budget(10 * UNIT));
    let held = first.take(3 * UNIT).await;
    let _other = second.take(4 * UNIT).await;
    assert_eq!(budgets.used(), 7 * UNIT);
    drop(held);
    assert_eq!(budgets.used(), 4 * UNIT);
    drop(second);
    let _third = budgets.budget(10 * UNIT).take(UNIT).await;
    assert_eq!(budgets.used(), 5 * UNIT, "a permit outlives its budget");
}
