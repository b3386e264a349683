//! `s3bundler compact`: writes the catalogs of runs again, sorted by key.

use s3bundler_common::failure::Failure;
use s3bundler_common::shutdown::Shutdown;
use s3bundler_contract::{ExitCode, HasExitCode as _, KeyLayout, RunName};

use super::output;
use crate::args::{CompactArgs, GlobalArgs};
use crate::compact::{CompactRequest, Compacted, compact as compact_run};
use crate::destination::Destination;
use crate::progress::{Progress, ProgressStyle};
use crate::s3::{S3, load_config};
use crate::table::Table;

/// Compacts a run, or all. One that cannot be compacted does not stop the others.
pub async fn compact(args: CompactArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let options = global.s3_options(Some(&args.destination.destination))?;
    let destination = args.destination.resolve(KeyLayout::Hashed)?;
    let shutdown = Shutdown::listen().map_err(|error| Failure::new(ExitCode::Unexpected, error))?;
    let s3 = S3::new(load_config(&options).await?, &options);
    let progress = Progress::start(ProgressStyle::for_stderr());
    let compacting = async {
        let runs = match &args.run {
            Some(run) => vec![run.clone()],
            None => all_runs(&s3, &destination).await?,
        };
        let (mut done, mut failed) = (Vec::new(), None);
        for run in runs {
            let request = CompactRequest {
                destination: destination.clone(),
                run: run.clone(),
                catalogs: args.catalogs.into(),
                scratch: args.scratch.clone().unwrap_or_else(std::env::temp_dir),
            };
            match Box::pin(compact_run(&s3, &request, &progress)).await {
                Ok(compacted) => done.push(compacted),
                Err(error) => {
                    let error = Failure::new(error.exit_code(), format!("run {run}: {error}"));
                    if let Some(earlier) = failed.replace(error) {
                        tracing::error!("{earlier}");
                    }
                }
            }
        }
        Ok::<_, Failure>((done, failed))
    };
    let (done, failed) = tokio::select! {
        compacted = compacting => compacted?,
        () = shutdown.token().cancelled() => {
            let exit = shutdown.by().unwrap_or(ExitCode::Terminated);
            let ended = "ended by a signal; what was compacted before is still used";
            return Err(Failure::new(exit, ended));
        }
    };
    progress.finish();
    output::print(&done, || text(&done), global.output);
    failed.map_or(Ok(()), Err)
}

async fn all_runs(s3: &S3, destination: &Destination) -> Result<Vec<RunName>, Failure> {
    let prefix = destination.layout.all_catalogs();
    let mut runs = Vec::new();
    // Of `…catalog/run=r/`.
    let listing = s3.folders(&destination.bucket, &prefix, |folder| {
        let run = folder.strip_prefix(&prefix);
        runs.extend(run.and_then(|run| run.trim_end_matches('/').parse().ok()));
    });
    listing
        .await
        .map_err(|error| Failure::new(error.reading(), error))?;
    Ok(runs)
}

fn text(done: &[Compacted]) -> String {
    let mut table = Table::new(
        ["run", "", "catalogs", "rows", "files", "bytes", "removed"],
        2,
    );
    for it in done {
        let state = if it.unchanged { "unchanged" } else { "written" };
        table.row([
            it.run.to_string(),
            state.to_owned(),
            it.catalogs.to_string(),
            it.rows.to_string(),
            it.files.to_string(),
            it.bytes.to_string(),
            it.removed.to_string(),
        ]);
    }
    table.text()
}
