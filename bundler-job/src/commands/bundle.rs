//! `s3bundler bundle`: groups from a queue until there is a reason to end, or the groups of given manifests.
//!
//! ```text
//! --queue ────► SqsQueue ────┐
//!                            ├──► worker ──► archive one group ──► figures ──► summary
//! --manifest ─► MemoryQueue ─┘
//! ```
//!
//! Manifests go through the queue in memory, each delivered once: slots, panics and signals are then the same matter
//! in both. On SIGTERM and SIGINT a queue's worker drains and exits 0; given manifests are broken off, exit 130 or 143.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use indicatif::BinaryBytes;
use s3bundler_contract::group_manifest::Columns;
use s3bundler_contract::message::ManifestRef;
use s3bundler_contract::{ExitCode, Receipt};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::failures::Failures;
use crate::activity::Activity;
use crate::args::{BundleArgs, GlobalArgs, OutputFormat};
use crate::bundle::{Bundler, Settings, probe};
use crate::failure::Failure;
use crate::process::start_over;
use crate::progress::{Progress, ProgressStyle};
use crate::queue::{Disposition, Ended, GroupFailure, MemoryQueue, Queue, SqsQueue, WorkError, WorkerOptions, work};
use crate::s3::{S3, load_config};
use crate::signals::Shutdown;
use crate::stdout;

/// A group that is archived.
#[derive(Debug, Clone)]
struct Archived {
    /// Its figures.
    receipt: Receipt,
    /// Whether this process archived it; otherwise somebody had before.
    here: bool,
}

/// Archives groups from a queue, or those of given manifests.
pub async fn bundle(args: BundleArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let shutdown = Shutdown::listen().map_err(|error| Failure::new(ExitCode::Unexpected, error))?;
    let archive = args.archive.options();
    let destination = args.destination.resolve(archive.key_layout)?;
    let fieldnames: Option<Columns> = args
        .fieldnames
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|error| Failure::new(ExitCode::Usage, format!("--fieldnames: {error}")))?;
    let settings = Settings::new(destination.clone(), args.name.clone(), archive, fieldnames, &args.work)?;
    let options = args.work.s3_options(global.s3_options(Some(&args.destination.destination))?);
    let config = load_config(&options).await?;
    let s3 = S3::new(config.clone(), &options);
    probe::conditional_writes(&s3, &destination).await.map_err(|error| Failure::new(error.exit(), error))?;
    let progress = Progress::start(ProgressStyle::for_stderr());
    let bundler = Bundler::new(s3.clone(), settings, progress.clone());
    let (of_bundler, has_queue) = (s3.clone(), args.queue.is_some());
    // The destination was asked by the probe. A process that starts during an outage receives nothing before its end.
    if has_queue && let Some(bucket) = bundler.source_bucket().await {
        s3.ask(&bucket).await;
    }
    let archive = move |manifest: ManifestRef, cancel: CancellationToken| {
        let (bundler, s3) = (bundler.clone(), of_bundler.clone());
        async move {
            let done = Box::pin(bundler.bundle(&manifest, &cancel)).await;
            done.map(|done| Archived { receipt: done.receipt, here: done.committed_here }).map_err(|error| {
                // A worker that waits for the end of an outage keeps no message, and ends for nothing.
                let waits = has_queue && !s3.outages().is_clear();
                let disposition = if waits { Disposition::GiveBack } else { error.disposition() };
                GroupFailure::new(disposition, error.into())
            })
        }
    };
    bundle_with(&args, global.output, (&config, s3), &shutdown, &progress, archive).await
}

/// Archives groups with `archive` until the queue, the manifests or a signal say that it is enough, and prints a summary.
async fn bundle_with<F, Fut>(
    args: &BundleArgs,
    output: OutputFormat,
    (config, s3): (&aws_config::SdkConfig, S3),
    shutdown: &Shutdown,
    progress: &Progress,
    archive: F,
) -> Result<(), Failure>
where
    F: Fn(ManifestRef, CancellationToken) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Archived, GroupFailure<Failure>>> + Send + 'static,
{
    let figures = Figures::default();
    figures.activity.watch(s3.clone());
    if let Some(address) = args.listen {
        figures.activity.listen(address).await?;
    }
    let begun = Instant::now();
    let ended = match &args.queue {
        Some(name) => {
            let queue = SqsQueue::connect(config, name).await?;
            from_queue(&queue, args, s3, shutdown, &figures, archive).await
        }
        None => from_manifests(args, shutdown, &figures, archive).await,
    };
    progress.finish();
    if matches!(ended, Ok(Ended::Recycle)) && !shutdown.token().is_cancelled() {
        tracing::info!(groups = args.recycle_after, "enough groups for one process, starting over");
        return Err(start_over());
    }
    figures.lock().summary.print(begun.elapsed(), output);
    ended.map(|_| ())
}

/// Works on a queue. What becomes of a group that failed is the queue's business, so it is no failure of the command,
/// unless the queue is empty and every group failed.
async fn from_queue<F, Fut>(
    queue: &SqsQueue,
    args: &BundleArgs,
    s3: S3,
    shutdown: &Shutdown,
    figures: &Figures,
    archive: F,
) -> Result<Ended, Failure>
where
    F: Fn(ManifestRef, CancellationToken) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Archived, GroupFailure<Failure>>> + Send + 'static,
{
    let destination = args.destination.resolve(args.archive.options().key_layout)?;
    let options = WorkerOptions {
        groups: args.work.groups.into(),
        idle_exit: args.idle_exit.map(Duration::from_secs),
        drain: Duration::from_secs(args.drain),
        recycle_after: args.recycle_after,
        destination: Some(destination),
        s3: Some(s3),
        ..WorkerOptions::default()
    };
    tracing::info!(
        queue = queue.url(),
        groups = options.groups,
        drain_seconds = args.drain,
        idle_exit_seconds = args.idle_exit,
        recycle_after = options.recycle_after,
        "working on a queue"
    );
    let archive = giving_up_where_denied(counted(archive, figures), figures.clone());
    let ended = work(queue, &options, shutdown.token().clone(), archive).await.map_err(failure)?;
    if ended == Ended::Idle {
        figures.lock().nothing_but_failures()?;
    }
    Ok(ended)
}

/// Works on given manifests, each once.
async fn from_manifests<F, Fut>(
    args: &BundleArgs,
    shutdown: &Shutdown,
    figures: &Figures,
    archive: F,
) -> Result<Ended, Failure>
where
    F: Fn(ManifestRef, CancellationToken) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Archived, GroupFailure<Failure>>> + Send + 'static,
{
    let queue = MemoryQueue::new(1);
    let manifests: Vec<_> = args.manifest.iter().map(|address| ManifestRef::new(address.clone(), None)).collect();
    queue.send(&manifests).await?;
    queue.close();
    let options = WorkerOptions { groups: args.work.groups.into(), drain: Duration::ZERO, ..WorkerOptions::default() };
    let ended = work(&queue, &options, shutdown.token().clone(), counted(archive, figures)).await.map_err(failure)?;
    if let Some(exit) = shutdown.by() {
        return Err(Failure::new(exit, "ended by a signal; the same command goes on where this one stopped"));
    }
    let failures = std::mem::take(&mut figures.lock().failures);
    let given_up = queue.given_up().len();
    failures.into_result(&format!("{given_up} of {} groups were not archived", manifests.len()))?;
    // A panic leaves no failure behind.
    let unexpected = || Failure::new(ExitCode::Unexpected, format!("{given_up} groups were not archived, see the log"));
    if given_up == 0 { Ok(ended) } else { Err(unexpected()) }
}

fn failure(error: WorkError<Failure>) -> Failure {
    match error {
        WorkError::Fatal(failure) => failure,
        WorkError::Queue(error) => error.into(),
    }
}

/// `archive`, with what comes of it counted.
fn counted<F, Fut>(
    archive: F,
    figures: &Figures,
) -> impl Fn(ManifestRef, CancellationToken) -> Handled + Send + Sync + 'static
where
    F: Fn(ManifestRef, CancellationToken) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Archived, GroupFailure<Failure>>> + Send + 'static,
{
    let figures = figures.clone();
    move |manifest, cancel| {
        let (archiving, figures) = (archive(manifest, cancel.clone()), figures.clone());
        Box::pin(async move {
            let _holding = figures.activity.hold();
            let result = archiving.await;
            match &result {
                Ok(Archived { here: false, .. }) => figures.activity.count("archived_before"),
                Ok(archived) => figures.activity.archived(&archived.receipt),
                Err(_) if cancel.is_cancelled() => figures.activity.count("given_back"),
                Err(_) => figures.activity.count("failed"),
            }
            figures.lock().add(&result, cancel.is_cancelled());
            result.map(|_| ())
        })
    }
}

/// `archive`, ending the process where a group is denied and none has been archived yet: most likely the credentials are
/// at fault, and a worker that goes on would carry one group after the other to the dead-letter queue.
fn giving_up_where_denied(
    archive: impl Fn(ManifestRef, CancellationToken) -> Handled + Send + Sync + 'static,
    figures: Figures,
) -> impl Fn(ManifestRef, CancellationToken) -> Handled + Send + Sync + 'static {
    move |manifest, cancel| {
        let (archiving, figures) = (archive(manifest, cancel), figures.clone());
        Box::pin(async move {
            archiving.await.map_err(|failure| {
                let is_denied =
                    failure.cause.exit == ExitCode::Permission && figures.lock().summary.groups_archived == 0;
                if is_denied { GroupFailure::new(Disposition::Fatal, failure.cause) } else { failure }
            })
        })
    }
}

type Handled = BoxFuture<'static, Result<(), GroupFailure<Failure>>>;

/// What the groups of this process add up to, shared by their tasks.
#[derive(Debug, Clone, Default)]
struct Figures {
    counted: Arc<Mutex<Counted>>,
    activity: Activity,
}

#[derive(Debug, Default)]
struct Counted {
    summary: Summary,
    failures: Failures,
}

impl Figures {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        // Nothing panics while it holds the lock.
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// An error if groups failed and none was archived, by this process or before.
    fn nothing_but_failures(&mut self) -> Result<(), Failure> {
        let Summary { groups_archived, groups_archived_before, groups_failed, .. } = self.summary;
        if groups_failed == 0 || groups_archived + groups_archived_before > 0 {
            return Ok(());
        }
        let unexpected = format!("all tries at a group failed ({groups_failed}), see the log");
        let failures = std::mem::take(&mut self.failures);
        failures.into_result(&format!("no group was archived: all {groups_failed} tries failed"))?;
        // A panic leaves no failure behind.
        Err(Failure::new(ExitCode::Unexpected, unexpected))
    }

    fn add(&mut self, result: &Result<Archived, GroupFailure<Failure>>, was_cancelled: bool) {
        match result {
            Ok(Archived { here: false, .. }) => self.summary.groups_archived_before += 1,
            Ok(Archived { receipt, .. }) => self.summary.add(receipt),
            // Not failed: given back.
            Err(_) if was_cancelled => self.summary.groups_stopped += 1,
            Err(failure) => {
                self.summary.groups_failed += 1;
                self.failures.add(&failure.cause);
            }
        }
    }
}

/// What `bundle` says at its end: what this process did, not how far a run is.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    /// Groups that this process archived.
    groups_archived: u64,
    /// Groups that it found archived.
    groups_archived_before: u64,
    /// Tries that failed; the queue may have had others try again.
    groups_failed: u64,
    /// Groups given back because the process was to end.
    groups_stopped: u64,
    /// What became of the objects of the groups that this process archived.
    #[serde(flatten)]
    figures: s3bundler_contract::Figures,
}

impl Summary {
    fn add(&mut self, receipt: &Receipt) {
        self.groups_archived += 1;
        self.figures.add(&receipt.figures);
    }

    fn print(&self, elapsed: Duration, output: OutputFormat) {
        match output {
            OutputFormat::Json => {
                let json = serde_json::to_string_pretty(self).expect("plain fields are JSON");
                stdout::print(&format!("{json}\n"));
            }
            OutputFormat::Text => stdout::print(&self.text(elapsed)),
        }
    }

    fn text(&self, elapsed: Duration) -> String {
        let groups = [
            (self.groups_archived_before, "archived before"),
            (self.groups_failed, "failed"),
            (self.groups_stopped, "given back"),
        ];
        let groups = groups.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let groups: Vec<_> = [format!("{} groups archived", self.groups_archived)].into_iter().chain(groups).collect();
        let figures = &self.figures;
        let reasons: Vec<_> = figures.failed.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        let lines = [
            groups.join(", "),
            format!("  archived     {} objects, {}", figures.archived, BinaryBytes(figures.archived_bytes)),
            format!("  copied       {} objects, {}", figures.copied, BinaryBytes(figures.copied_bytes)),
            format!("  failed       {} objects{reasons}", figures.failed_objects()),
            format!("  took         {:.1} s", elapsed.as_secs_f64()),
        ];
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use s3bundler_contract::{GroupName, Reason};

    use super::*;
    use crate::args::{Cli, Command};

    fn receipt(archived: u64) -> Receipt {
        let group: GroupName = "r.000000".parse().expect("a name");
        let figures = s3bundler_contract::Figures {
            archived,
            archived_bytes: 1024 * archived,
            failed: [(Reason::NoSuchKey, 1), (Reason::Retry, 2)].into(),
            ..s3bundler_contract::Figures::default()
        };
        Receipt { figures, ..Receipt::empty(group) }
    }

    fn args(manifests: &[&str]) -> BundleArgs {
        let mut line = vec!["s3bundler", "bundle", "--destination", "s3://d/p"];
        line.extend(manifests.iter().flat_map(|it| ["--manifest", *it]));
        let Command::Bundle(args) = Cli::try_parse_from(line).expect("good arguments").command else { unreachable!() };
        args
    }

    /// How given manifests end: `good` is archived, `before` was, others fail as their key says.
    async fn worked(manifests: &[&str]) -> (Result<Ended, Failure>, Summary) {
        let archive = |manifest: ManifestRef, _| async move {
            let failed =
                |disposition, exit| Err(GroupFailure::new(disposition, Failure::new(exit, manifest.key.clone())));
            match manifest.key.as_str() {
                "good" => Ok(Archived { receipt: receipt(10), here: true }),
                "before" => Ok(Archived { receipt: receipt(10), here: false }),
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
            (&["s3://b/good", "s3://b/torn", "s3://b/slow", "s3://b/good"], Some(ExitCode::Download), 2, 2),
            (&["s3://b/defect", "s3://b/good"], Some(ExitCode::Unexpected), 1, 0),
        ] {
            let (ended, summary) = worked(manifests).await;
            assert_eq!(ended.err().map(|it| it.exit), expected, "{manifests:?}");
            assert_eq!((summary.groups_archived, summary.groups_failed), (archived, failed), "{manifests:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "nobody waits for a group to be tried again");
    }

    #[tokio::test]
    async fn a_worker_whose_first_group_is_denied_ends_and_one_that_has_archived_others_does_not() {
        let figures = Figures::default();
        let denied = |_, _| -> Handled {
            let cause = Failure::new(ExitCode::Permission, "denied");
            Box::pin(async { Err(GroupFailure::new(Disposition::GiveBack, cause)) })
        };
        let archive = giving_up_where_denied(denied, figures.clone());
        let manifest = || ManifestRef::new("s3://b/k".parse().expect("an address"), None);
        let disposition = async || archive(manifest(), CancellationToken::new()).await.expect_err("denied").disposition;
        assert_eq!(disposition().await, Disposition::Fatal);
        figures.lock().summary.groups_archived = 1;
        assert_eq!(disposition().await, Disposition::GiveBack);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_ends_it_at_once() {
        let (ended, summary) = worked(&["s3://b/full", "s3://b/good", "s3://b/good", "s3://b/good"]).await;
        assert_eq!(ended.expect_err("fatal").exit, ExitCode::Local);
        assert!(summary.groups_archived <= 1, "{summary:?}");
    }

    #[test]
    fn a_worker_that_archived_no_group_and_failed_some_ends_with_their_exit_code() {
        let failed = |exit| Err(GroupFailure::new(Disposition::GiveBack, Failure::new(exit, "x")));
        let mut counted = Counted::default();
        assert!(counted.nothing_but_failures().is_ok(), "an empty queue");
        counted.add(&failed(ExitCode::Download), false);
        counted.add(&failed(ExitCode::Download), false);
        let error = counted.nothing_but_failures().expect_err("all failed");
        assert_eq!(error.exit, ExitCode::Download);
        assert!(error.to_string().contains("all 2 tries failed"), "{error}");
        for here in [true, false] {
            let mut counted = Counted::default();
            counted.add(&failed(ExitCode::Download), false);
            counted.add(&Ok(Archived { receipt: receipt(1), here }), false);
            assert!(counted.nothing_but_failures().is_ok(), "one is archived");
        }
    }

    #[test]
    fn the_summary_says_what_this_process_did() {
        let mut counted = Counted::default();
        counted.add(&Ok(Archived { receipt: receipt(10), here: true }), false);
        counted.add(&Ok(Archived { receipt: receipt(20), here: true }), true);
        counted.add(&Ok(Archived { receipt: receipt(99), here: false }), false);
        let failed = || Err(GroupFailure::new(Disposition::GiveBack, Failure::new(ExitCode::Upload, "x")));
        counted.add(&failed(), false);
        counted.add(&failed(), true);
        insta::assert_snapshot!(counted.summary.text(Duration::from_millis(1_250)), @"
        2 groups archived, 1 archived before, 1 failed, 1 given back
          archived     30 objects, 30.00 KiB
          copied       0 objects, 0 B
          failed       6 objects (Retry 4, NoSuchKey 2)
          took         1.2 s
        ");
        insta::assert_snapshot!(serde_json::to_string(&counted.summary).expect("JSON"), @r#"{"groupsArchived":2,"groupsArchivedBefore":1,"groupsFailed":1,"groupsStopped":1,"archived":30,"copied":0,"failed":{"Retry":4,"NoSuchKey":2},"archivedBytes":30720,"copiedBytes":0,"failedBytes":0}"#);
    }
}
