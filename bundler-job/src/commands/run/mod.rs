//! `s3bundler run`: group and bundle in one process, with the queue in memory. No SQS, no
//! Kubernetes.
//!
//! ```text
//! probe ──► group ──► MemoryQueue ──► worker ──► bundle ──► figures counted from the receipts
//!             ▲                                        │
//!             └──────── next retry pass ◄──────────────┘
//! ```
//!
//! The figures at the end are those of the run, whichever invocation did the work: a second one
//! finds every receipt and has nothing to do.

mod report;
mod stages;
mod verdict;

use std::time::Instant;

use s3bundler_common::failure::Failure;
use s3bundler_common::shutdown::Shutdown;
use s3bundler_contract::{ByteSize, ExitCode};
use tokio_util::sync::CancellationToken;

use crate::args::{GlobalArgs, RunArgs};
use crate::bundle::{Bundler, Settings, probe};
use crate::group::GroupRequest;
use crate::progress::{Progress, ProgressStyle};
use crate::s3::{S3, load_config};

use report::report;
use stages::{RetryPolicy, Scene, Worked};
use verdict::verdict;

/// Archives an inventory.
pub async fn run(args: RunArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let started = Instant::now();
    let shutdown = Shutdown::listen().map_err(|error| Failure::new(ExitCode::Unexpected, error))?;
    let archive = args.archive.options();
    let destination = args.destination.resolve(archive.key_layout)?;
    let options = args
        .work
        .s3_options(global.s3_options(Some(&args.destination.destination))?);
    let s3 = S3::new(load_config(&options).await?, &options);
    s3.outages().stop_with(shutdown.token());
    let origin = Box::pin(super::origin(
        &args.origin,
        &s3,
        Some((&destination, &args.name)),
    ));
    let origin = tokio::select! {
        // First: what waits for a bucket fails then.
        biased;
        () = shutdown.token().cancelled() => return Err(super::ended_by(&shutdown)),
        origin = origin => origin?,
    };
    let request = GroupRequest {
        origin: origin.ok_or_else(|| {
            Failure::new(
                ExitCode::Usage,
                "one of --inventory, --inventory-latest and --manifests is needed",
            )
        })?,
        run: args.name.clone(),
        destination: destination.clone(),
        select: args.grouping.select(),
        group: args.grouping.group(),
        archive: archive.clone(),
        manifest_storage_class: args.grouping.manifest_storage_class.clone(),
        owner: "s3bundler run".to_owned(),
        acknowledge: None,
        // Objects have the room while groups are made: one data file at a time.
        scratch: super::scratch(args.work.scratch.clone(), Some(ByteSize(0)))?,
    };
    let settings = super::settings(
        destination.clone(),
        args.name.clone(),
        archive,
        None,
        &args.work,
    )?;
    let retries = RetryPolicy {
        passes: args.retry_passes,
        reasons: args.retry.reasons(),
    };
    let working = archive_all(&s3, &request, settings, &retries, shutdown.token());
    let worked = tokio::select! {
        worked = working => worked,
        // Groups undo what is not committed; a grouping that stops is resumed by the next run.
        () = ended(&shutdown) => Err(Failure::new(ExitCode::Unexpected, "did not end in time")),
    };
    let Worked {
        summary,
        groups_before,
        totals,
    } = match (worked, shutdown.by()) {
        (Ok(done), None) => done,
        (Err(failure), None) => return Err(failure),
        (_, Some(_)) => return Err(super::ended_by(&shutdown)),
    };

    let verdict = verdict(&request.run, &summary, &totals, args.max_failed);
    report(
        &request,
        &summary,
        &totals,
        groups_before,
        started,
        verdict.as_ref(),
        global.output,
    );
    verdict.map_or(Ok(()), Err)
}

/// Some time after a signal: groups abort their uploads meanwhile.
async fn ended(shutdown: &Shutdown) {
    shutdown.token().cancelled().await;
    tokio::time::sleep(crate::queue::visibility::ABORT_GRACE).await;
}

async fn archive_all(
    s3: &S3,
    request: &GroupRequest,
    settings: Settings,
    policy: &RetryPolicy,
    shutdown: &CancellationToken,
) -> Result<Worked, Failure> {
    probe::conditional_writes(s3, &request.destination).await?;
    let groups = usize::try_from(settings.groups).unwrap_or(usize::MAX);
    let progress = Progress::start(ProgressStyle::for_stderr());
    let bundler = Bundler::new(s3.clone(), settings, progress.clone());
    let scene = Scene {
        s3,
        request,
        bundler: &bundler,
        progress: &progress,
        groups,
        shutdown,
    };
    let worked = scene.all_stages(policy).await;
    progress.finish();
    worked
}
