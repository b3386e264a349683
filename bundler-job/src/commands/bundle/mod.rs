//! `s3bundler bundle`: groups from a queue until there is a reason to end, or the groups of given
//! manifests.
//!
//! ```text
//! --queue ────► destination answers? ──► SqsQueue ────┐
//!                                                     ├──► worker ──► archive one group ──► figures ──► summary
//! --manifest ─► probe ─────────────────► MemoryQueue ─┘
//! ```
//!
//! Manifests go through the queue in memory, each delivered once: slots, panics and signals are
//! then the same matter in both. On SIGTERM and SIGINT a queue's worker drains and exits 0; given
//! manifests are broken off, exit 130 or 143.

mod start;
mod summary;

use std::future::Future;
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use futures_util::future::BoxFuture;
use s3bundler_common::failure::Failure;
use s3bundler_common::shutdown::Shutdown;
use s3bundler_contract::ExitCode;
use s3bundler_contract::group_manifest::Columns;
use s3bundler_contract::message::ManifestRef;
use tokio_util::sync::CancellationToken;

use crate::args::{BundleArgs, GlobalArgs};
use crate::bundle::{BundleError, Bundler, GroupReport};
use crate::destination::Destination;
use crate::progress::{Progress, ProgressStyle};
use crate::queue::{
    Disposition, Ended, GroupFailure, MemoryQueue, PauseFile, Queue, SqsQueue, WorkError,
    WorkerOptions, work,
};
use crate::reexec::start_over;
use crate::s3::{S3, load_config};

use summary::Figures;

/// Archives groups from a queue, or those of given manifests.
pub async fn bundle(args: BundleArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let begun = Instant::now();
    let shutdown = Shutdown::listen().map_err(|error| Failure::new(ExitCode::Unexpected, error))?;
    let archive = args.archive.options();
    let destination = args.destination.resolve(archive.key_layout)?;
    let fieldnames: Option<Columns> = args
        .fieldnames
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|error| Failure::new(ExitCode::Usage, format!("--fieldnames: {error}")))?;
    let settings = super::settings(
        destination.clone(),
        args.name.clone(),
        archive,
        fieldnames,
        &args.work,
    )?;
    let options = args
        .work
        .s3_options(global.s3_options(Some(&args.destination.destination))?);
    let config = load_config(&options).await?;
    let s3 = S3::new(config.clone(), &options);
    let figures = Figures::default();
    let progress = Progress::start(ProgressStyle::for_stderr());
    let bundler = Bundler::new(s3.clone(), settings, progress.clone());
    figures
        .activity
        .watch(s3.clone(), bundler.clone(), progress.clone());
    if let Some(address) = args.listen {
        let listening = figures.activity.listen(address).await;
        listening.map_err(|error| {
            Failure::new(ExitCode::Local, format!("--listen {address}: {error}"))
        })?;
    }
    let worker = Worker {
        args: &args,
        s3,
        bundler,
        destination,
        shutdown: &shutdown,
        figures: &figures,
    };
    let started = worker
        .start(&config)
        .await
        .inspect_err(|_| progress.finish())?;
    let ended = match started {
        Start::Queue(queue) => worker.work_on(&queue).await,
        Start::Manifests => from_manifests(&args, &shutdown, &figures, worker.archive()).await,
        Start::AskedToEnd => Ok(Ended::Shutdown),
    };
    progress.finish();
    if matches!(ended, Ok(Ended::Recycle)) && !shutdown.token().is_cancelled() {
        tracing::info!(
            groups = args.recycle_after,
            "enough groups for one process, starting over"
        );
        return Err(Failure::new(
            ExitCode::Local,
            format!("cannot start the process over: {}", start_over()),
        ));
    }
    figures.lock().summary.print(begun.elapsed(), global.output);
    ended.map(|_| ())
}

/// What groups are archived with.
struct Worker<'a> {
    args: &'a BundleArgs,
    s3: S3,
    bundler: Bundler,
    destination: Destination,
    shutdown: &'a Shutdown,
    figures: &'a Figures,
}

/// Where groups come from, once the destination can be written.
enum Start {
    Queue(SqsQueue),
    Manifests,
    /// The process is to end before that.
    AskedToEnd,
}

impl Worker<'_> {
    async fn start(&self, config: &SdkConfig) -> Result<Start, Failure> {
        let Self {
            s3,
            bundler,
            destination,
            shutdown,
            ..
        } = self;
        let Some(name) = &self.args.queue else {
            s3.outages().stop_with(shutdown.token());
            let is_ready = start::can_be_written(s3, destination, shutdown.token()).await?;
            return if is_ready {
                Ok(Start::Manifests)
            } else {
                Err(by_signal(shutdown))
            };
        };
        if start::is_ready(s3, bundler, destination, shutdown.token()).await? {
            Ok(Start::Queue(SqsQueue::connect(config, name).await?))
        } else {
            Ok(Start::AskedToEnd)
        }
    }

    /// Works on a queue. What becomes of a group that failed is the queue's business, so it is no
    /// failure of the command, unless the queue is empty and every group failed.
    async fn work_on(&self, queue: &SqsQueue) -> Result<Ended, Failure> {
        let Self { args, figures, .. } = self;
        let options = WorkerOptions {
            groups: args.work.groups.into(),
            idle_exit: args.idle_exit.map(Duration::from_secs),
            drain: Duration::from_secs(args.drain),
            recycle_after: args.recycle_after,
            destination: Some(self.destination.clone()),
            s3: Some(self.s3.clone()),
            pause: args.pause_file.clone().map(PauseFile::new),
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
        let archive = counted(self.archive(), figures);
        let ended = work(queue, &options, self.shutdown.token().clone(), archive)
            .await
            .map_err(failure)?;
        if ended == Ended::Idle {
            figures.lock().nothing_but_failures()?;
        }
        Ok(ended)
    }

    /// Archives the group of a manifest.
    fn archive(
        &self,
    ) -> impl Fn(ManifestRef, CancellationToken) -> Archiving + Send + Sync + 'static {
        let (bundler, s3, figures) = (self.bundler.clone(), self.s3.clone(), self.figures.clone());
        let has_queue = self.args.queue.is_some();
        move |manifest, cancel| {
            let (bundler, s3, figures) = (bundler.clone(), s3.clone(), figures.clone());
            Box::pin(async move {
                Box::pin(bundler.bundle(&manifest, &cancel))
                    .await
                    .map_err(|error| {
                        let disposition = if has_queue {
                            of_message(
                                &error,
                                !s3.outages().is_clear(),
                                figures.lock().summary.has_archived(),
                            )
                        } else {
                            error.disposition()
                        };
                        GroupFailure::new(disposition, error.into())
                    })
            })
        }
    }
}

/// What becomes of the message of a group that failed.
fn of_message(error: &BundleError, is_outage: bool, has_archived: bool) -> Disposition {
    if is_outage {
        // A worker that waits for the end of an outage keeps no message, and ends for nothing.
        Disposition::GiveBack
    } else if !has_archived && error.is_of_configuration() {
        // A worker that goes on would carry one group after the other to the dead-letter queue.
        Disposition::Fatal
    } else {
        error.disposition()
    }
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
    Fut: Future<Output = Archived> + Send + 'static,
{
    let queue = MemoryQueue::new(1);
    let manifests: Vec<_> = args
        .manifest
        .iter()
        .map(|address| ManifestRef::new(address.clone(), None))
        .collect();
    queue.send(&manifests).await?;
    queue.close();
    let options = WorkerOptions {
        groups: args.work.groups.into(),
        drain: Duration::ZERO,
        ..WorkerOptions::default()
    };
    let ended = work(
        &queue,
        &options,
        shutdown.token().clone(),
        counted(archive, figures),
    )
    .await
    .map_err(failure)?;
    if shutdown.by().is_some() {
        return Err(by_signal(shutdown));
    }
    let failures = std::mem::take(&mut figures.lock().failures);
    let given_up = queue.given_up().len();
    failures.into_result(&format!(
        "{given_up} of {} groups were not archived",
        manifests.len()
    ))?;
    // A panic leaves no failure behind.
    let unexpected = || {
        Failure::new(
            ExitCode::Unexpected,
            format!("{given_up} groups were not archived, see the log"),
        )
    };
    if given_up == 0 {
        Ok(ended)
    } else {
        Err(unexpected())
    }
}

fn by_signal(shutdown: &Shutdown) -> Failure {
    let exit = shutdown.by().unwrap_or(ExitCode::Terminated);
    Failure::new(
        exit,
        "ended by a signal; the same command goes on where this one stopped",
    )
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
    Fut: Future<Output = Archived> + Send + 'static,
{
    let figures = figures.clone();
    move |manifest, cancel| {
        let (archiving, figures) = (archive(manifest, cancel.clone()), figures.clone());
        Box::pin(async move {
            let _holding = figures.activity.hold();
            let result = archiving.await;
            match &result {
                Ok(GroupReport {
                    committed_here: false,
                    ..
                }) => figures.activity.count("archived_before"),
                Ok(report) => figures.activity.archived(&report.receipt),
                Err(_) if cancel.is_cancelled() => figures.activity.count("given_back"),
                Err(_) => figures.activity.count("failed"),
            }
            figures.lock().add(&result, cancel.is_cancelled());
            result.map(|_| ())
        })
    }
}

/// What came of a group that was tried.
type Archived = Result<GroupReport, GroupFailure<Failure>>;
type Archiving = BoxFuture<'static, Archived>;
type Handled = BoxFuture<'static, Result<(), GroupFailure<Failure>>>;

#[cfg(test)]
mod tests;
