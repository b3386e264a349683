use s3bundler_contract::accounts::Mismatch;
use s3bundler_contract::{Figures, Reason};

use super::*;

#[test]
fn a_run_succeeds_only_if_it_adds_up_and_few_enough_objects_failed() {
    let run: RunName = "r".parse().expect("a name");
    let summary = RunSummary {
        objects: 10,
        rows: 12,
        ..RunSummary::empty(run.clone())
    };
    let exit = |totals: RunTotals, max_failed: Option<&str>| {
        let max_failed = max_failed.map(|text| text.parse().expect("a limit"));
        verdict(&run, &summary, &totals, max_failed).map(|failure| failure.exit)
    };
    let failed = |count| RunTotals {
        figures: Figures {
            failed: [(Reason::AccessDenied, count)].into(),
            ..Figures::default()
        },
        ..RunTotals::default()
    };
    for (count, max_failed, wanted) in [
        (0, None, None),
        (9, None, None),
        (10, None, Some(ExitCode::TooManyFailed)),
        (10, Some("100%"), None),
        (10, Some("10"), None),
        (1, Some("0"), Some(ExitCode::TooManyFailed)),
        (2, Some("10%"), Some(ExitCode::TooManyFailed)),
    ] {
        assert_eq!(
            exit(failed(count), max_failed),
            wanted,
            "{count} {max_failed:?}"
        );
    }
    let mismatch = Some(Mismatch {
        rows: 12,
        left_out: 2,
        figures: Figures::default(),
    });
    assert_eq!(
        exit(
            RunTotals {
                mismatch,
                ..failed(10)
            },
            None
        ),
        Some(ExitCode::AccountingMismatch)
    );
    assert_eq!(
        exit(
            RunTotals {
                missing: 1,
                ..failed(0)
            },
            None
        ),
        Some(ExitCode::Unexpected)
    );
    let defects = vec!["x".to_owned()];
    assert_eq!(
        exit(
            RunTotals {
                defects,
                ..failed(0)
            },
            None
        ),
        Some(ExitCode::Unexpected)
    );
    let empty = RunSummary::empty(run.clone());
    assert!(
        verdict(&run, &empty, &RunTotals::default(), None).is_none(),
        "nothing is not everything"
    );
}
