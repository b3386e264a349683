use super::*;
use crate::figures::sum;
use crate::reason::LeftOut;
use crate::receipt::Receipt;
use crate::record::Replaced;

fn run() -> RunName {
    "r".parse().expect("a name")
}

fn counted(accounts: &Accounts, receipts: &[&str]) -> BTreeMap<Stage, Counted> {
    let mut counted: BTreeMap<Stage, Counted> = BTreeMap::new();
    for receipt in receipts {
        let receipt = Receipt::parse(receipt).expect("a receipt");
        let (stage, number) = receipt.group.stage_in(&run()).expect("a group");
        if !accounts.is_replaced(&receipt.group) {
            counted
                .entry(stage)
                .or_default()
                .add(number, &receipt.figures);
        }
    }
    counted
}

fn own(groups: u64, rows: u64) -> RunSummary {
    let left_out = [(LeftOut::TooSmall, 5)].into();
    RunSummary {
        groups,
        objects: rows,
        rows: rows + 5,
        left_out,
        ..RunSummary::empty(run())
    }
}

fn pass(pass: u32, rows_by_reason: &[(Reason, u64)]) -> RunSummary {
    let rows_by_reason: BTreeMap<_, _> = rows_by_reason.iter().copied().collect();
    let objects = sum(rows_by_reason.values());
    let reasons = rows_by_reason.keys().copied().collect();
    RunSummary {
        groups: 1,
        objects,
        rows: objects,
        reasons,
        rows_by_reason,
        ..RunSummary::of_pass(run(), pass)
    }
}

fn told(figures: &Figures) -> String {
    let failed: Vec<_> = figures
        .failed
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    format!(
        "{} {} {}",
        figures.archived,
        figures.copied,
        failed.join(",")
    )
}

#[test]
fn every_row_counts_once_whatever_the_reasons_of_a_pass() {
    const OWN: &str = "r.000000~a6~c0~f4~b60~Retry2~AccessDenied2";
    let two = pass(1, &[(Reason::Retry, 2), (Reason::AccessDenied, 2)]);
    let denied = pass(1, &[(Reason::AccessDenied, 2)]);
    for (summaries, receipts, outcome) in [
        (vec![own(1, 10)], vec![OWN], "6 0 Retry 2,AccessDenied 2"),
        (
            vec![own(1, 10), two.clone()],
            vec![OWN],
            "6 0 Retry 2,AccessDenied 2",
        ),
        (
            vec![own(1, 10), two],
            vec![OWN, "r.retry1.000000~a3~c0~f1~b30~Changed1"],
            "9 0 Changed 1",
        ),
        (
            vec![own(1, 10), denied],
            vec![OWN, "r.retry1.000000~a2~c0~f0~b20"],
            "8 0 Retry 2",
        ),
        // The grouper of the pass is at work.
        (
            vec![own(1, 10)],
            vec![OWN, "r.retry1.000000~a1~c0~f0~b10"],
            "7 0 Retry 1,AccessDenied 2",
        ),
    ] {
        let accounts = Accounts::of(summaries);
        let counted = counted(&accounts, &receipts);
        assert_eq!(told(&accounts.outcome(&counted)), outcome, "{receipts:?}");
        assert_eq!(accounts.mismatch(&counted), None, "{receipts:?}");
    }
}

fn redo(objects: u64, groups: &[(&str, &[(Reason, u64)])]) -> RunSummary {
    let replaced = |(group, taken): &(&str, &[(Reason, u64)])| Replaced {
        group: group.parse().expect("a name"),
        receipt: String::new(),
        rows: 0,
        digest: crate::RowDigest::default(),
        taken: taken.iter().copied().collect(),
    };
    let replaces = groups.iter().map(replaced).collect();
    RunSummary {
        redo: 1,
        groups: 1,
        objects,
        rows: objects,
        replaces,
        ..RunSummary::of_pass(run(), 1)
    }
}

#[test]
fn a_redo_counts_in_place_of_the_groups_that_it_replaces() {
    const KEPT: &str = "r.000000~a9~c0~f1~b90~Retry1";
    const WRONG: &str = "r.000001~a1~c0~f9~b10~Retry2~NoSuchKey7";
    const RETRIED: &str = "r.retry1.000000~a3~c0~f0~b30";
    const REDONE: &str = "r.redo1.000000~redo~a8~c0~f0~b80";
    let (first, retry) = (own(2, 20), pass(1, &[(Reason::Retry, 3)]));
    let redo = redo(8, &[("r.000001", &[(Reason::Retry, 2)])]);
    let accounts = Accounts::of([first, retry, redo]);
    for receipts in [
        &[KEPT, WRONG, RETRIED, REDONE][..],
        &[KEPT, RETRIED, REDONE],
    ] {
        let counted = counted(&accounts, receipts);
        assert_eq!(told(&accounts.outcome(&counted)), "20 0 ");
        assert_eq!(accounts.mismatch(&counted), None);
        for stage in [Stage::OWN, Stage::Pass(1), Stage::Redo(1)] {
            assert!(accounts.is_whole(stage, &counted), "{stage}");
            assert_eq!(accounts.missing(stage, &counted), Some(0), "{stage}");
        }
    }
    let under_way = counted(&accounts, &[KEPT, WRONG, RETRIED]);
    assert_eq!(accounts.missing(Stage::Redo(1), &under_way), Some(1));
    assert!(!accounts.is_whole(Stage::Redo(1), &under_way));
    assert!(accounts.mismatch(&under_way).is_some());
}

#[test]
fn a_group_of_a_retry_pass_can_be_replaced_too() {
    let accounts = Accounts::of([
        own(1, 10),
        pass(1, &[(Reason::Retry, 4)]),
        redo(4, &[("r.retry1.000000", &[])]),
    ]);
    let receipts = [
        "r.000000~a6~c0~f4~b60~Retry4",
        "r.redo1.000000~redo~a4~c0~f0~b40",
    ];
    let counted = counted(&accounts, &receipts);
    assert_eq!(told(&accounts.outcome(&counted)), "10 0 ");
    assert_eq!(
        (
            accounts.mismatch(&counted),
            accounts.is_whole(Stage::Pass(1), &counted)
        ),
        (None, true)
    );
}

#[test]
fn rows_too_few_and_too_many_are_a_mismatch_and_hostile_receipts_do_not_overflow() {
    let accounts = Accounts::of([own(1, 10)]);
    for (receipt, matches) in [
        ("r.000000~a10~c0~f0~b1", true),
        ("r.000000~a8~c1~f1~b1~NoSuchKey1", true),
        ("r.000000~a9~c0~f0~b1", false),
        ("r.000000~a11~c0~f0~b1", false),
        (
            "r.000000~a18446744073709551615~c18446744073709551615~f0~b18446744073709551615",
            false,
        ),
    ] {
        let mismatch = accounts.mismatch(&counted(&accounts, &[receipt]));
        assert_eq!(mismatch.is_none(), matches, "{receipt}: {mismatch:?}");
    }
    let told = accounts
        .mismatch(&counted(&accounts, &["r.000000~a0~c0~f0~b0"]))
        .expect("a mismatch")
        .to_string();
    assert!(
        told.contains("15 rows, but 0 archived + 0 copied + 0 failed + 5 left out are 5"),
        "{told}"
    );
    assert_eq!(Accounts::default().mismatch(&BTreeMap::new()), None);
}
