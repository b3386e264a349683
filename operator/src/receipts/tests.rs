use std::collections::BTreeSet;

use proptest::prelude::*;
use s3bundler_contract::Reason;

use super::*;

fn run() -> RunName {
    "r".parse().expect("a name")
}

fn count(names: &[String]) -> Counted {
    sweep(&mut Count::new(run()), names).0
}

/// Sweeps over the names that are shown, which are sorted. Returns what it came to, and the LISTs.
fn sweep(count: &mut Count, shown: &[String]) -> (Counted, u64) {
    assert!(shown.is_sorted(), "{shown:?}");
    count.begin();
    for lists in 1.. {
        let listing = count.listing().expect("it goes on");
        let after = |name: &String| listing.after.as_ref().is_some_and(|after| name <= after);
        let left = &shown[shown.partition_point(after)..];
        let page = &left[..left
            .len()
            .min(usize::try_from(listing.most).expect("a page"))];
        let is_last = page.len() == left.len();
        if let Some(counted) = count.page(page.iter().map(String::as_str), is_last) {
            assert_eq!(count.listing(), None, "it came to its end");
            return (counted, lists);
        }
    }
    unreachable!("a sweep ends")
}

fn names(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers
        .into_iter()
        .map(|number| {
            format!(
                "{}~a2~c1~f1~b20~bc5~bf3~NoSuchKey1",
                GroupName::numbered(&run(), number)
            )
        })
        .collect()
}

/// A count that has settled so many groups, whose figures are left out.
fn beginning(groups: u64, accounts: Accounts) -> Count {
    let mut range = Range::of(&names([0])[0], Stage::OWN, 0, None, true);
    (range.numbers, range.last) = (0..groups, names([groups - 1]).remove(0));
    let mut count = Count::by(run(), accounts);
    count.settled.insert(range);
    count
}

#[test]
fn a_million_groups_and_more_are_one_beginning() {
    let mut count = beginning(999_998, Accounts::default());
    let mut shown = names(999_998..1_000_003);
    shown.push("r.retry1.000000~a1~c0~f0~b1".to_owned());
    let (counted, _) = sweep(&mut count, &shown);
    assert_eq!((counted.pass(0).groups, counted.pass(1).groups), (5, 1));
    count.begin();
    assert_eq!(
        count.listing().and_then(|listing| listing.after).as_deref(),
        Some("r.a1000002~a2~c1~f1~b20~bc5~bf3~NoSuchKey1")
    );
}

#[test]
fn a_sweep_is_given_up_only_after_many_names_that_should_not_be_there() {
    let garbage = |numbers: std::ops::Range<u64>| numbers.map(|n| format!("garbage-{n:06}"));
    let mut many: Vec<_> = garbage(0..MOST_UNEXPECTED).collect();
    many.extend(names(0..3));
    let mut count = Count::new(run());
    let (counted, _) = sweep(&mut count, &many);
    assert_eq!((counted.groups(), counted.defects.len()), (3, DEFECTS));
    // One more, in a sweep that the settled groups make no shorter.
    let mut more: Vec<_> = garbage(0..MOST_UNEXPECTED + 1).collect();
    count.begin();
    assert_eq!(count.page(more.iter().map(String::as_str), false), None);
    assert!(count.is_flooded() && !count.is_under_way());
    more.extend(names(0..3));
    count.begin();
    assert!(count.is_under_way() && !count.is_flooded());
    assert_eq!(count.page(more.iter().map(String::as_str), true), None);
    assert!(count.is_flooded(), "also if it is over");
    // Somebody has moved them.
    let (counted, _) = sweep(&mut count, &names(0..3));
    assert_eq!((counted.groups(), counted.defects.len()), (3, 0));
}

/// `r.index` and `r.retry1.index`, archived under the name of the run `r`.
#[test]
fn groups_of_existing_manifests_are_not_groups_of_the_run_beyond_a_million() {
    let own = RunSummary {
        groups: 2,
        objects: 8,
        rows: 8,
        ..RunSummary::empty(run())
    };
    let mut shown = names([0, 1, 1_234_567]);
    shown.extend(
        [
            "r.redo1.a1234567~redo~a9~c0~f0~b9",
            "r.retry1.a1234567~a9~c0~f0~b9",
        ]
        .map(str::to_owned),
    );
    for (accounts, defects) in [(Accounts::default(), 0), (Accounts::of([own.clone()]), 1)] {
        let (counted, _) = sweep(&mut Count::by(run(), accounts), &shown);
        assert_eq!(
            (
                counted.groups(),
                counted.pass(0).beyond,
                counted.redos().count()
            ),
            (2, 2, 0)
        );
        assert!(
            counted.is_whole(&own) && counted.outcome().rows() == own.rows,
            "{counted:?}"
        );
        assert_eq!(counted.defects.len(), defects, "{:?}", counted.defects);
    }
    // Own groups of that number count as soon as the summary is known.
    let mut count = beginning(1_000_000, Accounts::default());
    let gap = names([1_000_001]);
    for (accounts, groups) in [
        (None, 0),
        (
            Some(RunSummary {
                groups: 1_000_002,
                ..RunSummary::empty(run())
            }),
            1,
        ),
    ] {
        count.know(Accounts::of(accounts));
        let (counted, _) = sweep(&mut count, &gap);
        assert_eq!((counted.groups(), counted.defects.len()), (groups, 0));
    }
}

#[test]
fn receipts_add_up() {
    let sums = count(&names(0..3)).pass(0);
    assert_eq!(
        (
            sums.groups,
            sums.figures.archived,
            sums.figures.copied,
            sums.figures.rows()
        ),
        (3, 6, 3, 12)
    );
    assert_eq!(
        (
            sums.figures.archived_bytes,
            sums.figures.copied_bytes,
            sums.figures.failed_bytes
        ),
        (60, 15, 9)
    );
    assert_eq!(sums.figures.failed, [(Reason::NoSuchKey, 3)].into());
}

#[test]
fn only_what_is_new_is_listed_and_the_sums_are_the_same() {
    let mut incremental = Count::new(run());
    let all = names([0, 1, 2, 4, 5, 7]);
    let mut shown: Vec<String> = Vec::new();
    // Receipts appear in any order.
    for number in [4, 0, 7, 1, 2, 5] {
        shown.extend(names([number]));
        shown.sort();
        assert_eq!(sweep(&mut incremental, &shown), (count(&shown), 1));
    }
    incremental.begin();
    assert_eq!(
        incremental.listing(),
        Some(Listing {
            after: Some(all[2].clone()),
            most: PAGE
        }),
        "0 to 2 are the whole beginning"
    );
    assert_eq!(shown, all);
}

/// The issue of a large run: the first group fails over and over, all others are archived.
#[test]
fn a_gap_costs_one_list_and_none_once_it_is_filled() {
    let mut count = Count::new(run());
    let mut shown = names(1..46_154);
    let whole = shown.len() as u64;
    for lists in [47, 2, 2] {
        let (counted, listed) = sweep(&mut count, &shown);
        assert_eq!((counted.groups(), listed), (whole, lists));
    }
    assert_eq!(count.cost(), 2);
    shown.splice(0..0, names([0]));
    for lists in [2, 1] {
        let (counted, listed) = sweep(&mut count, &shown);
        assert_eq!((counted.groups(), listed), (whole + 1, lists));
    }
    assert_eq!(count.cost(), 1);
}

#[test]
fn what_is_kept_grows_with_the_gaps_and_not_with_the_receipts() {
    for (groups, gaps) in [(10_000, 0), (50_000, 0), (10_000, 3), (50_000, 3)] {
        let missing: BTreeSet<_> = (1..=gaps).map(|gap| gap * groups / 4).collect();
        let shown = names((0..groups).filter(|number| !missing.contains(number)));
        let mut count = Count::new(run());
        for _ in 0..2 {
            sweep(&mut count, &shown);
            let ranges = std::iter::successors(count.settled.first(), |range| {
                count.settled.after(Some(&range.last))
            });
            assert_eq!(ranges.count() as u64, gaps + 1, "{groups} groups");
            assert!(count.sweep.is_none());
        }
    }
}

#[test]
fn the_list_of_a_gap_asks_for_no_more_than_is_missing_and_some() {
    let mut count = Count::new(run());
    let shown = names((0..2_000).chain(2_003..4_000).chain(6_000..8_000));
    sweep(&mut count, &shown);
    count.begin();
    let mut most = Vec::new();
    while let Some(listing) = count.listing() {
        most.push(listing.most);
        let after = |name: &&String| listing.after.as_ref() < Some(*name);
        let page: Vec<_> = shown.iter().filter(after).take(1).collect();
        count.page(page.iter().map(|name| name.as_str()), page.is_empty());
    }
    assert_eq!(most, [3 + BEYOND, PAGE, PAGE]);
}

#[test]
fn ranges_that_are_shorter_than_a_page_are_listed_with_the_gaps_around_them() {
    let mut count = Count::new(run());
    let shown = names((0..5_000).filter(|number| number % 100 != 50 || *number < 4_000));
    sweep(&mut count, &shown);
    let (counted, lists) = sweep(&mut count, &shown);
    assert_eq!(
        (counted.groups(), lists),
        (shown.len() as u64, 1),
        "ten gaps"
    );
}

#[test]
fn groups_of_retry_passes_are_settled_too() {
    let mut count = Count::new(run());
    let mut shown = names(0..10);
    let retried = |number| GroupName::of_stage(&run(), Stage::Pass(1), number);
    shown.extend((0..3_000).map(|number| format!("{}~a1~c0~f0~b1", retried(number))));
    for lists in [4, 2] {
        let (counted, listed) = sweep(&mut count, &shown);
        assert_eq!((counted.pass(1).groups, listed), (3_000, lists));
    }
}

#[test]
fn two_receipts_of_a_group_are_a_defect_and_counted_once() {
    let two = [
        "r.002000~a1~c0~f0~b1",
        "r.002000~a2~c1~f1~b20~bc5~bf3~NoSuchKey1",
    ];
    for (second, defect) in [
        // Of the last group of a range, and of the first one: what sorts first counts.
        ("r.001000~a9~c0~f0~b20", "r.001000~a9~c0~f0~b20"),
        (two[0], two[1]),
    ] {
        let mut shown = names((0..1_001).chain(2_000..4_000));
        shown.push(second.to_owned());
        shown.sort();
        let mut count = Count::new(run());
        for _ in 0..3 {
            let counted = sweep(&mut count, &shown).0;
            assert_eq!(counted.pass(0).groups, 3_001);
            assert_eq!(counted.defects, [defect], "it is told in every sweep");
        }
    }
    // It appears later, before the range that was settled.
    let mut shown = names((0..1_001).chain(2_000..4_000));
    let mut count = Count::new(run());
    sweep(&mut count, &shown);
    shown.insert(1_001, two[0].to_owned());
    for _ in 0..3 {
        let counted = sweep(&mut count, &shown).0;
        assert_eq!(
            (counted.pass(0).groups, counted.defects),
            (3_001, vec![two[0].to_owned()])
        );
    }
}

#[test]
fn a_range_whose_receipts_somebody_deleted_counts_again_after_a_recount() {
    let mut count = Count::new(run());
    let shown = names((0..2_000).chain(3_000..5_000));
    sweep(&mut count, &shown);
    let mut deleted = names((1..2_000).chain(3_001..5_000));
    assert_eq!(sweep(&mut count, &deleted).0.groups(), 4_000);
    count.begin_anew();
    assert_eq!(sweep(&mut count, &deleted).0.groups(), 3_998);
    deleted.splice(0..0, names([0]));
    assert_eq!(sweep(&mut count, &deleted).0.groups(), 3_999);
}

#[test]
fn a_sweep_by_other_summaries_is_given_up_and_what_is_settled_stays() {
    let mut count = Count::new(run());
    let shown = names(0..5_000);
    sweep(&mut count, &shown);
    count.begin();
    count.know(Accounts::of([RunSummary::empty(run())]));
    assert_eq!(count.listing(), None);
    assert_eq!(sweep(&mut count, &shown).1, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever appears between two sweeps, and wherever they are interrupted.
    #[test]
    fn a_sweep_comes_to_the_same_as_the_first_one_would(
        missing in prop::collection::btree_set(0_u64..6_000, 0..12),
        strange in prop::collection::btree_set(0_u64..6_000, 0..3),
        order in any::<prop::sample::Index>(),
    ) {
        let strange = strange.iter().map(|number| format!("r.{number:06}a~a1~c0~f0~b1"));
        let mut shown: BTreeSet<String> = names(0..6_000).into_iter().chain(strange).collect();
        let mut missing = names(missing);
        for name in &missing {
            shown.remove(name);
        }
        if !missing.is_empty() {
            let first = order.index(missing.len());
            missing.rotate_left(first);
        }
        let mut incremental = Count::new(run());
        for appears in [None].into_iter().chain(missing.into_iter().map(Some)) {
            shown.extend(appears);
            let now: Vec<_> = shown.iter().cloned().collect();
            prop_assert_eq!(sweep(&mut incremental, &now).0, count(&now));
        }
        prop_assert!(sweep(&mut incremental, &shown.into_iter().collect::<Vec<_>>()).1 <= incremental.cost());
    }
}

#[test]
fn foreign_names_are_defects() {
    let shown = [
        "nonsense",
        "r.000000",
        "q.000000~a1~c0~f0~b1",
        "r.retry0.000000~a1~c0~f0~b1",
        "r.x~a1~c0~f0~b1",
    ];
    let mut shown = shown.map(str::to_owned);
    shown.sort();
    let counted = count(&shown);
    assert_eq!(
        (counted.stages.len(), counted.defects.len()),
        (0, shown.len())
    );
}

#[test]
fn what_a_retry_took_up_again_did_not_fail_in_the_end() {
    let shown = [
        "r.000000~a2~c0~f3~b20~bf30~NoSuchKey1~Retry2",
        "r.retry1.000000~a1~c0~f1~b10~bf10~Retry1",
        "r.retry2.000000~a0~c1~f0~b0~bc10",
    ];
    let counted = count(&shown.map(str::to_owned));
    let outcome = counted.outcome();
    assert_eq!(
        (outcome.archived, outcome.copied, outcome.failed_objects()),
        (3, 1, 1)
    );
    assert_eq!(
        (
            outcome.archived_bytes,
            outcome.copied_bytes,
            outcome.failed_bytes
        ),
        (30, 10, 10)
    );
    assert_eq!(outcome.failed, [(Reason::NoSuchKey, 1)].into());
    assert_eq!(counted.pass(1).figures.failed_for(Reason::Retry), 1);
}

#[test]
fn a_redo_counts_in_place_of_the_groups_that_it_replaces_once_its_summary_is_known() {
    let replaced = s3bundler_contract::Replaced {
        group: "r.000001".parse().expect("a name"),
        receipt: String::new(),
        rows: 4,
        digest: s3bundler_contract::RowDigest::default(),
        taken: BTreeMap::new(),
    };
    let own = RunSummary {
        groups: 3,
        objects: 12,
        rows: 12,
        ..RunSummary::empty(run())
    };
    let redo = RunSummary {
        redo: 1,
        groups: 1,
        objects: 4,
        replaces: vec![replaced],
        ..RunSummary::empty(run())
    };
    let mut shown = names(0..3);
    let mut incremental = Count::by(run(), Accounts::of([own.clone()]));
    assert!(sweep(&mut incremental, &shown).0.is_whole(&own));
    shown.push("r.redo1.000000~redo~a4~c0~f0~b40".to_owned());
    let unknown = sweep(&mut incremental, &shown).0;
    assert_eq!(
        (unknown.redos().collect::<Vec<_>>(), unknown.is_whole(&own)),
        (vec![1], false)
    );
    incremental.know(Accounts::of([own.clone(), redo.clone()]));
    let known = sweep(&mut incremental, &shown).0;
    let outcome = known.outcome();
    assert_eq!(
        (outcome.archived, outcome.copied, outcome.failed_objects()),
        (8, 2, 2)
    );
    assert_eq!(
        (known.is_whole(&own), known.committed(&run(), 0, 3)),
        (true, 3)
    );
    // The receipt of the replaced group is not needed.
    shown.remove(1);
    let fresh = sweep(
        &mut Count::by(run(), Accounts::of([own.clone(), redo])),
        &shown,
    )
    .0;
    assert_eq!((fresh.is_whole(&own), fresh.outcome()), (true, outcome));
    // The field and the name have to agree.
    let strange = ["r.000000~redo~a4~c0~f0~b40", "r.redo1.000000~a4~c0~f0~b40"].map(str::to_owned);
    assert_eq!(count(&strange).defects, strange);
}

#[test]
fn receipts_of_more_stages_than_a_run_can_have_are_defects_and_take_no_memory() {
    let hostile = |stage: Stage, field: &str| {
        format!(
            "{}{field}~a1~c0~f0~b1",
            GroupName::of_stage(&run(), stage, 0)
        )
    };
    let stages = (1..=5_000).chain([u32::MAX]);
    let shown = stages.flat_map(|n| {
        [
            hostile(Stage::Redo(n), "~redo"),
            hostile(Stage::Pass(n), ""),
        ]
    });
    let mut shown: Vec<_> = shown.collect();
    shown.sort();
    let counted = count(&shown);
    assert_eq!(
        (counted.stages.len(), counted.defects.len()),
        (2_000, DEFECTS)
    );
    assert_eq!(counted.redos().max(), Some(MOST_STAGES));
}

#[test]
fn fifty_thousand_receipts_are_counted() {
    let counted = count(&names(0..50_000));
    assert_eq!(
        (counted.pass(0).groups, counted.pass(0).figures.rows()),
        (50_000, 200_000)
    );
}
