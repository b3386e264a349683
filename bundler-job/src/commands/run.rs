//! `s3bundler run`: group and bundle in one process, with the queue in memory. No SQS, no Kubernetes.
//!
//! ```text
//! probe ──► group ──► MemoryQueue ──► worker ──► bundle ──► figures counted from the receipts
//! ```
//!
//! The figures at the end are those of the run, whichever invocation did the work: a second one finds every receipt
//! and has nothing to do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use s3bundler_contract::{ByteSize, ExitCode, LeftOut, RunSummary};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::failures::Failures;
use crate::args::{Destination, GlobalArgs, OutputFormat, RunArgs};
use crate::bundle::{Bundler, Settings, probe};
use crate::failure::Failure;
use crate::group::{GroupRequest, Origin, group};
use crate::progress::{Progress, ProgressStyle};
use crate::queue::{GroupFailure, MemoryQueue, WorkError, WorkerOptions, work};
use crate::run_totals::RunTotals;
use crate::s3::{S3, load_config};
use crate::signals::Shutdown;
use crate::stdout;

/// Archives an inventory.
pub async fn run(args: RunArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let started = Instant::now();
    let shutdown = Shutdown::listen().map_err(|error| Failure::new(ExitCode::Unexpected, error))?;
    let archive = args.archive.options();
    let destination = args.destination.resolve(archive.key_layout)?;
    let options = args.work.s3_options(global.s3_options(Some(&args.destination.destination))?);
    let s3 = S3::new(load_config(&options).await?, &options);
    let request = GroupRequest {
        origin: Origin::of(&args.origin)
            .ok_or_else(|| Failure::new(ExitCode::Usage, "one of --inventory and --manifests is needed"))?,
        run: args.name.clone(),
        destination: destination.clone(),
        select: args.grouping.select(),
        group: args.grouping.group(),
        archive: archive.clone(),
        manifest_storage_class: args.grouping.manifest_storage_class.clone(),
        owner: "s3bundler run".to_owned(),
        // Objects have the room while groups are made: one data file at a time.
        scratch: super::scratch(args.work.scratch.clone(), Some(ByteSize(0)))?,
    };
    let settings = Settings::new(destination.clone(), args.name.clone(), archive, None, &args.work)?;
    let working = archive_all(&s3, &request, settings, args.work.outage_budget, shutdown.token());
    let worked = tokio::select! {
        worked = working => worked,
        // Groups undo what is not committed; a grouping that stops is resumed by the next run.
        () = ended(&shutdown) => Err(Failure::new(ExitCode::Unexpected, "did not end in time")),
    };
    let (summary, groups_before) = match (worked, shutdown.by()) {
        (Ok(done), None) => done,
        (Err(failure), None) => return Err(failure),
        (_, Some(exit)) => {
            return Err(Failure::new(exit, "ended by a signal; the same command goes on where this one stopped"));
        }
    };

    let totals = RunTotals::count(&s3, &destination, &request.run)
        .await
        .map_err(|error| Failure::new(error.reading(), error))?;
    report(&request, &summary, &totals, groups_before, started, global.output);
    let missing = totals.missing(&request.run, summary.groups);
    if missing > 0 || !totals.defects.is_empty() {
        let problem = format!("{missing} groups have no receipt, {} receipts are defects", totals.defects.len());
        return Err(Failure::new(ExitCode::Unexpected, format!("{problem}; s3bundler verify says more")));
    }
    Ok(())
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
    outage_budget: u64,
    shutdown: &CancellationToken,
) -> Result<(RunSummary, u64), Failure> {
    probe::conditional_writes(s3, &request.destination).await.map_err(|error| Failure::new(error.exit(), error))?;
    let groups = usize::try_from(settings.groups).unwrap_or(usize::MAX);
    let progress = Progress::start(ProgressStyle::for_stderr());
    let s3 = &s3.clone().waiting_out_outages(std::time::Duration::from_secs(outage_budget));
    let bundler = Bundler::new(s3.clone(), settings, progress.clone());
    let queue = MemoryQueue::new(1);

    let grouping = async {
        let grouped = group(s3, request, Some(&queue), |made| {
            if !made.already_archived {
                progress.expect(1, made.objects.unwrap_or(0), made.bytes.unwrap_or(0));
            }
        });
        let grouped = tokio::select! {
            grouped = grouped => grouped.map_err(|error| Failure::new(error.exit(), error)),
            () = shutdown.cancelled() => Err(Failure::new(ExitCode::Terminated, "ended by a signal")),
        };
        queue.close();
        grouped
    };
    let failures = Arc::new(Mutex::new(Failures::default()));
    let options = WorkerOptions { groups, drain: std::time::Duration::ZERO, ..WorkerOptions::default() };
    // A grouping that failed ends the work, but groups that are under way are worth finishing.
    let handler = {
        let failures = Arc::clone(&failures);
        move |manifest, cancel: CancellationToken| {
            let (bundler, failures) = (bundler.clone(), Arc::clone(&failures));
            async move {
                Box::pin(bundler.bundle(&manifest, &cancel)).await.map(|_| ()).map_err(|error| {
                    let (disposition, failure) = (error.disposition(), Failure::from(error));
                    failures.lock().unwrap_or_else(PoisonError::into_inner).add(&failure);
                    GroupFailure::new(disposition, failure)
                })
            }
        }
    };
    let working = work(&queue, &options, shutdown.clone(), handler);
    let (grouped, worked) = tokio::join!(grouping, working);
    progress.finish();
    let grouped = match (worked, grouped) {
        (Err(WorkError::Fatal(failure)), _) => return Err(failure),
        (Err(WorkError::Queue(error)), _) => return Err(error.into()),
        (Ok(_), grouped) => grouped?,
    };
    let failures = std::mem::take(&mut *failures.lock().unwrap_or_else(PoisonError::into_inner));
    let groups = failures.count();
    let what = if groups == 1 { "1 group was".to_owned() } else { format!("{groups} groups were") };
    failures.into_result(&format!("{what} not archived; run again to try again"))?;
    Ok((grouped.summary, grouped.already_archived))
}

/// What `run` says at its end.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    run: &'a str,
    inventory: String,
    destination: String,
    groups: u64,
    /// Groups that an earlier invocation had archived.
    groups_before: u64,
    rows: u64,
    /// Bytes of the rows in groups, by the inventory.
    listed_bytes: u64,
    left_out: &'a BTreeMap<LeftOut, u64>,
    #[serde(flatten)]
    totals: &'a RunTotals,
    seconds: f64,
}

fn report(
    request: &GroupRequest,
    summary: &RunSummary,
    totals: &RunTotals,
    groups_before: u64,
    started: Instant,
    output: OutputFormat,
) {
    let Destination { bucket, layout } = &request.destination;
    let report = Report {
        run: request.run.as_str(),
        inventory: request.origin.to_string(),
        destination: format!("s3://{bucket}/{}", layout.root()),
        groups: summary.groups,
        groups_before,
        rows: summary.rows,
        listed_bytes: summary.bytes,
        left_out: &summary.left_out,
        totals,
        seconds: started.elapsed().as_secs_f64(),
    };
    match output {
        OutputFormat::Json => {
            let json = serde_json::to_string_pretty(&report).expect("plain fields are JSON");
            stdout::print(&format!("{json}\n"));
        }
        OutputFormat::Text => stdout::print(&text(&report)),
    }
}

fn text(report: &Report<'_>) -> String {
    let Report { run, totals, groups, groups_before, rows, left_out, destination, .. } = report;
    let mut lines = vec![if groups_before == groups {
        format!("run {run} was complete: {groups} groups, nothing to do")
    } else {
        format!("run {run} is complete: {groups} groups, {groups_before} of them from before")
    }];
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<12} {value}"));
    line("inventory", format!("{rows} rows"));
    if let Some(sizes) =
        beyond_the_listed(report.listed_bytes, totals.archived_bytes.saturating_add(totals.copied_bytes))
    {
        line("sizes", sizes);
    }
    line("archived", format!("{} objects, {}", totals.archived, human(totals.archived_bytes)));
    line("copied", format!("{} objects, {}", totals.copied, human(totals.copied_bytes)));
    line("failed", format!("{} objects{}", totals.failed_objects(), by_reason(&totals.failed)));
    line("left out", format!("{} rows{}", left_out.values().sum::<u64>(), by_reason(left_out)));
    line("took", format!("{:.1} s", report.seconds));
    lines.push(format!(
        "verify it with: s3bundler verify --destination {} --name {run}",
        destination.trim_end_matches('/')
    ));
    lines.join("\n") + "\n"
}

/// What is to be said if there were more bytes than the inventory lists: groups are cut by the listed sizes.
fn beyond_the_listed(listed: u64, found: u64) -> Option<String> {
    match found.checked_sub(listed) {
        None | Some(0) => None,
        Some(_) if listed == 0 => Some("the inventory lists none, so --max-size could not be kept".to_owned()),
        Some(more) => Some(format!("{} more than the inventory lists, so --max-size may not be kept", human(more))),
    }
}

fn by_reason<R: std::fmt::Display>(counts: &BTreeMap<R, u64>) -> String {
    let counts: Vec<_> = counts.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) }
}

fn human(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_bytes_than_the_inventory_lists_are_reported() {
        for (listed, found, expected) in [
            (0, 0, None),
            (10, 10, None),
            (10, 9, None),
            (0, 1, Some("the inventory lists none, so --max-size could not be kept")),
            (1, 1 + 1024, Some("1.00 KiB more than the inventory lists, so --max-size may not be kept")),
        ] {
            assert_eq!(beyond_the_listed(listed, found).as_deref(), expected, "{listed} {found}");
        }
    }
}
