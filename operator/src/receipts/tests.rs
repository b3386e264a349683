use s3bundler_contract::Reason;

use super::*;

fn run() -> RunName {
    "r".parse().expect("a name")
}

fn count(names: &[String]) -> Counted {
    let mut count = Count::new(run());
    count.begin();
    count.page(names.iter().map(String::as_str));
    count.counted().clone()
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

#[test]
fn a_million_groups_and_more_are_one_beginning() {
    let mut count = Count::new(run());
    count.next = 999_998;
    let mut shown = names(999_998..1_000_003);
    shown.push("r.retry1.000000~a1~c0~f0~b1".to_owned());
    assert!(shown.is_sorted(), "{shown:?}");
    count.begin();
    count.page(shown.iter().map(String::as_str));
    assert_eq!(
        (
            count.next,
            count.counted().pass(0).groups,
            count.counted().pass(1).groups
        ),
        (1_000_003, 5, 1)
    );
    assert_eq!(
        count.begin(),
        Some("r.a1000002~a2~c1~f1~b20~bc5~bf3~NoSuchKey1")
    );
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
        let mut count = Count::by(run(), accounts);
        count.begin();
        count.page(shown.iter().map(String::as_str));
        let counted = count.counted();
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
    let mut count = Count::new(run());
    count.next = 1_000_000;
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
        count.begin();
        count.page(gap.iter().map(String::as_str));
        assert_eq!(
            (count.counted().groups(), count.counted().defects.len()),
            (groups, 0)
        );
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
        let after = incremental.begin().map(str::to_owned);
        let listed: Vec<_> = shown
            .iter()
            .filter(|name| after.as_ref().is_none_or(|after| *name > after))
            .collect();
        incremental.page(listed.iter().map(|name| name.as_str()));
        assert_eq!(incremental.counted(), &count(&shown));
    }
    assert_eq!(
        incremental.begin(),
        Some(all[2].as_str()),
        "0 to 2 are the whole beginning"
    );
    assert_eq!(shown, all);
}

#[test]
fn two_receipts_of_a_group_are_a_defect_and_counted_once() {
    let mut shown = names([0, 1]);
    shown.insert(1, "r.000000~a9~c0~f0~b20".to_owned());
    let mut incremental = Count::new(run());
    for _ in 0..2 {
        let after = incremental.begin().map(str::to_owned);
        let listed = shown
            .iter()
            .filter(|name| after.as_ref().is_none_or(|after| *name > after));
        incremental.page(listed.map(String::as_str));
        assert_eq!(incremental.counted().pass(0).groups, 2);
        assert_eq!(
            incremental.counted().defects,
            ["r.000000~a9~c0~f0~b20"],
            "it is told in every sweep"
        );
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
    let counted = count(&shown.map(str::to_owned));
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
    let mut sweep = |shown: &[String], accounts: Option<Accounts>| {
        if let Some(accounts) = accounts {
            incremental.know(accounts);
        }
        let after = incremental.begin().map(str::to_owned);
        let listed = shown
            .iter()
            .filter(|name| after.as_ref().is_none_or(|after| *name > after));
        incremental.page(listed.map(String::as_str));
        incremental.counted().clone()
    };
    assert!(sweep(&shown, None).is_whole(&own));
    shown.push("r.redo1.000000~redo~a4~c0~f0~b40".to_owned());
    let unknown = sweep(&shown, None);
    assert_eq!(
        (unknown.redos().collect::<Vec<_>>(), unknown.is_whole(&own)),
        (vec![1], false)
    );
    let known = sweep(&shown, Some(Accounts::of([own.clone(), redo.clone()])));
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
    let mut fresh = Count::by(run(), Accounts::of([own.clone(), redo]));
    fresh.begin();
    fresh.page(shown.iter().map(String::as_str));
    assert_eq!(
        (fresh.counted().is_whole(&own), fresh.counted().outcome()),
        (true, outcome)
    );
    // The field and the name have to agree.
    let strange = ["r.redo1.000000~a4~c0~f0~b40", "r.000000~redo~a4~c0~f0~b40"].map(str::to_owned);
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
    let counted = count(&shown.collect::<Vec<_>>());
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
