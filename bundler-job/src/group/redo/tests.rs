use s3bundler_contract::RowDigest;

use super::*;

fn run() -> RunName {
    "r".parse().expect("a name")
}

fn chosen(
    summaries: &[RunSummary],
    redo: u32,
    groups: &[&str],
    receipts: &[&str],
) -> Result<String, RedoProblem> {
    let accounts = Accounts::of(summaries.iter().cloned());
    let mut archived: BTreeMap<GroupName, Archived> = BTreeMap::new();
    for receipt in receipts {
        let receipt = Receipt::parse(receipt).expect("a receipt");
        let group = receipt.group.clone();
        archived
            .entry(group)
            .and_modify(|it| it.twice = true)
            .or_insert_with(|| receipt.into());
    }
    let groups = groups
        .iter()
        .map(|group| group.parse().expect("a name"))
        .collect();
    let chosen = choose(&accounts, &run(), redo, &groups, &archived)?;
    let told: Vec<_> = chosen
        .iter()
        .map(|it| format!("{} {:?} {:?}", it.group, it.reasons, it.expected))
        .collect();
    Ok(told.join("; "))
}

fn pass(pass: u32, groups: u64, reasons: &[Reason]) -> RunSummary {
    RunSummary {
        groups,
        reasons: reasons.to_vec(),
        ..RunSummary::of_pass(run(), pass)
    }
}

fn redone(redo: u32, pass: u32, group: &str) -> RunSummary {
    let group = group.parse().expect("a name");
    let replaced = Replaced {
        group,
        receipt: String::new(),
        rows: 0,
        digest: RowDigest::default(),
        taken: BTreeMap::new(),
    };
    RunSummary {
        redo,
        groups: 1,
        replaces: vec![replaced],
        ..RunSummary::of_pass(run(), pass)
    }
}

#[test]
fn rows_that_a_retry_pass_took_are_known_by_its_reasons() {
    use Reason::{AccessDenied, Retry};
    let own = pass(0, 2, &[]);
    let receipt = "r.000001~a1~c0~f3~b1~Retry1~AccessDenied2";
    let retried = [own.clone(), pass(1, 1, &[]), pass(2, 1, &[AccessDenied])];
    for (summaries, receipts, wanted) in [
        (&[own.clone()][..], &[receipt][..], "r.000001 {} Some({})"),
        (
            &[own.clone(), pass(1, 1, &[])],
            &[receipt],
            "r.000001 {Retry} Some({Retry: 1})",
        ),
        (
            &retried,
            &[receipt],
            "r.000001 {Retry, AccessDenied} Some({Retry: 1, AccessDenied: 2})",
        ),
        (
            &[own.clone(), pass(1, 1, &[AccessDenied, Retry])],
            &[],
            "r.000001 {Retry, AccessDenied} None",
        ),
        (
            &[own.clone(), pass(1, 1, &[])],
            &[receipt, "r.000001~a4~c0~f0~b1"],
            "r.000001 {Retry} None",
        ),
    ] {
        assert_eq!(
            chosen(summaries, 1, &["r.000001"], receipts),
            Ok(wanted.to_owned())
        );
    }
    assert_eq!(
        chosen(&retried, 1, &["r.retry1.000000", "r.000000"], &[]),
        Ok("r.000000 {Retry, AccessDenied} None; r.retry1.000000 {AccessDenied} None".to_owned())
    );
    // What is left by a redo after pass 1 is the second pass's to take.
    let redo = redone(1, 1, "r.000000");
    let summaries = [own, pass(1, 1, &[]), redo, pass(2, 1, &[])];
    assert_eq!(
        chosen(&summaries, 2, &["r.redo1.000000"], &[]),
        Ok("r.redo1.000000 {Retry} None".to_owned())
    );
}

#[test]
fn what_cannot_be_replaced_is_refused() {
    let name = |name: &str| name.parse::<GroupName>().expect("a name");
    let summaries = [pass(0, 2, &[]), redone(1, 0, "r.000001")];
    for (redo, group, problem) in [
        (2, "r.000002", RedoProblem::Unknown(name("r.000002"))),
        (
            2,
            "r.retry1.000000",
            RedoProblem::Unknown(name("r.retry1.000000")),
        ),
        (2, "x.01234567", RedoProblem::Unknown(name("x.01234567"))),
        (
            2,
            "r.000001",
            RedoProblem::Replaced {
                group: name("r.000001"),
                by: 1,
            },
        ),
        (3, "r.000000", RedoProblem::Gap(2)),
    ] {
        assert_eq!(
            chosen(&summaries, redo, &[group], &[]),
            Err(problem),
            "{redo} {group}"
        );
    }
}
