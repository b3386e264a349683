#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use s3bundler_contract::layout::{GroupName, RunName};
use s3bundler_contract::{LeftOut, Receipt, RunSummary};

use super::*;
use crate::controller::fixtures::{counted, seen};

#[test]
fn objects_and_bytes_are_those_of_summary_and_receipts() {
    let run: RunName = "logs".parse().unwrap();
    let left_out = [(LeftOut::Excluded, 7), (LeftOut::TooSmall, 2)].into();
    let summary = RunSummary {
        groups: 3,
        objects: 91,
        rows: 100,
        bytes: 5000,
        left_out,
        ..RunSummary::empty(run.clone())
    };
    let receipt = |number, archived, failed: &[(Reason, u64)]| {
        let mut receipt = Receipt::empty(GroupName::numbered(&run, number));
        let figures = &mut receipt.figures;
        (
            figures.archived,
            figures.copied,
            figures.archived_bytes,
            figures.copied_bytes,
        ) = (archived, 2, 800, 600);
        (figures.failed, figures.failed_bytes) = (failed.iter().copied().collect(), 50);
        receipt.name()
    };
    let names = [
        receipt(0, 20, &[]),
        receipt(1, 21, &[(Reason::NoSuchKey, 3), (Reason::Retry, 4)]),
        receipt(2, 22, &[(Reason::NoSuchKey, 1)]),
    ];
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let look = |names: &[&str]| Observed {
        summary: Some(summary.clone()),
        counted: Some(counted(names)),
        ..seen()
    };

    let mut status = ArchiveRunStatus::default();
    counts(&mut status, &look(&names), &[]);
    let (objects, bytes) = (status.objects.unwrap(), status.bytes.unwrap());
    assert_eq!((objects.total, objects.left_out), (Some(100), 9));
    assert_eq!(
        (objects.archived, objects.copied, objects.failed),
        (63, 6, 8)
    );
    assert_eq!(
        (bytes.total, bytes.archived, bytes.copied, bytes.failed),
        (Some(5000), 2400, 1800, 150)
    );
    let failures: Vec<_> = status
        .failures
        .iter()
        .map(|it| (it.reason.as_str(), it.count))
        .collect();
    assert_eq!(failures, [("Retry", 4), ("NoSuchKey", 4)]);
    assert_eq!(
        (status.groups.unwrap().committed, status.progress.as_deref()),
        (3, Some("3/3"))
    );

    // A LIST that lags behind another takes nothing back.
    counts(&mut status, &look(&names[..1]), &[]);
    let (groups, objects, bytes) = (
        status.groups.unwrap(),
        status.objects.unwrap(),
        status.bytes.unwrap(),
    );
    assert_eq!(
        (groups.committed, objects.archived, objects.copied),
        (3, 63, 6)
    );
    assert_eq!((bytes.archived, bytes.copied), (2400, 1800));

    // What another pass may bring has not failed.
    counts(&mut status, &look(&names), &[Reason::Retry]);
    assert_eq!(
        (status.objects.unwrap().failed, status.failures.len()),
        (4, 1)
    );
}

#[test]
fn a_repaired_receipt_takes_back_what_it_counted_too_much() {
    let run: RunName = "logs".parse().unwrap();
    let summary = RunSummary {
        groups: 2,
        objects: 20,
        rows: 20,
        ..RunSummary::empty(run)
    };
    let mut status = ArchiveRunStatus::default();
    let mut look = |names: &[&str]| {
        let pass_summary = Some(summary.clone());
        let seen = Observed {
            summary: Some(summary.clone()),
            pass_summary,
            counted: Some(counted(names)),
            ..seen()
        };
        counts(&mut status, &seen, &[]);
        (
            status.objects.unwrap().archived,
            status.bytes.unwrap().archived,
        )
    };
    let (first, right) = ("logs.000000~a10~c0~f0~b100", "logs.000001~a10~c0~f0~b100");
    let huge = "logs.000001~a18446744073709551615~c0~f0~b18446744073709551615";
    assert_eq!(look(&[first, huge]), (i64::MAX, i64::MAX));
    assert_eq!(look(&[first]), (i64::MAX, i64::MAX), "a LIST may lag");
    assert_eq!(look(&[first, right]), (20, 200));
}
