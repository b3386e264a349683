use s3bundler_contract::RunSummary;

use super::*;

fn run() -> RunName {
    "r".parse().expect("a run's name")
}

fn accounts(groups: u64) -> Accounts {
    Accounts::of([RunSummary {
        groups,
        objects: 10 * groups,
        rows: 10 * groups,
        ..RunSummary::empty(run())
    }])
}

#[test]
fn the_state_of_a_run_follows_from_its_claim_summaries_and_receipts() {
    let one = ["r.000000~a10~c0~f0~b100"];
    let wrong = ["r.000000~a9~c0~f0~b100"];
    for (is_claimed, accounts, receipts, state) in [
        (true, Accounts::default(), &one[..0], RunState::Grouping),
        (false, Accounts::default(), &one, RunState::Manifests),
        (true, accounts(2), &one, RunState::Archiving),
        (true, accounts(1), &one, RunState::Complete),
        (true, accounts(1), &wrong, RunState::Mismatch),
    ] {
        let totals = RunTotals::of(&run(), &accounts, receipts.iter().copied());
        assert_eq!(RunState::of(is_claimed, &accounts, &totals), state);
    }
}

#[test]
fn rows_of_manifests_from_elsewhere_are_counted_apart() {
    let receipts = [
        "r.000000~a10~c0~f0~b100",
        "x.01234567~a3~c0~f1~b30~Retry1",
        "r.retry1.000000~a1~c0~f0~b1",
    ]
    .map(str::to_owned);
    let figures = of_manifests(&run(), &accounts(1), &receipts);
    assert_eq!((figures.archived, figures.failed_objects()), (3, 1));
}
