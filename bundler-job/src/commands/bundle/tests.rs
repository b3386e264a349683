use clap::Parser as _;
use s3bundler_contract::S3Address;

use super::summary::Summary;
use super::summary::tests::report;
use super::*;
use crate::args::{Cli, Command};
use crate::bundle::manifest::ManifestError;
use crate::bundle::source::FetchError;
use crate::s3::{ErrorKind, S3Error};

fn args(manifests: &[&str]) -> BundleArgs {
    let mut line = vec!["s3bundler", "bundle", "--destination", "s3://d/p"];
    line.extend(manifests.iter().flat_map(|it| ["--manifest", *it]));
    let Command::Bundle(args) = Cli::try_parse_from(line).expect("good arguments").command else {
        unreachable!()
    };
    args
}

/// How given manifests end: `good` is archived, `before` was, others fail as their key says.
async fn worked(manifests: &[&str]) -> (Result<Ended, Failure>, Summary) {
    let archive = |manifest: ManifestRef, _| async move {
        let failed = |disposition, exit| {
            Err(GroupFailure::new(
                disposition,
                Failure::new(exit, manifest.key.clone()),
            ))
        };
        match manifest.key.as_str() {
            "good" => Ok(report(10, true)),
            "before" => Ok(report(10, false)),
            "torn" => failed(Disposition::LeaveForRedrive, ExitCode::Unreadable),
            "slow" => failed(Disposition::GiveBack, ExitCode::Download),
            "full" => failed(Disposition::Fatal, ExitCode::Local),
            _ => panic!("a defect"),
        }
    };
    let (figures, shutdown) = (Figures::default(), Shutdown::listen().expect("signals"));
    let ended = from_manifests(&args(manifests), &shutdown, &figures, archive).await;
    let summary = std::mem::take(&mut figures.lock().summary);
    (ended, summary)
}

#[tokio::test(start_paused = true)]
async fn given_manifests_are_each_tried_once_and_the_worst_decides() {
    let begun = tokio::time::Instant::now();
    for (manifests, expected, archived, failed) in [
        (&["s3://b/good", "s3://b/before"][..], None, 1, 0),
        (
            &["s3://b/good", "s3://b/torn", "s3://b/slow", "s3://b/good"],
            Some(ExitCode::Download),
            2,
            2,
        ),
        (
            &["s3://b/defect", "s3://b/good"],
            Some(ExitCode::Unexpected),
            1,
            0,
        ),
    ] {
        let (ended, summary) = worked(manifests).await;
        assert_eq!(ended.err().map(|it| it.exit), expected, "{manifests:?}");
        assert_eq!(
            (summary.groups_archived, summary.groups_failed),
            (archived, failed),
            "{manifests:?}"
        );
    }
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "nobody waits for a group to be tried again"
    );
}

#[test]
fn a_worker_ends_where_its_first_group_is_denied_or_in_another_region() {
    let denied = || BundleError::SourceDenied {
        bucket: "b".to_owned(),
        lost: false,
    };
    let failed = |kind| S3Error::local("GetObject", S3Address::new("b", "k"), kind, "why");
    let source = |kind| BundleError::Fetch(FetchError::Source(failed(kind)));
    let copied = || BundleError::Fetch(FetchError::Destination(failed(ErrorKind::WrongRegion)));
    let manifest = || BundleError::Manifest(ManifestError::S3(failed(ErrorKind::WrongRegion)));
    let (fatal, give_back) = (Disposition::Fatal, Disposition::GiveBack);
    for (error, first, later) in [
        (denied(), fatal, give_back),
        (source(ErrorKind::WrongRegion), fatal, give_back),
        (copied(), fatal, give_back),
        (manifest(), fatal, give_back),
        // Of this bucket, and not of the worker.
        (source(ErrorKind::NoBucket), give_back, give_back),
        (source(ErrorKind::Transient), give_back, give_back),
        (source(ErrorKind::Credentials), fatal, fatal),
    ] {
        assert_eq!(
            (
                of_message(&error, false, false),
                of_message(&error, false, true)
            ),
            (first, later),
            "{error}"
        );
        assert_eq!(
            of_message(&error, true, false),
            give_back,
            "{error}: during an outage"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_ends_it_at_once() {
    let (ended, summary) =
        worked(&["s3://b/full", "s3://b/good", "s3://b/good", "s3://b/good"]).await;
    assert_eq!(ended.expect_err("fatal").exit, ExitCode::Local);
    assert!(summary.groups_archived <= 1, "{summary:?}");
}
