use s3bundler_contract::Receipt;

use super::*;

fn run() -> RunName {
    "r".parse().expect("a name")
}

/// Plans the pass after `pass`, where every pass has its reasons and so many groups.
fn planned_of(
    passes: &[(&[Reason], u64)],
    redos: &[RunSummary],
    reasons: &[Reason],
    receipts: &[&str],
) -> Result<Vec<String>, Unplanned> {
    let summary = |(pass, (reasons, groups)): (u32, &(&[Reason], u64))| RunSummary {
        groups: *groups,
        reasons: reasons.to_vec(),
        ..RunSummary::of_pass(run(), pass)
    };
    let accounts = Accounts::of((0..).zip(passes).map(summary).chain(redos.iter().cloned()));
    let mut archived: BTreeMap<GroupName, Archived> = BTreeMap::new();
    for name in receipts {
        let receipt = Receipt::parse(name).expect("a receipt");
        let group = receipt.group.clone();
        archived
            .entry(group)
            .and_modify(|it| it.twice = true)
            .or_insert_with(|| receipt.into());
    }
    let next = u32::try_from(passes.len()).expect("few passes");
    let sources = sources(&accounts, &archived, next, reasons)?;
    let told = |it: &Source| {
        let taken: Vec<_> = it
            .to_retry
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        format!("{} {}/{}", it.group, taken.join(","), it.failed)
    };
    Ok(sources.iter().map(told).collect())
}

/// The same after a last pass of so many groups, before which there was nothing.
fn planned(pass: u32, groups: u64, receipts: &[&str]) -> Result<Vec<String>, Unplanned> {
    let mut passes: Vec<(&[Reason], u64)> = (0..pass).map(|_| (&[][..], 0)).collect();
    passes.push((&[], groups));
    // Passes of no group have no receipt, whatever is there of others.
    let of = |name: &&&str| {
        let receipt = Receipt::parse(name).expect("a receipt");
        receipt
            .group
            .stage_in(&run())
            .is_none_or(|(stage, _)| stage == Stage::Pass(pass) || pass == 0)
    };
    let receipts: Vec<&str> = receipts.iter().filter(of).copied().collect();
    planned_of(&passes, &[], &[Reason::Retry], &receipts)
}

fn missing_of(
    stage: Stage,
    missing: u64,
    groups: u64,
    first: &str,
) -> Result<Vec<String>, Unplanned> {
    Err(Unplanned::Missing {
        stage,
        missing,
        groups,
        first: first.parse().expect("a name"),
    })
}

fn missing(missing: u64, groups: u64, first: &str) -> Result<Vec<String>, Unplanned> {
    let group: GroupName = first.parse().expect("a name");
    missing_of(
        group.stage_in(&run()).expect("a group").0,
        missing,
        groups,
        first,
    )
}

#[test]
fn groups_with_rows_to_retry_come_in_the_order_of_their_numbers() {
    let receipts = [
        "r.000002~a1~c0~f3~b1~Retry2~NoSuchKey1",
        "r.000000~a1~c0~f1~b1~Retry1",
        "r.000001~a1~c0~f1~b1~NoSuchKey1",
        "r.retry1.000000~a0~c0~f9~b1~Retry9",
        "x.01234567~a0~c0~f9~b1~Retry9",
    ];
    assert_eq!(
        planned(0, 3, &receipts),
        Ok(vec![
            "r.000000 Retry 1/1".to_owned(),
            "r.000002 Retry 2/3".to_owned()
        ])
    );
    assert_eq!(
        planned(1, 1, &receipts),
        Ok(vec!["r.retry1.000000 Retry 9/9".to_owned()])
    );
    assert_eq!(planned(2, 0, &receipts), Ok(vec![]));
}

#[test]
fn a_pass_is_whole_by_name_and_not_by_count() {
    let (first, second) = ("r.000000~a1~c0~f0~b1", "r.000001~a1~c0~f0~b1");
    let (retried, foreign) = ("r.retry1.000001~a1~c0~f0~b1", "r.01234567~a1~c0~f0~b1");
    assert_eq!(
        planned(0, 2, &[first, second, "r.a1234567~a1~c0~f0~b1"]),
        Ok(vec![]),
        "a foreign manifest r.index"
    );
    assert_eq!(planned(0, 2, &[first, retried]), missing(1, 2, "r.000001"));
    assert_eq!(planned(0, 2, &[second, foreign]), missing(1, 2, "r.000000"));
    assert_eq!(
        planned(0, u64::MAX, &[first, second]),
        missing(u64::MAX - 2, u64::MAX, "r.000002")
    );
    assert_eq!(
        planned(1, 2, &[first, second, retried]),
        missing(1, 2, "r.retry1.000000")
    );
    assert_eq!(
        planned(0, 1, &[first, second]),
        Err(Unplanned::Uncounted("r.000001".parse().expect("a name")))
    );
    let twice = planned(0, 2, &[first, second, "r.000001~a2~c0~f0~b1"]);
    assert_eq!(
        twice,
        Err(Unplanned::SeveralReceipts(
            "r.000001".parse().expect("a name")
        ))
    );
}

#[test]
fn a_pass_takes_the_rows_of_its_reasons_that_no_pass_in_between_took() {
    use Reason::{AccessDenied, Changed, Retry};
    const OWN: &str = "r.000000~a1~c0~f6~b1~Retry1~AccessDenied2~Changed3";
    const FIRST: &str = "r.retry1.000000~a1~c0~f4~b1~Retry1~AccessDenied3";
    for (passes, reasons, receipts, wanted) in [
        (
            &[(&[][..], 1)][..],
            &[Retry][..],
            &[OWN][..],
            &["r.000000 Retry 1/6"][..],
        ),
        (
            &[(&[], 1)],
            &[AccessDenied, Retry],
            &[OWN],
            &["r.000000 Retry 1,AccessDenied 2/6"],
        ),
        // The first pass took Retry: denied rows come from both.
        (
            &[(&[], 1), (&[], 1)],
            &[Retry],
            &[OWN, FIRST],
            &["r.retry1.000000 Retry 1/4"],
        ),
        (
            &[(&[], 1), (&[], 1)],
            &[Retry, AccessDenied],
            &[OWN, FIRST],
            &[
                "r.000000 AccessDenied 2/6",
                "r.retry1.000000 Retry 1,AccessDenied 3/4",
            ],
        ),
        // It took denied rows alone: rows to retry come from both.
        (
            &[(&[], 1), (&[AccessDenied], 1)],
            &[Retry, Changed],
            &[OWN, FIRST],
            &["r.000000 Retry 1,Changed 3/6", "r.retry1.000000 Retry 1/4"],
        ),
        (
            &[(&[], 1), (&[AccessDenied], 1)],
            &[AccessDenied],
            &[OWN, FIRST],
            &["r.retry1.000000 AccessDenied 3/4"],
        ),
        (
            &[(&[], 1), (&[AccessDenied], 1)],
            &[Reason::SseC],
            &[OWN, FIRST],
            &[],
        ),
    ] {
        let planned = planned_of(passes, &[], reasons, receipts).expect("whole");
        assert_eq!(planned, wanted, "{passes:?} {reasons:?}");
    }
    let early = planned_of(&[(&[], 1), (&[AccessDenied], 1)], &[], &[Retry], &[OWN]);
    assert_eq!(early, missing_of(Stage::Pass(1), 1, 1, "r.retry1.000000"));
}

#[test]
fn the_groups_of_a_redo_stand_in_for_those_that_it_replaces() {
    let replaced = |group: &str| s3bundler_contract::Replaced {
        group: group.parse().expect("a name"),
        receipt: String::new(),
        rows: 0,
        digest: s3bundler_contract::RowDigest::default(),
        taken: BTreeMap::new(),
    };
    let redo = |pass, group: &str| RunSummary {
        redo: 1,
        groups: 1,
        replaces: vec![replaced(group)],
        ..RunSummary::of_pass(run(), pass)
    };
    let (kept, wrong) = ("r.000000~a1~c0~f1~b1~Retry1", "r.000001~a1~c0~f9~b1~Retry9");
    let redone = "r.redo1.000000~redo~a1~c0~f2~b1~Retry2";
    let wanted = Ok(vec![
        "r.000000 Retry 1/1".to_owned(),
        "r.redo1.000000 Retry 2/2".to_owned(),
    ]);
    let plan = |passes: &[(&[Reason], u64)], redo: RunSummary, receipts: &[&str]| {
        planned_of(passes, &[redo], &[Reason::Retry], receipts)
    };
    assert_eq!(
        plan(&[(&[], 2)], redo(0, "r.000001"), &[kept, wrong, redone]),
        wanted
    );
    assert_eq!(
        plan(&[(&[], 2)], redo(0, "r.000001"), &[kept, redone]),
        wanted,
        "it needs no receipt"
    );
    let early = plan(&[(&[], 2)], redo(0, "r.000001"), &[kept, wrong]);
    assert_eq!(early, missing_of(Stage::Redo(1), 1, 1, "r.redo1.000000"));
    // A redo after pass 1 leaves its rows to pass 2.
    let retried = "r.retry1.000000~a1~c0~f0~b1";
    let passes: &[(&[Reason], u64)] = &[(&[], 2), (&[], 1)];
    let planned = plan(passes, redo(1, "r.000001"), &[kept, wrong, retried, redone]);
    assert_eq!(planned, Ok(vec!["r.redo1.000000 Retry 2/2".to_owned()]));
    let passes: &[(&[Reason], u64)] = &[(&[], 2), (&[], 1), (&[], 0)];
    assert_eq!(
        plan(passes, redo(1, "r.000001"), &[kept, wrong, retried, redone]),
        Ok(vec![]),
        "pass 2 took them"
    );
}
