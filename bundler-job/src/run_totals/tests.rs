use s3bundler_contract::{Reason, RunSummary};

use super::*;

fn run() -> RunName {
    "r".parse().expect("a name")
}

fn totals(groups: u64, receipts: &[&str]) -> RunTotals {
    let summary = RunSummary {
        groups,
        ..RunSummary::empty(run())
    };
    let (run, accounts) = (run(), Accounts::of([summary]));
    let mut count = Count::new(&run, &accounts);
    for name in receipts {
        count.add(name);
    }
    count.totals()
}

#[test]
fn receipts_add_up_and_a_second_one_of_a_group_is_a_defect() {
    let totals = totals(
        2,
        &[
            "r.000000~a10~c1~f2~b100~bc7~Retry2",
            "r.000001~a5~c0~f1~b50~NoSuchKey1",
            "r.000001~a5~c0~f0~b50",
            "r.000002~a5~c0~f0~b50",
            "r.000000~redo~a5~c0~f0~b50",
            "x.01234567~a5~c0~f0~b50",
            "nonsense",
        ],
    );
    let figures = &totals.figures;
    assert_eq!(
        (figures.archived, figures.copied, figures.failed_objects()),
        (15, 1, 3)
    );
    assert_eq!((figures.archived_bytes, figures.copied_bytes), (150, 7));
    assert_eq!(
        (totals.missing, totals.defects.len()),
        (0, 4),
        "{:?}",
        totals.defects
    );
}

#[test]
fn what_was_tried_again_counts_once_and_stands_in_for_no_group() {
    let receipts = [
        "r.000001~a5~c0~f3~b50~Retry2~NoSuchKey1",
        "r.retry1.000000~a2~c0~f3~b20~Retry2~Changed1",
        "r.retry2.000000~a1~c0~f1~b20~Retry1",
        "r.000000~a10~c1~f3~b100~bc7~Retry3",
    ];
    let tried = totals(2, &receipts).figures;
    assert_eq!((tried.archived, tried.copied), (18, 1));
    assert_eq!(
        tried.failed,
        [
            (Reason::Retry, 1),
            (Reason::NoSuchKey, 1),
            (Reason::Changed, 1)
        ]
        .into()
    );
    assert_eq!(
        (totals(2, &receipts).missing, totals(3, &receipts).missing),
        (0, 1)
    );
    assert_eq!(totals(2, &receipts[..3]).missing, 1);
}

#[test]
fn groups_of_existing_manifests_that_look_like_numbered_ones_are_no_rows_of_the_inventory() {
    let receipts = [
        "r.000000~a3~c0~f0~b9",
        "r.a1234567~a5~c0~f0~b9",
        "r.retry1.a1234567~a5~c0~f0~b9",
    ];
    let redo = ["r.redo1.a1234567~redo~a5~c0~f0~b9"];
    let totals = totals(1, &[&receipts[..], &redo].concat());
    assert_eq!(
        (totals.figures.archived, totals.defects.len()),
        (3, 0),
        "{:?}",
        totals.defects
    );
}

#[test]
fn hostile_figures_saturate() {
    let most = u64::MAX;
    let names: Vec<_> = (0..2)
        .map(|n| {
            format!("r.00000{n}~a{most}~c{most}~f{most}~b{most}~bc{most}~bf{most}~Retry{most}")
        })
        .chain([format!("r.retry1.000000~a{most}~c{most}~f0~b{most}")])
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let totals = totals(2, &names);
    assert_eq!(
        (
            totals.figures.archived,
            totals.figures.rows(),
            totals.figures.bytes()
        ),
        (most, most, most)
    );
    assert!(totals.mismatch.is_some());
}
